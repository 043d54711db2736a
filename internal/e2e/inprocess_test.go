package e2e

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue/embedded"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/strategies/socket"
	"github.com/enlacehq/enlace/whatsapptest"
	"github.com/enlacehq/enlace/workers"
)

// inProcess is a worker and a test server inside the test's process, with the
// real client between them and one linked channel, on a table that the test may
// have wrapped.
type inProcess struct {
	testing.TB
	ctx     context.Context
	phones  *whatsapptest.Server
	callers *store.Store
	channel enlace.Channel

	events []enlace.Event // read so far
	next   string         // the cursor after them
}

const inProcessAccount, inProcessFriend = "15550001111", "15550002222"

// inProcessRoot is the key of all test servers in this process: whatsmeow trusts
// one at a time.
var inProcessRoot = sync.OnceValues(func() (root []byte, err error) {
	root = make([]byte, 32)
	_, _ = rand.Read(root)
	trusted, err := whatsapptest.New(whatsapptest.Options{RootKey: root})
	if err != nil {
		return nil, err
	}
	endpoint, err := socket.ParseEndpoint("ws://whatsapp.test/ws/chat", trusted.Stats().RootKey)
	if err != nil {
		return nil, err
	}
	socket.New(socket.Options{Endpoint: endpoint})
	return root, nil
})

// startInProcess links a channel; all is stopped when the test ends.
func startInProcess(tb testing.TB, table store.Table) *inProcess {
	tb.Helper()
	return startInProcessApart(tb, table, table)
}

// startInProcessApart is startInProcess with another way to the table for callers.
func startInProcessApart(tb testing.TB, table, callers store.Table) *inProcess {
	tb.Helper()
	fatal := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	root, err := inProcessRoot()
	fatal(err)
	keys, err := seal.OpenFile(filepath.Join(tb.TempDir(), "seal.key"))
	fatal(err)
	phones, err := whatsapptest.New(whatsapptest.Options{RootKey: root})
	fatal(err)
	pipe := whatsapptest.NewPipe()
	ctx, stop := context.WithCancel(context.Background())
	serving, stopServing := context.WithCancel(context.Background())
	served, worked := make(chan error, 1), make(chan error, 1)
	p := &inProcess{TB: tb, ctx: ctx, phones: phones}
	p.callers, err = store.Open(ctx, callers, store.Options{Keys: keys})
	fatal(err)
	own, err := store.Open(ctx, table, store.Options{Keys: keys})
	fatal(err)
	worker := workers.New(workers.Config{
		Store: own, Queue: embedded.New(table, embedded.Options{}), Log: quiet, ReconnectDelay: 100 * time.Millisecond,
		Strategies: strategies.Registry{enlace.WhatsAppWeb: socket.New(socket.Options{Transport: plain{pipe.Transport()}, Log: quiet})},
	})
	go func() { served <- phones.Serve(serving, pipe) }()
	go func() { worked <- worker.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-worked; err != nil {
			tb.Errorf("worker: %v", err)
		}
		stopServing()
		if err := <-served; err != nil {
			tb.Errorf("test server: %v", err)
		}
	})
	p.link()
	return p
}

func (p *inProcess) link() {
	p.Helper()
	var err error
	p.channel, err = p.callers.Connect(p.ctx, store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb})
	if err != nil {
		p.Fatal(err)
	}
	p.until("a QR code", func() bool { return p.look() && p.channel.QR != nil })
	if _, err := p.phones.Scan(p.ctx, inProcessAccount, p.channel.QR.Code); err != nil {
		p.Fatal(err)
	}
	p.untilActive()
}

func (p *inProcess) untilActive() {
	p.Helper()
	p.until("an active channel", func() bool { return p.look() && p.channel.Status == enlace.Active })
}

// look reads the channel, and reports whether it could.
func (p *inProcess) look() bool {
	c, err := p.callers.Channel(p.ctx, "acme", p.channel.ID)
	if err == nil {
		p.channel = c
	}
	return err == nil
}

func (p *inProcess) until(what string, ok func() bool) {
	p.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("want %s", what)
		}
	}
}

// log returns the channel's events.
func (p *inProcess) log() []enlace.Event {
	p.Helper()
	for {
		page, err := p.callers.Events(p.ctx, "acme", p.channel.ID, store.EventQuery{After: p.next, Limit: 1000})
		if err != nil {
			p.Fatal(err)
		}
		p.events, p.next = append(p.events, page.Events...), page.Next
		if len(page.Events) == 0 {
			return p.events
		}
	}
}

// friendWrites has the friend's phone send a text to the channel.
func (p *inProcess) friendWrites(text string) {
	p.Helper()
	if _, err := p.phones.Send(inProcessFriend, whatsapptest.Outgoing{To: inProcessAccount, Text: text}); err != nil {
		p.Fatal(err)
	}
}

// post queues a text for the friend.
func (p *inProcess) post(text string) enlace.Message {
	p.Helper()
	m, err := p.tryPost(text, "")
	if err != nil {
		p.Fatal(err)
	}
	return m
}

// tryPost queues a text for the friend, once under a key if one is given.
func (p *inProcess) tryPost(text, key string) (enlace.Message, error) {
	return p.callers.PostMessage(p.ctx, "acme", p.channel.ID, store.PostRequest{
		Message:        enlace.Outgoing{To: inProcessFriend, Type: enlace.TypeText, Text: &enlace.Text{Body: text}},
		IdempotencyKey: key, Body: []byte(text),
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
