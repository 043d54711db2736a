package whatsapptest

import (
	"context"
	"crypto/cipher"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	waBinary "go.mau.fi/whatsmeow/binary"
)

// takeoverTime is how long a connection that another one has replaced is still
// listened to.
const takeoverTime = time.Second

// farewellTime is left between the last stanza and the end of a connection:
// clients drop what they have read and not handled when they see the end.
const farewellTime = 250 * time.Millisecond

// restartTime is left to a client that is told to come back (515): it closes
// the connection itself.
const restartTime = 5 * time.Second

// conn is one client's connection. One goroutine reads and handles, one writes.
type conn struct {
	srv     *Server
	gate    *gate
	ws      *websocket.Conn
	frames  *frameReader
	in, out cipher.AEAD
	read    uint32 // frames read and written under the keys
	written uint32

	outbox outbox

	// superseded is set when a newer login has replaced this connection, or its
	// last stanza is on the way: nothing that it says is handled any more.
	superseded atomic.Bool

	// These are guarded by srv.mu.
	phone     *phone   // whose device it is; at a pairing, who has scanned
	device    *device  // nil before the login
	active    bool     // the client has asked for its messages
	pairing   *pairing // nil after the pairing
	stalledBy string   // the fault that stalls the connection
	timer     *time.Timer
}

// outbox holds what waits to be written to a connection.
type outbox struct {
	mu    sync.Mutex
	items []outItem
	ended bool // nothing is taken any more
	wake  chan struct{}
}

// outItem is a stanza to write.
type outItem struct {
	payload []byte
	state   uint64 // written only once this version of the state is kept
	last    ending
}

// ending is what happens after a stanza has been written.
type ending int

const (
	goOn    ending = iota
	goodbye        // the server handles nothing more and closes the websocket soon
	restart        // the same, but the client is expected to do it
	cut            // the server cuts the connection soon
	gone           // the writer stops: the connection is over already
)

// grace is how long a connection stays open after its last stanza.
func (e ending) grace() time.Duration {
	if e == restart {
		return restartTime
	}
	return farewellTime
}

// chat serves the websocket.
func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	if code := s.refusal(); code != 0 {
		http.Error(w, "refused by a fault", code)
		return
	}
	gw := &gated{ResponseWriter: w}
	// Clients name WhatsApp as their origin, whatever host they have reached.
	ws, err := websocket.Accept(gw, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	ws.SetReadLimit(frameMax + 1024)
	c := &conn{srv: s, gate: gw.gate, ws: ws, frames: &frameReader{ws: ws}}
	c.outbox.wake = make(chan struct{}, 1)
	defer func() { _ = ws.CloseNow() }()
	if !s.open(c) {
		return
	}
	defer s.end(c)

	who, err := respond(c.frames, c.writeFrame, s.id)
	if err != nil {
		s.log.Debug("handshake failed", "error", err)
		return
	}
	c.in, c.out = who.in, who.out
	if !c.pause(s.opts.HandshakeDelay) {
		return
	}

	var writer sync.WaitGroup
	writer.Go(c.writeAll)
	s.admit(c, who)
	c.readAll()
	c.gate.Close() // a write under way may wait for a client that reads no more
	c.sendLast(nil, gone)
	writer.Wait()
}

// open counts a connection in; false if the server has closed meanwhile.
func (s *Server) open(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	s.hold(c, "")
	return true
}

// end counts a connection out.
func (s *Server) end(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.pairing != nil {
		s.endPairing(c)
	}
	if c.device != nil && c.device.conn == c {
		c.device.conn = nil
	}
	c.gate.Close()
}

// readAll handles what the client sends until its end.
func (c *conn) readAll() {
	for {
		frame, err := c.frames.next()
		if err != nil {
			c.gate.ended.Store(true)
			return
		}
		plain, err := c.in.Open(frame[:0], nonce(c.read), frame, nil)
		c.read++
		if err != nil {
			c.srv.log.Debug("a frame does not decrypt", "error", err)
			c.gate.ended.Store(true)
			return
		}
		if c.superseded.Load() || len(plain) == 0 {
			continue
		}
		unpacked, err := waBinary.Unpack(plain)
		if err != nil {
			continue
		}
		node, err := waBinary.Unmarshal(unpacked)
		if err != nil {
			c.srv.log.Debug("a stanza does not parse", "error", err)
			continue
		}
		c.srv.handle(c, node)
	}
}

// send queues a stanza for the client.
func (c *conn) send(n waBinary.Node) {
	c.push(n, goOn)
}

// sendLast queues the connection's last stanza, if there is one, and what ends it.
func (c *conn) sendLast(n *waBinary.Node, e ending) {
	if e == goodbye || e == restart {
		c.superseded.Store(true)
	}
	if n != nil {
		c.push(*n, e)
		return
	}
	c.queue(nil, e)
}

func (c *conn) push(n waBinary.Node, e ending) {
	payload, err := waBinary.Marshal(n)
	if err != nil {
		c.srv.log.Error("a stanza does not marshal", "tag", n.Tag, "error", err)
		return
	}
	c.queue(payload, e)
}

func (c *conn) queue(payload []byte, e ending) {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended && e != gone {
		return
	}
	if e != goOn {
		o.ended = true
	}
	o.items = append(o.items, outItem{payload: payload, state: c.srv.state.version(), last: e})
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// writeAll writes what is queued, in order, until the connection ends.
func (c *conn) writeAll() {
	for range c.outbox.wake {
		c.outbox.mu.Lock()
		items := c.outbox.items
		c.outbox.items = nil
		c.outbox.mu.Unlock()
		for _, item := range items {
			if !c.write(item) {
				return
			}
		}
	}
}

// write writes one stanza; false ends the writer.
func (c *conn) write(item outItem) bool {
	if item.last == gone {
		return false
	}
	if item.payload != nil {
		if !c.pause(c.srv.slowness(c)) {
			return false
		}
		// What a client has seen must still be true after a crash of the server.
		if err := c.srv.keep(item.state); err != nil {
			c.srv.log.Error("the state cannot be kept", "error", err)
			c.gate.Close()
			return false
		}
		ciphertext := c.out.Seal(nil, nonce(c.written), item.payload, nil)
		c.written++
		if err := c.writeFrame(ciphertext); err != nil {
			return item.last == goOn
		}
	}
	switch item.last {
	case goodbye, restart:
		c.pause(item.last.grace())
		c.ws.Close(websocket.StatusNormalClosure, "")
		return false
	case cut:
		c.pause(item.last.grace())
		c.gate.Close()
		return false
	}
	return true
}

func (c *conn) writeFrame(payload []byte) error {
	frame, err := framed(payload)
	if err != nil {
		return err
	}
	return c.ws.Write(context.Background(), websocket.MessageBinary, frame)
}

// pause waits; false if the connection has ended.
func (c *conn) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.gate.closed:
		return false
	}
}

// ping asks for a sign of life below the stanzas. The answer is seen by the gate.
func (c *conn) ping() {
	ctx, cancel := context.WithTimeout(context.Background(), takeoverTime)
	defer cancel()
	_ = c.ws.Ping(ctx)
}
