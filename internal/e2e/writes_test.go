package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store/counted"
	"github.com/enlacehq/enlace/store/memory"
)

// besides is what is put besides the messages' own items: which channels moved,
// once a second at most, and that the worker lives.
var besides = []string{"CO/MOVED", "WORKERS/"}

// A text from a known contact costs two puts: the contact's Signal address and the
// event. Its secret rides in the first, and moves with others once they would make
// that one dearer.
func TestWrites_OfReceivedTexts(t *testing.T) {
	const count = 40
	used := startMeter(t).receive(count)
	secrets := counted.Kind{Did: counted.Put, Item: "BULK/SECRET"}
	if moves := used[secrets].Items; moves == 0 || moves > count/4 {
		t.Errorf("secrets moved %d times in %d texts, want at most every fourth", moves, count)
	}
	delete(used, secrets)
	wantPuts(t, used, map[string]int{"SIG/ADDR": count, "CH/EV": count})
}

// A text costs six puts until WhatsApp has it: it is queued, sending and sent, the
// addresses of the recipient and of the own phone move on, and an event tells.
func TestWrites_OfSentTexts(t *testing.T) {
	const count = 20
	wantPuts(t, startMeter(t).send(count), map[string]int{"CH/MSG": 3 * count, "SIG/ADDR": 2 * count, "CH/EV": count})
}

func wantPuts(t *testing.T, got counted.Uses, want map[string]int) {
	t.Helper()
	puts := map[string]int{}
	for kind, use := range got {
		if kind.Did != counted.Read && !slices.Contains(besides, kind.Item) {
			puts[kind.Item] += use.Items
		}
	}
	if !maps.Equal(puts, want) {
		t.Errorf("puts %v, want %v\n%s", puts, want, got)
	}
}

// BenchmarkWrites tells the puts and kilobytes of a text.
func BenchmarkWrites(b *testing.B) {
	for name, texts := range map[string]func(*meter, int) counted.Uses{"received": (*meter).receive, "sent": (*meter).send} {
		b.Run(name, func(b *testing.B) {
			m := startMeter(b)
			b.ResetTimer()
			sum := texts(m, b.N).Sum(counted.Put, besides...)
			b.ReportMetric(float64(sum.Items)/float64(b.N), "puts/text")
			b.ReportMetric(float64(sum.Bytes)/1024/float64(b.N), "KB/text")
		})
	}
}

// meter counts what texts cost a channel whose contact is known.
type meter struct {
	*inProcess
	counts         *counted.Counts
	received, sent int
}

func startMeter(tb testing.TB) *meter {
	table, counts := counted.Wrap(memory.New(memory.Options{}))
	m := &meter{inProcess: startInProcess(tb, table), counts: counts}
	m.receive(1)
	m.send(1)
	m.receive(1) // both sides know that the other has their session
	m.until("a channel that is at rest", func() bool {
		counts.Take()
		time.Sleep(300 * time.Millisecond)
		return counts.Take().Sum(counted.Put, besides...).Items == 0
	})
	return m
}

// receive returns what n texts cost that come one after the other.
func (m *meter) receive(n int) counted.Uses {
	m.Helper()
	m.counts.Take()
	for range n {
		m.received++
		m.friendWrites(fmt.Sprint("in ", m.received))
		m.until("the text in the log", func() bool { return m.logged(enlace.EventMessageReceived, "") == m.received })
	}
	return m.counts.Take()
}

// send returns what n texts cost until WhatsApp has them. The friend's phone is off
// meanwhile: receipts are counted elsewhere.
func (m *meter) send(n int) counted.Uses {
	m.Helper()
	m.switchFriend(false)
	m.counts.Take()
	for range n {
		m.sent++
		m.post(fmt.Sprint("out ", m.sent))
		m.until("the text at WhatsApp", func() bool { return m.logged(enlace.EventMessageStatus, enlace.Sent) == m.sent })
	}
	used := m.counts.Take()
	m.switchFriend(true)
	m.until("the texts at the phone", func() bool { return m.logged(enlace.EventMessageStatus, enlace.Delivered) == m.sent })
	return used
}

func (m *meter) switchFriend(on bool) {
	m.Helper()
	if err := m.phones.SetOnline(inProcessFriend, on); err != nil {
		m.Fatal(err)
	}
}

// logged counts the events of a name, and of a status if one is given.
func (m *meter) logged(name enlace.EventName, status enlace.MessageStatus) (n int) {
	m.Helper()
	for _, e := range m.log() {
		if e.Event == name && (status == "" || strings.Contains(string(e.Data), `"status":"`+string(status)+`"`)) {
			n++
		}
	}
	return n
}
