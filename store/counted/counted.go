// Package counted wraps a store.Table and counts, by the kind of item, what it is
// asked for: what an operation costs where each read and write is paid for. It is
// for tests and benchmarks.
package counted

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/enlacehq/enlace/store"
)

// Counts is what a wrapped table was asked for. It is safe for concurrent use.
type Counts struct {
	mu   sync.Mutex
	uses Uses
}

// Kind is what was done to which items: their partition's and their sort key's
// words before the first #, as "CH/EV" for an event.
type Kind struct {
	Did  Did
	Item string
}

// Did is what was done to an item.
type Did string

// What is counted. A Check counts as the put of an empty value.
const (
	Read   Did = "read" // by Get, GetMany or Query; a Query that found nothing is one read of nothing
	Put    Did = "put"
	Delete Did = "delete"
)

// Use is how often something was done, and to how many bytes of keys and values.
type Use struct{ Items, Bytes int }

// Uses are counts by kind.
type Uses map[Kind]Use

// Wrap returns t with a count of what is asked of it. The table is a Waker if t is.
func Wrap(t store.Table) (store.Table, *Counts) {
	c := &Counts{uses: Uses{}}
	wrapped := &table{t, c}
	if waker, ok := t.(store.Waker); ok {
		return &wakingTable{wrapped, waker}, c
	}
	return wrapped, c
}

// Take returns what was counted since the last Take.
func (c *Counts) Take() Uses {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.uses
	c.uses = Uses{}
	return taken
}

func (c *Counts) add(did Did, key store.Key, value int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := Kind{did, word(key.PK) + "/" + word(key.SK)}
	use := c.uses[kind]
	use.Items++
	use.Bytes += len(key.PK) + len(key.SK) + value
	c.uses[kind] = use
}

func word(key string) string {
	before, _, _ := strings.Cut(key, "#")
	return before
}

// Sum adds up what was done in one way to all items but those of the kinds named in without.
func (u Uses) Sum(did Did, without ...string) Use {
	var sum Use
	for kind, use := range u {
		if kind.Did == did && !slices.Contains(without, kind.Item) {
			sum.Items += use.Items
			sum.Bytes += use.Bytes
		}
	}
	return sum
}

// String lists the counts, one kind a line.
func (u Uses) String() string {
	kinds := slices.SortedFunc(maps.Keys(u), func(a, b Kind) int {
		return strings.Compare(string(a.Did)+a.Item, string(b.Did)+b.Item)
	})
	var b strings.Builder
	for _, kind := range kinds {
		fmt.Fprintf(&b, "%-6s %-16s %5d items %8d bytes\n", kind.Did, kind.Item, u[kind].Items, u[kind].Bytes)
	}
	return b.String()
}

type table struct {
	inner  store.Table
	counts *Counts
}

type wakingTable struct {
	*table
	store.Waker
}

var (
	_ store.Table = (*table)(nil)
	_ store.Waker = (*wakingTable)(nil)
)

func (t *table) Get(ctx context.Context, key store.Key) (store.Item, error) {
	item, err := t.inner.Get(ctx, key)
	t.counts.add(Read, key, len(item.Value))
	return item, err
}

func (t *table) GetMany(ctx context.Context, keys []store.Key) (map[store.Key]store.Item, error) {
	items, err := t.inner.GetMany(ctx, keys)
	for _, key := range keys {
		t.counts.add(Read, key, len(items[key].Value))
	}
	return items, err
}

func (t *table) Query(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := t.inner.Query(ctx, q)
	if len(page.Items) == 0 {
		t.counts.add(Read, store.Key{PK: q.PK, SK: q.Prefix + q.From}, 0)
	}
	for _, item := range page.Items {
		t.counts.add(Read, item.Key, len(item.Value))
	}
	return page, err
}

func (t *table) Write(ctx context.Context, ops ...store.Op) error {
	for _, op := range ops {
		did := Put
		if op.Kind == store.OpDelete {
			did = Delete
		}
		t.counts.add(did, op.Item.Key, len(op.Item.Value))
	}
	return t.inner.Write(ctx, ops...)
}
