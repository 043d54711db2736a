package storetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/faulty"
)

// WithFaults is a driver whose tables fail now and then, before and after
// calls have their effect, under Retrying, which makes good for it. What it
// cannot make good for, a write whose answer was lost and that leaves nothing to
// be recognised by, does not fail: a delete, a put that has expired already.
func WithFaults(d Driver, seed uint64) Driver {
	open := d.Open
	d.Reopen = nil
	d.retrying = true
	d.Open = func(t testing.TB, c Config) store.Table {
		table, faults := faulty.Wrap(open(t, c), seed)
		faults.Add(faulty.Rule{Rate: 0.05})
		faults.Add(faulty.Rule{Call: faulty.Write, Rate: 0.05, When: faulty.After, Match: func(ops []store.Op) bool {
			return slices.ContainsFunc(ops, func(op store.Op) bool {
				return op.Kind == store.OpPut && (op.Item.Expires.IsZero() || op.Item.Expires.After(c.Now()))
			})
		}})
		return store.Retrying(table)
	}
	return d
}

// testUnknownOutcome: what a driver returns is enough for Retrying to tell what
// became of writes whose answers were lost.
func testUnknownOutcome(e *env) {
	table, faults := faulty.Wrap(e.table, 1)
	retrying := store.Retrying(table)
	// lose makes the answer of the next write be lost, after another wrote between.
	lose := func(when faulty.When, between ...store.Op) {
		e.Helper()
		faults.Clear()
		faults.Add(faulty.Rule{Call: faulty.Write, Nth: 1, When: when, Err: store.ErrUnknown, Do: func() { e.write(between...) }})
	}
	write := func(ops ...store.Op) error { return retrying.Write(e.Context(), ops...) }
	var conflict *store.ConditionError

	lose(faulty.After)
	if err := write(store.Put(item("a", "1"), store.Absent)); err != nil {
		e.Errorf("a put that was done: %v", err)
	}
	e.wantValue(key("a"), "1", 1)

	lose(faulty.After)
	if err := write(store.Put(item("b", "1"), store.Absent), store.Put(item("a", "2"), store.VersionIs(1)), store.Check(key("c"), store.Absent)); err != nil {
		e.Errorf("a write of several ops that was done: %v", err)
	}
	e.wantValue(key("a"), "2", 2)
	e.wantValue(key("b"), "1", 1)

	lose(faulty.Before)
	if err := write(store.Put(item("a", "3"), store.VersionIs(2))); err != nil {
		e.Errorf("a put that was not done at first: %v", err)
	}
	e.wantValue(key("a"), "3", 3)

	lose(faulty.Before, store.Put(item("a", "x"), store.Any))
	if err := write(store.Put(item("a", "4"), store.VersionIs(3))); !errors.As(err, &conflict) || errors.Is(err, store.ErrUnknown) {
		e.Errorf("a put that another was faster than: %v, want a ConditionError", err)
	}
	e.wantValue(key("a"), "x", 4)

	lose(faulty.After, store.Put(item("a", "x"), store.Any))
	if err := write(store.Put(item("a", "5"), store.VersionIs(4))); !errors.Is(err, store.ErrUnknown) || errors.As(err, &conflict) {
		e.Errorf("a put that was done and written over: %v, want ErrUnknown", err)
	}
	e.wantValue(key("a"), "x", 6)

	lose(faulty.After)
	if err := write(store.Delete(key("a"), store.VersionIs(6)), store.Put(item("d", "1"), store.Any)); err != nil {
		e.Errorf("a delete and a put that were done: %v", err)
	}
	e.wantAbsent(key("a"))

	lose(faulty.After)
	if err := write(store.Delete(key("d"), store.Present)); err != nil && !errors.Is(err, store.ErrUnknown) {
		e.Errorf("a delete that was done: %v, want ErrUnknown, or nil from an engine that can tell", err)
	}
	e.wantAbsent(key("d"))
}
