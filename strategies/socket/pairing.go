package socket

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.mau.fi/whatsmeow"

	"github.com/enlacehq/enlace/strategies"
)

// The browser that a phone names when it asks whether to link by a code. WhatsApp
// takes only those that it knows.
const (
	codeClient = whatsmeow.PairClientChrome
	codeName   = "Chrome (Linux)"
)

// codeRequested is the step that follows requestCode.
type codeRequested struct {
	code string
	err  error
}

// requestCode asks WhatsApp to link by a code that is typed on the phone.
// Making the code takes tens of milliseconds and asking takes an answer: in a
// goroutine, so that run hears of everything else.
func (s *session) requestCode(number string) {
	s.after(s.times.Connect, s.silent)
	if !s.calls.enter() {
		return
	}
	go func() {
		code, err := s.wa.PairPhone(s.ctx, number, true, codeClient, codeName)
		s.calls.leave()
		s.post(codeRequested{code, err})
	}()
}

// showCode shows the code that is to be typed on the phone.
func (s *session) showCode(r codeRequested) {
	if r.err != nil {
		s.end(strategies.End{Cause: strategies.CauseServer, Code: iqCode(r.err), Err: brief(fmt.Errorf("WhatsApp gives no pairing code: %w", r.err))})
		return
	}
	s.timedOut = strategies.CausePairingTimeout
	s.expires = s.now().Add(s.times.PairingCode)
	s.after(s.times.PairingCode, func() { s.end(strategies.End{Cause: strategies.CausePairingTimeout}) })
	code := strings.ReplaceAll(r.code, "-", "")
	s.tell(func(ctx context.Context) error { return s.observer.PairingCode(ctx, code) })
}

// iqCode returns the number of WhatsApp's refusal of a request, if err is one.
func iqCode(err error) string {
	var refusal *whatsmeow.IQError
	if errors.As(err, &refusal) && refusal.Code != 0 {
		return strconv.Itoa(refusal.Code)
	}
	return ""
}
