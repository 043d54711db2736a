package socket

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// closeWait is how long closing a connection waits for its reader to notice.
// The reader is at most a few kilobytes behind; the limit is for the unforeseen.
const closeWait = time.Second

var (
	errShut  = errors.New("the session has ended")
	errStale = errors.New("the worker's lease is not fresh")
)

// wire is one session's way to WhatsApp: it dials, and it stands between
// whatsmeow and the network. Nothing leaves once it is closed or the worker's
// lease is not fresh, whatever context or goroutine of whatsmeow asks: a process
// that was stopped for longer than its lease goes on exactly here.
type wire struct {
	base  http.RoundTripper
	fresh func() error
	// stale is called, in a goroutine of its own, when fresh kept something from leaving.
	stale func(error)
	// ready is given by the wire's user when the dial has returned, however it ended.
	ready moment
	// lost is given when the connection is gone for its reader.
	lost moment

	mu   sync.Mutex
	shut bool
	conn *conn
}

var _ http.RoundTripper = (*wire)(nil)

func newWire(base http.RoundTripper, fresh func() error, stale func(error)) *wire {
	return &wire{base: base, fresh: fresh, stale: stale, ready: newMoment(), lost: newMoment()}
}

// RoundTrip dials. A websocket's connection comes back as the body of the answer.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := w.fresh(); err != nil {
		return nil, fmt.Errorf("%w: %w", errStale, err)
	}
	resp, err := w.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		resp.Body.Close()
		return nil, errors.New("the transport gives no connection to write to")
	}
	c := &conn{rwc: rwc, wire: w, asked: newMoment(), closed: newMoment()}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shut || w.conn != nil {
		rwc.Close()
		return nil, errShut
	}
	w.conn = c
	resp.Body = c
	return resp, nil
}

// close lets nothing more leave, ends the connection, and returns when its
// reader has noticed. The reader must be gone before the session's context is
// cancelled: whatsmeow hands its frames to a goroutine that leaves with the
// context, and would wait for ever with a frame that nobody takes.
func (w *wire) close() {
	w.mu.Lock()
	w.shut = true
	c := w.conn
	w.mu.Unlock()
	if c == nil {
		return
	}
	c.shut.Store(true)
	c.rwc.Close()
	limit := time.NewTimer(closeWait)
	defer limit.Stop()
	select {
	case <-w.lost.given:
	case <-limit.C:
	}
}

// conn is the network connection under a session's websocket.
type conn struct {
	rwc  io.ReadWriteCloser
	wire *wire

	shut     atomic.Bool
	asked    moment // something was written
	closed   moment
	answered bool // something was read; the reader's own
	broken   bool // brokenFrame was read; the reader's own
}

var _ io.ReadWriteCloser = (*conn)(nil)

// brokenFrame is a websocket message with one byte that is no handshake message.
var brokenFrame = []byte{0x82, 4, 0, 0, 1, 0xff}

// Read reads what WhatsApp sent. When the connection ends before anything was
// answered it gives one broken frame first: whatsmeow waits for the answer to
// its handshake for 20 s, whatever happens to the connection or the context, and
// would hold up whoever waits for the session's end. When it ends after that, the
// dial returns first: whatsmeow does not know yet what to do at a connection's
// end, and would forget about it.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.rwc.Read(p)
	if err == nil || n > 0 {
		c.answered = true
		return n, nil
	}
	asked := c.asked.given
	if c.answered || c.broken || c.wire.ready.wasGiven() || len(p) < len(brokenFrame) {
		asked = nil // nobody waits for an answer
	}
	select {
	case <-asked:
		c.broken = true
		return copy(p, brokenFrame), nil
	case <-c.wire.ready.given:
	case <-c.closed.given:
	}
	c.wire.lost.give()
	return 0, err
}

// Write sends, if the worker may still speak for the channel.
func (c *conn) Write(p []byte) (int, error) {
	if c.shut.Load() {
		return 0, errShut
	}
	if err := c.wire.fresh(); err != nil {
		c.shut.Store(true)
		// In a goroutine: whatsmeow holds the locks of a send here.
		go c.wire.stale(fmt.Errorf("%w: %w", errStale, err))
		return 0, errStale
	}
	n, err := c.rwc.Write(p)
	if err == nil {
		c.asked.give()
	}
	return n, err
}

// Close ends the connection. Only the websocket calls it, when its reader is
// gone or the dial has failed.
func (c *conn) Close() error {
	c.shut.Store(true)
	c.wire.lost.give()
	c.closed.give()
	return c.rwc.Close()
}
