package whatsapptest

import (
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waWa6"
)

// admit decides what a client gets after the handshake: a failure, codes to be
// linked with, or a login.
func (s *Server) admit(c *conn, who *hello) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outdated(who.payload) {
		c.sendLast(failure(405, 0), goodbye)
		return
	}
	if who.payload.Username == nil {
		s.beginPairing(c, who)
		return
	}
	s.login(c, who)
}

// outdated says whether a client's version is below what the server admits.
func (s *Server) outdated(p *waWa6.ClientPayload) bool {
	v := p.GetUserAgent().GetAppVersion()
	return s.lowest > 0 && v.GetPrimary() == 2 && v.GetSecondary() == 3000 && v.GetTertiary() < s.lowest
}

// login logs a device in, unless it is unknown or a fault says otherwise.
func (s *Server) login(c *conn, who *hello) {
	number := strconv.FormatUint(who.payload.GetUsername(), 10)
	if f := s.findFault(Refuse, number, true); f != nil {
		f.use()
		// Whatsmeow must have read a frame before the end, or it may miss the end.
		c.sendLast(&waBinary.Node{Tag: "xmlstreamend"}, cut)
		return
	}
	s.hold(c, number)
	if f := s.takeFault(Failure, number); f != nil {
		c.sendLast(failure(f.Code, f.Expire), goodbye)
		return
	}
	p := s.phones[number]
	var d *device
	if p != nil && who.payload.GetDevice() <= 250 {
		d = p.devices[uint16(who.payload.GetDevice())]
	}
	if d == nil || d.noise != who.static {
		c.sendLast(failure(401, 0), goodbye)
		return
	}

	s.takeOver(d)
	c.phone, c.device, d.conn = p, d, c
	s.stats.logins++
	s.log.Debug("login", "device", d.id)
	c.send(element("success", waBinary.Attrs{
		"t":   time.Now().Unix(),
		"lid": p.lidJID(d.id),
	}, nil))
	if !who.payload.GetPassive() {
		s.activate(c)
	}
	switch {
	case s.takeFault(Drop, number) != nil:
		c.sendLast(nil, cut)
	default:
		if f := s.takeFault(StreamError, number); f != nil {
			c.endStream(f.Code)
		}
	}
}

// takeOver ends a device's older connection, if it has one whose end has not
// been read: it is told, asked for a sign of life by a websocket ping, and
// listened to for a moment. If it shows itself alive in that moment, two sessions
// of one device lived at once.
func (s *Server) takeOver(d *device) {
	old := d.conn
	if old == nil || old.gate.over() || old.superseded.Load() {
		return
	}
	s.stats.replaced++
	old.superseded.Store(true)
	old.gate.onSign(func() { s.overlap() })
	old.send(*streamError(440))
	old.timer = time.AfterFunc(takeoverTime, func() { old.gate.Close() })
	s.work.Go(old.ping)
}

func (s *Server) overlap() {
	s.mu.Lock()
	s.stats.overlaps++
	s.mu.Unlock()
}

// failure is the answer to a login that is refused. expire, in seconds, goes
// with the temporary ban, 402.
func failure(reason, expire int) *waBinary.Node {
	n := element("failure", waBinary.Attrs{"reason": strconv.Itoa(reason), "location": "test"}, nil)
	if reason == 402 {
		n.Attrs["code"] = "101"
		n.Attrs["expire"] = strconv.Itoa(expire)
	}
	return &n
}
