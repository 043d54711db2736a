package socket

import (
	"errors"
	"fmt"
	"strconv"

	"go.mau.fi/whatsmeow/socket"

	"github.com/enlacehq/enlace/strategies"
)

// dial connects. In a goroutine of its own: the deep stack of a handshake does
// not stay with the session.
func (s *session) dial() error {
	defer s.wire.ready.give()
	err := s.wa.ConnectContext(s.ctx)
	s.live.Store(err == nil)
	return err
}

// reached goes on from a dial.
func (s *session) reached(err error) {
	var status socket.ErrWithStatusCode
	switch {
	case err == nil:
		s.after(s.times.Connect, s.silent)
	case errors.Is(err, errStale):
		s.fail(err)
	case errors.As(err, &status):
		code := strconv.Itoa(status.StatusCode)
		s.end(strategies.End{Cause: strategies.CauseNetwork, Code: code, Err: fmt.Errorf("connection refused with HTTP status %s", code)})
	case s.wire.lost.wasGiven():
		s.end(strategies.End{Cause: strategies.CauseNetwork, Err: errors.New("the connection ended in its handshake")})
	default:
		s.end(strategies.End{Cause: strategies.CauseNetwork, Err: brief(unwrapped(err))})
	}
}

// unwrapped returns the part of a dial's error that says something.
func unwrapped(err error) error {
	var op interface {
		Unwrap() error
		Timeout() bool
	}
	if errors.As(err, &op) && op.Unwrap() != nil {
		return op.Unwrap()
	}
	return err
}

// silent ends a session in which the next step did not come.
func (s *session) silent() {
	s.end(strategies.End{Cause: strategies.CauseNetwork, Err: fmt.Errorf("WhatsApp did not go on within %v", s.times.Connect)})
}

// cut goes on from the connection's end. Its reason comes as an event, but for a
// cut after linking, of which whatsmeow says nothing: the phone has accepted the
// device, WhatsApp has not asked for the new connection yet.
func (s *session) cut() {
	switch {
	case s.restart:
	case s.isLinked && !s.wasLinked:
		s.disconnected()
	default:
		s.after(grace, s.disconnected)
	}
}
