// Package memory is a store.Table in the memory of one process, for tests and
// for trying enlace out: it keeps every promise of the seam but durability. It
// starts no goroutine and reads no clock but the one it is given, so it can be
// used under testing/synctest.
package memory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/internal/hints"
	"github.com/enlacehq/enlace/store/internal/wake"
)

// Options may be left zero.
type Options struct {
	// Now is the clock that expiry goes by; time.Now when nil.
	Now func() time.Time
	// IndexDelay makes the index run late by as much of that clock, as a real one may.
	IndexDelay time.Duration
}

// DB is a table in memory. It is safe for concurrent use.
type DB struct {
	now   func() time.Time
	board wake.Board

	mu         sync.RWMutex
	partitions map[string]*partition
	index      *hints.Index
}

// partition holds its items in order of their sort keys.
type partition struct{ items []*store.Item }

var (
	_ store.Table = (*DB)(nil)
	_ store.Waker = (*DB)(nil)
)

// New returns an empty table.
func New(o Options) *DB {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &DB{now: o.Now, partitions: make(map[string]*partition), index: hints.New(o.IndexDelay)}
}

// Get is store.Table's.
func (db *DB) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := ctx.Err(); err != nil {
		return store.Item{}, err
	}
	if err := store.CheckKey(key); err != nil {
		return store.Item{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	item := db.find(db.now(), key)
	if item == nil {
		return store.Item{}, store.ErrNotFound
	}
	return clone(item), nil
}

// GetMany is store.Table's.
func (db *DB) GetMany(ctx context.Context, keys []store.Key) (map[store.Key]store.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found := make(map[store.Key]store.Item, len(keys))
	db.mu.RLock()
	defer db.mu.RUnlock()
	now := db.now()
	for _, key := range keys {
		if err := store.CheckKey(key); err != nil {
			return nil, err
		}
		if item := db.find(now, key); item != nil {
			found[key] = clone(item)
		}
	}
	return found, nil
}

// Wake is store.Waker's.
func (db *DB) Wake(pk string) (<-chan struct{}, func()) { return db.board.Wake(pk) }

// find returns the item at key, or nil when it is absent or expired.
func (db *DB) find(now time.Time, key store.Key) *store.Item {
	p := db.partitions[key.PK]
	if p == nil {
		return nil
	}
	at, there := p.search(key.SK)
	if !there || expired(p.items[at], now) {
		return nil
	}
	return p.items[at]
}

func (p *partition) search(sk string) (at int, there bool) {
	return slices.BinarySearchFunc(p.items, sk, func(item *store.Item, sk string) int {
		return cmp.Compare(item.SK, sk)
	})
}

func expired(item *store.Item, now time.Time) bool {
	return !item.Expires.IsZero() && !now.Before(item.Expires)
}

// clone keeps callers from changing what the table holds.
func clone(item *store.Item) store.Item {
	c := *item
	c.Value = slices.Clone(item.Value)
	return c
}
