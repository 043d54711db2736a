package memory

import (
	"context"

	"github.com/enlacehq/enlace/store"
)

// Query is store.Table's.
func (db *DB) Query(ctx context.Context, q store.Query) (store.Page, error) {
	if err := q.Check(); err != nil {
		return store.Page{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	if q.Index {
		return db.queryIndex(q)
	}
	return db.queryTable(q)
}

func (db *DB) queryIndex(q store.Query) (store.Page, error) {
	db.mu.Lock() // a late index catches up as it is read
	defer db.mu.Unlock()
	now := db.now()
	return db.index.Query(now, q, func(key store.Key) bool {
		p := db.partitions[key.PK]
		if p == nil {
			return false
		}
		at, there := p.search(key.SK)
		return there && expired(p.items[at], now)
	})
}

func (db *DB) queryTable(q store.Query) (store.Page, error) {
	after, goOn, err := q.After()
	if err != nil {
		return store.Page{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	p := db.partitions[q.PK]
	if p == nil {
		return store.Page{}, nil
	}
	from, to := q.Bounds()
	low, _ := p.search(from)
	high := len(p.items)
	if to != "" {
		at, _ := p.search(to)
		high = max(low, at)
	}
	if goOn {
		at, there := p.search(after.SK)
		switch {
		case q.Descending:
			high = max(low, min(high, at))
		case there:
			low = min(high, max(low, at+1))
		default:
			low = min(high, max(low, at))
		}
	}
	now := db.now()
	var page store.Page
	for window := p.items[low:high]; len(window) > 0; {
		var item *store.Item
		if q.Descending {
			item, window = window[len(window)-1], window[:len(window)-1]
		} else {
			item, window = window[0], window[1:]
		}
		if expired(item, now) {
			continue
		}
		if len(page.Items) == q.PageLimit() {
			page.Cursor = store.CursorAfter(q, page.Items[len(page.Items)-1])
			break
		}
		page.Items = append(page.Items, clone(item))
	}
	return page, nil
}
