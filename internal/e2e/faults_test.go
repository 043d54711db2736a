package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue/embedded"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/faulty"
	"github.com/enlacehq/enlace/store/memory"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/strategies/socket"
	"github.com/enlacehq/enlace/whatsapptest"
	"github.com/enlacehq/enlace/workers"
)

// Every kind of call on every kind of item fails once in the midst of traffic,
// before its effect and after it: nothing is lost, nothing doubled, all in order.
// The table is the worker's without the retries that hide such failures.
func TestFaults_EachCallOnEachItemOnce(t *testing.T) {
	keys, err := seal.OpenFile(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	// whatsmeow trusts one key in a process: all test servers have the same.
	root := make([]byte, 32)
	_, _ = rand.Read(root)
	trusted, err := whatsapptest.New(whatsapptest.Options{RootKey: root})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := socket.ParseEndpoint("ws://whatsapp.test/ws/chat", trusted.Stats().RootKey)
	if err != nil {
		t.Fatal(err)
	}
	socket.New(socket.Options{Endpoint: endpoint})
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
					trafficUnder(t, keys, root, rule)
				})
			}
		}
	}
	t.Run("a panic in the Signal state", func(t *testing.T) {
		t.Parallel()
		trafficUnder(t, keys, root, faulty.Rule{Call: faulty.Write, PK: "SIG#*", Nth: 2, Panic: "broken"})
	})
}

// plain carries what is meant for WhatsApp itself to a server without TLS.
type plain struct{ http.RoundTripper }

func (p plain) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.URL.Scheme = "http"
	return p.RoundTripper.RoundTrip(request)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

const (
	faultyAccount, faultyFriend = "15550001111", "15550002222"
	faultyMessages              = 6
)

// trafficUnder links a channel, has rule strike while messages flow both ways,
// and counts at both ends.
func trafficUnder(t *testing.T, keys seal.KeyHolder, root []byte, rule faulty.Rule) {
	ctx, stop := context.WithCancel(context.Background())
	phones, err := whatsapptest.New(whatsapptest.Options{RootKey: root})
	if err != nil {
		t.Fatal(err)
	}
	pipe := whatsapptest.NewPipe()
	served, worked := make(chan error, 1), make(chan error, 1)
	serving, stopServing := context.WithCancel(context.Background())
	go func() { served <- phones.Serve(serving, pipe) }()

	table, faults := faulty.Wrap(memory.New(memory.Options{}), 1)
	callers, err := store.Open(ctx, table, store.Options{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	worker := workers.New(workers.Config{
		Store: callers, Queue: embedded.New(table, embedded.Options{}), Log: quiet, ReconnectDelay: 100 * time.Millisecond,
		Strategies: strategies.Registry{enlace.WhatsAppWeb: socket.New(socket.Options{Transport: plain{pipe.Transport()}, Log: quiet})},
	})
	go func() { worked <- worker.Run(ctx) }()
	defer func() {
		faults.Clear()
		stop()
		if err := <-worked; err != nil {
			t.Errorf("worker: %v", err)
		}
		stopServing()
		if err := <-served; err != nil {
			t.Errorf("test server: %v", err)
		}
	}()

	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("want %s", what)
			}
		}
	}
	c, err := callers.Connect(ctx, store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb})
	if err != nil {
		t.Fatal(err)
	}
	until("a QR code", func() bool { c, err = callers.Channel(ctx, "acme", c.ID); return err == nil && c.QR != nil })
	if _, err := phones.Scan(ctx, faultyAccount, c.QR.Code); err != nil {
		t.Fatal(err)
	}
	until("an active channel", func() bool {
		c, err = callers.Channel(ctx, "acme", c.ID)
		return err == nil && c.Status == enlace.Active
	})

	fault := faults.Add(rule)
	var in, out []string
	for n := range faultyMessages {
		text := fmt.Sprint("in ", n)
		if _, err := phones.Send(faultyFriend, whatsapptest.Outgoing{To: faultyAccount, Text: text}); err != nil {
			t.Fatal(err)
		}
		in = append(in, text)
		text = fmt.Sprint("out ", n)
		request := store.PostRequest{
			Message:        enlace.Outgoing{To: faultyFriend, Type: enlace.TypeText, Text: &enlace.Text{Body: text}},
			IdempotencyKey: text, Body: []byte(text),
		}
		until("a message taken", func() bool { _, err := callers.PostMessage(ctx, "acme", c.ID, request); return err == nil })
		out = append(out, text)
		time.Sleep(50 * time.Millisecond)
	}
	until("all texts in the log", func() bool { return len(textsIn(ctx, callers, c.ID)) >= len(in) })
	until("all texts at the phone", func() bool { return len(textsAt(phones)) >= len(out) })
	time.Sleep(time.Second) // what comes too often would have come
	if fault.Struck() == 0 {
		t.Error("the fault never struck")
	}
	fault.Remove()
	if got := textsIn(ctx, callers, c.ID); !slices.Equal(got, in) {
		t.Errorf("in the log %q, want %q", got, in)
	}
	if got := textsAt(phones); !slices.Equal(got, out) {
		t.Errorf("at the phone %q, want %q", got, out)
	}
	until("an active channel again", func() bool {
		c, err = callers.Channel(ctx, "acme", c.ID)
		return err == nil && c.Status == enlace.Active
	})
}

func textsIn(ctx context.Context, s *store.Store, channelID string) []string {
	var texts []string
	page, err := s.Events(ctx, "acme", channelID, store.EventQuery{Limit: 1000})
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

func textsAt(phones *whatsapptest.Server) []string {
	var texts []string
	messages, err := phones.Messages(faultyFriend)
	if err != nil {
		return nil
	}
	for _, m := range messages.Messages {
		texts = append(texts, m.Text)
	}
	return texts
}
