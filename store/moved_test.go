package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
)

func TestMoved_TellsOfEveryChannelOnceFlushed(t *testing.T) {
	b := setup(t)
	want := map[string]int64{}
	for i := range 60 {
		o := b.claim(b.connect(fmt.Sprint(i)).ID, "")
		want[o.ChannelID()] = 2
	}
	b.ok(b.moved.Flush(t.Context()))
	got, err := b.MovedChannels(t.Context(), "acme")
	b.ok(err)
	if len(got) != len(want) {
		t.Fatalf("%d channels, want %d", len(got), len(want))
	}
	for id, seq := range want {
		if got[id] != seq {
			t.Errorf("channel %s moved to %d, want %d", id, got[id], seq)
		}
	}
	page, err := b.table.Query(t.Context(), store.Query{PK: "CO#acme", Prefix: "MOVED#"})
	b.ok(err)
	if len(page.Items) != 3 {
		t.Errorf("%d items for 60 channels, want 3", len(page.Items))
	}
	b.ok(b.moved.Flush(t.Context()))
	again, err := b.table.Query(t.Context(), store.Query{PK: "CO#acme", Prefix: "MOVED#"})
	b.ok(err)
	if again.Items[0].Version != page.Items[0].Version {
		t.Error("an item was rewritten though nothing moved")
	}
}

// held is a table that keeps the writes of which channels moved until it lets go.
type held struct {
	store.Table
	writing, letGo chan struct{}
}

func (h *held) Write(ctx context.Context, ops ...store.Op) error {
	if strings.HasPrefix(ops[0].Item.SK, "MOVED#") {
		close(h.writing)
		<-h.letGo
	}
	return h.Table.Write(ctx, ops...)
}

func TestMoved_AFlushWaitsForTheOneBefore(t *testing.T) {
	b := setup(t)
	table := &held{Table: b.table, writing: make(chan struct{}), letGo: make(chan struct{})}
	slow, err := store.Open(t.Context(), table, store.Options{Keys: b.keys, Now: b.clock.Now})
	b.ok(err)
	moved := slow.NewMoved(b.heart.ID())
	_, err = slow.Claim(t.Context(), store.Claimer{Worker: b.heart.ID(), Fresh: b.fresh, Moved: moved}, b.connect("default").ID, "")
	b.ok(err)

	first := make(chan error, 1)
	go func() { first <- moved.Flush(context.Background()) }()
	<-table.writing
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := moved.Flush(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a flush returned %v while what moved was not stored", err)
	}
	close(table.letGo)
	b.ok(<-first)
	b.ok(moved.Flush(t.Context()))
}
