package signal

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/enlacehq/enlace/store"
)

// shelfBytes is how large an item of a shelf becomes before it is cut in two.
const shelfBytes = 3500

// shelf keeps many small values in few items of the bulk partition. Each item
// holds the values of a range of keys, in order, and is named by the key where
// its range begins; the first begins at the empty key. It is read on demand and
// nothing of it stays in memory.
type shelf struct {
	c      *Container
	prefix string
}

type shelfEntry struct {
	key   string
	value []byte
}

// shelfItem is one item of a shelf. Entries past the start of the next one are
// not its own: an interrupted cut left them behind.
type shelfItem struct {
	start   string
	version int64
	entries []shelfEntry
}

// Fields of an item of a shelf: a key, then its value.
const (
	shelfKey   fieldNumber = 1
	shelfValue fieldNumber = 2
)

func (e shelfEntry) size() int { return len(e.key) + len(e.value) + 4 }

func byKey(e shelfEntry, key string) int { return cmp.Compare(e.key, key) }

func encodeShelf(entries []shelfEntry) []byte {
	var e encoder
	for _, entry := range entries {
		e.element(shelfKey, []byte(entry.key))
		e.element(shelfValue, entry.value)
	}
	return e
}

func (s shelf) sk(start string) string { return s.prefix + hex.EncodeToString([]byte(start)) }

func (s shelf) open(item store.Item) (shelfItem, error) {
	start, err := hex.DecodeString(item.SK[len(s.prefix):])
	if err != nil {
		return shelfItem{}, fmt.Errorf("%s: %w", s.prefix, errMalformed)
	}
	opened := shelfItem{start: string(start), version: item.Version}
	value, err := s.c.open(item)
	if err != nil {
		return opened, err
	}
	key := ""
	err = decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case shelfKey:
			key = string(f.b)
		case shelfValue:
			opened.entries = append(opened.entries, shelfEntry{key, f.b})
		default:
			return false, nil
		}
		return true, nil
	})
	return opened, err
}

// locate returns the item whose range holds key; of version 0 when the shelf is empty.
func (s shelf) locate(ctx context.Context, key string) (found shelfItem, err error) {
	q := store.Query{PK: s.c.bulkPK(), From: s.prefix, To: s.sk(key) + "\x00", Descending: true, Limit: 1}
	err = s.c.each(ctx, q, func(item store.Item) (bool, error) {
		found, err = s.open(item)
		return false, err
	})
	return found, err
}

// get returns the value of key, nil when there is none.
func (s shelf) get(ctx context.Context, key string) ([]byte, error) {
	item, err := s.locate(ctx, key)
	if err != nil {
		return nil, err
	}
	if i, found := slices.BinarySearchFunc(item.entries, key, byKey); found {
		return item.entries[i].value, nil
	}
	return nil, nil
}

// items returns all items in order, each cut to its range, the first one even
// when it does not exist yet.
func (s shelf) items(ctx context.Context) ([]shelfItem, error) {
	all := []shelfItem{{}}
	err := s.c.each(ctx, store.Query{PK: s.c.bulkPK(), Prefix: s.prefix}, func(item store.Item) (bool, error) {
		opened, err := s.open(item)
		if opened.start == "" {
			all[0] = opened
			return true, err
		}
		last := &all[len(all)-1]
		last.entries = before(last.entries, opened.start)
		all = append(all, opened)
		return true, err
	})
	return all, err
}

func before(entries []shelfEntry, end string) []shelfEntry {
	i, _ := slices.BinarySearchFunc(entries, end, byKey)
	return entries[:i:i]
}

// update replaces the values of keys by what change makes of them: nil for
// none. Values that stay the same cost no write.
func (s shelf) update(ctx context.Context, keys []string, change func(key string, value []byte) []byte) error {
	if len(keys) == 0 {
		return nil
	}
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	s.c.bulkMu.Lock()
	defer s.c.bulkMu.Unlock()
	return s.c.retry(ctx, func() error {
		items, err := s.holders(ctx, keys)
		if err != nil {
			return err
		}
		puts := s.changes(items, keys, change)
		if slices.ContainsFunc(puts, isCut) {
			// Where the next item begins must be known before one is cut.
			if items, err = s.items(ctx); err != nil {
				return err
			}
			puts = s.changes(items, keys, change)
		}
		return s.write(ctx, puts)
	})
}

func isCut(puts []store.Op) bool { return len(puts) > 1 }

// holders returns the items whose ranges hold keys, in order, or all.
func (s shelf) holders(ctx context.Context, keys []string) ([]shelfItem, error) {
	if len(keys) > 4 {
		return s.items(ctx)
	}
	var items []shelfItem
	for _, key := range keys {
		item, err := s.locate(ctx, key)
		if err != nil {
			return nil, err
		}
		if n := len(items); n == 0 || items[n-1].start != item.start {
			items = append(items, item)
		}
	}
	return items, nil
}

// changes returns what must be put for each of items.
func (s shelf) changes(items []shelfItem, keys []string, change func(string, []byte) []byte) [][]store.Op {
	var all [][]store.Op
	for i, item := range items {
		from, _ := slices.BinarySearch(keys, item.start)
		to := len(keys)
		if i+1 < len(items) {
			to, _ = slices.BinarySearch(keys, items[i+1].start)
		}
		if puts := s.puts(item, keys[from:to], change); len(puts) > 0 {
			all = append(all, puts)
		}
	}
	return all
}

// write puts what changes returned: the puts of one item together if they fit
// into one write, else the new items before the one that they were cut from,
// which holds all their values until it is written last.
func (s shelf) write(ctx context.Context, all [][]store.Op) error {
	var ops []store.Op
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		err := s.c.write(ctx, ops...)
		ops = nil
		return err
	}
	for _, puts := range all {
		for len(puts) > store.MaxOps {
			last := len(puts) - store.MaxOps/2
			if err := s.c.write(ctx, puts[last:]...); err != nil {
				return err
			}
			puts = puts[:last]
		}
		if len(ops)+len(puts) > store.MaxOps {
			if err := flush(); err != nil {
				return err
			}
		}
		ops = append(ops, puts...)
	}
	return flush()
}

// puts returns what an item becomes: itself, and new ones that were cut from it.
func (s shelf) puts(item shelfItem, keys []string, change func(string, []byte) []byte) []store.Op {
	entries := slices.Clone(item.entries)
	changed := false
	for _, key := range keys {
		i, found := slices.BinarySearchFunc(entries, key, byKey)
		var old []byte
		if found {
			old = entries[i].value
		}
		value := change(key, old)
		switch {
		case value == nil && !found, found && value != nil && slices.Equal(value, old):
			continue
		case value == nil:
			entries = slices.Delete(entries, i, i+1)
		case found:
			entries[i].value = value
		default:
			entries = slices.Insert(entries, i, shelfEntry{key, value})
		}
		changed = true
	}
	if !changed {
		return nil
	}
	var ops []store.Op
	start, version := item.start, item.version
	for first := true; first || len(entries) > 0; first = false {
		n, size := 0, 0
		for n < len(entries) && (n == 0 || size+entries[n].size() <= shelfBytes) {
			size += entries[n].size()
			n++
		}
		if !first {
			start, version = entries[0].key, 0
		}
		ops = append(ops, s.c.put(s.c.bulkPK(), s.sk(start), encodeShelf(entries[:n]), version))
		entries = entries[n:]
	}
	return ops
}
