// Package hints is a table's index held in memory, which may be made to run
// late: what was written shows only after a delay, and what was removed stays
// as long. The memory driver's index is one; the SQLite driver uses it where a
// test asks for a late index.
package hints

import (
	"cmp"
	"slices"
	"time"

	"github.com/enlacehq/enlace/store"
)

// Index is not safe for concurrent use.
type Index struct {
	delay      time.Duration
	partitions map[string][]entry // in order of place
	pending    []change           // in order of due
}

// entry is one item's place in an index partition.
type entry struct {
	sk  string
	key store.Key
}

type change struct {
	due      time.Time
	key      store.Key
	old, new store.Key // index keys; an empty PK is none
}

// New returns an empty index that shows a change delay after it was made.
func New(delay time.Duration) *Index {
	return &Index{delay: delay, partitions: make(map[string][]entry)}
}

// Move notes that the item at key went from index key old to new; either may be empty.
func (x *Index) Move(now time.Time, key, old, new store.Key) {
	if old == new {
		return
	}
	c := change{due: now.Add(x.delay), key: key, old: old, new: new}
	if x.delay == 0 {
		x.apply(c)
		return
	}
	x.pending = append(x.pending, c)
}

// Query answers an index query as the index stands at now; hidden says which
// keys are to be left out.
func (x *Index) Query(now time.Time, q store.Query, hidden func(store.Key) bool) (store.Page, error) {
	after, goOn, err := q.After()
	if err != nil {
		return store.Page{}, err
	}
	x.advance(now)
	entries := x.partitions[q.PK]
	from, to := q.Bounds()
	low := search(entries, entry{sk: from})
	high := len(entries)
	if to != "" {
		high = max(low, search(entries, entry{sk: to}))
	}
	if goOn {
		last := entry{sk: after.Index.SK, key: after.Key}
		at := search(entries, last)
		switch {
		case q.Descending:
			high = max(low, min(high, at))
		case at < len(entries) && entries[at] == last:
			low = min(high, max(low, at+1))
		default:
			low = min(high, max(low, at))
		}
	}
	var page store.Page
	for window := entries[low:high]; len(window) > 0; {
		var e entry
		if q.Descending {
			e, window = window[len(window)-1], window[:len(window)-1]
		} else {
			e, window = window[0], window[1:]
		}
		if hidden(e.key) {
			continue
		}
		if len(page.Items) == q.PageLimit() {
			page.Cursor = store.CursorAfter(q, page.Items[len(page.Items)-1])
			break
		}
		page.Items = append(page.Items, store.Item{Key: e.key, Index: store.Key{PK: q.PK, SK: e.sk}})
	}
	return page, nil
}

func (x *Index) advance(now time.Time) {
	done := 0
	for done < len(x.pending) && !x.pending[done].due.After(now) {
		x.apply(x.pending[done])
		done++
	}
	x.pending = slices.Delete(x.pending, 0, done)
}

func (x *Index) apply(c change) {
	if c.old.PK != "" {
		entries := x.partitions[c.old.PK]
		e := entry{c.old.SK, c.key}
		if at := search(entries, e); at < len(entries) && entries[at] == e {
			entries = slices.Delete(entries, at, at+1)
		}
		x.partitions[c.old.PK] = entries
		if len(entries) == 0 {
			delete(x.partitions, c.old.PK)
		}
	}
	if c.new.PK != "" {
		entries := x.partitions[c.new.PK]
		e := entry{c.new.SK, c.key}
		if at := search(entries, e); at == len(entries) || entries[at] != e {
			x.partitions[c.new.PK] = slices.Insert(entries, at, e)
		}
	}
}

// search returns where e stands or would stand.
func search(entries []entry, e entry) int {
	at, _ := slices.BinarySearchFunc(entries, e, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.sk, b.sk), cmp.Compare(a.key.PK, b.key.PK), cmp.Compare(a.key.SK, b.key.SK))
	})
	return at
}
