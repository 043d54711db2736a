package whatsapptest

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// Pipe is a listener in memory: what dials it gets one end of a net.Pipe, and
// it accepts the other. With it a Server and its clients run in a
// testing/synctest bubble, where real sockets do not.
type Pipe struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

var _ net.Listener = (*Pipe)(nil)

// NewPipe makes an open Pipe.
func NewPipe() *Pipe {
	return &Pipe{incoming: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener.
func (p *Pipe) Dial(ctx context.Context) (net.Conn, error) {
	a, b := net.Pipe()
	near := &pipeEnd{Conn: a, closed: new(atomic.Bool)}
	far := &pipeEnd{Conn: b, closed: new(atomic.Bool)}
	near.other, far.other = far.closed, near.closed
	select {
	case p.incoming <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Transport returns a transport whose every connection goes to the listener,
// whatever the address.
func (p *Pipe) Transport() http.RoundTripper {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return p.Dial(ctx) }
	// DialTLSContext takes https and wss, which then go in the clear.
	return &http.Transport{DialContext: dial, DialTLSContext: dial}
}

// Accept returns the next connection that was dialled.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the listener; connections stay.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr is not an address that can be dialled.
func (p *Pipe) Addr() net.Addr { return pipeAddr{} }

// pipeEnd is an end of a net.Pipe that knows whether the other one is closed.
type pipeEnd struct {
	net.Conn
	closed, other *atomic.Bool
}

func (p *pipeEnd) Close() error {
	p.closed.Store(true)
	return p.Conn.Close()
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
