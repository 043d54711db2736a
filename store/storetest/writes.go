package storetest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/enlacehq/enlace/store"
)

func testConditions(e *env) {
	kinds := map[string]func(store.Key, store.Condition) store.Op{
		"put": func(k store.Key, c store.Condition) store.Op {
			return store.Put(store.Item{Key: k, Value: []byte("new")}, c)
		},
		"delete": store.Delete,
		"check":  store.Check,
	}
	conditions := []struct {
		condition       store.Condition
		absent, present bool // does it hold where nothing, and where version 2, stands?
	}{
		{store.Any, true, true},
		{store.Absent, true, false},
		{store.Present, false, true},
		{store.VersionIs(0), true, false},
		{store.VersionIs(1), false, false},
		{store.VersionIs(2), false, true},
		{store.VersionIs(3), false, false},
	}
	for kind, op := range kinds {
		for i, c := range conditions {
			name := fmt.Sprintf("%s if %s (%d)", kind, c.condition, i)
			gone, there := key(name+" gone"), key(name+" there")
			e.write(store.Put(store.Item{Key: there, Value: []byte("old")}, store.Any))
			e.write(store.Put(store.Item{Key: there, Value: []byte("old")}, store.Any))
			e.oneCondition(name, op(gone, c.condition), c.absent, nil)
			standing := e.get(there)
			e.oneCondition(name, op(there, c.condition), c.present, &standing)
		}
	}
}

// oneCondition writes op at a key where standing stands, or nothing, and
// expects that its condition holds or fails.
func (e *env) oneCondition(name string, op store.Op, holds bool, standing *store.Item) {
	e.Helper()
	err := e.table.Write(e.Context(), op)
	version, value := int64(0), ""
	if standing != nil {
		version, value = standing.Version, string(standing.Value)
	}
	var conflict *store.ConditionError
	switch {
	case holds && err != nil:
		e.Errorf("%s at version %d: %v", name, version, err)
		return
	case !holds && !errors.As(err, &conflict):
		e.Errorf("%s at version %d: %v, want a ConditionError", name, version, err)
		return
	case !holds:
		e.wantInTheWay(name, conflict.Item, standing)
	case op.Kind == store.OpPut:
		version, value = version+1, "new"
	case op.Kind == store.OpDelete:
		version = 0
	}
	if version == 0 {
		e.wantAbsent(op.Item.Key)
		return
	}
	e.wantValue(op.Item.Key, value, version)
}

func (e *env) wantInTheWay(name string, got, want *store.Item) {
	e.Helper()
	if (got == nil) != (want == nil) {
		e.Errorf("%s: in the way stood %v, want %v", name, got, want)
		return
	}
	if got == nil {
		return
	}
	if got.Key != want.Key || got.Version != want.Version || got.WriteID != want.WriteID ||
		got.Index != want.Index || !got.Expires.Equal(want.Expires) || !bytes.Equal(got.Value, want.Value) {
		e.Errorf("%s: in the way stood %+v, want %+v", name, *got, *want)
	}
}

func testConditionErrorNamesOps(e *env) {
	e.write(store.Put(store.Item{Key: key("b"), Index: store.Key{PK: "I", SK: "x"}, Value: []byte("b")}, store.Any))
	e.write(store.Put(item("d", "d"), store.Any))
	b, d := e.get(key("b")), e.get(key("d"))
	conflict := e.wantConflict(
		store.Put(item("a", "new"), store.Absent),
		store.Put(item("b", "new"), store.Absent),
		store.Check(key("c"), store.Any),
		store.Delete(key("d"), store.VersionIs(7)),
		store.Check(key("e"), store.Present),
	)
	if conflict.Op != 1 {
		e.Errorf("first failed op %d, want 1", conflict.Op)
	}
	e.wantInTheWay("op 1", conflict.Item, &b)
	want := map[int]*store.Item{3: &d, 4: nil}
	for _, other := range conflict.Others {
		standing, known := want[other.Op]
		if !known {
			e.Errorf("op %d is named as failed", other.Op)
			continue
		}
		e.wantInTheWay(fmt.Sprint("op ", other.Op), other.Item, standing)
	}
	e.wantAbsent(key("a"))
	e.wantValue(key("b"), "b", 1)
	e.wantValue(key("d"), "d", 1)
}

func testWriteIsAllOrNothing(e *env) {
	ops := make([]store.Op, store.MaxOps)
	for i := range ops {
		k := store.Key{PK: fmt.Sprint("P", i%10), SK: fmt.Sprint(i)}
		ops[i] = store.Put(store.Item{Key: k, Value: []byte("first")}, store.Absent)
	}
	e.write(ops...)
	for _, op := range ops {
		e.wantValue(op.Item.Key, "first", 1)
	}
	// the last of a hundred fails: the other 99 do nothing, whatever they are
	for i := range ops {
		switch i % 3 {
		case 0:
			ops[i].Item.Value, ops[i].Condition = []byte("second"), store.VersionIs(1)
		case 1:
			ops[i] = store.Delete(ops[i].Item.Key, store.Present)
		case 2:
			ops[i] = store.Check(ops[i].Item.Key, store.Any)
		}
	}
	ops[99] = store.Check(ops[99].Item.Key, store.VersionIs(2))
	if conflict := e.wantConflict(ops...); conflict.Op != 99 || len(conflict.Others) != 0 {
		e.Errorf("op %d and %d others failed, want op 99 alone", conflict.Op, len(conflict.Others))
	}
	for _, op := range ops {
		e.wantValue(op.Item.Key, "first", 1)
	}
	ops[99].Condition = store.VersionIs(1)
	e.write(ops...)
	for i, op := range ops[:99] {
		switch i % 3 {
		case 0:
			e.wantValue(op.Item.Key, "second", 2)
		case 1:
			e.wantAbsent(op.Item.Key)
		case 2:
			e.wantValue(op.Item.Key, "first", 1)
		}
	}
}

func testWriteLimits(e *env) {
	ops := make([]store.Op, store.MaxOps+1)
	for i := range ops {
		ops[i] = store.Put(item(fmt.Sprint(i), ""), store.Any)
	}
	if err := e.table.Write(e.Context(), ops...); !errors.Is(err, store.ErrTooLarge) {
		e.Errorf("101 ops: %v, want ErrTooLarge", err)
	}
	twice := []struct {
		name string
		op   store.Op
	}{
		{"put", store.Put(item("a", "2"), store.Any)},
		{"delete", store.Delete(key("a"), store.Any)},
		{"check", store.Check(key("a"), store.Any)},
	}
	for _, second := range twice {
		var conflict *store.ConditionError
		err := e.table.Write(e.Context(), store.Put(item("a", "1"), store.Any), second.op)
		if err == nil || errors.As(err, &conflict) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) {
			e.Errorf("a put and a %s of one key: %v, want a permanent error", second.name, err)
		}
	}
	if err := e.table.Write(e.Context(), store.Op{Item: item("a", "")}); err == nil {
		e.Error("an op of no kind is no error")
	}
	largest := make([]byte, store.MaxItemBytes-len("P")-len("large"))
	tooLarge := store.Put(store.Item{Key: key("large"), Value: append(largest, 0)}, store.Any)
	if err := e.table.Write(e.Context(), store.Put(item("a", ""), store.Any), tooLarge); !errors.Is(err, store.ErrTooLarge) {
		e.Errorf("an item one byte too large: %v, want ErrTooLarge", err)
	}
	if got := e.all(store.Query{PK: "P"}); len(got) != 0 {
		e.Errorf("refused writes left %v", sks(got))
	}
	e.write(store.Put(store.Item{Key: key("large"), Value: largest}, store.Any))
	if got := e.get(key("large")); len(got.Value) != len(largest) {
		e.Errorf("the largest item came back with %d bytes, want %d", len(got.Value), len(largest))
	}
}

func testWriteNothing(e *env) {
	e.write()
	e.write(store.Check(key("a"), store.Absent))
	if conflict := e.wantConflict(store.Check(key("a"), store.Present)); conflict.Op != 0 || conflict.Item != nil {
		e.Errorf("conflict %+v", conflict)
	}
	e.wantAbsent(key("a"))
}
