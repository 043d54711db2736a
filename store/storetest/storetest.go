// Package storetest is the suite that every store.Table passes. It asks only
// for what package store promises, so that a driver which passes can take the
// place of any other. A driver's own tests call Run.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
)

// Config is what a test asks of the table that it is given.
type Config struct {
	// Now is the clock that the table's expiry goes by.
	Now func() time.Time
	// IndexDelay, when not zero, makes the index late by as much of that clock.
	IndexDelay time.Duration
}

// Driver says how to get tables of one kind.
type Driver struct {
	// Open returns an empty table, closed at the end of the test.
	Open func(t testing.TB, c Config) store.Table
	// Reopen, when not nil, closes a table of Open and opens what it has stored
	// again. Nil means that the table ends with its process.
	Reopen   func(t testing.TB, table store.Table) store.Table
	retrying bool // the table resolves unknown outcomes itself
	// Slow says that each call goes to another process: the suite repeats less.
	Slow bool
	// DelaysIndex says that Config.IndexDelay is heeded; else the engine's index
	// is as late as it likes, and the suite waits for it.
	DelaysIndex bool
}

// Clock is a clock that stands until it is moved. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows this moment.
func NewClock() *Clock { return &Clock{now: time.Now()} }

// Now returns the time that c shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves c on by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// env is what one test of the suite works on.
type env struct {
	*testing.T
	driver Driver
	clock  *Clock
	table  store.Table
}

// Run runs the suite against d, each test on a table of its own.
func Run(t *testing.T, d Driver) {
	tests := []struct {
		name string
		run  func(*env)
	}{
		{"GetPut", testGetPut},
		{"ValuesAreCopies", testValuesAreCopies},
		{"WriteIDs", testWriteIDs},
		{"Keys", testKeys},
		{"Versions", testVersions},
		{"GetMany", testGetMany},
		{"Conditions", testConditions},
		{"ConditionErrorNamesOps", testConditionErrorNamesOps},
		{"WriteIsAllOrNothing", testWriteIsAllOrNothing},
		{"WriteLimits", testWriteLimits},
		{"WriteNothing", testWriteNothing},
		{"CancelledContext", testCancelledContext},
		{"QueryRanges", testQueryRanges},
		{"QueryPages", testQueryPages},
		{"QueryPagesAmongWrites", testQueryPagesAmongWrites},
		{"QueryRefusals", testQueryRefusals},
		{"QueryForeignCursor", testQueryForeignCursor},
		{"QueryLargePages", testQueryLargePages},
		{"IndexOrder", testIndexOrder},
		{"IndexIsSparse", testIndexIsSparse},
		{"IndexFollowsPuts", testIndexFollowsPuts},
		{"IndexPages", testIndexPages},
		{"Expiry", testExpiry},
		{"ExpiredCountsAsAbsent", testExpiredCountsAsAbsent},
		{"GaplessAppends", testGaplessAppends},
		{"CountersLoseNothing", testCountersLoseNothing},
		{"Model", testModel},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(newEnv(t, d, 0))
		})
	}
	if !d.retrying {
		t.Run("UnknownOutcome", func(t *testing.T) {
			t.Parallel()
			testUnknownOutcome(newEnv(t, d, 0))
		})
	}
	if d.DelaysIndex {
		t.Run("IndexIsLate", func(t *testing.T) {
			t.Parallel()
			testIndexIsLate(newEnv(t, d, time.Minute))
		})
	}
	t.Run("Wake", func(t *testing.T) {
		e := newEnv(t, d, 0)
		if waker, ok := e.table.(store.Waker); ok {
			testWake(e, waker)
		}
	})
	if d.Reopen != nil {
		t.Run("Reopen", func(t *testing.T) {
			t.Parallel()
			testReopen(newEnv(t, d, 0))
		})
	}
}

func newEnv(t *testing.T, d Driver, indexDelay time.Duration) *env {
	clock := NewClock()
	table := d.Open(t, Config{Now: clock.Now, IndexDelay: indexDelay})
	return &env{T: t, driver: d, clock: clock, table: table}
}

// key is a key of the partition that most tests work on.
func key(sk string) store.Key { return store.Key{PK: "P", SK: sk} }

func item(sk, value string) store.Item {
	return store.Item{Key: key(sk), Value: []byte(value)}
}

func (e *env) write(ops ...store.Op) {
	e.Helper()
	if err := e.table.Write(e.Context(), ops...); err != nil {
		e.Fatalf("Write: %v", err)
	}
}

func (e *env) get(k store.Key) store.Item {
	e.Helper()
	got, err := e.table.Get(e.Context(), k)
	if err != nil {
		e.Fatalf("Get %s: %v", k, err)
	}
	return got
}

func (e *env) wantValue(k store.Key, value string, version int64) {
	e.Helper()
	got := e.get(k)
	if string(got.Value) != value || got.Version != version {
		e.Errorf("%s holds %q at version %d, want %q at %d", k, got.Value, got.Version, value, version)
	}
}

func (e *env) wantAbsent(k store.Key) {
	e.Helper()
	got, err := e.table.Get(e.Context(), k)
	if !errors.Is(err, store.ErrNotFound) {
		e.Errorf("Get %s: %q, %v, want ErrNotFound", k, got.Value, err)
	}
}

// wantConflict expects that ops fail by their conditions and returns how.
func (e *env) wantConflict(ops ...store.Op) *store.ConditionError {
	e.Helper()
	err := e.table.Write(e.Context(), ops...)
	var conflict *store.ConditionError
	if !errors.As(err, &conflict) {
		e.Fatalf("Write: %v, want a ConditionError", err)
	}
	return conflict
}

func (e *env) query(q store.Query) store.Page {
	e.Helper()
	page, err := e.table.Query(e.Context(), q)
	if err != nil {
		e.Fatalf("Query %+v: %v", q, err)
	}
	return page
}

// all follows q to its last page.
func (e *env) all(q store.Query) []store.Item {
	e.Helper()
	items, err := all(e.Context(), e.table, q)
	if err != nil {
		e.Fatalf("Query %+v: %v", q, err)
	}
	return items
}

func all(ctx context.Context, table store.Table, q store.Query) ([]store.Item, error) {
	var items []store.Item
	for {
		page, err := table.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		if limit := q.PageLimit(); len(page.Items) > limit {
			return nil, fmt.Errorf("page of %d items, limit %d", len(page.Items), limit)
		}
		items = append(items, page.Items...)
		if page.Cursor == "" {
			return items, nil
		}
		q.Cursor = page.Cursor
	}
}

// eventually polls until ok, for what an engine promises without a time.
func (e *env) eventually(what string, ok func() bool) {
	e.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			e.Fatalf("not within 10 s: %s", what)
		}
	}
}

func sks(items []store.Item) []string {
	names := make([]string, len(items))
	for i, item := range items {
		names[i] = item.SK
	}
	return names
}
