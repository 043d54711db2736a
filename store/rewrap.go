package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/enlacehq/enlace/seal"
)

// Rewrapped counts the channels of a Rewrap by what was done to their data keys.
type Rewrapped struct {
	Wrapped    int      // anew, by the newest key
	Newest     int      // were by the newest key already
	Keyless    int      // have no data key that seals credentials, or were deleted meanwhile
	Unreadable []string // the ids of those whose data key could not be opened; it is as it was
}

// Channels is how many there were.
func (r Rewrapped) Channels() int { return r.Wrapped + r.Newest + r.Keyless + len(r.Unreadable) }

// Rewrap wraps the data key of every channel anew, by the newest key of the
// store's key holder. The data keys themselves stay as they are, so that channels
// go on running meanwhile: each takes one conditional write, repeated when its
// owner was faster. Owners learn of it when they next write.
//
// progress, if not nil, is told after each channel what was done and how many
// channels are known. After an error what was done is done; a Rewrap may be repeated.
//
// Channels that were made meanwhile by processes which hold other keys may be left out.
func (s *Store) Rewrap(ctx context.Context, progress func(done Rewrapped, known int)) (Rewrapped, error) {
	var done Rewrapped
	seen := map[string]bool{}
	for {
		ids, err := s.allChannels(ctx)
		if err != nil {
			return done, err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return seen[id] })
		if len(ids) == 0 {
			return done, nil
		}
		known := len(seen) + len(ids)
		for _, id := range ids {
			if err := s.rewrap(ctx, id, &done); err != nil {
				return done, err
			}
			seen[id] = true
			if progress != nil {
				progress(done, known)
			}
		}
	}
}

// allChannels lists the channels that have a name, and those without that an owner
// has yet to wipe.
func (s *Store) allChannels(ctx context.Context) ([]string, error) {
	ids, err := s.indexed(ctx, namedIndex("").PK)
	if err != nil {
		return nil, fmt.Errorf("list all channels: %w", err)
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		return nil, err
	}
	owners, err := s.Buried(ctx)
	if err != nil {
		return nil, err
	}
	for _, worker := range workers {
		owners = append(owners, worker.ID)
	}
	for _, owner := range append(owners, "") {
		owned, err := s.OwnedBy(ctx, owner)
		if err != nil {
			return nil, err
		}
		ids = append(ids, owned...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// rewrap wraps one channel's data key and counts it.
func (s *Store) rewrap(ctx context.Context, id string, done *Rewrapped) error {
	var stored, wrapped []byte
	for {
		r, version, err := s.readRecord(ctx, id)
		switch {
		case errors.Is(err, ErrNotFound) || err == nil && r.DataKey == nil:
			done.Keyless++
			return nil
		case err != nil:
			return err
		case s.keys.Newest(r.DataKey):
			done.Newest++
			return nil
		}
		if !bytes.Equal(stored, r.DataKey) {
			stored = r.DataKey
			wrapped, err = s.wrapAnew(ctx, r)
			switch {
			case errors.Is(err, seal.ErrUnreadable) && r.Linked:
				done.Unreadable = append(done.Unreadable, id)
				return nil
			case errors.Is(err, seal.ErrUnreadable):
				done.Keyless++ // the next owner makes a new one
				return nil
			case err != nil:
				return fmt.Errorf("channel %s: %w", id, err)
			}
		}
		r.DataKey = wrapped
		put, err := r.put(version)
		if err != nil {
			return err
		}
		err = s.table.Write(ctx, put)
		switch {
		case err == nil:
			done.Wrapped++
			return nil
		case !isConflict(err) || ctx.Err() != nil:
			return fmt.Errorf("write channel %s: %w", id, err)
		}
	}
}

func (s *Store) wrapAnew(ctx context.Context, r *record) ([]byte, error) {
	key, err := s.keys.OpenDataKey(ctx, r.ID, r.DataKey)
	if err != nil {
		return nil, err
	}
	return s.keys.WrapDataKey(ctx, r.ID, key)
}
