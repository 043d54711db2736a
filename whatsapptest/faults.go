package whatsapptest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// FaultKind is a way for the server to fail.
type FaultKind string

const (
	// Refuse refuses connections. Without a number the websocket is not opened:
	// the answer is HTTP status Code (0 is 503). With one, the connection is cut
	// when the client has said that it is a device of that phone.
	Refuse FaultKind = "refuse"
	// Drop cuts connections without a word: those that are open when the fault is
	// added (all of them count as one time), then each that logs in. A client
	// that is being linked by that phone is cut between its confirmation and 515.
	Drop FaultKind = "drop"
	// Stall holds all that connections carry, both ways: those that are open (one
	// time), then each that logs in, or opens if the fault has no number. When the
	// fault ends they go on, and nothing is lost.
	Stall FaultKind = "stall"
	// Blackhole loses all that connections carry, both ways, and goes on doing so
	// when the fault has ended: such a connection never comes back, and never
	// closes. It takes the connections that Stall would.
	Blackhole FaultKind = "blackhole"
	// StreamError ends connections with <stream:error code=Code>: those that are
	// open (one time), then each that logs in, or has been linked and would get
	// 515. Code 401 is device_removed (the device stays linked all the same), 440
	// is replaced; 0 is 503.
	StreamError FaultKind = "stream_error"
	// Failure refuses logins with <failure reason=Code> (0 is 503); without a
	// number also clients that want to be linked. 402 is a temporary ban of
	// Expire seconds (0 is 3600).
	Failure FaultKind = "failure"
	// WithholdAck leaves messages of the phone's devices without the server's
	// acknowledgement. They are delivered all the same.
	WithholdAck FaultKind = "withhold_ack"
	// Duplicate delivers messages to the phone's devices twice.
	Duplicate FaultKind = "duplicate"
	// Slow writes each stanza to connections Code milliseconds late (0 is 1000).
	Slow FaultKind = "slow"
	// NoBundle answers questions for the key bundle of one of the phone's devices
	// with an error; the devices are on the phone's device list all the same.
	NoBundle FaultKind = "no_bundle"
)

// faultKinds says of each kind whether it lasts until it is removed, unless
// Times or ForMs say otherwise; the others happen once.
var faultKinds = map[FaultKind]bool{
	Refuse: true, Stall: true, Blackhole: true, Slow: true,
	Drop: false, StreamError: false, Failure: false, WithholdAck: false, Duplicate: false, NoBundle: false,
}

// Fault is a failure to come.
type Fault struct {
	ID   string    `json:"id,omitempty"`
	Kind FaultKind `json:"kind"`
	// Number restricts the fault to the devices of one phone.
	Number string `json:"number,omitempty"`
	// Code means what the kind says.
	Code int `json:"code,omitempty"`
	// Times is how often it happens. 0 is as often as it can, until ForMs have
	// passed; without ForMs too, Refuse, Stall, Blackhole and Slow last until the
	// fault is removed and the others happen once.
	Times int `json:"times,omitempty"`
	// ForMs is for how many milliseconds; 0 is without end.
	ForMs int `json:"forMs,omitempty"`
	// Expire is a temporary ban's length, in seconds.
	Expire int `json:"expire,omitempty"`
}

// fault is an active Fault. Guarded by Server.mu.
type fault struct {
	Fault
	left  int       // times; negative is without end
	until time.Time // zero is without end
}

// AddFault has the server fail and returns the fault's id.
func (s *Server) AddFault(f Fault) (string, error) {
	lasts, ok := faultKinds[f.Kind]
	switch {
	case !ok:
		return "", badRequest("bad_fault", "there is no fault of kind %q", f.Kind)
	case f.Times < 0 || f.ForMs < 0 || f.Code < 0 || f.Expire < 0:
		return "", badRequest("bad_fault", "times, forMs, code and expire are not negative")
	case f.Kind == Refuse && f.Code != 0 && (f.Code < 400 || f.Code > 599):
		return "", badRequest("bad_fault", "refuse answers with an HTTP status of 400 to 599")
	}
	if f.Number != "" {
		number, err := cleanNumber(f.Number)
		if err != nil {
			return "", err
		}
		f.Number = number
	}
	switch f.Kind {
	case Refuse, StreamError, Failure:
		f.Code = cmp.Or(f.Code, http.StatusServiceUnavailable)
	case Slow:
		f.Code = cmp.Or(f.Code, 1000)
	}
	if f.Kind == Failure && f.Code == 402 {
		f.Expire = cmp.Or(f.Expire, 3600)
	}

	active := &fault{Fault: f, left: f.Times}
	if f.ForMs > 0 {
		active.until = time.Now().Add(time.Duration(f.ForMs) * time.Millisecond)
	}
	if f.Times == 0 {
		active.left = -1
		if f.ForMs == 0 && !lasts {
			active.left = 1
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faultIDs++
	active.ID = "f" + strconv.Itoa(s.faultIDs)
	s.faults = append(s.faults, active)
	s.strike(active)
	return active.ID, nil
}

// RemoveFault ends a fault. One that is over is removed as well.
func (s *Server) RemoveFault(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(id[min(len(id), 1):])
	if err != nil || id[0] != 'f' || n < 1 || n > s.faultIDs {
		return notFound("no_fault", "there is no such fault")
	}
	s.faults = slices.DeleteFunc(s.faults, func(f *fault) bool { return f.ID == id })
	for c := range s.conns {
		if c.stalledBy == id {
			c.stalledBy = ""
			c.gate.set(gateOpen, time.Time{})
		}
	}
	return nil
}

// Faults lists the faults that are not over.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pruneFaults()
	list := make([]Fault, len(s.faults))
	for i, f := range s.faults {
		list[i] = f.Fault
		list[i].Times = max(f.left, 0)
	}
	return list
}

// strike applies a new fault to the connections that are open.
func (s *Server) strike(f *fault) {
	var struck bool
	for c := range s.conns {
		if !f.meets(c) {
			continue
		}
		switch f.Kind {
		case Drop:
			c.gate.Close()
		case StreamError:
			c.endStream(f.Code)
		case Stall, Blackhole:
			f.hold(c)
		default:
			return
		}
		struck = true
	}
	if struck {
		f.use()
	}
}

// meets says whether a fault concerns a connection.
func (f *fault) meets(c *conn) bool {
	return f.Number == "" || c.phone != nil && c.phone.number == f.Number
}

// hold stalls or black-holes a connection.
func (f *fault) hold(c *conn) {
	if f.Kind == Blackhole {
		c.gate.set(gateBlackholed, time.Time{})
		return
	}
	c.stalledBy = f.ID
	c.gate.set(gateStalled, f.until)
}

// hold applies stalls and black holes to a connection of a phone, or, if number
// is empty, of anybody.
func (s *Server) hold(c *conn, number string) {
	for _, kind := range []FaultKind{Stall, Blackhole} {
		if c.stalledBy != "" {
			return
		}
		if f := s.findFault(kind, number, true); f != nil {
			f.use()
			f.hold(c)
		}
	}
}

// use counts one time off.
func (f *fault) use() {
	if f.left > 0 {
		f.left--
	}
}

// takeFault finds an active fault of a kind that concerns a phone, and counts
// one time off; nil if there is none. An empty number is nobody's phone yet.
func (s *Server) takeFault(kind FaultKind, number string) *fault {
	f := s.findFault(kind, number, false)
	if f != nil {
		f.use()
	}
	return f
}

// findFault finds an active fault; exact ones only for just this number.
func (s *Server) findFault(kind FaultKind, number string, exact bool) *fault {
	if len(s.faults) == 0 {
		return nil
	}
	s.pruneFaults()
	for _, f := range s.faults {
		if f.Kind == kind && (f.Number == number || f.Number == "" && !exact) {
			return f
		}
	}
	return nil
}

// pruneFaults forgets the faults that are over.
func (s *Server) pruneFaults() {
	now := time.Now()
	s.faults = slices.DeleteFunc(s.faults, func(f *fault) bool {
		return f.left == 0 || !f.until.IsZero() && !now.Before(f.until)
	})
}

// refusal returns the HTTP status that a new connection is refused with; 0 admits it.
func (s *Server) refusal() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.findFault(Refuse, "", true)
	if f == nil {
		return 0
	}
	f.use()
	return f.Code
}

// slowness is how late a stanza is written to a connection.
func (s *Server) slowness(c *conn) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var number string
	if c.phone != nil {
		number = c.phone.number
	}
	f := s.takeFault(Slow, number)
	if f == nil {
		return 0
	}
	return time.Duration(f.Code) * time.Millisecond
}
