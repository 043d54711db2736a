package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/enlacehq/enlace/store"
)

// testModel drives the table and a plain map with the same random steps and
// compares every answer.
func testModel(e *env) {
	run := 0
	rapid.Check(e.T, func(rt *rapid.T) {
		run++
		m := &model{Clock: e.clock, table: e.table, prefix: fmt.Sprintf("run%d#", run), items: make(map[store.Key]store.Item)}
		rt.Repeat(map[string]func(*rapid.T){
			"write": m.write,
			"get":   m.get,
			"query": m.query,
			"index": func(rt *rapid.T) {
				if e.driver.DelaysIndex {
					m.index(rt)
				}
			},
			"time": func(rt *rapid.T) {
				m.Advance(time.Duration(rapid.IntRange(0, 3).Draw(rt, "seconds")) * time.Second)
			},
		})
	})
}

// model is what the table should hold.
type model struct {
	*Clock
	table  store.Table
	prefix string // of all partitions of this run
	items  map[store.Key]store.Item
}

func (m *model) pk(rt *rapid.T, label string) string {
	return m.prefix + rapid.SampledFrom([]string{"A", "B"}).Draw(rt, label)
}

func drawSK(rt *rapid.T, label string) string {
	return rapid.StringMatching(`[ab]{1,2}`).Draw(rt, label)
}

func (m *model) key(rt *rapid.T) store.Key {
	return store.Key{PK: m.pk(rt, "pk"), SK: drawSK(rt, "sk")}
}

// standing returns what is to be seen at k.
func (m *model) standing(k store.Key) (store.Item, bool) {
	item, there := m.items[k]
	if there && !item.Expires.IsZero() && !m.Now().Before(item.Expires) {
		return store.Item{}, false
	}
	return item, there
}

func (m *model) condition(rt *rapid.T, k store.Key) store.Condition {
	version := rapid.Int64Range(1, 3).Draw(rt, "version")
	if item, there := m.standing(k); there && rapid.Bool().Draw(rt, "right version") {
		version = item.Version
	}
	return rapid.SampledFrom([]store.Condition{store.Any, store.Any, store.Absent, store.Present, store.VersionIs(version), store.VersionIs(version)}).Draw(rt, "condition")
}

func (m *model) op(rt *rapid.T, k store.Key) store.Op {
	condition := m.condition(rt, k)
	switch rapid.SampledFrom([]store.OpKind{store.OpPut, store.OpPut, store.OpPut, store.OpDelete, store.OpCheck}).Draw(rt, "kind") {
	case store.OpDelete:
		return store.Delete(k, condition)
	case store.OpCheck:
		return store.Check(k, condition)
	}
	item := store.Item{Key: k, Value: rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(rt, "value")}
	if rapid.Bool().Draw(rt, "indexed") {
		item.Index = store.Key{PK: m.pk(rt, "index"), SK: drawSK(rt, "index sk")}
	}
	if lives := rapid.IntRange(-1, 3).Draw(rt, "lives"); lives != 0 {
		item.Expires = m.Now().Add(time.Duration(lives) * time.Second)
	}
	return store.Put(item, condition)
}

func (m *model) write(rt *rapid.T) {
	keys := make(map[store.Key]bool)
	var ops []store.Op
	for range rapid.IntRange(1, 4).Draw(rt, "ops") {
		k := m.key(rt)
		if !keys[k] {
			keys[k] = true
			ops = append(ops, m.op(rt, k))
		}
	}
	failed := make(map[int]store.Key)
	for i, op := range ops {
		item, _ := m.standing(op.Item.Key)
		if !op.Condition.Holds(item.Version) {
			failed[i] = op.Item.Key
		}
	}
	err := m.table.Write(rt.Context(), ops...)
	if len(failed) > 0 {
		m.wantConflicts(rt, err, failed)
		return
	}
	if err != nil {
		rt.Fatalf("Write %+v: %v", ops, err)
	}
	for _, op := range ops {
		switch op.Kind {
		case store.OpPut:
			item := op.Item
			before, _ := m.standing(item.Key)
			item.Version = before.Version + 1
			item.Expires = store.ExpiryTime(store.ExpirySeconds(item.Expires))
			m.items[item.Key] = item
		case store.OpDelete:
			delete(m.items, op.Item.Key)
		}
	}
}

func (m *model) wantConflicts(rt *rapid.T, err error, failed map[int]store.Key) {
	var conflict *store.ConditionError
	if !errors.As(err, &conflict) {
		rt.Fatalf("Write: %v, want ops %v to fail", err, failed)
	}
	for i := range failed {
		if i < conflict.Op {
			rt.Fatalf("op %d is named as the first that failed, op %d did", conflict.Op, i)
		}
	}
	for _, c := range append([]store.Conflict{conflict.Conflict}, conflict.Others...) {
		k, known := failed[c.Op]
		if !known {
			rt.Fatalf("op %d is named as failed, want some of %v", c.Op, failed)
		}
		want, there := m.standing(k)
		if there != (c.Item != nil) || there && !same(*c.Item, want) {
			rt.Fatalf("in the way of op %d stood %+v, want %+v", c.Op, c.Item, want)
		}
	}
}

func (m *model) get(rt *rapid.T) {
	k := m.key(rt)
	want, there := m.standing(k)
	got, err := m.table.Get(rt.Context(), k)
	if there && (err != nil || !same(got, want)) || !there && !errors.Is(err, store.ErrNotFound) {
		rt.Fatalf("Get %s: %+v, %v, want %+v (there: %v)", k, got, err, want, there)
	}
}

// draw fills in what table and index queries have in common.
func (m *model) draw(rt *rapid.T) store.Query {
	q := store.Query{PK: m.pk(rt, "pk"), Descending: rapid.Bool().Draw(rt, "descending"), Limit: rapid.IntRange(0, 3).Draw(rt, "limit")}
	switch rapid.IntRange(0, 2).Draw(rt, "range") {
	case 1:
		q.Prefix = drawSK(rt, "prefix")
	case 2:
		q.From, q.To = drawSK(rt, "from"), drawSK(rt, "to")
	}
	return q
}

func within(q store.Query, sk string) bool {
	return strings.HasPrefix(sk, q.Prefix) && sk >= q.From && (q.To == "" || sk < q.To)
}

func (m *model) query(rt *rapid.T) {
	q := m.draw(rt)
	var want []store.Item
	for k := range m.items {
		if item, there := m.standing(k); there && k.PK == q.PK && within(q, k.SK) {
			want = append(want, item)
		}
	}
	slices.SortFunc(want, func(a, b store.Item) int { return strings.Compare(a.SK, b.SK) })
	if q.Descending {
		slices.Reverse(want)
	}
	got, err := all(rt.Context(), m.table, q)
	if err != nil || !slices.EqualFunc(got, want, same) {
		rt.Fatalf("Query %+v: %+v, %v, want %+v", q, got, err, want)
	}
}

// index expects what stands in the index; expired items may be there or not.
func (m *model) index(rt *rapid.T) {
	q := m.draw(rt)
	q.Index = true
	got, err := all(rt.Context(), m.table, q)
	if err != nil {
		rt.Fatalf("Query %+v: %v", q, err)
	}
	seen := make(map[store.Key]bool)
	for i, item := range got {
		if i > 0 && item.Index.SK != got[i-1].Index.SK && item.Index.SK < got[i-1].Index.SK != q.Descending {
			rt.Fatalf("Query %+v: %q after %q", q, item.Index.SK, got[i-1].Index.SK)
		}
		if m.items[item.Key].Index != item.Index || !within(q, item.Index.SK) || item.Index.PK != q.PK || seen[item.Key] {
			rt.Fatalf("Query %+v shows %+v, want %+v, once", q, item, m.items[item.Key])
		}
		seen[item.Key] = true
	}
	for k := range m.items {
		item, there := m.standing(k)
		if there && item.Index.PK == q.PK && within(q, item.Index.SK) && !seen[k] {
			rt.Fatalf("Query %+v does not show %+v", q, item)
		}
	}
}

func same(got, want store.Item) bool {
	return got.Key == want.Key && got.Version == want.Version && got.Index == want.Index &&
		got.Expires.Equal(want.Expires) && bytes.Equal(got.Value, want.Value)
}
