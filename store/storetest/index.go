package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/enlacehq/enlace/store"
)

func indexed(pk, sk, indexPK, indexSK string) store.Item {
	return store.Item{Key: store.Key{PK: pk, SK: sk}, Index: store.Key{PK: indexPK, SK: indexSK}, Value: []byte("secret")}
}

// wantIndex waits until q's index partition shows exactly want, each as
// "index sort key=item key", and expects that it shows keys only.
func (e *env) wantIndex(q store.Query, want ...string) {
	e.Helper()
	q.Index = true
	var got []string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got = nil
		for _, item := range e.all(q) {
			got = append(got, item.Index.SK+"="+item.Key.String())
			if item.Index.PK != q.PK || item.Value != nil || item.Version != 0 || item.WriteID != "" || !item.Expires.IsZero() {
				e.Fatalf("the index shows more than keys: %+v", item)
			}
		}
		if slices.Equal(got, want) {
			return
		}
		if e.driver.DelaysIndex || time.Now().After(deadline) {
			e.Errorf("index %+v shows %q, want %q", q, got, want)
			return
		}
	}
}

func testIndexOrder(e *env) {
	e.write(
		store.Put(indexed("P1", "z", "I", "1"), store.Any),
		store.Put(indexed("P2", "y", "I", "3"), store.Any),
		store.Put(indexed("P1", "x", "I", "2"), store.Any),
		store.Put(indexed("P2", "w", "J", "2"), store.Any),
		store.Put(indexed("P2", "v", "I", "21"), store.Any),
	)
	for _, limit := range []int{0, 1, 2, 4} {
		e.wantIndex(store.Query{PK: "I", Limit: limit}, "1=P1/z", "2=P1/x", "21=P2/v", "3=P2/y")
		e.wantIndex(store.Query{PK: "I", Limit: limit, Descending: true}, "3=P2/y", "21=P2/v", "2=P1/x", "1=P1/z")
		e.wantIndex(store.Query{PK: "I", Limit: limit, Prefix: "2"}, "2=P1/x", "21=P2/v")
		e.wantIndex(store.Query{PK: "I", Limit: limit, From: "2", To: "3"}, "2=P1/x", "21=P2/v")
		e.wantIndex(store.Query{PK: "I", Limit: limit, From: "3", To: "2"})
		e.wantIndex(store.Query{PK: "J", Limit: limit}, "2=P2/w")
		e.wantIndex(store.Query{PK: "K", Limit: limit})
	}
}

func testIndexIsSparse(e *env) {
	e.write(
		store.Put(indexed("P", "a", "", ""), store.Any),
		store.Put(indexed("P", "b", "", "left over"), store.Any),
		store.Put(indexed("P", "c", "P", "1"), store.Any),
	)
	e.wantIndex(store.Query{PK: "P"}, "1=P/c")
	if got := e.get(key("b")).Index; got != (store.Key{}) {
		e.Errorf("an item outside the index shows %+v", got)
	}
	if got := sks(e.all(store.Query{PK: "P"})); !slices.Equal(got, []string{"a", "b", "c"}) {
		e.Errorf("the table shows %q", got)
	}
}

func testIndexFollowsPuts(e *env) {
	e.write(store.Put(indexed("P", "a", "OWNER#none", "a"), store.Absent))
	e.wantIndex(store.Query{PK: "OWNER#none"}, "a=P/a")
	e.write(store.Put(indexed("P", "a", "OWNER#w1", "a"), store.VersionIs(1)))
	e.wantIndex(store.Query{PK: "OWNER#none"})
	e.wantIndex(store.Query{PK: "OWNER#w1"}, "a=P/a")
	e.write(store.Put(indexed("P", "a", "OWNER#w1", "b"), store.VersionIs(2)))
	e.wantIndex(store.Query{PK: "OWNER#w1"}, "b=P/a")
	e.write(store.Put(indexed("P", "a", "OWNER#w1", "b"), store.VersionIs(3))) // stays
	e.wantIndex(store.Query{PK: "OWNER#w1"}, "b=P/a")
	e.wantConflict(store.Put(indexed("P", "a", "OWNER#w2", "b"), store.VersionIs(3))) // nothing moves
	e.wantIndex(store.Query{PK: "OWNER#w1"}, "b=P/a")
	e.wantIndex(store.Query{PK: "OWNER#w2"})
	e.write(store.Put(item("a", "out"), store.VersionIs(4)))
	e.wantIndex(store.Query{PK: "OWNER#w1"})
	e.write(store.Put(indexed("P", "a", "OWNER#w1", "c"), store.VersionIs(5)))
	e.wantIndex(store.Query{PK: "OWNER#w1"}, "c=P/a")
	e.write(store.Delete(key("a"), store.Any))
	e.wantIndex(store.Query{PK: "OWNER#w1"})
}

// testIndexPages: many items may share an index key; pages show each once.
func testIndexPages(e *env) {
	var ops []store.Op
	for i := range 50 {
		ops = append(ops, store.Put(indexed("P", fmt.Sprintf("%02d", i), "I", fmt.Sprint(i%3)), store.Any))
	}
	e.write(ops...)
	e.eventually("50 items in the index", func() bool {
		return len(e.all(store.Query{PK: "I", Index: true})) == 50
	})
	for _, descending := range []bool{false, true} {
		seen := make(map[store.Key]bool)
		last := ""
		for i, item := range e.all(store.Query{PK: "I", Index: true, Limit: 7, Descending: descending}) {
			if seen[item.Key] {
				e.Errorf("%s came twice", item.Key)
			}
			seen[item.Key] = true
			if i > 0 && (item.Index.SK < last != descending && item.Index.SK != last) {
				e.Errorf("descending %v: %q after %q", descending, item.Index.SK, last)
			}
			last = item.Index.SK
		}
		if len(seen) != 50 {
			e.Errorf("descending %v: %d items, want 50", descending, len(seen))
		}
	}
}

// testIndexIsLate is for tables whose index lags a minute of e.clock.
func testIndexIsLate(e *env) {
	e.write(store.Put(indexed("P", "a", "I", "1"), store.Any))
	e.wantIndex(store.Query{PK: "I"})
	e.wantValue(key("a"), "secret", 1)
	e.clock.Advance(30 * time.Second)
	e.write(store.Put(indexed("P", "b", "I", "2"), store.Any))
	e.wantIndex(store.Query{PK: "I"})
	e.clock.Advance(30 * time.Second)
	e.wantIndex(store.Query{PK: "I"}, "1=P/a")
	e.write(store.Put(indexed("P", "a", "J", "1"), store.Any), store.Delete(key("b"), store.Present))
	e.clock.Advance(59 * time.Second)
	e.wantIndex(store.Query{PK: "I"}, "1=P/a", "2=P/b") // stale both ways
	e.wantIndex(store.Query{PK: "J"})
	e.clock.Advance(time.Second)
	e.wantIndex(store.Query{PK: "I"})
	e.wantIndex(store.Query{PK: "J"}, "1=P/a")
}
