package store

import (
	"fmt"
	"time"

	"github.com/enlacehq/enlace"
)

// Every way in which a channel's status changes is here, and nowhere else:
//
//	absent, inactive, error → connecting           a caller connects; a temporary ban ended
//	connecting → connecting                        a QR code, pairing code or passkey is shown; the account accepted
//	connecting → active                            logged in
//	active, connecting → connecting + reconnect{}  the connection broke, or another worker took over
//	connecting, active → inactive                  timed out, disconnected, logged out
//	connecting, active → error                     locked, banned, replaced, …
//	inactive, error → inactive                     disconnected, logged out

// statusError is a change that the channel's status does not allow: what was
// observed is out of date.
type statusError struct {
	from, to enlace.Status
}

func (e *statusError) Error() string {
	return fmt.Sprintf("a channel that is %s does not become %s", e.from, e.to)
}

// connecting begins afresh, at a caller's wish.
func (r *record) connecting(pairing *enlace.Pairing) {
	r.set(enlace.Connecting, "")
	r.Pairing = pairing
	r.LastError = nil
}

func (r *record) showQR(qr enlace.QR) error {
	if r.Status != enlace.Connecting {
		return &statusError{r.Status, enlace.Connecting}
	}
	r.set(enlace.Connecting, "")
	r.Linked = false // credentials, if there were any, are no longer kept
	r.QR = &qr
	return nil
}

func (r *record) showPairingCode(code string) error {
	if r.Status != enlace.Connecting {
		return &statusError{r.Status, enlace.Connecting}
	}
	r.set(enlace.Connecting, "")
	r.Linked = false
	r.PairingCode = code
	return nil
}

func (r *record) showPasskey(passkey enlace.Passkey) error {
	if r.Status != enlace.Connecting {
		return &statusError{r.Status, enlace.Connecting}
	}
	r.set(enlace.Connecting, "")
	r.Passkey = &passkey
	return nil
}

// accepted is the account's yes: there are credentials now.
func (r *record) accepted(account enlace.Account) error {
	if r.Status != enlace.Connecting {
		return &statusError{r.Status, enlace.Connecting}
	}
	r.set(enlace.Connecting, "")
	r.Linked, r.Pairing = true, nil
	r.know(account)
	return nil
}

func (r *record) ready(account enlace.Account, now time.Time) error {
	if r.Status == enlace.Active {
		r.know(account)
		return nil
	}
	if r.Status != enlace.Connecting {
		return &statusError{r.Status, enlace.Active}
	}
	r.set(enlace.Active, "")
	r.Linked, r.Pairing, r.LastError = true, nil, nil
	r.ConnectedAt = &now
	r.know(account)
	return nil
}

// reconnecting tells of a session that ended, or could not begin, and is tried again.
func (r *record) reconnecting(reason enlace.Reason, reconnect enlace.Reconnect, last *enlace.LastError) error {
	if r.Status != enlace.Connecting && r.Status != enlace.Active {
		return &statusError{r.Status, enlace.Connecting}
	}
	if !r.Linked {
		reason = "" // nothing to come back to yet
	}
	r.set(enlace.Connecting, reason)
	r.Reconnect, r.LastError = &reconnect, last
	return nil
}

func (r *record) inactive(reason enlace.Reason) {
	r.set(enlace.Inactive, reason)
	if reason == enlace.ReasonLoggedOut {
		r.Linked, r.PhoneNumber, r.PushName, r.LID = false, "", "", ""
	}
}

func (r *record) failed(reason enlace.Reason, until *time.Time, last *enlace.LastError) error {
	if r.Status != enlace.Connecting && r.Status != enlace.Active {
		return &statusError{r.Status, enlace.Failed}
	}
	r.set(enlace.Failed, reason)
	r.Until, r.LastError = until, last
	return nil
}

// taken is what a claim does to the status: an active channel is not live until
// its new owner has connected it.
func (r *record) taken(now time.Time) {
	if r.Status != enlace.Active {
		return
	}
	r.set(enlace.Connecting, enlace.ReasonTakeover)
	r.Reconnect = &enlace.Reconnect{Attempt: 0, NextAt: now}
}

// set changes the status and clears what belonged to the one before.
func (r *record) set(status enlace.Status, reason enlace.Reason) {
	r.Status, r.Reason = status, reason
	r.Until, r.QR, r.PairingCode, r.Passkey, r.Reconnect = nil, nil, "", nil, nil
	r.SecretSeq = 0
}

func (r *record) know(account enlace.Account) {
	if account.PhoneNumber != "" {
		r.PhoneNumber = account.PhoneNumber
	}
	if account.LID != "" {
		r.LID = account.LID
	}
	if account.PushName != "" {
		r.PushName = account.PushName
	}
}
