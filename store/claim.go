package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
)

// ErrNotClaimable says that a channel found in an index is not to be claimed:
// it has another owner, wants none, or is gone.
var ErrNotClaimable = errors.New("channel is not to be claimed")

// Claimer is the worker that claims.
type Claimer struct {
	Worker string
	// Fresh returns nil while the worker's lease lasts long enough to begin something.
	Fresh func() error
	// Moved is told of every event that the owner appends.
	Moved *Moved
	// Turn, if not nil, is held while the claim is written, but not while the
	// channel's key is opened, which may take long.
	Turn sync.Locker
}

// Claim makes the claimer the owner of a channel whose owner is from (empty:
// none), in one Write that also appends channel.taken and checks that the
// claimer is not buried. ErrNotClaimable: the channel is not from's, or wants no
// owner. ErrBuried: the claimer is buried.
func (s *Store) Claim(ctx context.Context, by Claimer, channelID, from string) (*Owner, error) {
	var key claimKey
	for {
		owner, err := s.tryClaim(ctx, by, channelID, from, &key)
		if _, buried := conflictAt(err, claimChecksWorker); buried {
			return nil, ErrBuried
		}
		if isConflict(err) && ctx.Err() == nil {
			continue
		}
		return owner, err
	}
}

// claimChecksWorker is the op of a claim that checks the claimer.
const claimChecksWorker = 2

func (s *Store) tryClaim(ctx context.Context, by Claimer, channelID, from string, key *claimKey) (*Owner, error) {
	r, version, err := s.readRecord(ctx, channelID)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotClaimable
	}
	if err != nil {
		return nil, err
	}
	if r.Owner != from || !r.wantsOwner() {
		return nil, ErrNotClaimable
	}
	if err := by.Fresh(); err != nil {
		return nil, err
	}
	before := *r
	dataKey, err := s.claimDataKey(ctx, r, key)
	if err != nil {
		return nil, err
	}
	if by.Turn != nil {
		by.Turn.Lock()
		defer by.Turn.Unlock()
	}
	if err := by.Fresh(); err != nil {
		return nil, err
	}
	seq, _, err := s.tail(ctx, r)
	if err != nil {
		return nil, err
	}
	r.Owner = by.Worker
	r.Epoch++
	r.taken(s.time())
	data, err := takenData(&before, r)
	if err != nil {
		return nil, err
	}
	ops, err := s.change(r, &before, version, seq+1, enlace.EventTaken, data)
	if err != nil {
		return nil, err
	}
	if err := s.table.Write(ctx, append(ops, Check(workerKey(by.Worker), Present))...); err != nil {
		return nil, fmt.Errorf("claim channel %s: %w", channelID, err)
	}
	by.Moved.mark(r.CompanyID, r.ID, r.LastSeq)
	return &Owner{
		store: s, id: r.ID, company: r.CompanyID, kind: r.Type,
		worker: by.Worker, fresh: by.Fresh, moved: by.Moved, dataKey: dataKey,
		r: *r, version: version + 1, seq: r.LastSeq,
		outboxTail: r.OutboxFrom - 1, waiting: map[int64]struct{}{},
	}, nil
}

// claimKey is the data key of a claim, so that a claim whose write has to be
// repeated asks for it once.
type claimKey struct {
	stored  []byte        // what stood in the channel
	wrapped []byte        // what is to stand there
	key     *seal.DataKey // nil: it cannot be opened
}

// claimDataKey opens the channel's data key, or makes one for its first owner. A
// key that cannot be opened is nil: the strategy finds its credentials unreadable.
// Where there are no credentials that it could open, a new one takes its place.
func (s *Store) claimDataKey(ctx context.Context, r *record, known *claimKey) (*seal.DataKey, error) {
	if known.key == nil || !bytes.Equal(known.stored, r.DataKey) {
		found, err := s.findDataKey(ctx, r)
		if err != nil {
			return nil, err
		}
		*known = found
	}
	r.DataKey = known.wrapped
	return known.key, nil
}

func (s *Store) findDataKey(ctx context.Context, r *record) (claimKey, error) {
	if r.DataKey != nil {
		dataKey, err := s.keys.OpenDataKey(ctx, r.ID, r.DataKey)
		switch {
		case err == nil:
			return claimKey{r.DataKey, r.DataKey, dataKey}, nil
		case !errors.Is(err, seal.ErrUnreadable):
			return claimKey{}, fmt.Errorf("open the data key of channel %s: %w", r.ID, err)
		case r.Linked:
			return claimKey{r.DataKey, r.DataKey, nil}, nil
		}
	}
	dataKey, wrapped, err := s.keys.GenerateDataKey(ctx, r.ID)
	if err != nil {
		return claimKey{}, fmt.Errorf("make a data key for channel %s: %w", r.ID, err)
	}
	return claimKey{r.DataKey, wrapped, dataKey}, nil
}

func takenData(before, after *record) (json.RawMessage, error) {
	if before.Status == after.Status {
		return json.Marshal(map[string]any{"status": after.Status, "owner": after.Owner})
	}
	return changes(before, after)
}
