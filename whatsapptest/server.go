package whatsapptest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultRevision is the client revision that the version page names unless
// Options say another: the one of the whatsmeow version this module uses.
const DefaultRevision = 1045649367

// Options say how a Server behaves. The zero value keeps everything in memory.
type Options struct {
	// Addr is where Run listens; empty is a free port of the loopback interface.
	Addr string
	// StateFile, if set, is where the phones, the linked devices with their keys
	// and what waits for them, and the server's own keys are kept, so that a
	// server started again with the same file goes on where the last one ended.
	StateFile string
	// RootKey is the private half of the key that signs the server's
	// certificates, 32 bytes; nil makes one, or takes the state file's. Servers
	// that share one can be used in one process by clients that know a single
	// key, as whatsmeow does.
	RootKey []byte
	// Revision is the client revision that the version page names;
	// 0 is DefaultRevision.
	Revision uint32
	// MinRevision refuses clients of a lower revision with failure 405; 0 refuses none.
	MinRevision uint32
	// QRCodes is how many codes a client that wants to be linked gets; 0 is 6,
	// WhatsApp's number. Clients show the first of six for 60 s, the others,
	// and all of another number, for 20 s.
	QRCodes int
	// PairingTime is how long such a client may stay connected; 0 is 180 s,
	// which is 20 s longer than six codes last.
	PairingTime time.Duration
	// History offers each newly linked device its phone's history, with so many
	// made-up messages before those that the phone has; 0 offers none, negative
	// only those that it has.
	History int
	// HandshakeDelay is waited between the Noise handshake and the first stanza.
	// Some clients (Baileys 6) take what comes at once for a part of the handshake.
	HandshakeDelay time.Duration
	// Log gets what happens, without numbers, keys and texts; nil discards it.
	Log *slog.Logger
}

// Server is a WhatsApp server with its phones. It starts nothing by itself:
// what runs belongs to the requests it serves.
type Server struct {
	opts  Options
	log   *slog.Logger
	id    *serverKeys
	mux   *http.ServeMux
	state stateFile

	// closing is closed when the server closes.
	closing chan struct{}
	work    sync.WaitGroup // requests being served

	mu       sync.Mutex // guards all that follows, and all phones and devices
	closed   bool
	url      string
	phones   map[string]*phone // by number
	lids     map[string]*phone // by LID user
	conns    map[*conn]struct{}
	refs     map[string]*conn  // pairing connections by QR ref
	hellos   map[string]*conn  // pairing connections by the number they asked a code for
	groups   map[string]*group // by the user part of the JID
	media    map[string][]byte // by path
	faults   []*fault
	faultIDs int
	revision uint32
	lowest   uint32 // the lowest revision that may connect
	stats    counters
	ids      uint64 // of stanzas
}

var _ http.Handler = (*Server)(nil)

// New makes a server. It fails only if Options.StateFile exists and cannot be used.
func New(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.QRCodes == 0 {
		o.QRCodes = 6
	}
	if o.PairingTime == 0 {
		o.PairingTime = 180 * time.Second
	}
	if o.Revision == 0 {
		o.Revision = DefaultRevision
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		opts:     o,
		log:      o.Log,
		state:    stateFile{path: o.StateFile},
		closing:  make(chan struct{}),
		phones:   make(map[string]*phone),
		lids:     make(map[string]*phone),
		conns:    make(map[*conn]struct{}),
		refs:     make(map[string]*conn),
		hellos:   make(map[string]*conn),
		groups:   make(map[string]*group),
		media:    make(map[string][]byte),
		revision: o.Revision,
		lowest:   o.MinRevision,
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.mux = s.routes()
	return s, nil
}

// Run listens on Options.Addr and serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", s.opts.Addr)
	if err != nil {
		return err
	}
	return s.Serve(ctx, ln)
}

// Serve serves the listener until ctx ends or Close is called, and then closes
// both. It returns nil in these cases, when nothing runs any more.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.mu.Lock()
	s.url = "ws://" + ln.Addr().String() + "/ws/chat"
	s.mu.Unlock()

	web := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()

	var err error
	select {
	case <-ctx.Done():
	case <-s.closing:
	case err = <-served:
		served <- err
	}
	s.cut()
	web.Close()
	s.work.Wait()
	if last := <-served; errors.Is(last, http.ErrServerClosed) || errors.Is(last, net.ErrClosed) {
		return nil
	}
	return err
}

// Close cuts all connections and returns when no request is being served.
// Requests that come later are answered 503.
func (s *Server) Close() {
	s.cut()
	s.work.Wait()
}

// cut closes the server and all connections, and does not wait.
func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	close(s.closing)
	for c := range s.conns {
		c.gate.Close()
	}
}

// URL is the address that clients connect to, "ws://host:port/ws/chat", once
// Serve or Run has begun; before it is empty.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// RootKey is the public key that signs the server's certificates. Clients must
// trust it in place of WhatsApp's; for whatsmeow it is WACertPubKey.
func (s *Server) RootKey() [32]byte {
	return [32]byte(s.id.root.PublicKey().Bytes())
}

// ServeHTTP serves the websocket at /ws/chat, the version page at / and the
// control API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		http.Error(w, "the server is closed", http.StatusServiceUnavailable)
		return
	}
	s.work.Add(1)
	s.mu.Unlock()
	defer s.work.Done()
	s.mux.ServeHTTP(w, r)
}
