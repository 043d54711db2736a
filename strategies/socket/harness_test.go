package socket

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/faulty"
	"github.com/enlacehq/enlace/store/memory"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/whatsapptest"
)

const number = "15550001111"

// inBubble runs test with a fake clock; it fails when goroutines are left.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// world is a server, and a strategy that connects to it through memory.
type world struct {
	t        *testing.T
	srv      *whatsapptest.Server
	strategy *Strategy
	log      *lockedBuffer
	tap      *tap
	sessions int // that run
}

func newWorld(t *testing.T, options whatsapptest.Options, change ...func(*Options)) *world {
	t.Helper()
	srv, err := whatsapptest.New(options)
	if err != nil {
		t.Fatal(err)
	}
	pipe := whatsapptest.NewPipe()
	served := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { served <- srv.Serve(ctx, pipe) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("test server: %v", err)
		}
	})
	endpoint, err := ParseEndpoint("ws://whatsapp.test/ws/chat", srv.Stats().RootKey)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, srv: srv, log: new(lockedBuffer), tap: &tap{base: pipe.Transport()}}
	o := Options{
		Endpoint:  endpoint,
		Transport: w.tap,
		Log:       slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&o)
	}
	w.strategy = New(o)
	return w
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// tap counts what passes a transport, and can let nothing come back.
type tap struct {
	base http.RoundTripper
	deaf atomic.Bool // what the server says is lost, and its end too

	mu       sync.Mutex
	requests map[string]int // by path, without its slashes
	written  int            // bytes into websockets
}

func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	if p.requests == nil {
		p.requests = map[string]int{}
	}
	p.requests[strings.Trim(r.URL.Path, "/")]++
	p.mu.Unlock()
	resp, err := p.base.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = &tapped{resp.Body.(io.ReadWriteCloser), p, make(chan struct{}), sync.Once{}}
	}
	return resp, err
}

func (p *tap) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[path]
}

func (p *tap) sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.written
}

type tapped struct {
	io.ReadWriteCloser
	tap    *tap
	closed chan struct{}
	once   sync.Once
}

func (c *tapped) Read(b []byte) (int, error) {
	for {
		n, err := c.ReadWriteCloser.Read(b)
		if !c.tap.deaf.Load() {
			return n, err
		}
		if err != nil {
			<-c.closed
			return 0, err
		}
	}
}

func (c *tapped) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.ReadWriteCloser.Close()
}

func (c *tapped) Write(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Write(b)
	c.tap.mu.Lock()
	c.tap.written += n
	c.tap.mu.Unlock()
	return n, err
}

// channel is a channel with its owner and the client that its strategy opened.
type channel struct {
	*client
	w     *world
	owner *testOwner
}

func (w *world) channel(id string, pairing enlace.Pairing) *channel {
	w.t.Helper()
	raw := make([]byte, seal.KeyBytes)
	copy(raw, id)
	key, err := seal.NewDataKey(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	table, faults := faulty.Wrap(memory.New(memory.Options{}), 1)
	return w.open(&testOwner{id: id, pairing: pairing, table: table, faults: faults, key: key})
}

// open opens the client of a channel, as after a restart.
func (w *world) open(o *testOwner) *channel {
	w.t.Helper()
	c, err := w.strategy.open(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return &channel{client: c, w: w, owner: o}
}

// testOwner is the owner of a channel that nobody else wants.
type testOwner struct {
	id      string
	pairing enlace.Pairing
	table   store.Table
	faults  *faulty.Faults
	key     *seal.DataKey
	quoted  *store.Quoted // the only message that can be

	oldest time.Time

	mu    sync.Mutex
	stale error
}

var _ owner = (*testOwner)(nil)

func (o *testOwner) ChannelID() string                { return o.id }
func (o *testOwner) Pairing() enlace.Pairing          { return o.pairing }
func (o *testOwner) Table() store.Table               { return o.table }
func (o *testOwner) DataKey() *seal.DataKey           { return o.key }
func (o *testOwner) StillOwner(context.Context) error { return nil }

func (o *testOwner) OldestSeen(context.Context) (time.Time, error) { return o.oldest, nil }

func (o *testOwner) SentContent(context.Context, string) ([]byte, error) {
	return nil, store.ErrNotFound
}

func (o *testOwner) Quoted(context.Context, string) (store.Quoted, error) {
	if o.quoted == nil {
		return store.Quoted{}, store.ErrNotFound
	}
	return *o.quoted, nil
}

func (o *testOwner) Fresh() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stale
}

func (o *testOwner) lease(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stale = err
}

// told is one call of an observer.
type told struct {
	what    string
	qr      enlace.QR
	code    string
	passkey enlace.Passkey
	account enlace.Account
	in      store.Incoming
	receipt strategies.Receipt
	at      time.Time
}

// observer hands on what it is told.
type observer struct {
	told chan told
	// refuse, when set, answers in the observer's place.
	refuse func(what string) error
}

func newObserver() *observer { return &observer{told: make(chan told, 100)} }

var _ strategies.Observer = (*observer)(nil)

func (o *observer) take(n told) error {
	if o.refuse != nil {
		if err := o.refuse(n.what); err != nil {
			return err
		}
	}
	n.at = time.Now()
	o.told <- n
	return nil
}

func (o *observer) QR(_ context.Context, qr enlace.QR) error {
	return o.take(told{what: "qr", qr: qr})
}

func (o *observer) PairingCode(_ context.Context, code string) error {
	return o.take(told{what: "code", code: code})
}

func (o *observer) Passkey(_ context.Context, passkey enlace.Passkey) error {
	return o.take(told{what: "passkey", passkey: passkey})
}

func (o *observer) Linked(_ context.Context, account enlace.Account) error {
	return o.take(told{what: "linked", account: account})
}

func (o *observer) Received(_ context.Context, in store.Incoming) error {
	return o.take(told{what: "received", in: in})
}

func (o *observer) Unavailable(_ context.Context, in store.Incoming) error {
	return o.take(told{what: "unavailable", in: in})
}

func (o *observer) Receipt(_ context.Context, receipt strategies.Receipt) error {
	return o.take(told{what: "receipt", receipt: receipt})
}

func (o *observer) Connected(_ context.Context, account enlace.Account) error {
	return o.take(told{what: "connected", account: account})
}

// run is a session that runs.
type run struct {
	*observer
	t      *testing.T
	w      *world
	ends   chan strategies.End
	cancel context.CancelFunc
	ended  bool
}

// start runs a session; the test's end stops it.
func (c *channel) start(change ...func(*observer)) *run {
	c.w.t.Helper()
	o := newObserver()
	for _, f := range change {
		f(o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{observer: o, t: c.w.t, w: c.w, ends: make(chan strategies.End, 1), cancel: cancel}
	c.w.sessions++
	go func() { r.ends <- c.Run(ctx, o) }()
	c.w.t.Cleanup(func() {
		cancel()
		if !r.ended {
			<-r.ends
			r.over()
		}
	})
	return r
}

// next returns the next thing told, which must be what.
func (r *run) next(what string) told {
	r.t.Helper()
	select {
	case n := <-r.told:
		return r.want(n, what)
	default:
	}
	select {
	case n := <-r.told:
		return r.want(n, what)
	case end := <-r.ends:
		r.over()
		select {
		case n := <-r.told: // before it ended
			r.ends <- end
			r.ended = false
			r.w.sessions++
			return r.want(n, what)
		default:
		}
		r.t.Fatalf("the session ended (%v, code %q), want to be told %q", end, end.Code, what)
	case <-time.After(10 * time.Minute):
		r.t.Fatalf("nothing was told in ten minutes, want %q", what)
	}
	panic("not reached")
}

func (r *run) want(n told, what string) told {
	r.t.Helper()
	if n.what != what {
		r.t.Fatalf("told %q (%+v), want %q", n.what, n, what)
	}
	return n
}

// end waits for the session's end, which must be of cause.
func (r *run) end(cause strategies.Cause) strategies.End {
	r.t.Helper()
	select {
	case end := <-r.ends:
		r.over()
		if end.Cause != cause {
			r.t.Fatalf("the session ended with %v (code %q), want %v", end, end.Code, cause)
		}
		return end
	case <-time.After(10 * time.Minute):
		r.t.Fatalf("the session did not end in ten minutes, want %v", cause)
	}
	panic("not reached")
}

// over checks, when the last session has returned, that nothing of whatsmeow runs
// any more, without the clock having moved.
func (r *run) over() {
	r.t.Helper()
	r.ended = true
	r.w.sessions--
	if r.w.sessions > 0 {
		return
	}
	synctest.Wait()
	dump := make([]byte, 1<<20)
	for _, stack := range strings.Split(string(dump[:runtime.Stack(dump, true)]), "\n\n") {
		if strings.Contains(stack, "whatsmeow.(*Client)") || strings.Contains(stack, "whatsmeow/socket.") || strings.Contains(stack, "strategies/socket.(*session)") {
			r.t.Errorf("still there after the session's end:\n%s", stack)
		}
	}
}

// stop stops the session.
func (r *run) stop() {
	r.t.Helper()
	r.cancel()
	r.end(strategies.CauseStopped)
}

// link links a channel to the phone of number, and leaves it at the end of the first session.
func (c *channel) link(number string) {
	c.w.t.Helper()
	r := c.start()
	c.scan(number, r.next("qr").qr.Code)
	r.next("linked")
	r.end(strategies.CauseRestart)
}

func (c *channel) scan(number, code string) {
	c.w.t.Helper()
	if _, err := c.w.srv.Scan(c.w.t.Context(), number, code); err != nil {
		c.w.t.Fatalf("scan: %v", err)
	}
}

// connected links a channel and returns its live session.
func (w *world) connected(id, number string) (*channel, *run) {
	w.t.Helper()
	c := w.channel(id, enlace.Pairing{})
	c.link(number)
	r := c.start()
	r.next("connected")
	return c, r
}

func (w *world) fault(f whatsapptest.Fault) string {
	w.t.Helper()
	id, err := w.srv.AddFault(f)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// within fails unless got is want, give or take slack.
func within(t *testing.T, what string, got, want, slack time.Duration) {
	t.Helper()
	if got < want-slack || got > want+slack {
		t.Errorf("%s after %v, want %v", what, got, want)
	}
}

var errTest = errors.New("made for the test")
