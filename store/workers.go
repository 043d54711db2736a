package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/enlacehq/enlace"
)

// ErrBuried says that the worker was taken for dead, or its item is otherwise not
// as it left it: it owns nothing any more and must start over under a new id.
var ErrBuried = errors.New("worker is buried")

// buriedLife is how long a buried worker is remembered, so that channels which
// still name it as their owner are found.
const buriedLife = 24 * time.Hour

// WorkerState says whether a worker takes channels.
type WorkerState string

// The states of a worker.
const (
	WorkerLive     WorkerState = "live"
	WorkerDraining WorkerState = "draining" // it is leaving and takes nothing
)

// Worker is a worker's heartbeat item as a watcher reads it.
type Worker struct {
	ID        string
	State     WorkerState
	StartedAt time.Time
	Counter   int64 // counts its heartbeats
	Channels  int   // that it owned at its last heartbeat
	Limit     int   // of the channels that it will own; 0 is none
	version   int64
}

type workerItem struct {
	State     WorkerState `json:"state"`
	StartedAt time.Time   `json:"startedAt"`
	Counter   int64       `json:"counter"`
	Channels  int         `json:"channels,omitempty"`
	Limit     int         `json:"limit,omitempty"`
}

const workerSchema = 1

// Heart is a worker's own heartbeat item.
type Heart struct {
	store   *Store
	id      string
	version int64
	beats   workerItem
	// uncertain says that a beat may have been counted that was not known to be.
	uncertain bool
}

// NewHeart returns the heart of a worker with a new id; its first Beat puts the item.
func (s *Store) NewHeart() *Heart {
	return &Heart{store: s, id: enlace.NewID(enlace.WorkerPrefix), beats: workerItem{State: WorkerLive, StartedAt: s.time()}}
}

// ID is the worker's id.
func (h *Heart) ID() string { return h.id }

// Drain makes the next Beat say that the worker is leaving.
func (h *Heart) Drain() { h.beats.State = WorkerDraining }

// Carry makes the next Beat say how many channels the worker owns, and how many
// it would at most; 0 means that it has no limit.
func (h *Heart) Carry(channels, limit int) { h.beats.Channels, h.beats.Limit = channels, limit }

// Beat counts the heartbeat up. ErrBuried: somebody took the worker for dead.
// After any other error the next Beat tries again.
func (h *Heart) Beat(ctx context.Context) error {
	next := h.beats
	next.Counter++
	value, err := Encode(workerSchema, next)
	if err != nil {
		return err
	}
	err = h.store.table.Write(ctx, Put(Item{Key: workerKey(h.id), Value: value}, VersionIs(h.version)))
	if c, conflict := conflictAt(err, 0); conflict {
		if !h.uncertain || c.Item == nil || c.Item.Version != h.version+1 {
			return ErrBuried
		}
		// Nobody else puts this item: it is the beat whose outcome was not known.
		h.version, h.uncertain = h.version+1, false
		return h.Beat(ctx)
	}
	if err != nil {
		h.uncertain = h.uncertain || errors.Is(err, ErrUnknown)
		return fmt.Errorf("heartbeat: %w", err)
	}
	h.beats, h.uncertain = next, false
	h.version++
	return nil
}

// Leave removes the item of a worker that owns nothing any more.
func (h *Heart) Leave(ctx context.Context) error {
	err := h.store.table.Write(ctx, Delete(workerKey(h.id), VersionIs(h.version)))
	if isConflict(err) {
		return ErrBuried
	}
	return err
}

// Workers lists the workers that have an item.
func (s *Store) Workers(ctx context.Context) ([]Worker, error) {
	items, err := s.partition(ctx, workersPK)
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	workers := make([]Worker, 0, len(items))
	for _, item := range items {
		var w workerItem
		if err := Decode(item.Value, workerSchema, &w); err != nil {
			return nil, fmt.Errorf("worker %s: %w", item.SK, err)
		}
		workers = append(workers, Worker{
			ID: item.SK, State: w.State, StartedAt: w.StartedAt, Counter: w.Counter,
			Channels: w.Channels, Limit: w.Limit, version: item.Version,
		})
	}
	return workers, nil
}

// Bury declares w dead as it was seen: one Write that fails, without an error, if
// w has beaten since. It reports whether w is buried by this call.
func (s *Store) Bury(ctx context.Context, w Worker) (bool, error) {
	value, err := Encode(workerSchema, workerItem{
		State: w.State, StartedAt: w.StartedAt, Counter: w.Counter, Channels: w.Channels, Limit: w.Limit,
	})
	if err != nil {
		return false, err
	}
	err = s.table.Write(ctx,
		Delete(workerKey(w.ID), VersionIs(w.version)),
		Put(Item{Key: buriedKey(w.ID), Value: value, Expires: s.now().Add(buriedLife)}, Any))
	if isConflict(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("bury worker %s: %w", w.ID, err)
	}
	return true, nil
}

// Buried lists the ids of the workers that were buried within a day.
func (s *Store) Buried(ctx context.Context) ([]string, error) {
	items, err := s.partition(ctx, buriedPK)
	if err != nil {
		return nil, fmt.Errorf("list buried workers: %w", err)
	}
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = item.SK
	}
	return ids, nil
}

// OwnedBy lists the channels that the index shows under a worker (empty: under
// none). The index may be stale: a claim reads the channel itself.
func (s *Store) OwnedBy(ctx context.Context, worker string) ([]string, error) {
	ids, err := s.indexed(ctx, ownerIndex(worker, "").PK)
	if err != nil {
		return nil, fmt.Errorf("list channels of worker %s: %w", orNone(worker), err)
	}
	return ids, nil
}

// indexed reads the sort keys of a partition of the index.
func (s *Store) indexed(ctx context.Context, pk string) ([]string, error) {
	q := Query{PK: pk, Index: true}
	var keys []string
	for {
		page, err := s.table.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			keys = append(keys, item.Index.SK)
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return keys, nil
		}
	}
}

// WatchUnowned returns a watch on the channels that have no owner.
func (s *Store) WatchUnowned() *Watch { return s.watch(ownerIndex("", "").PK) }

// partition reads a small partition whole.
func (s *Store) partition(ctx context.Context, pk string) ([]Item, error) {
	q := Query{PK: pk}
	var items []Item
	for {
		page, err := s.table.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return items, nil
		}
	}
}
