package store

import (
	"context"
	"fmt"
	"sync"
)

// movedPerItem bounds the channels in one MOVED item, and so what one rewrite costs.
const movedPerItem = 25

// Moved tells readers of a company's feed which of its channels have new events:
// one worker's channels and their newest numbers, up to 25 in an item. Mark is
// cheap; Flush, at most once a second, rewrites the items that changed.
type Moved struct {
	store  *Store
	worker string
	// flushing has room for the Flush that runs: another one must not return while
	// what it was called for is still being stored.
	flushing chan struct{}

	mu    sync.Mutex
	items map[movedItemID]*movedItem
	slots map[string]movedItemID // by channel
	count map[string]int         // channels by company
}

type movedItemID struct {
	company string
	n       int
}

type movedItem struct {
	seqs    map[string]int64 // newest event by channel
	changed bool
}

type movedValue struct {
	Channels map[string]int64 `json:"channels"`
}

const movedSchema = 1

// NewMoved returns the record of a worker that has not moved anything yet.
func (s *Store) NewMoved(worker string) *Moved {
	return &Moved{
		store: s, worker: worker, flushing: make(chan struct{}, 1),
		items: map[movedItemID]*movedItem{}, slots: map[string]movedItemID{}, count: map[string]int{},
	}
}

func (m *Moved) mark(company, channelID string, seq int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, known := m.slots[channelID]
	if !known {
		id = movedItemID{company: company, n: m.count[company] / movedPerItem}
		m.count[company]++
		m.slots[channelID] = id
	}
	item := m.items[id]
	if item == nil {
		item = &movedItem{seqs: map[string]int64{}}
		m.items[id] = item
	}
	item.seqs[channelID] = max(item.seqs[channelID], seq)
	item.changed = true
}

// Flush stores what has moved since the last one, and returns when all that was
// marked before is stored. What fails is tried again by the next.
func (m *Moved) Flush(ctx context.Context) error {
	select {
	case m.flushing <- struct{}{}:
		defer func() { <-m.flushing }()
	case <-ctx.Done():
		return fmt.Errorf("save which channels moved: %w", ctx.Err())
	}
	ops, ids, err := m.puts()
	if err != nil {
		return err
	}
	if err := WriteBatches(ctx, m.store.table, ops); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, id := range ids {
			m.items[id].changed = true
		}
		return fmt.Errorf("save which channels moved: %w", err)
	}
	return nil
}

func (m *Moved) puts() ([]Op, []movedItemID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ops []Op
	var ids []movedItemID
	expires := m.store.now().Add(m.store.retention)
	for id, item := range m.items {
		if !item.changed {
			continue
		}
		value, err := Encode(movedSchema, movedValue{Channels: item.seqs})
		if err != nil {
			return nil, nil, err
		}
		item.changed = false
		ids = append(ids, id)
		ops = append(ops, Put(Item{Key: movedKey(id.company, m.worker, id.n), Value: value, Expires: expires}, Any))
	}
	return ops, ids, nil
}

// MovedChannels returns the newest event number of each of a company's channels that moved.
func (s *Store) MovedChannels(ctx context.Context, company string) (map[string]int64, error) {
	q := Query{PK: companyPK(company), Prefix: movedPrefix}
	newest := map[string]int64{}
	for {
		page, err := s.table.Query(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("read which channels moved: %w", err)
		}
		for _, item := range page.Items {
			var v movedValue
			if err := Decode(item.Value, movedSchema, &v); err != nil {
				return nil, fmt.Errorf("moved item %s: %w", item.Key, err)
			}
			for id, seq := range v.Channels {
				newest[id] = max(newest[id], seq)
			}
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return newest, nil
		}
	}
}
