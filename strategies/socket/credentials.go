package socket

import (
	"context"
	"errors"
	"fmt"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/signal"
	"github.com/enlacehq/enlace/strategies"
)

// credentials is what a client needs of its channel's Signal state.
type credentials interface {
	Paired() bool
	LastTry() bool
	Device(ctx context.Context, fail func(error)) (*wastore.Device, error)
	WithSend(ctx context.Context) (sendCtx context.Context, done func())
	KeepUntil(ctx context.Context, t time.Time) error
	Forget(ctx context.Context) error
	Flush(ctx context.Context) error
	Close()
}

var _ credentials = (*signal.Container)(nil)

// openSignal reads a channel's Signal state.
func (s *Strategy) openSignal(ctx context.Context, o owner) (credentials, error) {
	oldest, err := o.OldestSeen(ctx)
	if err != nil {
		return nil, err
	}
	return signal.Open(ctx, signal.Config{
		Table:       o.Table(),
		ChannelID:   o.ChannelID(),
		Key:         o.DataKey(),
		StillOwner:  o.StillOwner,
		Fresh:       o.Fresh,
		Budget:      s.budget,
		OldestEvent: oldest,
		Log:         s.log.With("channel", o.ChannelID()),
		Now:         s.now,
	})
}

// isUnreadable reports whether trying again cannot help.
func isUnreadable(err error) bool {
	return errors.Is(err, seal.ErrUnreadable) || errors.Is(err, store.ErrNewerSchema)
}

// wipe removes Signal state that cannot be read.
func wipe(ctx context.Context, table store.Table, channelID string) error {
	for _, pk := range []string{store.SignalPK(channelID), store.BulkPK(channelID)} {
		for cursor := ""; ; {
			page, err := table.Query(ctx, store.Query{PK: pk, Cursor: cursor})
			if err != nil {
				return fmt.Errorf("forget unreadable credentials: %w", err)
			}
			ops := make([]store.Op, len(page.Items))
			for i, item := range page.Items {
				ops[i] = store.Delete(item.Key, store.Any)
			}
			if err := store.WriteBatches(ctx, table, ops); err != nil {
				return fmt.Errorf("forget unreadable credentials: %w", err)
			}
			if cursor = page.Cursor; cursor == "" {
				break
			}
		}
	}
	return nil
}

// device returns the channel's device for a session.
func (c *client) device(ctx context.Context, state credentials, fail func(error)) (*wastore.Device, error) {
	if err := c.forgetHalf(ctx, state); err != nil {
		return nil, err
	}
	return state.Device(ctx, fail)
}

// settle does with the credentials what follows from a session's end. What was
// refused as locked or banned may pass: it is kept for a while, and tried once
// more, which is lastTry.
func (c *client) settle(ctx context.Context, state credentials, s *session, end strategies.End, lastTry bool) error {
	refused := end.Cause == strategies.CauseLocked || end.Cause == strategies.CauseBanned
	switch {
	case s.leftHalf():
		c.half = true
		return c.forgetHalf(ctx, state)
	case refused && lastTry:
		return state.Forget(ctx)
	case refused && s.wasLinked:
		return state.KeepUntil(ctx, s.now().Add(s.times.Keep))
	case s.connected && lastTry:
		if err := state.KeepUntil(ctx, time.Time{}); err != nil {
			return err
		}
	}
	return state.Flush(ctx)
}

// forgetHalf removes a device whose linking failed half-way, if there is one: no
// phone knows it, and WhatsApp would call it logged out.
func (c *client) forgetHalf(ctx context.Context, state credentials) error {
	if !c.half {
		return nil
	}
	if err := state.Forget(ctx); err != nil {
		return err
	}
	c.half = false
	return nil
}
