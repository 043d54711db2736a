package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/workers"
)

// bundle is a table, and what happens to one channel on it, in fake time.
type bundle struct {
	*testing.T
	*store.Store
	table store.Table
	keys  seal.KeyHolder
	phone *phone
}

// inBubble runs test in fake time, with a store and a phone to connect to.
func inBubble(t *testing.T, test func(b *bundle)) {
	t.Helper()
	keys, err := seal.OpenFile(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		table := memory.New(memory.Options{})
		s, err := store.Open(t.Context(), table, store.Options{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		test(&bundle{T: t, Store: s, table: table, keys: keys, phone: &phone{}})
	})
}

// noJobs is a queue that loses everything: channels must be found without it.
type noJobs struct{ queue.Queue }

func (noJobs) Send(context.Context, enlace.Job) error { return nil }

func (noJobs) Receive(ctx context.Context, _ int, wait time.Duration) ([]queue.Delivery, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(wait):
		return nil, nil
	}
}

// cable is one worker's connection to the table.
type cable struct {
	store.Table
	cut    atomic.Bool
	locked atomic.Bool // it can be read; burials wait to be written, other writes fail
	blind  atomic.Bool // it shows no channel that has no owner
}

func (c *cable) down() error {
	if c.cut.Load() {
		return store.ErrUnavailable
	}
	return nil
}

func (c *cable) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := c.down(); err != nil {
		return store.Item{}, err
	}
	return c.Table.Get(ctx, key)
}

func (c *cable) Query(ctx context.Context, q store.Query) (store.Page, error) {
	if err := c.down(); err != nil {
		return store.Page{}, err
	}
	if c.blind.Load() && q.Index && q.PK == "OWNER#none" {
		return store.Page{}, nil
	}
	return c.Table.Query(ctx, q)
}

func (c *cable) Write(ctx context.Context, ops ...store.Op) error {
	if err := c.down(); err != nil {
		return err
	}
	for c.locked.Load() {
		if burial := len(ops) > 1 && ops[0].Kind == store.OpDelete; !burial || ctx.Err() != nil {
			return store.ErrUnavailable
		}
		time.Sleep(100 * time.Millisecond)
	}
	return c.Table.Write(ctx, ops...)
}

// worker is a running worker.
type worker struct {
	cable *cable
	stop  context.CancelFunc
	done  chan error
}

const lease = 20 * time.Second

func (b *bundle) worker() *worker {
	b.Helper()
	return b.workerWith(strategies.Registry{enlace.WhatsAppWeb: b.phone})
}

func (b *bundle) workerWith(registry strategies.Registry, settings ...func(*workers.Config)) *worker {
	b.Helper()
	c := &cable{Table: b.table}
	s, err := store.Open(b.Context(), c, store.Options{Keys: b.keys})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	w := &worker{cable: c, stop: cancel, done: make(chan error, 1)}
	config := workers.Config{Store: s, Queue: noJobs{}, Strategies: registry, Lease: lease, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, set := range settings {
		set(&config)
	}
	go func() { w.done <- workers.New(config).Run(ctx) }()
	b.Cleanup(func() { w.leave(b.T) })
	return w
}

// leave stops the worker and waits for it.
func (w *worker) leave(t *testing.T) {
	t.Helper()
	w.stop()
	if err := <-w.done; err != nil && !w.cable.cut.Load() {
		t.Errorf("worker: %v", err)
	}
	w.done <- nil
}

func (b *bundle) connect() enlace.Channel {
	b.Helper()
	c, err := b.Connect(b.Context(), store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// wait waits, in fake time, until the channel is as wanted.
func (b *bundle) wait(id string, within time.Duration, want string, is func(enlace.Channel) bool) enlace.Channel {
	b.Helper()
	var c enlace.Channel
	for end := time.Now().Add(within); !time.Now().After(end); time.Sleep(50 * time.Millisecond) {
		var err error
		if c, err = b.Channel(b.Context(), "acme", id); err != nil {
			b.Fatal(err)
		}
		if is(c) {
			return c
		}
	}
	b.Fatalf("after %s: %s %s, owner %q, want %s", within, c.Status, c.Reason, c.Owner, want)
	return c
}

func (b *bundle) waitStatus(id string, within time.Duration, status enlace.Status, reason enlace.Reason) enlace.Channel {
	b.Helper()
	return b.wait(id, within, string(status)+" "+string(reason), func(c enlace.Channel) bool {
		return c.Status == status && c.Reason == reason
	})
}

func (b *bundle) events(id string) []enlace.EventName {
	b.Helper()
	page, err := b.Events(b.Context(), "acme", id, store.EventQuery{Limit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	names := make([]enlace.EventName, len(page.Events))
	for i, e := range page.Events {
		names[i] = e.Event
	}
	return names
}

// phone is a strategy whose sessions go as told, and which notes who is connected when.
type phone struct {
	mu       sync.Mutex
	linked   bool
	sessions int // opened so far
	live     int
	overlaps int
	unlinks  int
	forgets  int
	answers  []string
	connects []time.Time
	wire     []string // what was sent, in order
	// prepare and answer, if not nil, may refuse a message before and after it is sent.
	prepare, answer func(m *store.Outbound) error
	// mark, if not nil, may fail a read mark.
	mark func() error
	// silent makes WhatsApp answer no read mark.
	silent bool
	// next, if not nil, is what the next session does; else it connects and stays.
	next func(ctx context.Context, o strategies.Observer) strategies.End
}

func (p *phone) set(next func(ctx context.Context, o strategies.Observer) strategies.End) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = next
}

// ends makes every session from now on end at once.
func (p *phone) ends(end strategies.End) {
	p.set(func(context.Context, strategies.Observer) strategies.End { return end })
}

func (p *phone) read(f func(p *phone)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

func (p *phone) Open(_ context.Context, owner *store.Owner) (strategies.Client, error) {
	return &client{phone: p, owner: owner}, nil
}

type client struct {
	phone *phone
	owner *store.Owner
}

func (c *client) Linked() bool {
	c.phone.mu.Lock()
	defer c.phone.mu.Unlock()
	return c.phone.linked
}

func (c *client) Run(ctx context.Context, o strategies.Observer) strategies.End {
	p := c.phone
	p.mu.Lock()
	p.sessions++
	next := p.next
	p.mu.Unlock()
	if next != nil {
		return next(ctx, o)
	}
	return p.connect(ctx, o)
}

var account = enlace.Account{PhoneNumber: "15550100"}

// connect is a session that connects and stays until it is cancelled.
func (p *phone) connect(ctx context.Context, o strategies.Observer) strategies.End {
	p.mu.Lock()
	if p.live > 0 {
		p.overlaps++
	}
	p.live++
	p.linked = true
	p.connects = append(p.connects, time.Now())
	p.mu.Unlock()
	defer p.read(func(p *phone) { p.live-- })
	if err := o.Connected(ctx, account); err != nil {
		return strategies.End{Cause: strategies.CauseStore, Err: err}
	}
	<-ctx.Done()
	return strategies.End{Cause: strategies.CauseStopped}
}

// link is the session that shows a QR code, is scanned, and is sent away to log in.
func (p *phone) link(ctx context.Context, o strategies.Observer) strategies.End {
	err := errors.Join(
		o.QR(ctx, enlace.QR{Code: "code", ExpiresAt: time.Now().Add(time.Minute), Attempt: 1, Of: 6}),
		o.Linked(ctx, account))
	if err != nil {
		return strategies.End{Cause: strategies.CauseStore, Err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.linked, p.next = true, nil
	return strategies.End{Cause: strategies.CauseRestart}
}

func (c *client) AnswerPasskey(_ context.Context, response json.RawMessage) error {
	c.phone.read(func(p *phone) { p.answers = append(p.answers, string(response)) })
	return nil
}

func (c *client) ConfirmPasskey(context.Context) error {
	c.phone.read(func(p *phone) { p.answers = append(p.answers, "confirm") })
	return nil
}

func (c *client) Prepare(_ context.Context, m *store.Outbound) ([]byte, error) {
	p := c.phone
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.prepare != nil {
		if err := p.prepare(m); err != nil {
			return nil, err
		}
	}
	if m.Content != nil {
		return m.Content, nil
	}
	return []byte(m.Message.Text.Body), nil
}

func (c *client) Send(_ context.Context, m *store.Outbound) (time.Time, error) {
	p := c.phone
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wire = append(p.wire, m.Chat+" "+string(m.Content))
	if p.answer != nil {
		if err := p.answer(m); err != nil {
			return time.Time{}, err
		}
	}
	return time.Now(), nil
}

func (c *client) MarkRead(ctx context.Context, mark store.MarkRead) error {
	var silent bool
	c.phone.read(func(p *phone) { silent = p.silent })
	if silent {
		<-ctx.Done()
		return ctx.Err()
	}
	line := "read " + mark.ID
	if mark.Typing {
		line += ", typing"
	}
	var err error
	c.phone.read(func(p *phone) {
		p.wire = append(p.wire, line)
		if p.mark != nil {
			err = p.mark()
		}
	})
	return err
}

func (c *client) Unlink(context.Context) error {
	c.phone.read(func(p *phone) { p.unlinks++ })
	return nil
}

func (c *client) Forget(context.Context) error {
	c.phone.read(func(p *phone) { p.forgets++; p.linked = false })
	return nil
}

func (c *client) Close() {}
