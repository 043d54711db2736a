package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/enlacehq/enlace/seal"
)

// The retention of events: how long a reader may stay away without missing any.
const (
	DefaultRetention = 30 * 24 * time.Hour
	MinRetention     = 2 * 24 * time.Hour
)

// Options are what a Store needs besides its table.
type Options struct {
	Keys      seal.KeyHolder   // wraps the channels' data keys
	Retention time.Duration    // of events; DefaultRetention when 0
	Now       func() time.Time // time.Now when nil
	Log       *slog.Logger     // slog.Default when nil
}

// Store is the domain on a table: every status change, event, command and key
// goes through it. It is safe for concurrent use, and any number of processes
// may have one on the same table.
type Store struct {
	table      Table
	keys       seal.KeyHolder
	retention  time.Duration
	now        func() time.Time
	log        *slog.Logger
	generation int64
	authCache  authCache
}

// Open returns the store on table, and gives a new table its first generation.
// table should be one made by Retrying: the domain takes ErrUnavailable and
// ErrUnknown as final.
func Open(ctx context.Context, table Table, options Options) (*Store, error) {
	s := &Store{keys: options.Keys, retention: options.Retention, now: options.Now, log: options.Log}
	if s.retention == 0 {
		s.retention = DefaultRetention
	}
	if s.retention < MinRetention {
		return nil, fmt.Errorf("a retention of %s is too short: the least is %s", s.retention, MinRetention)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.table = contained(table, s.log)
	generation, err := loadGeneration(ctx, table)
	if err != nil {
		return nil, err
	}
	s.generation = generation
	return s, nil
}

// Table returns the table, for what a strategy keeps of a channel.
func (s *Store) Table() Table { return s.table }

// Ping returns nil if the table answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.table.Get(ctx, generationKey)
	return err
}

// WriteBatches does ops in Writes of up to MaxOps: no atomicity across them, and
// after an error some may be done.
func WriteBatches(ctx context.Context, table Table, ops []Op) error {
	for len(ops) > 0 {
		n := min(len(ops), MaxOps)
		if err := table.Write(ctx, ops[:n]...); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// Watch waits for changes of one partition.
type Watch struct {
	wake <-chan struct{}
	stop func()
	poll time.Duration
}

// WatchChannel returns a watch on a channel, its events and its outbox. It must be stopped.
func (s *Store) WatchChannel(channelID string) *Watch { return s.watch(channelKey(channelID).PK) }

func (s *Store) watch(pk string) *Watch {
	if waker, ok := s.table.(Waker); ok {
		if wake, stop := waker.Wake(pk); wake != nil {
			return &Watch{wake: wake, stop: stop, poll: 10 * time.Second}
		}
	}
	return &Watch{stop: func() {}, poll: time.Second}
}

// Wait returns nil when something may have changed, at the latest after a second
// (ten, where the table notices writes by itself), or the context's error.
func (w *Watch) Wait(ctx context.Context) error {
	timer := time.NewTimer(w.poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.wake:
	case <-timer.C:
	}
	return nil
}

// Polls reports whether Wait wakes by the clock because the table does not notice
// writes by itself: whoever waits should then look as cheaply as possible.
func (w *Watch) Polls() bool { return w.wake == nil }

// Stop frees the watch.
func (w *Watch) Stop() { w.stop() }

// conflictAt returns what stood in the way of op number n of a Write, if that op failed.
func conflictAt(err error, n int) (Conflict, bool) {
	var condition *ConditionError
	if !errors.As(err, &condition) {
		return Conflict{}, false
	}
	for _, c := range append([]Conflict{condition.Conflict}, condition.Others...) {
		if c.Op == n {
			return c, true
		}
	}
	return Conflict{}, false
}

func isConflict(err error) bool {
	var condition *ConditionError
	return errors.As(err, &condition)
}

// time is the clock as it is stored and shown.
func (s *Store) time() time.Time { return shownTime(s.now()) }

// shownTime is t as callers see all times: UTC, whole milliseconds.
func shownTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
