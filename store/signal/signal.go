// Package signal keeps whatsmeow's state of one channel, its device and every
// Signal session, in a store.Table: sealed, packed into few items, and written
// only when something changed. A Container is what a channel's owner holds for
// as long as it owns the channel; the Device it gives out lives for one session.
package signal

import (
	"context"
	"errors"
	"log/slog"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
)

// ErrConflict is returned from a send when what it encrypted with was replaced
// meanwhile by a decryption: nothing was stored, nothing may be sent, the
// session lives on. Run the send again under the same message id.
var ErrConflict = errors.New("the Signal session changed while a message was encrypted for it")

// Config is what a Container needs.
type Config struct {
	Table     store.Table
	ChannelID string
	Key       *seal.DataKey
	// StillOwner is asked when an item turns out to have been written by someone
	// else: nil means that the channel is still ours, so the item is read again;
	// an error ends the session with it.
	StillOwner func(ctx context.Context) error
	// Budget bounds the memory of all containers that share it; nil means one
	// of this container's own, of 1 MiB.
	Budget *Budget
	// OldestEvent is when the oldest event was written of those by whose identity
	// the owner recognises a message that it has seen. Plaintexts that wait for
	// their acknowledgement since well before it are not offered again: their
	// event exists. Zero means that all are offered.
	OldestEvent time.Time
	Log         *slog.Logger
	Now         func() time.Time
}

// Container holds a channel's Signal state.
type Container struct{ cfg Config }

// Open reads a channel's Signal state with one query. It starts nothing.
// seal.ErrUnreadable: it was sealed under another key, or is damaged.
func Open(ctx context.Context, cfg Config) (*Container, error) {
	return &Container{cfg: cfg}, nil
}

// Paired reports whether there are credentials of a device.
func (c *Container) Paired() bool { return false }

// LastTry reports whether KeepUntil holds: WhatsApp refused the credentials, and
// they are to be tried once more. When it refuses them again, Forget them.
func (c *Container) LastTry() bool { return false }

// Deleted reports whether whatsmeow asked for the deletion of the device that
// was given out last: it was logged out, or its linking failed half-way.
// Nothing was deleted by that; Forget or KeepUntil is the caller's decision.
func (c *Container) Deleted() bool { return false }

// Device returns whatsmeow's device for one session: the stored one, or a new
// one that is not linked yet. Before a store method of it returns a failure (of
// a call, with an uncertain outcome, or a panic) it calls fail, which must cancel
// the session's context; what it returns then wraps context.Canceled, so that
// whatsmeow acknowledges nothing. fail may be called often and from many goroutines.
func (c *Container) Device(ctx context.Context, fail func(error)) (*wastore.Device, error) {
	return nil, errors.New("not there yet")
}

// WithSend returns the context to give to whatsmeow's SendMessage. What the send
// reads stays with it until done is called, and what it writes is conditional on
// it; SendMessage then fails with ErrConflict instead of overwriting.
func (c *Container) WithSend(ctx context.Context) (sendCtx context.Context, done func()) {
	return ctx, func() {}
}

// KeepUntil keeps the credentials until t, after WhatsApp refused them in a way
// that may pass: from then on LastTry is true. The zero time ends that: call it
// when they were accepted again. After t they are gone.
func (c *Container) KeepUntil(ctx context.Context, t time.Time) error { return nil }

// Forget wipes all of the channel's Signal state.
func (c *Container) Forget(ctx context.Context) error { return nil }

// Flush writes what waits for the next write of its item: push names, message
// secrets, plaintexts that were acknowledged. Nothing is lost without it but
// some of that; an owner calls it before it releases the channel.
func (c *Container) Flush(ctx context.Context) error { return nil }

// Close frees the container's share of the budget. No session may be running.
func (c *Container) Close() {}
