package e2e

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
)

var (
	crashMessages = flag.Int("messages", 120, "messages each way in the crash tests")
	crashKills    = flag.Int("kills", 8, "kills in the crash tests")
)

// phoneMessage is what a phone of the test server received.
type phoneMessage struct {
	ID, From, Text string
}

func (w *whatsApp) received(number string) []phoneMessage {
	w.Helper()
	var answer struct{ Messages []phoneMessage }
	w.call(http.MethodGet, "/phones/"+number+"/messages", nil, &answer)
	return answer.Messages
}

// writes has a phone send a text to another account, or to a group, and returns its id.
func (w *whatsApp) writes(from, to, text string) string {
	w.Helper()
	var answer struct{ ID string }
	w.call(http.MethodPost, "/phones/"+from+"/messages", map[string]string{"to": to, "text": text}, &answer)
	return answer.ID
}

// active connects a channel and links it to a phone.
func (s *server) active(w *whatsApp, name string) enlace.Channel {
	s.Helper()
	c := s.untilQR(s.connect(name))
	w.scan(newNumber(), c.QR.Code)
	return s.untilActive(c)
}

// send posts a text, and posts it again under the same key until it is answered,
// over whatever crashes come between.
func (f *field) send(c enlace.Channel, to, text, key string) {
	f.Helper()
	body, err := json.Marshal(enlace.Outgoing{To: "+" + to, Type: enlace.TypeText, Text: &enlace.Text{Body: text}})
	if err != nil {
		f.Fatal(err)
	}
	deadline := time.Now().Add(2 * soon)
	for {
		a, err := f.now().request(f.Context(), http.MethodPost, path(c)+"/messages", string(body), "Idempotency-Key", key)
		if err == nil && a.status == http.StatusAccepted {
			return
		}
		if err == nil && a.status < 500 || time.Now().After(deadline) {
			f.Fatalf("send: %v %d %s", err, a.status, a.body)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// field is an installation whose server is killed and started again while
// messages flow.
type field struct {
	*installation
	w  *whatsApp
	mu sync.Mutex
	s  *server
}

func newField(t *testing.T) *field {
	secrets.add("the text of a message", "a secret text") // all of them begin so
	w := startWhatsApp(t)
	i := install(t, w)
	return &field{installation: i, w: w, s: i.serve()}
}

func (f *field) now() *server {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.s
}

func (f *field) crash() {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.s.kill()
	f.s = f.serve()
}

// allEvents reads a channel's whole log and wants it without gaps.
func (f *field) allEvents(c enlace.Channel) []enlace.Event {
	f.Helper()
	var all []enlace.Event
	for after := ""; ; {
		var page struct {
			Events []enlace.Event
			Next   string
		}
		f.now().call(http.StatusOK, http.MethodGet, path(c)+"/events?limit=1000&after="+after, "").read(f, &page)
		all = append(all, page.Events...)
		if after = page.Next; len(page.Events) == 0 {
			break
		}
	}
	for n, e := range all {
		if e.Seq != int64(n)+1 {
			f.Fatalf("event %d of channel %s has number %d", n+1, c.Name, e.Seq)
		}
	}
	return all
}

// texts returns the bodies of received messages by sender, in the log's order.
func (f *field) texts(c enlace.Channel) map[string][]string {
	f.Helper()
	bySender := map[string][]string{}
	for _, e := range f.allEvents(c) {
		if e.Event != enlace.EventMessageReceived {
			continue
		}
		var data struct {
			Message struct {
				From string
				Text struct{ Body string }
			}
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			f.Fatal(err)
		}
		bySender[data.Message.From] = append(bySender[data.Message.From], data.Message.Text.Body)
	}
	return bySender
}

// wantLog wants a channel's log to show one QR code and nothing lost.
func (f *field) wantLog(c enlace.Channel) {
	f.Helper()
	for _, e := range f.allEvents(c) {
		if e.Event == enlace.EventMessageUnavailable {
			f.Errorf("channel %s could not read a message: %s", c.Name, e.Data)
		}
	}
	if s := f.w.stats(); s.Overlaps != 0 || s.Replaced != 0 {
		f.Errorf("%d sessions overlapped, %d were replaced", s.Overlaps, s.Replaced)
	}
}

// same waits until got is as wanted, in order, and fails on anything too much.
func same(t testing.TB, what string, want []string, got func() []string) {
	t.Helper()
	var last []string
	for deadline := time.Now().Add(2 * soon); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if last = got(); slices.Equal(last, want) {
			return
		}
		if len(last) > len(want) {
			break
		}
	}
	missing := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(last, s) })
	t.Errorf("%s: %d of %d, %d missing %.5q; the first that differs: %s", what, len(last), len(want), len(missing), missing, firstDifference(want, last))
}

func firstDifference(want, got []string) string {
	for n := range min(len(want), len(got)) {
		if want[n] != got[n] {
			return fmt.Sprintf("number %d is %q, want %q", n, got[n], want[n])
		}
	}
	return "none"
}

// kill kills the server at random moments until done is closed and all kills were made.
func (f *field) kills(n int) {
	f.Helper()
	for range n {
		time.Sleep(100*time.Millisecond + rand.N(900*time.Millisecond))
		f.crash()
	}
}

// Messages flow both ways between one channel and four phones while the server
// is killed again and again: all arrive, once, in order in each chat.
func TestCrash_TrafficBothWays(t *testing.T) {
	t.Parallel()
	f := newField(t)
	c := f.now().active(f.w, "default")
	phones := []string{newNumber(), newNumber(), newNumber(), newNumber()}
	in, out := map[string][]string{}, map[string][]string{}
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for n := range *crashMessages {
			phone, text := phones[n%len(phones)], fmt.Sprintf("a secret text, in %d", n)
			f.w.writes(phone, c.PhoneNumber, text)
			in[phone] = append(in[phone], text)
			time.Sleep(rand.N(40 * time.Millisecond))
		}
	})
	traffic.Go(func() {
		for n := range *crashMessages {
			phone, text := phones[n%len(phones)], fmt.Sprintf("a secret text, out %d", n)
			f.send(c, phone, text, fmt.Sprint("out-", n))
			out[phone] = append(out[phone], text)
			time.Sleep(rand.N(40 * time.Millisecond))
		}
	})
	f.kills(*crashKills)
	traffic.Wait()
	for _, phone := range phones {
		same(t, "at the phone", out[phone], func() []string {
			var texts []string
			for _, m := range f.w.received(phone) {
				texts = append(texts, m.Text)
			}
			return texts
		})
		same(t, "in the log", in[phone], func() []string { return f.texts(c)[phone] })
	}
	f.now().untilActive(c)
	f.wantLog(c)
	if qrs := f.w.stats().QRs; qrs != 1 {
		t.Errorf("%d series of QR codes, want the first alone", qrs)
	}
}

// Two channels of one server write to each other while it is killed.
func TestCrash_TwoChannelsWriteToEachOther(t *testing.T) {
	t.Parallel()
	f := newField(t)
	a, b := f.now().active(f.w, "a"), f.now().active(f.w, "b")
	sent := map[string][]string{}
	var mu sync.Mutex
	var traffic sync.WaitGroup
	for _, pair := range [][2]enlace.Channel{{a, b}, {b, a}} {
		traffic.Go(func() {
			for n := range *crashMessages {
				text := fmt.Sprintf("a secret text, %s %d", pair[0].Name, n)
				f.send(pair[0], pair[1].PhoneNumber, text, fmt.Sprint("n-", n))
				mu.Lock()
				sent[pair[0].PhoneNumber] = append(sent[pair[0].PhoneNumber], text)
				mu.Unlock()
				time.Sleep(rand.N(40 * time.Millisecond))
			}
		})
	}
	f.kills(*crashKills)
	traffic.Wait()
	same(t, "from a to b", sent[a.PhoneNumber], func() []string { return f.texts(b)[a.PhoneNumber] })
	same(t, "from b to a", sent[b.PhoneNumber], func() []string { return f.texts(a)[b.PhoneNumber] })
	f.wantLog(a)
	f.wantLog(b)
}

func (s *server) message(c enlace.Channel, id string) enlace.Message {
	s.Helper()
	var m enlace.Message
	s.call(http.StatusOK, http.MethodGet, path(c)+"/messages/"+id, "").read(s, &m)
	return m
}

func (s *server) untilMessage(c enlace.Channel, id string, status enlace.MessageStatus) enlace.Message {
	s.Helper()
	var m enlace.Message
	eventually(s, "message "+string(status), soon, func() bool {
		m = s.message(c, id)
		return m.Status == status
	})
	return m
}

func (s *server) post(c enlace.Channel, body string) enlace.Message {
	s.Helper()
	var m enlace.Message
	s.call(http.StatusAccepted, http.MethodPost, path(c)+"/messages", body).read(s, &m)
	return m
}

func text(to, body string) string {
	return fmt.Sprintf(`{"to":"+%s","type":"text","text":{"body":%q}}`, to, body)
}

// A text comes in, a text goes out and is delivered and read.
func TestStory_TextsBothWays(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	friend := newNumber()
	id := f.w.writes(friend, c.PhoneNumber, "a secret text, hello")
	eventually(t, "the text in the log", soon, func() bool { return slices.Equal(f.texts(c)[friend], []string{"a secret text, hello"}) })

	m := s.post(c, fmt.Sprintf(`{"to":"+%s","type":"text","text":{"body":"a secret text, back"},"context":{"message_id":%q}}`, friend, id))
	s.untilMessage(c, m.ID, enlace.Delivered)
	if got := f.w.received(friend); len(got) != 1 || got[0].ID != m.WhatsAppID || got[0].Text != "a secret text, back" || got[0].From != c.PhoneNumber {
		t.Errorf("the phone received %+v", got)
	}
	f.w.call(http.MethodPost, "/phones/"+friend+"/read", map[string]any{"ids": []string{m.WhatsAppID}}, nil)
	s.untilMessage(c, m.WhatsAppID, enlace.Read)
	s.call(http.StatusAccepted, http.MethodPost, path(c)+"/messages/"+id+"/read", "")
}

// Receipts that come after a restart find their message.
func TestCrash_ReceiptsFindTheirMessage(t *testing.T) {
	t.Parallel()
	f := newField(t)
	c := f.now().active(f.w, "default")
	friend := newNumber()
	f.w.call(http.MethodPost, "/phones/"+friend+"/online", map[string]bool{"online": false}, nil)
	m := f.now().post(c, text(friend, "a secret text"))
	f.now().untilMessage(c, m.ID, enlace.Sent)
	f.crash()
	f.w.call(http.MethodPost, "/phones/"+friend+"/online", map[string]bool{"online": true}, nil)
	f.now().untilMessage(c, m.ID, enlace.Delivered)
}

// A message whose acknowledgement is lost is sent again under its id, also after
// a crash, and the phone shows it once.
func TestCrash_UnansweredIsRepeatedUnderItsID(t *testing.T) {
	t.Parallel()
	f := newField(t)
	c := f.now().active(f.w, "default")
	friend := newNumber()
	f.now().untilMessage(c, f.now().post(c, text(friend, "a secret text, 1")).ID, enlace.Delivered)
	end := f.w.fault(fault{Kind: "withhold_ack", Number: c.PhoneNumber})
	m := f.now().post(c, text(friend, "a secret text, 2"))
	eventually(t, "the message at the phone", soon, func() bool { return len(f.w.received(friend)) == 2 })
	f.crash()
	end()
	f.now().untilMessage(c, m.ID, enlace.Delivered)
	if got := f.w.received(friend); len(got) != 2 || got[1].ID != m.WhatsAppID {
		t.Errorf("the phone received %+v", got)
	}
}

// Every clear answer to what cannot be sent.
func TestSend_WhatCannotBeSent(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	m := s.post(c, text("999"+newNumber()[3:], "x"))
	if m = s.untilMessage(c, m.ID, enlace.MessageFailed); m.Error == nil || m.Error.Code != enlace.CodeNotOnWhatsApp {
		t.Errorf("to a number without an account: %+v", m.Error)
	}
	s.call(http.StatusUnprocessableEntity, http.MethodPost, path(c)+"/messages", text(c.PhoneNumber, "x"))
	s.call(http.StatusUnprocessableEntity, http.MethodPost, path(c)+"/messages", `{"to":"+14155550100","type":"image","image":{"link":"https://example.com"}}`)
	s.call(http.StatusBadRequest, http.MethodGet, path(c)+"/messages?after=elsewhere", "")
	s.call(http.StatusAccepted, http.MethodPost, path(c)+"/disconnect", "")
	s.until(c, "inactive", func(c enlace.Channel) bool { return c.Status == enlace.Inactive })
	s.call(http.StatusConflict, http.MethodPost, path(c)+"/messages", text(newNumber(), "x"))
}

// A recipient whose keys are not to be had is tried again.
func TestSend_NoBundleOnce(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	friend := newNumber()
	f.w.fault(fault{Kind: "no_bundle", Number: friend, Times: 1})
	m := s.post(c, text(friend, "a secret text"))
	s.untilMessage(c, m.ID, enlace.Delivered)
	if got := f.w.received(friend); len(got) != 1 {
		t.Errorf("the phone received %+v", got)
	}
}

// Ten thousand messages wait for a channel that cannot come back: each ends with
// its ttl, and the service answers others meanwhile.
func TestSend_TenThousandForAChannelThatIsAway(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	f.w.kill()
	s.until(c, "coming back", func(c enlace.Channel) bool { return c.Reconnect != nil })
	var posting sync.WaitGroup
	failed := make(chan error, 10)
	for n := range 10 {
		posting.Go(func() {
			for range 1000 {
				a, err := s.request(t.Context(), http.MethodPost, path(c)+"/messages", `{"to":"+14155550100","type":"text","text":{"body":"x"},"ttl":2}`)
				if err != nil || a.status != http.StatusAccepted {
					failed <- fmt.Errorf("caller %d: %w %d %s", n, errors.Join(err), a.status, a.body)
					return
				}
			}
		})
	}
	posting.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
	begin := time.Now()
	s.channel(c)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a poll took %s", took)
	}
	s.until(c, "still coming back", func(c enlace.Channel) bool { return c.Status == enlace.Connecting })
	last := s.post(c, `{"to":"+14155550100","type":"text","text":{"body":"x"},"ttl":1}`)
	if m := s.untilMessage(c, last.ID, enlace.MessageFailed); m.Error.Code != enlace.CodeExpired {
		t.Errorf("the last one: %+v", m.Error)
	}
	eventually(t, "the end of all", 2*soon, func() bool {
		count := 0
		for _, e := range f.allEvents(c) {
			if e.Event == enlace.EventMessageStatus {
				count++
			}
		}
		return count == 10001
	})
}
