package store

import (
	"context"
	"errors"
	"fmt"
)

// Release ends the hold: the channel has no owner, and is found by others as long
// as it wants one. The last event must have been saved by Moved.Flush before.
// seenThrough says that the owner has carried out every command that was waiting;
// if one was posted meanwhile, the release fails with ErrCommandWaiting.
func (o *Owner) Release(ctx context.Context, seenThrough bool) error {
	err := o.write(ctx, func() ([]Op, *record, error) {
		next := o.r
		if seenThrough {
			waiting, err := o.store.commands(ctx, next.ID)
			if err != nil {
				return nil, nil, err
			}
			if len(waiting) > 0 {
				return nil, nil, ErrCommandWaiting
			}
			next.Waiting = false
		}
		next.Owner = ""
		next.LastSeq = o.seq
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

// ErrCommandWaiting refuses a release: there is something left to carry out.
var ErrCommandWaiting = errors.New("a command is waiting")

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
