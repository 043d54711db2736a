package whatsapptest

import (
	"slices"
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// waiting is a stanza that a device has not acknowledged.
type waiting struct {
	Class       string `json:"class"` // message, receipt or notification
	ID          string `json:"id"`
	From        string `json:"from"`
	Participant string `json:"participant,omitempty"`
	Payload     []byte `json:"payload"`
	sent        bool   // at least once
}

// waits makes a stanza into one that can wait; nil if it does not marshal.
func (s *Server) waits(n waBinary.Node) *waiting {
	payload, err := waBinary.Marshal(n)
	if err != nil {
		s.log.Error("a stanza does not marshal", "tag", n.Tag, "error", err)
		return nil
	}
	return &waiting{
		Class: n.Tag, ID: text(&n, "id"), From: text(&n, "from"), Participant: text(&n, "participant"), Payload: payload,
	}
}

// enqueue gives a device a stanza that it must acknowledge: now if it listens,
// else when it does, and again at each login until it has.
func (s *Server) enqueue(d *device, n waBinary.Node) {
	copies := 1
	if n.Tag == "message" && s.takeFault(Duplicate, d.phone.number) != nil {
		copies = 2
	}
	for range copies {
		w := s.waits(n)
		if w == nil {
			return
		}
		d.queue = append(d.queue, w)
		s.state.touch()
		if d.conn != nil && d.conn.active {
			w.sent = true
			d.conn.queue(w.Payload, goOn)
		}
	}
}

// activate gives a device all that waits for it, in order, and from then on
// what comes.
func (s *Server) activate(c *conn) {
	if c.active {
		return
	}
	d := c.device
	s.shareHistory(d)
	c.active = true
	counts := map[string]int{}
	for _, w := range d.queue {
		counts[w.Class]++
	}
	c.send(element("ib", nil, []waBinary.Node{element("offline_preview", waBinary.Attrs{
		"count":        strconv.Itoa(len(d.queue)),
		"message":      strconv.Itoa(counts["message"]),
		"receipt":      strconv.Itoa(counts["receipt"]),
		"notification": strconv.Itoa(counts["notification"]),
		"appdata":      "0",
	}, nil)}))
	for _, w := range d.queue {
		w.sent = true
		c.queue(w.Payload, goOn)
	}
	c.send(element("ib", nil, []waBinary.Node{element("offline", waBinary.Attrs{"count": strconv.Itoa(len(d.queue))}, nil)}))
}

// acknowledged takes the oldest stanza off the queue that has been sent and is
// described so. Two of one id, a message and its resend, are
// acknowledged one by one.
func (s *Server) acknowledged(d *device, class, id, from, participant string) {
	i := slices.IndexFunc(d.queue, func(w *waiting) bool {
		return w.sent && w.Class == class && w.ID == id && w.From == from && w.Participant == participant
	})
	if i < 0 {
		return
	}
	d.queue = slices.Delete(d.queue, i, i+1)
	s.state.touch()
}

// handleAck takes a device's acknowledgement of a stanza.
func (s *Server) handleAck(c *conn, ack *waBinary.Node) {
	s.acknowledged(c.device, text(ack, "class"), text(ack, "id"), text(ack, "to"), text(ack, "participant"))
}

// notify queues a notification of the server for a device.
func (s *Server) notify(d *device, from types.JID, kind string, content ...waBinary.Node) {
	s.enqueue(d, element("notification", waBinary.Attrs{
		"from": from, "id": s.newID(), "type": kind, "t": unixNow(),
	}, content))
}

func unixNow() int64 { return time.Now().Unix() }
