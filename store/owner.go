package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
)

// ErrNotOwner says that the worker does not own the channel any more: it must
// stop at once, having changed nothing.
var ErrNotOwner = errors.New("no longer the owner of the channel")

// Owner is the hold of one worker on one channel, from its claim to its release.
// All that the owner writes to the channel and its log goes through it, and fails
// with ErrNotOwner once somebody else has claimed the channel. It is safe for
// concurrent use; one write runs at a time.
type Owner struct {
	store   *Store
	id      string
	company string
	kind    enlace.ChannelType
	worker  string
	fresh   func() error
	moved   *Moved
	dataKey *seal.DataKey

	mu      sync.Mutex
	r       record
	version int64 // of the channel's item
	seq     int64 // the newest event
	stale   bool  // a write whose outcome is not known: read again before the next
	lost    bool

	receiving sync.Mutex  // held while a message is looked for and appended
	ids       *identities // nil until they are needed

	outboxTail int64              // the newest entry that Waiting has seen
	waiting    map[int64]struct{} // the numbers of entries that wait
}

// ChannelID is the channel's id.
func (o *Owner) ChannelID() string { return o.id }

// CompanyID is the channel's company.
func (o *Owner) CompanyID() string { return o.company }

// Type is the channel's type.
func (o *Owner) Type() enlace.ChannelType { return o.kind }

// DataKey seals the channel's secrets. It is nil when it cannot be opened: what
// was sealed with it is unreadable.
func (o *Owner) DataKey() *seal.DataKey { return o.dataKey }

// Table is where the strategy keeps the channel's Signal state.
func (o *Owner) Table() Table { return o.store.table }

// Fresh returns nil while the worker's lease lasts long enough to begin
// something: ask before each dial and each send.
func (o *Owner) Fresh() error { return o.fresh() }

// Channel returns the channel as the owner last wrote or read it.
func (o *Owner) Channel() enlace.Channel {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.r.Channel
}

// Pairing says how the channel is to be linked, if it is not.
func (o *Owner) Pairing() enlace.Pairing {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.r.Pairing == nil {
		return enlace.Pairing{Method: enlace.PairByQR}
	}
	return *o.r.Pairing
}

// WantsSession reports whether the channel is to be connected now or, after a
// temporary ban, later.
func (o *Owner) WantsSession() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.r.wantsSession()
}

// Linked reports whether the channel had credentials when it was last seen.
func (o *Owner) Linked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.r.Linked
}

// Deleted reports whether the channel's callers deleted it, so that it is to be
// unlinked and wiped.
func (o *Owner) Deleted() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.r.Deleted
}

// StillOwner reads the channel again. ErrNotOwner: somebody else claimed it, or it is gone.
func (o *Owner) StillOwner(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refresh(ctx)
}

// ShowQR records a QR code that is to be scanned now.
func (o *Owner) ShowQR(ctx context.Context, qr enlace.QR) error {
	qr.ExpiresAt = shownTime(qr.ExpiresAt)
	data, err := json.Marshal(map[string]any{"attempt": qr.Attempt, "of": qr.Of, "expiresAt": qr.ExpiresAt})
	if err != nil {
		return err
	}
	return o.showSecret(ctx, enlace.EventQR, data, func(r *record) error { return r.showQR(qr) })
}

// ShowPairingCode records the code that is to be typed on the phone.
func (o *Owner) ShowPairingCode(ctx context.Context, code string) error {
	return o.showSecret(ctx, enlace.EventPairingCode, nil, func(r *record) error { return r.showPairingCode(code) })
}

// ShowPasskey records what WhatsApp asks of the account's passkey.
func (o *Owner) ShowPasskey(ctx context.Context, passkey enlace.Passkey) error {
	passkey.ExpiresAt = shownTime(passkey.ExpiresAt)
	data, err := json.Marshal(map[string]any{"expiresAt": passkey.ExpiresAt})
	if err != nil {
		return err
	}
	return o.showSecret(ctx, enlace.EventPasskey, data, func(r *record) error { return r.showPasskey(passkey) })
}

func (o *Owner) showSecret(ctx context.Context, name enlace.EventName, data []byte, show func(*record) error) error {
	return o.change(ctx, name, data, func(r *record, seq int64) error {
		if err := show(r); err != nil {
			return err
		}
		r.SecretSeq = seq
		return nil
	})
}

// Accepted records that the account accepted the device and that its credentials are stored.
func (o *Owner) Accepted(ctx context.Context, account enlace.Account) error {
	return o.change(ctx, enlace.EventConnecting, nil, func(r *record, _ int64) error { return r.accepted(account) })
}

// Ready records that the channel is live, or, of one that is, what has become
// known of its account.
func (o *Owner) Ready(ctx context.Context, account enlace.Account) error {
	if o.knows(account) {
		return nil
	}
	return o.change(ctx, enlace.EventReady, nil, func(r *record, _ int64) error { return r.ready(account, o.store.time()) })
}

// knows reports whether the channel is live and account says nothing new of it.
func (o *Owner) knows(account enlace.Account) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.r
	next.know(account)
	return o.r.Status == enlace.Active && visible(&next) == visible(&o.r)
}

// Reconnecting records that the channel will be tried again, and when.
func (o *Owner) Reconnecting(ctx context.Context, reason enlace.Reason, reconnect enlace.Reconnect, last *enlace.LastError) error {
	return o.change(ctx, enlace.EventReconnecting, nil, func(r *record, _ int64) error {
		return r.reconnecting(reason, reconnect, last)
	})
}

// Retry brings a channel back to connecting when its temporary ban has ended.
func (o *Owner) Retry(ctx context.Context) error {
	return o.change(ctx, enlace.EventConnecting, nil, func(r *record, _ int64) error {
		if r.Until == nil {
			return &statusError{r.Status, enlace.Connecting}
		}
		r.connecting(r.Pairing)
		return nil
	})
}

// Inactive records that the channel rests until somebody connects it. done are
// the commands that are thereby carried out.
func (o *Owner) Inactive(ctx context.Context, reason enlace.Reason, done ...Command) error {
	name := enlace.EventInactive
	if reason == enlace.ReasonLoggedOut {
		name = enlace.EventLoggedOut
	}
	return o.change(ctx, name, nil, func(r *record, _ int64) error { r.inactive(reason); return nil }, done...)
}

// Failed records that the channel cannot go on by itself, or not before until.
func (o *Owner) Failed(ctx context.Context, reason enlace.Reason, until *time.Time, last *enlace.LastError) error {
	return o.change(ctx, enlace.EventError, nil, func(r *record, _ int64) error { return r.failed(reason, until, last) })
}

// change writes a status change and its event in one Write. data nil means the
// channel's changes. It is repeated until nobody interferes.
func (o *Owner) change(ctx context.Context, name enlace.EventName, data []byte, mutate func(r *record, seq int64) error, done ...Command) error {
	err := o.write(ctx, func() ([]Op, *record, error) {
		next := o.next()
		if err := mutate(&next, o.seq+1); err != nil {
			return nil, nil, err
		}
		ops, err := o.store.change(&next, &o.r, o.version, o.seq+1, name, data)
		for _, command := range done {
			ops = append(ops, Delete(messageKey(o.id, command.Seq), Any))
		}
		return ops, &next, err
	})
	if err != nil {
		return err
	}
	for _, command := range done {
		o.finished(command.Seq)
	}
	return nil
}

// next is the channel as the owner will write it, with what it knows of the log and the outbox.
func (o *Owner) next() record {
	next := o.r
	next.LastSeq = o.seq
	next.LastMessageSeq = max(next.LastMessageSeq, o.outboxTail)
	next.OutboxFrom = o.outboxFrom()
	return next
}

// write does what build returns, which begins with a put of the channel, as one
// Write; on a conflict it reads the channel again and builds anew.
func (o *Owner) write(ctx context.Context, build func() ([]Op, *record, error)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if err := o.current(ctx); err != nil {
			return err
		}
		ops, next, err := build()
		if err != nil {
			return err
		}
		err = o.store.table.Write(ctx, ops...)
		switch {
		case err == nil:
			if next.LastSeq > o.seq {
				o.seq = next.LastSeq
				o.moved.mark(o.company, o.id, o.seq)
			}
			o.r, o.version = *next, o.version+1
			return nil
		case isConflict(err):
			o.stale = true
		default:
			o.stale = true
			return fmt.Errorf("write channel %s: %w", o.r.ID, err)
		}
	}
}

// current makes sure that the owner's view is fit to be written from.
func (o *Owner) current(ctx context.Context) error {
	if o.lost {
		return ErrNotOwner
	}
	if err := o.fresh(); err != nil {
		return err
	}
	if !o.stale {
		return nil
	}
	return o.refresh(ctx)
}

// refresh reads the channel and the end of its log.
func (o *Owner) refresh(ctx context.Context) error {
	if o.lost {
		return ErrNotOwner
	}
	r, version, err := o.store.readRecord(ctx, o.r.ID)
	if errors.Is(err, ErrNotFound) || err == nil && (r.Owner != o.worker || r.Epoch != o.r.Epoch) {
		o.lost = true
		return ErrNotOwner
	}
	if err != nil {
		return err
	}
	seq, epoch, err := o.store.tail(ctx, r)
	if err != nil {
		return err
	}
	if epoch > r.Epoch {
		o.lost = true
		return ErrNotOwner
	}
	if seq > o.seq { // a write of ours was done after all, or a caller wrote
		o.moved.mark(o.company, o.id, seq)
	}
	o.r, o.version, o.seq, o.stale = *r, version, seq, false
	return nil
}
