package e2e

import (
	"context"
	"strconv"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// The tests look into the table where what they want to know cannot be asked for.

// itemsOf returns the keys of all items of a channel's partitions.
func (i *installation) itemsOf(c enlace.Channel) (keys []store.Key) {
	i.Helper()
	i.onTable(func(ctx context.Context, table store.Table) error {
		for _, pk := range []string{"CH#" + c.ID, store.SignalPK(c.ID), store.BulkPK(c.ID)} {
			items, err := all(ctx, table, store.Query{PK: pk})
			if err != nil {
				return err
			}
			for _, item := range items {
				keys = append(keys, item.Key)
			}
		}
		return nil
	})
	return keys
}

// onChannel shows the channel's item as it is stored.
func (i *installation) onChannel(c enlace.Channel, do func(map[string]any)) {
	i.Helper()
	i.onTable(func(ctx context.Context, table store.Table) error {
		item, err := table.Get(ctx, store.Key{PK: "CH#" + c.ID, SK: "CHANNEL"})
		if err != nil {
			return err
		}
		var stored map[string]any
		err = store.Decode(item.Value, 1, &stored)
		do(stored)
		return err
	})
}

// epochs returns the claim under which each event was written, by its number.
func (i *installation) epochs(c enlace.Channel) []int64 {
	i.Helper()
	var epochs []int64
	i.onTable(func(ctx context.Context, table store.Table) error {
		items, err := all(ctx, table, store.Query{PK: "CH#" + c.ID, Prefix: "EV#"})
		if err != nil {
			return err
		}
		for _, item := range items {
			var stored struct {
				Epoch int64 `json:"epoch"`
			}
			if err := store.Decode(item.Value, 1, &stored); err != nil {
				return err
			}
			epochs = append(epochs, stored.Epoch)
		}
		return nil
	})
	return epochs
}

func all(ctx context.Context, table store.Table, q store.Query) (items []store.Item, err error) {
	for {
		page, err := table.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return items, nil
		}
	}
}

func seq(n int) string { return strconv.Itoa(n) }
