// Package strategies is the seam between the workers, which own channels, and the
// ways in which channels of some type connect. A strategy knows its protocol; it
// knows nothing of statuses, retries or HTTP.
package strategies

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// Strategy is how channels of some types connect.
type Strategy interface {
	// Open loads what a claimed channel needs to connect: its credentials, or
	// nothing yet. The client belongs to owner and lives as long as the claim.
	Open(ctx context.Context, owner *store.Owner) (Client, error)
}

// Registry holds the strategies of a program.
type Registry map[enlace.ChannelType]Strategy

// Types lists the channel types that the program can connect.
func (r Registry) Types() []enlace.ChannelType {
	var types []enlace.ChannelType
	for _, t := range enlace.ChannelTypes() {
		if _, ok := r[t]; ok {
			types = append(types, t)
		}
	}
	return types
}

// SocketTypes lists the channel types of strategies/socket, for programs that must
// know them without linking it.
func SocketTypes() []enlace.ChannelType {
	return []enlace.ChannelType{enlace.WhatsAppWeb, enlace.WhatsAppBaileys}
}

// Client connects one channel, as often as it is asked, one session at a time.
type Client interface {
	// Linked reports whether there are credentials: without them Run links a new device.
	Linked() bool
	// Run opens one session, tells observer of it, and blocks until it is over and
	// all that it started is gone. It never tries twice: what follows from the End
	// is the supervisor's decision. Cancelling ctx closes the session (CauseStopped).
	Run(ctx context.Context, observer Observer) End
	// AnswerPasskey and ConfirmPasskey pass on what the account's holder did, to the running session.
	AnswerPasskey(ctx context.Context, response json.RawMessage) error
	ConfirmPasskey(ctx context.Context) error
	// Unlink removes the device at WhatsApp through the running, connected session.
	Unlink(ctx context.Context) error
	// Prepare makes sure that the recipient of m can be reached, and returns exactly
	// what is encrypted for it: m.Content if that is there already. A *SendError
	// that is final ends the message; any other error means that it can be tried later.
	Prepare(ctx context.Context, m *store.Outbound) (content []byte, err error)
	// Send sends m.Content under m.WhatsAppID through the running, connected session
	// and returns when WhatsApp took it. A *SendError that is final: WhatsApp refused
	// it. After any other error it may have been sent: it is sent again under the
	// same id, whose copy the recipient drops.
	Send(ctx context.Context, m *store.Outbound) (at time.Time, err error)
	// MarkRead tells the sender of a received message that it was read.
	MarkRead(ctx context.Context, mark store.MarkRead) error
	// Forget removes the stored credentials and all state that belongs to them.
	Forget(ctx context.Context) error
	// Close ends the client; no session may be running.
	Close()
}

// Observer is told what happens in a session, one call after the other. An error
// means that it could not be recorded: the session must end at once, having
// acknowledged nothing (CauseStore).
type Observer interface {
	QR(ctx context.Context, qr enlace.QR) error
	PairingCode(ctx context.Context, code string) error
	Passkey(ctx context.Context, passkey enlace.Passkey) error
	// Linked is called when the account accepted the device; credentials are stored.
	Linked(ctx context.Context, account enlace.Account) error
	// Connected is called when the session is logged in and live, and again when
	// more is known of the account.
	Connected(ctx context.Context, account enlace.Account) error
	// Received is called for each message that came in or that the account's own
	// phone sent, and Unavailable for one that could not be read. Only when they
	// return nil may it be acknowledged.
	Received(ctx context.Context, in store.Incoming) error
	Unavailable(ctx context.Context, in store.Incoming) error
	// Receipt is called when a recipient received, read or played a message.
	Receipt(ctx context.Context, receipt Receipt) error
}

// Receipt says how far a sent message has come.
type Receipt struct {
	WhatsAppID string
	Status     enlace.MessageStatus
	At         time.Time
	Recipient  string // in a group, the member it is of
}

// SendError is why a message was not sent.
type SendError struct {
	Code    enlace.Code
	Message string // for people; no secrets, no numbers
	Final   bool   // trying again is of no use
}

func (e *SendError) Error() string { return string(e.Code) + ": " + e.Message }

// Cause says why a session ended.
type Cause int

// The causes.
const (
	CauseStopped        Cause = iota + 1 // its context was cancelled
	CauseNetwork                         // could not be reached, or the connection broke or went silent
	CauseServer                          // WhatsApp ended it or refused it, and trying again is right
	CauseRestart                         // WhatsApp asked for a new connection at once, as after linking
	CauseReplaced                        // another connection uses the same credentials
	CauseLoggedOut                       // the device was unlinked; credentials are worthless
	CauseLocked                          // WhatsApp locked the account's device (403)
	CauseBanned                          // WhatsApp refuses the account (406)
	CauseTemporaryBan                    // until End.Until
	CauseOutdated                        // WhatsApp wants a newer client, and none could be had
	CauseQRTimeout                       // all QR codes were shown and none was scanned
	CausePairingTimeout                  // the pairing code or passkey was not used in time
	CauseUnreadable                      // the stored credentials cannot be read
	CauseStore                           // something could not be stored; a new session starts from what is
)

var causeNames = map[Cause]string{
	CauseStopped: "stopped", CauseNetwork: "network", CauseServer: "server", CauseRestart: "restart",
	CauseReplaced: "replaced", CauseLoggedOut: "logged_out", CauseLocked: "locked", CauseBanned: "banned",
	CauseTemporaryBan: "temporary_ban", CauseOutdated: "client_outdated", CauseQRTimeout: "qr_timeout",
	CausePairingTimeout: "pairing_timeout", CauseUnreadable: "credentials_unreadable", CauseStore: "store",
}

func (c Cause) String() string { return causeNames[c] }

// End is the end of a session.
type End struct {
	Cause Cause
	Code  string    // WhatsApp's own number or word, where there is one
	Until time.Time // of CauseTemporaryBan
	Err   error     // detail for the log and for lastError; holds no secret
}

func (e End) String() string {
	if e.Err == nil {
		return e.Cause.String()
	}
	return fmt.Sprintf("%s: %v", e.Cause, e.Err)
}
