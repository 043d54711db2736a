package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/enlacehq/enlace/store"
)

func testGetPut(e *env) {
	e.wantAbsent(key("a"))
	expires := e.clock.Now().Add(time.Hour)
	value := make([]byte, 256)
	for i := range value {
		value[i] = byte(i)
	}
	e.write(store.Put(store.Item{
		Key: key("a"), Version: 77, Index: store.Key{PK: "I", SK: "1"}, Expires: expires, Value: value,
	}, store.Any))
	got := e.get(key("a"))
	if got.Key != key("a") || got.Version != 1 || got.Index != (store.Key{PK: "I", SK: "1"}) || !bytes.Equal(got.Value, value) {
		e.Errorf("got %+v", got)
	}
	if got.Expires.Before(expires) || got.Expires.Sub(expires) >= time.Second || got.Expires.Nanosecond() != 0 {
		e.Errorf("expires %v, want %v in whole seconds, rounded up", got.Expires, expires)
	}

	e.write(store.Put(store.Item{Key: key("a")}, store.Any))
	got = e.get(key("a"))
	if len(got.Value) != 0 || got.Index != (store.Key{}) || !got.Expires.IsZero() || got.Version != 2 {
		e.Errorf("a put replaces the whole item; got %+v", got)
	}

	e.write(store.Delete(key("a"), store.Any))
	e.wantAbsent(key("a"))
	e.write(store.Delete(key("a"), store.Any)) // absent: no error
}

func testValuesAreCopies(e *env) {
	value := []byte("before")
	e.write(store.Put(store.Item{Key: key("a"), Value: value}, store.Any))
	copy(value, "AFTER!")
	e.wantValue(key("a"), "before", 1)

	copy(e.get(key("a")).Value, "AFTER!")
	e.wantValue(key("a"), "before", 1)

	copy(e.all(store.Query{PK: "P"})[0].Value, "AFTER!")
	e.wantValue(key("a"), "before", 1)
}

func testWriteIDs(e *env) {
	e.write(store.Put(item("a", "1"), store.Any), store.Put(item("b", "1"), store.Any))
	a, b := e.get(key("a")), e.get(key("b"))
	if a.WriteID == "" || a.WriteID != b.WriteID {
		e.Errorf("one Write gave the ids %q and %q, want one that is not empty", a.WriteID, b.WriteID)
	}
	e.write(store.Put(a, store.VersionIs(1)))
	if again := e.get(key("a")); again.WriteID == a.WriteID || again.WriteID == "" {
		e.Errorf("a put of what was read has the id %q, the read one was %q, want a fresh one", again.WriteID, a.WriteID)
	}
	for _, q := range []store.Query{{PK: "P"}, {PK: "P", Descending: true}} {
		for _, got := range e.all(q) {
			if want := e.get(got.Key).WriteID; got.WriteID != want {
				e.Errorf("query shows write id %q of %s, get shows %q", got.WriteID, got.Key, want)
			}
		}
	}
}

func testKeys(e *env) {
	for _, sk := range []string{"a/b", "a b", "ü", "日本", "😀", "a\x00b", "a\x00", "'\"%_", strings.Repeat("k", 1024)} {
		k := store.Key{PK: "P#" + sk, SK: sk}
		e.write(store.Put(store.Item{Key: k, Value: []byte(sk)}, store.Absent))
		e.wantValue(k, sk, 1)
		if got := e.all(store.Query{PK: k.PK}); len(got) != 1 || got[0].Key != k {
			e.Errorf("query finds %v at %q", got, k)
		}
	}
	bad := []store.Key{{}, {PK: "p"}, {SK: "s"}, {PK: "p", SK: "\xff"}, {PK: "\xc3", SK: "s"}, {PK: "p", SK: strings.Repeat("k", 1025)}, {PK: strings.Repeat("k", 2049), SK: "s"}}
	for _, k := range bad {
		if err := e.table.Write(e.Context(), store.Put(item("good", ""), store.Any), store.Put(store.Item{Key: k}, store.Any)); err == nil {
			e.Errorf("a put at %q is no error", k)
		}
		if _, err := e.table.Get(e.Context(), k); err == nil || errors.Is(err, store.ErrNotFound) {
			e.Errorf("Get %q: %v, want it refused", k, err)
		}
		if _, err := e.table.GetMany(e.Context(), []store.Key{key("a"), k}); err == nil {
			e.Errorf("GetMany with %q is no error", k)
		}
	}
	badIndex := store.Item{Key: key("good"), Index: store.Key{PK: "I"}}
	if err := e.table.Write(e.Context(), store.Put(badIndex, store.Any)); err == nil {
		e.Error("an index key with an empty half is no error")
	}
	e.wantAbsent(key("good"))
}

func testVersions(e *env) {
	for n := int64(0); n < 5; n++ {
		e.write(store.Put(item("a", fmt.Sprint(n)), store.VersionIs(n)))
		e.wantValue(key("a"), fmt.Sprint(n), n+1)
	}
	e.write(store.Put(item("a", "any"), store.Any))
	e.wantValue(key("a"), "any", 6)
	e.write(store.Put(item("a", "present"), store.Present))
	e.wantValue(key("a"), "present", 7)
	e.write(store.Delete(key("a"), store.VersionIs(7)))
	e.write(store.Put(item("a", "again"), store.Any))
	e.wantValue(key("a"), "again", 1)
}

func testGetMany(e *env) {
	var keys []store.Key
	for i := range 250 {
		k := store.Key{PK: fmt.Sprint("P", i%7), SK: fmt.Sprint(i)}
		keys = append(keys, k, store.Key{PK: k.PK, SK: "absent" + k.SK})
	}
	for start := 0; start < len(keys); start += 2 * store.MaxOps {
		var ops []store.Op
		for i := start; i < min(start+2*store.MaxOps, len(keys)); i += 2 {
			ops = append(ops, store.Put(store.Item{Key: keys[i], Value: []byte(keys[i].SK)}, store.Absent))
		}
		e.write(ops...)
	}
	got, err := e.table.GetMany(e.Context(), append(keys, keys[0]))
	if err != nil || len(got) != 250 {
		e.Fatalf("GetMany: %d items, %v, want 250", len(got), err)
	}
	for k, item := range got {
		if item.Key != k || string(item.Value) != k.SK || item.Version != 1 {
			e.Errorf("at %s came %+v", k, item)
		}
	}
	if got, err := e.table.GetMany(e.Context(), nil); err != nil || len(got) != 0 {
		e.Errorf("GetMany of nothing: %v, %v", got, err)
	}
}

func testCancelledContext(e *env) {
	e.write(store.Put(item("a", "1"), store.Any))
	cancelled, cancel := context.WithCancel(e.Context())
	cancel()
	late, stop := context.WithDeadline(e.Context(), time.Unix(0, 0))
	defer stop()
	for want, ctx := range map[error]context.Context{context.Canceled: cancelled, context.DeadlineExceeded: late} {
		if err := e.table.Write(ctx, store.Put(item("a", "2"), store.Any)); !errors.Is(err, want) {
			e.Errorf("Write: %v, want %v", err, want)
		}
		if _, err := e.table.Get(ctx, key("a")); !errors.Is(err, want) {
			e.Errorf("Get: %v, want %v", err, want)
		}
		if _, err := e.table.GetMany(ctx, []store.Key{key("a")}); !errors.Is(err, want) {
			e.Errorf("GetMany: %v, want %v", err, want)
		}
		if _, err := e.table.Query(ctx, store.Query{PK: "P"}); !errors.Is(err, want) {
			e.Errorf("Query: %v, want %v", err, want)
		}
	}
	e.wantValue(key("a"), "1", 1)
}

func testReopen(e *env) {
	e.write(store.Put(store.Item{Key: key("a"), Index: store.Key{PK: "I", SK: "1"}, Expires: e.clock.Now().Add(time.Hour), Value: []byte("1")}, store.Any))
	e.write(store.Put(item("b", "1"), store.Any))
	e.write(store.Put(item("b", "2"), store.Any))
	before := e.get(key("a"))
	page := e.query(store.Query{PK: "P", Limit: 1})
	e.table = e.driver.Reopen(e.T, e.table)
	after := e.get(key("a"))
	if before.WriteID != after.WriteID || !before.Expires.Equal(after.Expires) || before.Index != after.Index || after.Version != 1 {
		e.Errorf("before %+v, after %+v", before, after)
	}
	e.wantValue(key("b"), "2", 2)
	if rest := e.all(store.Query{PK: "P", Limit: 1, Cursor: page.Cursor}); len(rest) != 1 || rest[0].Key != key("b") {
		e.Errorf("a cursor from before goes on with %v", sks(rest))
	}
	e.write(store.Put(item("b", "3"), store.VersionIs(2)))
}
