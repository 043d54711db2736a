package whatsapptest_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace/whatsapptest"
	signallog "go.mau.fi/libsignal/logger"
	"go.mau.fi/util/random"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// rootKey is shared by all servers of the tests: whatsmeow knows one.
var rootKey = random.Bytes(32)

func TestMain(m *testing.M) {
	srv, err := whatsapptest.New(whatsapptest.Options{RootKey: rootKey})
	if err != nil {
		panic(err)
	}
	whatsmeow.WACertPubKey = srv.RootKey()
	var silent signallog.Loggable = quiet{}
	signallog.Setup(&silent)
	os.Exit(m.Run())
}

// quiet silences libsignal, which prints what does not decrypt.
type quiet struct{}

func (quiet) Debug(_, _ string)   {}
func (quiet) Info(_, _ string)    {}
func (quiet) Warning(_, _ string) {}
func (quiet) Error(_, _ string)   {}
func (quiet) Configure(string)    {}

// start serves on a free port until the test ends.
func start(t *testing.T, o whatsapptest.Options) *whatsapptest.Server {
	t.Helper()
	srv, stop := startUntil(t, o)
	t.Cleanup(stop)
	return srv
}

// startUntil serves on a free port until stop is called.
func startUntil(t *testing.T, o whatsapptest.Options) (srv *whatsapptest.Server, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, o, ln)
}

func serve(t *testing.T, o whatsapptest.Options, ln net.Listener) (srv *whatsapptest.Server, stop func()) {
	t.Helper()
	o.RootKey = rootKey
	srv, err := whatsapptest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln) }()
	poll(t, "the server's address", func() bool { return srv.URL() != "" })
	return srv, sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// client is a whatsmeow client with what it says.
type client struct {
	*whatsmeow.Client
	t     *testing.T
	store *memStore
	web   *http.Client

	mu     sync.Mutex
	said   []any
	change chan struct{}
}

// newClient makes a client of srv that is not connected and not linked.
func newClient(t *testing.T, srv *whatsapptest.Server) *client {
	t.Helper()
	m := newMemStore()
	return dialed(t, webTo(t, srv), m, m.device)
}

// webTo returns an HTTP client that reaches srv whatever it dials.
func webTo(t *testing.T, srv *whatsapptest.Server) *http.Client {
	t.Helper()
	transport, err := whatsapptest.NewTransport(srv.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Transport: transport}
}

// again makes a client of the same device, as after a restart of its program.
func (c *client) again() *client {
	c.t.Helper()
	return dialed(c.t, c.web, c.store, c.store.reopen())
}

func dialed(t *testing.T, web *http.Client, m *memStore, device *store.Device) *client {
	var log waLog.Logger
	if testing.Verbose() && os.Getenv("WHATSAPPTEST_LOG") != "" {
		log = waLog.Stdout(t.Name(), "DEBUG", false)
	}
	c := &client{Client: whatsmeow.NewClient(device, log), t: t, store: m, web: web, change: make(chan struct{})}
	c.SetWebsocketHTTPClient(web)
	c.SetPreLoginHTTPClient(web)
	c.SetMediaHTTPClient(web)
	c.EnableDecryptedEventBuffer = true
	c.SynchronousAck = true
	c.EnableAutoReconnect = false
	c.AddEventHandler(func(event any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.said = append(c.said, event)
		close(c.change)
		c.change = make(chan struct{})
	})
	t.Cleanup(func() {
		c.Disconnect()
		web.CloseIdleConnections()
	})
	return c
}

// await returns the first event of a type that a client has said, or will say,
// and that is not taken yet, and takes it.
func await[E any](c *client) E {
	c.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		for i, event := range c.said {
			if e, ok := event.(E); ok {
				c.said = append(c.said[:i:i], c.said[i+1:]...)
				c.mu.Unlock()
				return e
			}
		}
		change, said := c.change, len(c.said)
		c.mu.Unlock()
		select {
		case <-change:
		case <-deadline.C:
			var want E
			c.t.Fatalf("wanted an event %T; came %d others", want, said)
		}
	}
}

// never fails the test if an event of the type has come.
func never[E any](c *client) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, event := range c.said {
		if e, ok := event.(E); ok {
			c.t.Errorf("came an unwanted event %T: %+v", e, e)
		}
	}
}

func (c *client) connect() {
	c.t.Helper()
	if err := c.Connect(); err != nil {
		c.t.Fatalf("Connect: %v", err)
	}
}

// linked returns a client that number's phone has linked and that is logged in.
func linked(t *testing.T, srv *whatsapptest.Server, number string) *client {
	t.Helper()
	c := newClient(t, srv)
	c.link(srv, number)
	return c
}

func (c *client) link(srv *whatsapptest.Server, number string) {
	c.t.Helper()
	c.connect()
	qr := await[*events.QR](c)
	if _, err := srv.Scan(c.t.Context(), number, qr.Codes[0]); err != nil {
		c.t.Fatalf("Scan: %v", err)
	}
	await[*events.PairSuccess](c)
	await[*events.Connected](c)
}

// poll waits until cond holds.
func poll(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
