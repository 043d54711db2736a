package socket

import (
	"context"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/strategies"
)

// fullRound is the number of codes of which the first is shown longer.
const fullRound = 6

// link goes on from WhatsApp's codes: the session can link a device now, by them
// or by a code that is typed on the phone.
func (s *session) link(codes []string) {
	if s.of != 0 {
		return // one round a session
	}
	s.of = len(codes)
	if pairing := s.owner.Pairing(); pairing.Method == enlace.PairByCode {
		s.requestCode(pairing.PhoneNumber)
		return
	}
	s.codes = codes
	s.showNext()
}

// showNext shows the next QR code. All come at once and roll by our clock; when
// they are used up the session is over.
func (s *session) showNext() {
	s.timedOut = strategies.CauseQRTimeout
	if len(s.codes) == 0 {
		s.end(strategies.End{Cause: strategies.CauseQRTimeout})
		return
	}
	code, left := s.codes[0], s.codes[1:]
	s.codes = left
	lasts := s.times.NextQR
	if s.of == fullRound && len(left) == fullRound-1 {
		lasts = s.times.FirstQR
	}
	s.expires = s.now().Add(lasts + time.Duration(len(left))*s.times.NextQR)
	qr := enlace.QR{Code: code, ExpiresAt: s.now().Add(lasts), Attempt: s.of - len(left), Of: s.of}
	s.after(lasts, s.showNext)
	s.tell(func(ctx context.Context) error { return s.observer.QR(ctx, qr) })
}
