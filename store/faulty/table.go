package faulty

import (
	"context"

	"github.com/enlacehq/enlace/store"
)

type table struct {
	inner  store.Table
	faults *Faults
}

type wakingTable struct {
	*table
	store.Waker
}

var (
	_ store.Table = (*table)(nil)
	_ store.Waker = (*wakingTable)(nil)
)

// Get is store.Table's.
func (t *table) Get(ctx context.Context, key store.Key) (item store.Item, err error) {
	rule := t.faults.strike(call{kind: Get, keys: []store.Key{key}})
	err = read(ctx, rule, func() (err error) {
		item, err = t.inner.Get(ctx, key)
		return err
	})
	if err != nil {
		return store.Item{}, err
	}
	return item, nil
}

// GetMany is store.Table's.
func (t *table) GetMany(ctx context.Context, keys []store.Key) (items map[store.Key]store.Item, err error) {
	rule := t.faults.strike(call{kind: GetMany, keys: keys})
	err = read(ctx, rule, func() (err error) {
		items, err = t.inner.GetMany(ctx, keys)
		return err
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// Query is store.Table's.
func (t *table) Query(ctx context.Context, q store.Query) (page store.Page, err error) {
	from := q.Prefix
	if from == "" {
		from = q.From
	}
	rule := t.faults.strike(call{kind: Query, keys: []store.Key{{PK: q.PK, SK: from}}, index: q.Index})
	if rule != nil && rule.When == Stale {
		return t.faults.answeredBefore(q), nil
	}
	err = read(ctx, rule, func() (err error) {
		page, err = t.inner.Query(ctx, q)
		if err == nil && q.Index {
			t.faults.remember(q, page)
		}
		return err
	})
	if err != nil {
		return store.Page{}, err
	}
	return page, nil
}

// read makes a reading call, or lets it fail by rule.
func read(ctx context.Context, rule *Rule, send func() error) error {
	if rule == nil {
		return send()
	}
	if err := rule.wait(ctx); err != nil {
		return err
	}
	switch rule.When {
	case Slow:
		if rule.Do != nil {
			rule.Do()
		}
		return send()
	case After:
		if err := send(); err != nil {
			return err
		}
	}
	return rule.end(store.ErrUnavailable)
}

// Write is store.Table's.
func (t *table) Write(ctx context.Context, ops ...store.Op) error {
	keys := make([]store.Key, len(ops))
	for i, op := range ops {
		keys[i] = op.Item.Key
	}
	defer t.faults.send(t.faults.takeLate())
	rule := t.faults.strike(call{kind: Write, keys: keys, ops: ops})
	if rule == nil {
		return t.inner.Write(ctx, ops...)
	}
	if err := rule.wait(ctx); err != nil {
		return err
	}
	switch rule.When {
	case Slow:
		if rule.Do != nil {
			rule.Do()
		}
		return t.inner.Write(ctx, ops...)
	case After:
		if err := t.inner.Write(ctx, ops...); err != nil {
			return err
		}
		return rule.end(store.ErrUnknown)
	case Late:
		t.faults.keepLate(ops)
		return rule.end(store.ErrUnknown)
	}
	return rule.end(store.ErrUnavailable)
}

// takeLate returns the writes whose time has come.
func (f *Faults) takeLate() [][]store.Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	late := f.late
	f.late = nil
	return late
}

func (f *Faults) keepLate(ops []store.Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.late = append(f.late, ops)
}

// send makes writes that were late; whether their conditions still hold is theirs to see.
func (f *Faults) send(late [][]store.Op) {
	for _, ops := range late {
		_ = f.inner.Write(context.Background(), ops...)
	}
}

// Settle sends on all writes that are late.
func (f *Faults) Settle() { f.send(f.takeLate()) }

func (f *Faults) remember(q store.Query, page store.Page) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stale[q] = page
}

func (f *Faults) answeredBefore(q store.Query) store.Page {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stale[q]
}
