package whatsapptest

import (
	"context"
	"net"
	"net/http"
	"sync"
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
	near, far := net.Pipe()
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

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
