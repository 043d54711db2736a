package store_test

import (
	"fmt"
	"testing"

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
