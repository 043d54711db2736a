package store

import (
	"context"
	"errors"
	"fmt"
)

// Release ends the hold: the channel has no owner, and is found by others as long
// as it wants one. The last event must have been saved by Moved.Flush before.
// seenThrough says that the owner has carried out all that was waiting; if
// something was posted meanwhile, the release fails with ErrWaiting.
func (o *Owner) Release(ctx context.Context, seenThrough bool) error {
	err := o.write(ctx, func() ([]Op, *record, error) {
		next := o.next()
		if seenThrough {
			if err := o.nothingWaits(ctx); err != nil {
				return nil, nil, err
			}
			next.Waiting = false
		}
		next.Owner = ""
		put, err := next.put(o.version)
		return []Op{put}, &next, err
	})
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost = true
	return nil
}

// ErrWaiting refuses a release: there is something left to carry out.
var ErrWaiting = errors.New("something waits in the outbox")

// nothingWaits returns ErrWaiting unless the outbox holds nothing that waits. o.mu is held.
func (o *Owner) nothingWaits(ctx context.Context) error {
	tail, err := o.store.scanOutbox(ctx, o.id, o.outboxFrom(), func(_, _ int64, entry outboxItem) error {
		if entry.waits() {
			return ErrWaiting
		}
		return nil
	})
	o.outboxTail = max(o.outboxTail, tail)
	return err
}

// SaveTails stores the newest numbers of the log and the outbox in the channel, so
// that numbering goes on from them even when all items have expired. It must
// happen at least once between an event and its expiry.
func (o *Owner) SaveTails(ctx context.Context) error {
	o.mu.Lock()
	saved := o.r.LastSeq == o.seq && o.r.OutboxFrom == o.outboxFrom()
	o.mu.Unlock()
	if saved {
		return nil
	}
	return o.write(ctx, func() ([]Op, *record, error) {
		next := o.next()
		put, err := next.put(o.version)
		return []Op{put}, &next, err
	})
}

// Wipe removes a deleted channel: its Signal state, log and outbox, and last the
// channel itself, with the data key. What a crash leaves is found and wiped by the next owner.
func (o *Owner) Wipe(ctx context.Context) error {
	if err := o.StillOwner(ctx); err != nil {
		return err
	}
	id := o.ChannelID()
	for _, pk := range []string{SignalPK(id), BulkPK(id), channelKey(id).PK} {
		if err := o.store.wipePartition(ctx, pk); err != nil {
			return fmt.Errorf("wipe channel %s: %w", id, err)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.current(ctx); err != nil {
		return err
	}
	err := o.store.table.Write(ctx, Delete(channelKey(id), VersionIs(o.version)))
	if err != nil {
		return fmt.Errorf("wipe channel %s: %w", id, err)
	}
	o.lost = true
	return nil
}

// wipePartition deletes the items of a partition, but for a channel item.
func (s *Store) wipePartition(ctx context.Context, pk string) error {
	for {
		page, err := s.table.Query(ctx, Query{PK: pk})
		if err != nil {
			return err
		}
		var ops []Op
		for _, item := range page.Items {
			if item.SK != channelSK {
				ops = append(ops, Delete(item.Key, Any))
			}
		}
		if err := WriteBatches(ctx, s.table, ops); err != nil {
			return err
		}
		if page.Cursor == "" {
			return nil
		}
	}
}
