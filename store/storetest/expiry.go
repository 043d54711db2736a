package storetest

import (
	"slices"
	"time"

	"github.com/enlacehq/enlace/store"
)

func (e *env) expiring(sk, value string, after time.Duration) store.Item {
	return store.Item{Key: key(sk), Value: []byte(value), Expires: e.clock.Now().Add(after)}
}

func testExpiry(e *env) {
	e.write(
		store.Put(e.expiring("a", "1", -time.Hour), store.Any), // over before it begins
		store.Put(e.expiring("b", "1", 10*time.Second), store.Any),
		store.Put(e.expiring("c", "1", time.Hour), store.Any),
		store.Put(item("d", "1"), store.Any),
	)
	want := func(names ...string) {
		e.Helper()
		if got := sks(e.all(store.Query{PK: "P"})); !slices.Equal(got, names) {
			e.Errorf("query shows %q, want %q", got, names)
		}
		if got := sks(e.all(store.Query{PK: "P", Limit: 1, Descending: true})); len(got) != len(names) {
			e.Errorf("pages show %q, want %q", got, names)
		}
		many, err := e.table.GetMany(e.Context(), []store.Key{key("a"), key("b"), key("c"), key("d")})
		if err != nil || len(many) != len(names) {
			e.Errorf("GetMany shows %d items, %v, want %q", len(many), err, names)
		}
	}
	want("b", "c", "d")
	e.wantAbsent(key("a"))
	e.clock.Advance(11 * time.Second)
	want("c", "d")
	e.wantAbsent(key("b"))
	e.write(store.Put(e.expiring("c", "2", 2*time.Hour), store.VersionIs(1))) // a put moves the end
	e.clock.Advance(time.Hour)
	want("c", "d")
	e.write(store.Put(item("c", "3"), store.VersionIs(2))) // and may take it away
	e.clock.Advance(1000 * time.Hour)
	want("c", "d")
	e.wantValue(key("c"), "3", 3)
}

func testExpiredCountsAsAbsent(e *env) {
	expire := func(name string) store.Key {
		e.Helper()
		e.write(store.Put(e.expiring(name, "old", time.Second), store.Any))
		e.write(store.Put(e.expiring(name, "old", time.Second), store.Any))
		e.clock.Advance(3 * time.Second)
		return key(name)
	}
	for _, name := range []string{"put present", "put version", "delete version", "delete present", "check version"} {
		k := expire(name)
		op := map[string]store.Op{
			"put present":    store.Put(store.Item{Key: k}, store.Present),
			"put version":    store.Put(store.Item{Key: k}, store.VersionIs(2)),
			"delete version": store.Delete(k, store.VersionIs(2)),
			"delete present": store.Delete(k, store.Present),
			"check version":  store.Check(k, store.VersionIs(2)),
		}[name]
		if conflict := e.wantConflict(op); conflict.Item != nil {
			e.Errorf("%s: an expired item stood in the way: %+v", name, conflict.Item)
		}
	}
	e.write(store.Check(expire("check absent"), store.Absent))
	e.write(store.Delete(expire("delete absent"), store.Absent))
	e.write(store.Delete(expire("delete any"), store.Any))
	e.wantAbsent(key("delete any"))

	// a put over it is the first of a new item
	for name, condition := range map[string]store.Condition{"absent": store.Absent, "any": store.Any} {
		k := expire("put " + name)
		e.write(store.Put(store.Item{Key: k, Value: []byte("new"), Index: store.Key{PK: "X" + name, SK: "1"}}, condition))
		e.wantValue(k, "new", 1)
		if got := e.get(k); !got.Expires.IsZero() {
			e.Errorf("the new item expires %v", got.Expires)
		}
		e.wantIndex(store.Query{PK: "X" + name}, "1="+k.String())
	}
}
