package whatsapptest

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// gateMode says what a gate does with bytes.
type gateMode int

const (
	// gateOpen lets bytes pass.
	gateOpen gateMode = iota
	// gateStalled holds bytes of both directions until the gate opens again.
	gateStalled
	// gateBlackholed loses bytes of both directions. There is no way back: the
	// ciphers of the two ends no longer agree.
	gateBlackholed
)

// gate is a client's network connection with a valve in it, below websocket and
// Noise, so that a stalled or black-holed connection shows nothing at all: no
// pong, no closing handshake, not even its end.
type gate struct {
	net.Conn

	// ended is set when the client's end of the connection has been read.
	ended atomic.Bool

	mu     sync.Mutex
	mode   gateMode
	until  time.Time     // the end of a stall; zero is never
	change chan struct{} // closed and replaced when mode changes
	held   []byte        // read while stalled
	heldBy error         // the error that ended reading while stalled
	heard  func()        // called once at the next sign of life

	once   sync.Once
	closed chan struct{}
}

func newGate(c net.Conn) *gate {
	return &gate{Conn: c, change: make(chan struct{}), closed: make(chan struct{})}
}

// set changes the mode. A black hole is for ever.
func (g *gate) set(mode gateMode, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mode == gateBlackholed {
		return
	}
	g.mode, g.until = mode, until
	close(g.change)
	g.change = make(chan struct{})
	_ = g.Conn.SetReadDeadline(time.Unix(1, 0)) // wakes a Read under way
}

// onSign has f called once, at the next sign that the client lives: bytes, or
// an end that it made itself. A gate that is not open shows none.
func (g *gate) onSign(f func()) {
	g.mu.Lock()
	g.heard = f
	g.mu.Unlock()
}

// over says whether the client's end of the connection is known, or has at
// least arrived. Behind a gate that is not open it is neither.
func (g *gate) over() bool {
	if g.ended.Load() {
		return true
	}
	g.mu.Lock()
	open := g.now() == gateOpen
	g.mu.Unlock()
	return open && hungUp(g.Conn)
}

// now returns the mode at this moment, under g.mu.
func (g *gate) now() gateMode {
	if g.mode == gateStalled && !g.until.IsZero() && !time.Now().Before(g.until) {
		g.mode = gateOpen
	}
	return g.mode
}

func (g *gate) Read(p []byte) (int, error) {
	for {
		g.mu.Lock()
		mode := g.now()
		if mode == gateOpen && (len(g.held) > 0 || g.heldBy != nil) {
			n := copy(p, g.held)
			g.held = g.held[n:]
			var err error
			if n == 0 {
				err = g.heldBy
			}
			g.mu.Unlock()
			return n, g.pass(err)
		}
		deadline := time.Time{}
		if mode == gateStalled {
			deadline = g.until
		}
		_ = g.Conn.SetReadDeadline(deadline)
		lost := g.heldBy != nil
		change := g.change
		g.mu.Unlock()
		if lost {
			g.wait(change, deadline)
			select {
			case <-g.closed:
				return 0, net.ErrClosed
			default:
				continue
			}
		}

		n, err := g.Conn.Read(p)
		if errors.Is(err, os.ErrDeadlineExceeded) && n == 0 {
			continue
		}
		g.mu.Lock()
		switch g.now() {
		case gateStalled:
			g.held = append(g.held, p[:n]...)
			g.heldBy = err
			g.mu.Unlock()
		case gateBlackholed:
			change := g.change
			g.mu.Unlock()
			if err != nil {
				g.wait(change, time.Time{})
				return 0, net.ErrClosed
			}
		default:
			g.mu.Unlock()
			return n, g.pass(err)
		}
		select {
		case <-g.closed:
			return 0, net.ErrClosed
		default:
		}
	}
}

// pass notes what an open gate lets through and returns err.
func (g *gate) pass(err error) error {
	select {
	case <-g.closed:
		return net.ErrClosed
	default:
	}
	if err != nil {
		g.ended.Store(true)
	}
	g.mu.Lock()
	heard := g.heard
	g.heard = nil
	g.mu.Unlock()
	if heard != nil {
		heard()
	}
	return err
}

// wait returns when the mode changes, at the deadline, or when the gate closes.
func (g *gate) wait(change <-chan struct{}, deadline time.Time) {
	var timer <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-change:
	case <-timer:
	case <-g.closed:
	}
}

func (g *gate) Write(p []byte) (int, error) {
	for {
		g.mu.Lock()
		mode, change, until := g.now(), g.change, g.until
		g.mu.Unlock()
		switch mode {
		case gateOpen:
			return g.Conn.Write(p)
		case gateBlackholed:
			return len(p), nil
		}
		g.wait(change, until)
		select {
		case <-g.closed:
			return 0, net.ErrClosed
		default:
		}
	}
}

// Close closes the connection whatever the mode.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Conn.Close()
}

// gated is a ResponseWriter whose hijacked connection goes through a gate.
type gated struct {
	http.ResponseWriter
	gate *gate
}

var _ http.Hijacker = (*gated)(nil)

func (w *gated) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, brw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	_ = raw.SetDeadline(time.Time{})
	w.gate = newGate(raw)
	if n := brw.Reader.Buffered(); n > 0 {
		early, _ := brw.Reader.Peek(n)
		w.gate.held = append([]byte(nil), early...)
	}
	// A connection is idle nearly always, and there may be hundreds.
	return w.gate, bufio.NewReadWriter(bufio.NewReaderSize(w.gate, 1024), bufio.NewWriterSize(w.gate, 1024)), nil
}
