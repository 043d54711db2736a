package counted_test

import (
	"testing"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/counted"
	"github.com/enlacehq/enlace/store/memory"
)

func TestCounts(t *testing.T) {
	table, counts := counted.Wrap(memory.New(memory.Options{}))
	if _, ok := table.(store.Waker); !ok {
		t.Error("the wrapped table notices no writes")
	}
	event := store.Key{PK: "CH#1", SK: "EV#1"}
	ops := []store.Op{
		store.Put(store.Item{Key: event, Value: []byte("0123456789")}, store.Any),
		store.Delete(store.Key{PK: "CH#1", SK: "EV#2"}, store.Any),
	}
	if err := table.Write(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Get(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	if _, err := table.GetMany(t.Context(), []store.Key{event, {PK: "CH#1", SK: "EV#3"}}); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"EV#", "MSG#"} {
		if _, err := table.Query(t.Context(), store.Query{PK: "CH#1", Prefix: prefix}); err != nil {
			t.Fatal(err)
		}
	}
	got := counts.Take()
	want := `delete CH/EV                1 items        8 bytes
put    CH/EV                1 items       18 bytes
read   CH/EV                4 items       62 bytes
read   CH/MSG               1 items        8 bytes
`
	if got.String() != want {
		t.Errorf("counted\n%s\nwant\n%s", got, want)
	}
	if sum := got.Sum(counted.Read, "CH/MSG"); sum != (counted.Use{Items: 4, Bytes: 62}) {
		t.Errorf("reads without messages are %v", sum)
	}
	if again := counts.Take(); len(again) != 0 {
		t.Errorf("counted twice: %v", again)
	}
}
