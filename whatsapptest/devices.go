package whatsapptest

import (
	"slices"
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
)

// Device is a companion that is linked to a phone.
type Device struct {
	ID        int       `json:"id"`
	JID       string    `json:"jid"`
	LID       string    `json:"lid"`
	Platform  string    `json:"platform"`
	LinkedAt  time.Time `json:"linkedAt"`
	Connected bool      `json:"connected"`
	PreKeys   int       `json:"preKeys"` // one-time prekeys left on the server
}

func (d *device) public() Device {
	return Device{
		ID:        int(d.id),
		JID:       d.phone.jid(d.id).String(),
		LID:       d.phone.lidJID(d.id).String(),
		Platform:  d.platform,
		LinkedAt:  d.linkedAt,
		Connected: d.conn != nil,
		PreKeys:   d.preKeys.count(),
	}
}

// Devices lists the devices linked to a phone, by their number.
func (s *Server) Devices(number string) ([]Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.phoneFor(number)
	if err != nil {
		return nil, err
	}
	list := make([]Device, 0, len(p.devices))
	for _, d := range p.sorted() {
		list = append(list, d.public())
	}
	return list, nil
}

// sorted returns the linked devices by their number.
func (p *phone) sorted() []*device {
	list := make([]*device, 0, len(p.devices))
	for _, d := range p.devices {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *device) int { return int(a.id) - int(b.id) })
	return list
}

// Unlink removes a linked device, as its owner does on the phone: the client
// hears stream error 401 device_removed, and failure 401 at a later login.
func (s *Server) Unlink(number string, id int) error {
	s.mu.Lock()
	p, err := s.phoneFor(number)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	var d *device
	if id > 0 && id <= 250 {
		d = p.devices[uint16(id)]
	}
	if d == nil {
		s.mu.Unlock()
		return notFound("no_device", "the phone has no linked device %d", id)
	}
	s.unlink(d)
	s.mu.Unlock()
	return s.keepNow()
}

// unlink forgets a device and tells it, if it is connected.
func (s *Server) unlink(d *device) {
	s.removeDevice(d)
	if d.conn != nil {
		d.conn.endStream(401)
	}
}

func (s *Server) removeDevice(d *device) {
	delete(d.phone.devices, d.id)
	s.state.touch()
	s.devicesChanged(d.phone, "remove", d.id)
}

// unlinkSelf is a device's own wish to be unlinked. It closes the connection
// itself when it has read the answer.
func (s *Server) unlinkSelf(c *conn, iq *waBinary.Node) *waBinary.Node {
	child := only(iq)
	if address(&child, "jid").Device != c.device.id {
		return iqError(iq, 403, "forbidden")
	}
	s.removeDevice(c.device)
	c.superseded.Store(true)
	c.timer = time.AfterFunc(takeoverTime, func() { c.gate.Close() })
	return result(iq)
}

// endStream ends a connection with a stream error.
func (c *conn) endStream(code int) {
	if code == 515 {
		c.sendLast(streamError(code), restart)
		return
	}
	c.sendLast(streamError(code), goodbye)
}

// streamError is what ends a connection with a code. 401 says that the device
// has been removed, 440 that another connection has replaced this one.
func streamError(code int) *waBinary.Node {
	n := element("stream:error", nil, nil)
	switch code {
	case 401:
		n.Attrs = waBinary.Attrs{"code": "401"}
		n.Content = []waBinary.Node{element("conflict", waBinary.Attrs{"type": "device_removed"}, nil)}
	case 440:
		n.Content = []waBinary.Node{element("conflict", waBinary.Attrs{"type": "replaced"}, nil)}
	default:
		n.Attrs = waBinary.Attrs{"code": strconv.Itoa(code)}
	}
	return &n
}
