package socket

import (
	"context"
	"slices"
	"strings"

	"github.com/enlacehq/enlace/store"
)

// faultyTable is a worker's table, each call of which can fail, by the kinds of
// the items that it is about.
type faultyTable struct {
	store.Table
	faults *faults
}

func (t faultyTable) Get(ctx context.Context, key store.Key) (item store.Item, err error) {
	t.faults.call("Get of "+kindOfItem(key), &err, func() { item, err = t.Table.Get(ctx, key) })
	return item, err
}

func (t faultyTable) GetMany(ctx context.Context, keys []store.Key) (items map[store.Key]store.Item, err error) {
	t.faults.call("GetMany of "+kindsOfItems(keys), &err, func() { items, err = t.Table.GetMany(ctx, keys) })
	return items, err
}

func (t faultyTable) Query(ctx context.Context, q store.Query) (page store.Page, err error) {
	t.faults.call("Query of "+kindOfItem(store.Key{PK: q.PK, SK: q.Prefix + q.From}), &err, func() { page, err = t.Table.Query(ctx, q) })
	return page, err
}

func (t faultyTable) Write(ctx context.Context, ops ...store.Op) (err error) {
	var keys []store.Key
	for _, op := range ops {
		keys = append(keys, op.Item.Key)
	}
	t.faults.call("Write of "+kindsOfItems(keys), &err, func() { err = t.Table.Write(ctx, ops...) })
	return err
}

func kindsOfItems(keys []store.Key) string {
	var kinds []string
	for _, key := range keys {
		kinds = append(kinds, kindOfItem(key))
	}
	slices.Sort(kinds)
	return strings.Join(slices.Compact(kinds), ", ")
}

// kindOfItem is a key without what tells items of a kind from each other.
func kindOfItem(key store.Key) string {
	if key.PK == "WORKERS" || key.PK == "BURIED" {
		return key.PK
	}
	pk, _, _ := strings.Cut(key.PK, "#")
	sk, _, _ := strings.Cut(key.SK, "#")
	return strings.TrimSpace(pk + " " + sk)
}
