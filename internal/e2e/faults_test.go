package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/faulty"
	"github.com/enlacehq/enlace/store/memory"
)

// Every kind of call on every kind of item fails once in the midst of traffic,
// before its effect and after it: nothing is lost, nothing doubled, all in order.
// The table is the worker's without the retries that hide such failures.
func TestFaults_EachCallOnEachItemOnce(t *testing.T) {
	items := map[string][2]string{
		"channel": {"CH#*", "CHANNEL"},
		"event":   {"CH#*", "EV#*"},
		"message": {"CH#*", "MSG#*"},
		"signal":  {"SIG#*", "*"},
		"moved":   {"CO#*", "MOVED#*"},
	}
	before, both := []faulty.When{faulty.Before}, []faulty.When{faulty.Before, faulty.After}
	for _, test := range []struct {
		call  faulty.Call
		what  string
		item  string
		whens []faulty.When // a read has no effect after which it could fail
		times []int
	}{
		{faulty.Write, "write", "event", both, []int{1, 2, 3, 4}},
		{faulty.Write, "write", "message", both, []int{1, 2, 3, 4}},
		{faulty.Write, "write", "signal", both, []int{1, 2, 3, 4}},
		{faulty.Write, "write", "moved", both, []int{1}},
		{faulty.Get, "get", "channel", before, []int{1, 3}},
		{faulty.Get, "get", "message", before, []int{1, 3}},
		{faulty.Get, "get", "signal", before, []int{1}},
		{faulty.Query, "query", "event", before, []int{1}},
		{faulty.Query, "query", "message", before, []int{1, 3}},
	} {
		for _, when := range test.whens {
			for _, nth := range test.times {
				key := items[test.item]
				rule := faulty.Rule{Call: test.call, PK: key[0], SK: key[1], When: when, Nth: nth}
				moment := map[faulty.When]string{faulty.Before: "before", faulty.After: "after"}[when]
				t.Run(fmt.Sprintf("%s of %s fails %s its effect, time %d", test.what, test.item, moment, nth), func(t *testing.T) {
					t.Parallel()
					trafficUnder(t, rule)
				})
			}
		}
	}
	t.Run("a panic in the Signal state", func(t *testing.T) {
		t.Parallel()
		trafficUnder(t, faulty.Rule{Call: faulty.Write, PK: "SIG#*", Nth: 2, Panic: "broken"})
	})
}

// trafficUnder has rule strike while messages flow both ways, and counts at both ends.
func trafficUnder(t *testing.T, rule faulty.Rule) {
	const count = 6
	table, faults := faulty.Wrap(memory.New(memory.Options{}), 1)
	p := startInProcess(t, table)
	fault := faults.Add(rule)
	defer faults.Clear()
	var in, out []string
	for n := range count {
		text := fmt.Sprint("in ", n)
		p.friendWrites(text)
		in = append(in, text)
		text = fmt.Sprint("out ", n)
		p.until("a message taken", func() bool { _, err := p.tryPost(text, text); return err == nil })
		out = append(out, text)
		time.Sleep(50 * time.Millisecond)
	}
	p.until("all texts in the log", func() bool { return len(p.textsIn()) >= count })
	p.until("all texts at the phone", func() bool { return len(p.textsAt()) >= count })
	time.Sleep(time.Second) // what comes too often would have come
	if fault.Struck() == 0 {
		t.Error("the fault never struck")
	}
	fault.Remove()
	if got := p.textsIn(); !slices.Equal(got, in) {
		t.Errorf("in the log %q, want %q", got, in)
	}
	if got := p.textsAt(); !slices.Equal(got, out) {
		t.Errorf("at the phone %q, want %q", got, out)
	}
	p.untilActive()
}

// textsIn returns what the log has of received texts, nothing while it cannot be read.
func (p *inProcess) textsIn() []string {
	var texts []string
	page, err := p.callers.Events(p.ctx, "acme", p.channel.ID, store.EventQuery{Limit: 1000})
	if err != nil {
		return nil
	}
	for _, e := range page.Events {
		if e.Event != enlace.EventMessageReceived {
			continue
		}
		var data struct {
			Message struct{ Text struct{ Body string } }
		}
		if json.Unmarshal(e.Data, &data) == nil {
			texts = append(texts, data.Message.Text.Body)
		}
	}
	return texts
}

// textsAt returns what the friend's phone has received.
func (p *inProcess) textsAt() []string {
	var texts []string
	messages, err := p.phones.Messages(inProcessFriend)
	if err != nil {
		return nil
	}
	for _, m := range messages.Messages {
		texts = append(texts, m.Text)
	}
	return texts
}
