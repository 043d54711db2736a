package socket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow/types/events"

	"github.com/enlacehq/enlace/strategies"
)

// handle is whatsmeow's event handler. False means: do not acknowledge.
func (s *session) handle(evt any) (ok bool) {
	switch evt.(type) {
	case *events.Disconnected:
		s.gone.give()
	case *events.PairSuccess:
		s.success.Store(true)
		s.paired.give()
	case *events.PairError:
		s.paired.give()
	}
	if !s.calls.enter() {
		return false
	}
	defer s.calls.leave()
	defer s.recovered(&ok) // whatsmeow takes a panic for success
	if s.dead.Load() {
		return false
	}
	switch e := evt.(type) {
	case *events.QR, *events.PairSuccess, *events.PairError,
		*events.PairPasskeyRequest, *events.PairPasskeyConfirmation, *events.PairPasskeyError,
		*events.Connected, *events.KeepAliveTimeout, *events.Disconnected:
		s.post(e)
	case *events.Message:
		return s.received(e)
	case *events.UndecryptableMessage:
		return s.unavailable(e)
	case *events.Receipt:
		return s.receipt(e)
	}
	return true
}

// follow goes on from an event, in the goroutine of run.
func (s *session) follow(step any) {
	switch e := step.(type) {
	case *events.QR:
		s.link(e.Codes)
	case codeRequested:
		s.showCode(e)
	case *events.PairPasskeyRequest:
		s.askPasskey(e)
	case *events.PairPasskeyConfirmation:
		s.comparePasskey(e)
	case passkeyConfirmed:
		s.after(s.times.Connect, s.silent)
	case *events.PairSuccess:
		s.accepted()
	case *events.Connected:
		s.ready()
	case *events.KeepAliveTimeout:
		if silence := time.Since(e.LastSuccess); silence >= s.times.Silence {
			s.end(strategies.End{Cause: strategies.CauseNetwork, Err: fmt.Errorf("no answer to pings for %v", silence.Round(time.Second))})
		}
	case unlinked:
		s.end(strategies.End{Cause: strategies.CauseLoggedOut, Err: errors.New("the device was unlinked from here")})
	case *events.Disconnected:
		s.disconnected()
	case *events.PairError:
		s.end(strategies.End{Cause: strategies.CauseServer, Err: brief(fmt.Errorf("linking failed: %w", e.Error))})
	case *events.PairPasskeyError:
		s.end(strategies.End{Cause: strategies.CauseServer, Code: iqCode(e.Error), Err: brief(fmt.Errorf("linking by passkey failed: %w", e.Error))})
	}
}

// accepted records that the account accepted the device. WhatsApp then asks for
// a new connection, or may have done so already: the two come in any order.
func (s *session) accepted() {
	s.codes, s.timedOut = nil, 0
	_, account := s.notes.known()
	if !s.tell(func(ctx context.Context) error { return s.observer.Linked(ctx, account) }) {
		return
	}
	s.isLinked = true
	switch {
	case s.restart:
		s.again()
	case s.wire.lost.wasGiven():
		s.after(grace, s.disconnected)
	default:
		s.after(s.times.Connect, s.silent)
	}
}

// again goes on from WhatsApp's wish for a new connection.
func (s *session) again() {
	if !s.isLinked {
		s.restart = true
		s.after(s.times.Connect, s.silent)
		return
	}
	s.end(strategies.End{Cause: strategies.CauseRestart, Code: "515"})
}

// ready records that the session is live.
func (s *session) ready() {
	s.never()
	s.connected = true
	s.renamed()
	s.catchUp()
}

// renamed records what is known of the account, now that it may have changed.
func (s *session) renamed() {
	if !s.connected {
		return
	}
	_, account := s.notes.known()
	s.tell(func(ctx context.Context) error { return s.observer.Connected(ctx, account) })
}

// disconnected ends a session whose connection is gone.
func (s *session) disconnected() {
	switch {
	case s.restart:
		// The end that WhatsApp announced; the credentials are being stored.
	case s.refused.Load() != nil:
		s.refusedBy(*s.refused.Load())
	case s.timedOut != 0 && !s.now().Before(s.expires.Add(-s.times.NextQR)):
		// WhatsApp closes the connection when the codes are used up, by its own clock.
		s.end(strategies.End{Cause: s.timedOut})
	default:
		s.end(strategies.End{Cause: strategies.CauseNetwork, Err: errors.New("the connection broke")})
	}
}
