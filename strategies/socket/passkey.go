package socket

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/strategies"
)

// longestPasskey is the longest time for an answer that WhatsApp may name.
const longestPasskey = 10 * time.Minute

// passkeyState is the step at which linking by passkey is; callers of
// answerPasskey and confirmPasskey may take one step each.
type passkeyState struct {
	mu   sync.Mutex
	step passkeyStep
}

type passkeyStep int

const (
	passkeyIdle    passkeyStep = iota
	passkeyAsked               // an answer is waited for
	passkeyCompare             // a confirmation is
)

func (p *passkeyState) set(step passkeyStep) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step = step
}

// take reports whether step is due, and takes it.
func (p *passkeyState) take(step passkeyStep) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.step != step {
		return false
	}
	p.step = passkeyIdle
	return true
}

// passkeyConfirmed is the step that follows a confirmation.
type passkeyConfirmed struct{}

// askPasskey goes on from a scan by an account that a passkey protects: its
// holder must show the passkey. The codes have done their work.
func (s *session) askPasskey(e *events.PairPasskeyRequest) {
	s.codes = nil
	request, err := requestOptions(e.PublicKey)
	if err != nil {
		s.end(strategies.End{Cause: strategies.CauseServer, Err: brief(fmt.Errorf("WhatsApp's passkey request: %w", err))})
		return
	}
	lasts := time.Duration(e.PublicKey.Timeout) * time.Millisecond
	if lasts <= 0 || lasts > longestPasskey {
		lasts = s.times.Passkey
	}
	s.passkey.set(passkeyAsked)
	s.waitForPasskey(lasts, enlace.Passkey{Request: request})
}

// comparePasskey goes on from an accepted answer: the holder compares a code with
// the phone's, unless the phone has seen enough.
func (s *session) comparePasskey(e *events.PairPasskeyConfirmation) {
	s.passkey.set(passkeyCompare)
	if !e.SkipHandoffUX {
		s.waitForPasskey(s.times.Passkey, enlace.Passkey{Code: e.Code})
		return
	}
	if !s.calls.enter() {
		return
	}
	s.after(s.times.Passkey, s.passkeyExpired)
	go func() {
		defer s.calls.leave()
		_ = s.confirmPasskey(s.ctx) // a failure ends the session
	}()
}

func (s *session) waitForPasskey(lasts time.Duration, passkey enlace.Passkey) {
	s.timedOut = strategies.CausePairingTimeout
	passkey.ExpiresAt = s.now().Add(lasts)
	s.expires = passkey.ExpiresAt
	s.after(lasts, s.passkeyExpired)
	s.tell(func(ctx context.Context) error { return s.observer.Passkey(ctx, passkey) })
}

func (s *session) passkeyExpired() {
	s.end(strategies.End{Cause: strategies.CausePairingTimeout})
}

// answerPasskey sends the answer of a holder's authenticator. One that WhatsApp
// does not accept ends the session, so that its holder sees it, and may try again.
func (s *session) answerPasskey(ctx context.Context, response json.RawMessage) error {
	var answer types.WebAuthnResponse
	if err := json.Unmarshal(response, &answer); err != nil || len(answer.RawID) == 0 || len(answer.Response.Signature) == 0 {
		return enlace.Errorf(enlace.CodeInvalidRequest, "the passkey response is not the JSON form of a PublicKeyCredential with an assertion")
	}
	if !s.calls.enter() {
		return errNoPasskey
	}
	defer s.calls.leave()
	if !s.passkey.take(passkeyAsked) {
		return errNoPasskey
	}
	ctx, cancel := s.joined(ctx)
	defer cancel()
	if err := s.wa.SendPasskeyResponse(ctx, &answer); err != nil {
		s.post(&events.PairPasskeyError{Error: err})
		return fmt.Errorf("answer the passkey request: %w", brief(err))
	}
	return nil
}

// confirmPasskey says that the codes are the same.
func (s *session) confirmPasskey(ctx context.Context) error {
	if !s.calls.enter() {
		return errNoPasskey
	}
	defer s.calls.leave()
	if !s.passkey.take(passkeyCompare) {
		return errNoPasskey
	}
	ctx, cancel := s.joined(ctx)
	defer cancel()
	if err := s.wa.SendPasskeyConfirmation(ctx); err != nil {
		s.post(&events.PairPasskeyError{Error: err, Continuation: true})
		return fmt.Errorf("confirm the passkey: %w", brief(err))
	}
	s.post(passkeyConfirmed{})
	return nil
}

// requestOptions returns the options for navigator.credentials.get, without the
// members that WhatsApp left out: browsers refuse null for some of them.
func requestOptions(key *types.WebAuthnPublicKey) (json.RawMessage, error) {
	full, err := json.Marshal(key)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(full, &members); err != nil {
		return nil, err
	}
	for name, value := range members {
		if text := string(value); text == "null" || text == `""` || name == "timeout" && text == "0" {
			delete(members, name)
		}
	}
	return json.Marshal(members)
}
