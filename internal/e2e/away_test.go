package e2e

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
	"github.com/enlacehq/enlace/whatsapptest"
)

// inFakeTime runs a test on a clock that passes hours in a moment, with a worker,
// the real client and the phones of a test server in one process.
func inFakeTime(t *testing.T, test func(p *inProcess)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(startInProcess(t, memory.New(memory.Options{})))
	})
}

// ttl of the messages here, so that what takes a day takes hours.
const shortTTL = time.Hour

// postTo queues a text that may wait for shortTTL.
func (p *inProcess) postTo(number, text string) enlace.Message {
	p.Helper()
	m, err := p.callers.PostMessage(p.ctx, "acme", p.channel.ID, store.PostRequest{
		Message: enlace.Outgoing{To: number, Type: enlace.TypeText, Text: &enlace.Text{Body: text}}, TTL: shortTTL,
	})
	if err != nil {
		p.Fatal(err)
	}
	return m
}

// online switches a phone off or on.
func (p *inProcess) online(number string, online bool) {
	p.Helper()
	if err := p.phones.SetOnline(number, online); err != nil {
		p.Fatal(err)
	}
}

// message reads a sent message.
func (p *inProcess) message(id string) enlace.Message {
	p.Helper()
	m, err := p.callers.Message(p.ctx, "acme", p.channel.ID, id)
	if err != nil {
		p.Fatal(err)
	}
	return m
}

func (p *inProcess) untilMessage(id string, status enlace.MessageStatus) enlace.Message {
	p.Helper()
	var m enlace.Message
	p.until("message "+string(status), func() bool { m = p.message(id); return m.Status == status })
	return m
}

// counts counts the events of each name in the channel's log.
func (p *inProcess) counts() map[enlace.EventName]int {
	p.Helper()
	page, err := p.callers.Events(p.ctx, "acme", p.channel.ID, store.EventQuery{Limit: 1000})
	if err != nil {
		p.Fatal(err)
	}
	counts := map[enlace.EventName]int{}
	for _, e := range page.Events {
		counts[e.Event]++
	}
	return counts
}

// wantTexts wants exactly these texts in the log and at the friend's phone.
func (p *inProcess) wantTexts(in, out []string) {
	p.Helper()
	if got := p.textsIn(); !slices.Equal(got, in) {
		p.Errorf("in the log %q, want %q", got, in)
	}
	if got := p.textsAt(); !slices.Equal(got, out) {
		p.Errorf("at the phone %q, want %q", got, out)
	}
}

// A recipient's phone is off for far longer than messages may wait: what was sent
// to it is sent, and delivered when it is on again, once and in order, with
// receipts that find their messages.
func TestAway_ARecipientsPhone(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(p *inProcess) {
		p.untilMessage(p.postTo(inProcessFriend, "before").ID, enlace.Delivered)
		p.online(inProcessFriend, false)
		out := []string{"before"}
		var ids []string
		for n := range 20 {
			text := fmt.Sprint("out ", n)
			m := p.postTo(inProcessFriend, text)
			p.untilMessage(m.ID, enlace.Sent)
			ids, out = append(ids, m.ID), append(out, text)
			time.Sleep(shortTTL / 20)
		}
		time.Sleep(2 * shortTTL)
		before := p.counts()
		for _, id := range ids {
			if m := p.message(id); m.Status != enlace.Sent {
				t.Errorf("to a phone that is off: %s", m.Status)
			}
		}
		p.online(inProcessFriend, true)
		for _, id := range ids {
			m := p.untilMessage(id, enlace.Delivered)
			if took := m.Statuses[len(m.Statuses)-1].At.Sub(m.CreatedAt); took < 2*shortTTL {
				t.Errorf("delivered after %s", took)
			}
		}
		p.friendWrites("back again")
		p.until("the answer", func() bool { return len(p.textsIn()) == 1 })
		if err := p.phones.MarkRead(inProcessFriend, p.message(ids[0]).WhatsAppID); err != nil {
			t.Fatal(err)
		}
		p.untilMessage(ids[0], enlace.Read)
		p.wantTexts([]string{"back again"}, out)
		if n := p.counts()[enlace.EventMessageStatus] - before[enlace.EventMessageStatus]; n != len(ids)+1 {
			t.Errorf("%d statuses since the phone is on, want one for each of %d messages, and the read one", n, len(ids))
		}
		if counts := p.counts(); counts[enlace.EventReconnecting] != 0 || counts[enlace.EventQR] != 1 {
			t.Errorf("a quiet time: %v", counts)
		}
	})
}

// The account's own phone is off: the channel goes on without it.
func TestAway_TheOwnPhone(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(p *inProcess) {
		p.online(inProcessAccount, false)
		var in, out []string
		for n := range 12 {
			time.Sleep(10 * time.Minute)
			p.friendWrites(fmt.Sprint("in ", n))
			p.untilMessage(p.postTo(inProcessFriend, fmt.Sprint("out ", n)).ID, enlace.Delivered)
			in, out = append(in, fmt.Sprint("in ", n)), append(out, fmt.Sprint("out ", n))
		}
		p.wantTexts(in, out)
		p.online(inProcessAccount, true)
		own, err := p.phones.Messages(inProcessAccount)
		if err != nil || len(own.Messages) != 12 || len(own.Sent) != 12 {
			t.Errorf("the own phone shows %d received and %d sent, %v", len(own.Messages), len(own.Sent), err)
		}
		time.Sleep(time.Minute)
		p.wantTexts(in, out) // and nothing of it comes back
	})
}

// WhatsApp cannot be reached for hours: what friends write meanwhile comes then,
// what was posted in the last of them goes out, and what waited too long has failed.
func TestAway_WhatsApp(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(p *inProcess) {
		end, err := p.phones.AddFault(whatsapptest.Fault{Kind: whatsapptest.Refuse})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.phones.AddFault(whatsapptest.Fault{Kind: whatsapptest.Drop, Number: inProcessAccount}); err != nil {
			t.Fatal(err)
		}
		var in, out, late, waiting []string
		for n := range 18 { // three hours
			time.Sleep(10 * time.Minute)
			p.friendWrites(fmt.Sprint("in ", n))
			in = append(in, fmt.Sprint("in ", n))
			m := p.postTo(inProcessFriend, fmt.Sprint("out ", n))
			if n <= 11 { // posted an hour before the end, or longer
				late = append(late, m.ID)
				continue
			}
			waiting, out = append(waiting, m.ID), append(out, fmt.Sprint("out ", n))
		}
		time.Sleep(2 * time.Second)
		for _, id := range late {
			if m := p.message(id); m.Status != enlace.MessageFailed || m.Error.Code != enlace.CodeExpired {
				t.Errorf("a message that waited too long: %s %+v", m.Status, m.Error)
			}
		}
		if err := p.phones.RemoveFault(end); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Minute + time.Second) // no pause between two tries is longer
		p.untilActive()
		for _, id := range waiting {
			p.untilMessage(id, enlace.Delivered)
		}
		p.until("what was written meanwhile", func() bool { return len(p.textsIn()) >= len(in) })
		p.wantTexts(in, out)
		if n := p.counts()[enlace.EventQR]; n != 1 {
			t.Errorf("%d QR codes", n)
		}
	})
}

// A message whose acknowledgement is withheld is repeated by the same owner under
// its id, and the phone shows it once.
func TestSend_UnansweredIsRepeated(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(p *inProcess) {
		p.untilMessage(p.post("first").ID, enlace.Delivered)
		p.online(inProcessFriend, false) // so that no receipt answers for the server
		if _, err := p.phones.AddFault(whatsapptest.Fault{Kind: whatsapptest.WithholdAck, Number: inProcessAccount, Times: 3}); err != nil {
			t.Fatal(err)
		}
		m := p.post("second")
		p.untilMessage(m.ID, enlace.Sending)
		next := p.post("third")
		if m = p.untilMessage(m.ID, enlace.Sent); time.Since(m.CreatedAt) < 45*time.Second {
			t.Errorf("sent after %s: it was not the repeat that was answered", time.Since(m.CreatedAt))
		}
		p.untilMessage(next.ID, enlace.Sent)
		p.online(inProcessFriend, true)
		p.untilMessage(m.ID, enlace.Delivered)
		p.untilMessage(next.ID, enlace.Delivered)
		p.wantTexts(nil, []string{"first", "second", "third"})
		got, err := p.phones.Messages(inProcessFriend)
		if err != nil || got.Messages[1].Copies != 4 || got.Messages[1].ID != m.WhatsAppID || got.Messages[2].Copies != 1 {
			t.Errorf("the phone has %+v, %v", got.Messages, err)
		}
	})
}

// A recipient is on WhatsApp and has no keys there: the message is tried until its
// ttl, then fails, never sent to nobody; others go their way.
func TestSend_NoKeysUntilTheTTL(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(p *inProcess) {
		end, err := p.phones.AddFault(whatsapptest.Fault{Kind: whatsapptest.NoBundle, Number: inProcessFriend, Times: 1_000_000})
		if err != nil {
			t.Fatal(err)
		}
		m := p.postTo(inProcessFriend, "never")
		aside := p.postTo("15550003333", "aside")
		p.untilMessage(aside.ID, enlace.Delivered)
		time.Sleep(shortTTL - time.Minute)
		if got := p.message(m.ID); got.Status != enlace.Queued {
			t.Errorf("before its ttl: %s %+v", got.Status, got.Error)
		}
		time.Sleep(time.Minute)
		if got := p.untilMessage(m.ID, enlace.MessageFailed); got.Error.Code != enlace.CodeExpired {
			t.Errorf("after its ttl: %+v", got.Error)
		}
		if err := p.phones.RemoveFault(end); err != nil {
			t.Fatal(err)
		}
		p.untilMessage(p.post("now").ID, enlace.Delivered)
		p.wantTexts(nil, []string{"now"})
	})
}
