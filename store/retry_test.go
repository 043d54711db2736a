package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/faulty"
	"github.com/enlacehq/enlace/store/memory"
)

// retryBench is a Retrying table over a faulty one over one in memory.
type retryBench struct {
	inner  *memory.DB
	faults *faulty.Faults
	table  store.Table
}

func newRetryBench() *retryBench {
	inner := memory.New(memory.Options{})
	wrapped, faults := faulty.Wrap(inner, 1)
	return &retryBench{inner, faults, store.Retrying(wrapped)}
}

var (
	keyA = store.Key{PK: "P", SK: "a"}
	keyB = store.Key{PK: "P", SK: "b"}
)

func put(key store.Key, value string, c store.Condition) store.Op {
	return store.Put(store.Item{Key: key, Value: []byte(value)}, c)
}

// write writes to the table underneath, as another process would.
func (b *retryBench) write(t testing.TB, ops ...store.Op) {
	t.Helper()
	if err := b.inner.Write(context.Background(), ops...); err != nil {
		t.Fatal(err)
	}
}

func TestRetrying_UnknownOutcomes(t *testing.T) {
	const succeeded, conflict, unknown = "succeeded", "conflict", "unknown"
	lost := faulty.Rule{Call: faulty.Write, Nth: 1, When: faulty.After}
	notDone := faulty.Rule{Call: faulty.Write, Nth: 1, When: faulty.Before, Err: store.ErrUnknown}
	late := faulty.Rule{Call: faulty.Write, Nth: 1, When: faulty.Late}
	tests := []struct {
		name     string
		standing int // versions of a beforehand
		rule     faulty.Rule
		between  []store.Op // another's, after the first try
		ops      []store.Op
		want     string
		version  int64 // of a in the end
	}{
		{name: "put absent, done, answer lost", rule: lost, ops: []store.Op{put(keyA, "1", store.Absent)}, want: succeeded, version: 1},
		{name: "put absent, not done", rule: notDone, ops: []store.Op{put(keyA, "1", store.Absent)}, want: succeeded, version: 1},
		{name: "put absent, done late", rule: late, ops: []store.Op{put(keyA, "1", store.Absent)}, want: succeeded, version: 1},
		{name: "put version, done, answer lost", standing: 2, rule: lost, ops: []store.Op{put(keyA, "1", store.VersionIs(2))}, want: succeeded, version: 3},
		{
			name: "put version, not done, another's is next", standing: 2, rule: notDone, between: []store.Op{put(keyA, "x", store.Any)},
			ops: []store.Op{put(keyA, "1", store.VersionIs(2))}, want: conflict, version: 3,
		},
		{
			name: "put absent, not done, another's is first", rule: notDone, between: []store.Op{put(keyA, "x", store.Any)},
			ops: []store.Op{put(keyA, "1", store.Absent)}, want: conflict, version: 1,
		},
		{
			name: "put version, done, another over it", standing: 2, rule: lost, between: []store.Op{put(keyA, "x", store.VersionIs(3))},
			ops: []store.Op{put(keyA, "1", store.VersionIs(2))}, want: unknown, version: 4,
		},
		{
			name: "put version, done, then removed", standing: 2, rule: lost, between: []store.Op{store.Delete(keyA, store.Any)},
			ops: []store.Op{put(keyA, "1", store.VersionIs(2))}, want: unknown,
		},
		{
			name: "put present, done, then removed", standing: 1, rule: lost, between: []store.Op{store.Delete(keyA, store.Any)},
			ops: []store.Op{put(keyA, "1", store.Present)}, want: unknown,
		},
		{
			name: "another put tells of it", standing: 2, rule: lost, between: []store.Op{put(keyA, "x", store.VersionIs(3))},
			ops: []store.Op{put(keyA, "1", store.VersionIs(2)), put(keyB, "1", store.Absent)}, want: succeeded, version: 4,
		},
		{
			name: "an unconditional put tells of it", standing: 2, rule: lost,
			ops: []store.Op{store.Delete(keyA, store.VersionIs(2)), put(keyB, "1", store.Any)}, want: succeeded,
		},
		{
			name: "another put tells that it was not", standing: 2, rule: notDone,
			between: []store.Op{store.Delete(keyA, store.Any), put(keyB, "x", store.Absent)},
			ops:     []store.Op{put(keyB, "1", store.Absent), store.Delete(keyA, store.VersionIs(2))}, want: conflict,
		},
		{name: "delete version, done, answer lost", standing: 2, rule: lost, ops: []store.Op{store.Delete(keyA, store.VersionIs(2))}, want: unknown},
		{name: "put any, done, answer lost: once is enough", standing: 2, rule: lost, ops: []store.Op{put(keyA, "1", store.Any)}, want: succeeded, version: 3},
		{name: "put present, done, answer lost", standing: 2, rule: lost, ops: []store.Op{put(keyA, "1", store.Present)}, want: succeeded, version: 3},
		{name: "put any, not done", standing: 2, rule: notDone, ops: []store.Op{put(keyA, "1", store.Any)}, want: succeeded, version: 3},
		{name: "delete any, done, answer lost", standing: 2, rule: lost, ops: []store.Op{store.Delete(keyA, store.Any)}, want: succeeded},
		{name: "delete version, not done", standing: 2, rule: notDone, ops: []store.Op{store.Delete(keyA, store.VersionIs(2))}, want: succeeded},
		{
			name: "delete version, not done, another's is next", standing: 2, rule: notDone, between: []store.Op{put(keyA, "x", store.Any)},
			ops: []store.Op{store.Delete(keyA, store.VersionIs(2))}, want: conflict, version: 3,
		},
		{
			name: "a check that fails later proves nothing", standing: 2, rule: lost, between: []store.Op{put(keyA, "x", store.Any), put(keyB, "x", store.Any)},
			ops: []store.Op{store.Check(keyA, store.VersionIs(2)), put(keyB, "1", store.Any)}, want: unknown, version: 3,
		},
		{
			name: "the answer that was lost was a conflict", standing: 3, rule: notDone,
			ops: []store.Op{put(keyA, "1", store.VersionIs(2))}, want: conflict, version: 3,
		},
		{name: "an earlier conflict by far", standing: 5, rule: notDone, ops: []store.Op{put(keyA, "1", store.VersionIs(2))}, want: unknown, version: 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newRetryBench()
			for range test.standing {
				b.write(t, put(keyA, "0", store.Any))
			}
			test.rule.Do = func() { b.write(t, test.between...) }
			fault := b.faults.Add(test.rule)
			err := b.table.Write(t.Context(), test.ops...)
			if fault.Struck() != 1 {
				t.Fatalf("the fault struck %d times", fault.Struck())
			}
			if got := outcome(err); got != test.want {
				t.Errorf("%s (%v), want %s", got, err, test.want)
			}
			a, _ := b.inner.Get(t.Context(), keyA)
			if a.Version != test.version {
				t.Errorf("a stands at version %d, want %d", a.Version, test.version)
			}
		})
	}
}

// outcome names what err says of a Write, and fails to where it says two things.
func outcome(err error) string {
	var conflict *store.ConditionError
	isConflict, isUnknown, isUnavailable := errors.As(err, &conflict), errors.Is(err, store.ErrUnknown), errors.Is(err, store.ErrUnavailable)
	switch {
	case err == nil:
		return "succeeded"
	case isConflict && !isUnknown && !isUnavailable:
		return "conflict"
	case isUnknown && !isConflict && !isUnavailable:
		return "unknown"
	case isUnavailable && !isUnknown && !isConflict:
		return "unavailable"
	}
	return "unclear: " + err.Error()
}

// A try that a layer below has repeated by itself shows as a conflict with our own item.
func TestRetrying_HiddenRetryIsRecognised(t *testing.T) {
	b := newRetryBench()
	b.write(t, put(keyA, "0", store.Any))
	hidden := &repeating{b.inner}
	err := store.Retrying(hidden).Write(t.Context(), store.Check(keyB, store.Absent), put(keyA, "1", store.VersionIs(1)))
	if err != nil {
		t.Errorf("a write that was done: %v", err)
	}
	// but not what an earlier write of the same caller has left
	read, err := b.inner.Get(t.Context(), keyA)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, put(keyA, "another's", store.VersionIs(2)))
	if err := b.table.Write(t.Context(), store.Put(read, store.VersionIs(2))); outcome(err) != "conflict" {
		t.Errorf("a put over what another has changed: %v", err)
	}
	carried := store.Put(read, store.VersionIs(2))
	carried.Item.WriteID = read.WriteID
	b.write(t, store.Delete(keyA, store.Any), put(keyB, "", store.Any))
	b.write(t, put(keyA, "", store.Any))
	restored := store.Put(read, store.VersionIs(1))
	restored.Item.WriteID = read.WriteID
	b.write(t, restored)
	if err := b.table.Write(t.Context(), carried, store.Check(keyB, store.Absent)); outcome(err) != "conflict" {
		t.Errorf("a put that carries the id of what stands there: %v", err)
	}
}

// repeating sends each write twice and tells of the second only.
type repeating struct{ store.Table }

func (r *repeating) Write(ctx context.Context, ops ...store.Op) error {
	r.Table.Write(ctx, ops...)
	return r.Table.Write(ctx, ops...)
}

func TestRetrying_Unavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRetryBench()
		fault := b.faults.Add(faulty.Rule{})
		calls := map[string]func(context.Context) error{
			"get":      func(ctx context.Context) error { _, err := b.table.Get(ctx, keyA); return err },
			"get many": func(ctx context.Context) error { _, err := b.table.GetMany(ctx, []store.Key{keyA}); return err },
			"query":    func(ctx context.Context) error { _, err := b.table.Query(ctx, store.Query{PK: "P"}); return err },
			"write":    func(ctx context.Context) error { return b.table.Write(ctx, put(keyA, "1", store.Absent)) },
		}
		for name, call := range calls {
			t.Log(name)
			start := time.Now()
			if err := call(t.Context()); outcome(err) != "unavailable" {
				t.Errorf("%s: %v, want unavailable", name, err)
			}
			if took := time.Since(start); took != 10*time.Second {
				t.Errorf("%s without a deadline gave up after %v, want 10 s", name, took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			start = time.Now()
			if err := call(ctx); outcome(err) != "unavailable" || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want unavailable and the deadline", name, err)
			}
			if took := time.Since(start); took != time.Minute {
				t.Errorf("%s with a deadline gave up after %v, want 1 m", name, took)
			}
			cancel()
		}
		if n := fault.Struck(); n < 4*70 || n > 4*300 {
			t.Errorf("%d tries in 4 × 70 s: pauses are to grow to a second", n)
		}
		time.AfterFunc(5*time.Second, b.faults.Clear)
		if err := calls["write"](t.Context()); err != nil {
			t.Errorf("write to a table that comes back: %v", err)
		}
		if got, err := b.table.Get(t.Context(), keyA); err != nil || got.Version != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestRetrying_UndecidedAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRetryBench()
		b.faults.Add(faulty.Rule{Call: faulty.Write, Nth: 1, When: faulty.After})
		b.faults.Add(faulty.Rule{})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := b.table.Write(ctx, put(keyA, "1", store.Absent))
		if outcome(err) != "unknown" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want unknown and the deadline", err)
		}
		// a write that hangs: neither ours nor the driver's to say
		b.faults.Clear()
		b.faults.Add(faulty.Rule{When: faulty.Slow, Delay: time.Hour})
		if err := b.table.Write(t.Context(), put(keyB, "1", store.Absent)); outcome(err) != "unavailable" {
			t.Errorf("a write that was not sent in 10 s: %v", err)
		}
	})
}

func TestRetrying_PermanentErrorsPass(t *testing.T) {
	b := newRetryBench()
	own := errors.New("own")
	fault := b.faults.Add(faulty.Rule{Err: own})
	if err := b.table.Write(t.Context(), put(keyA, "1", store.Any)); !errors.Is(err, own) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("write: %v", err)
	}
	if _, err := b.table.Get(t.Context(), keyA); !errors.Is(err, own) {
		t.Errorf("get: %v", err)
	}
	if fault.Struck() != 2 {
		t.Errorf("%d tries at what is permanent, want 2", fault.Struck())
	}
	b.faults.Clear()
	b.faults.Add(faulty.Rule{Nth: 1, When: faulty.After})
	b.faults.Add(faulty.Rule{Nth: 2, Err: own})
	if err := b.table.Write(t.Context(), put(keyA, "1", store.Absent)); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("write that may have been done before: %v, want unknown", err)
	}
}

func TestRetrying_Wakes(t *testing.T) {
	b := newRetryBench()
	waker, ok := b.table.(store.Waker)
	if !ok {
		t.Fatal("retrying and faulty tables over one that wakes do not")
	}
	wake, stop := waker.Wake("P")
	defer stop()
	b.write(t, put(keyA, "1", store.Any))
	<-wake
	silent := struct{ store.Table }{b.inner}
	wrapped, _ := faulty.Wrap(silent, 1)
	if _, ok := store.Retrying(wrapped).(store.Waker); ok {
		t.Error("retrying and faulty tables over one that does not wake claim to")
	}
}

// TestRetrying_TellsTheTruth lets a write meet every mixture of lost answers,
// late effects and other writers, and compares what Retrying says with what
// each try really did.
func TestRetrying_TellsTheTruth(t *testing.T) {
	for range 20 {
		rapid.Check(t, func(rt *rapid.T) {
			script := rapid.SliceOfN(rapid.IntRange(0, 59), 60, 60).Draw(rt, "script")
			var lie string
			synctest.Test(t, func(t *testing.T) { lie = tellsTheTruth(t.Context(), script) }) // pauses take no time
			if lie != "" {
				rt.Fatal(lie)
			}
		})
	}
}

// tellsTheTruth makes one Write, all whose circumstances come from script, and
// returns in what Retrying was wrong about it.
func tellsTheTruth(ctx context.Context, script []int) string {
	w := &witness{inner: memory.New(memory.Options{}), script: script}
	keys := []store.Key{keyA, keyB, {PK: "P", SK: "c"}}
	for _, key := range keys {
		for range w.pick(3) {
			w.inner.Write(ctx, put(key, "0", store.Any))
		}
	}
	var ops []store.Op
	for _, key := range keys[:1+w.pick(3)] {
		ops = append(ops, w.op(key))
	}
	err := store.Retrying(w).Write(ctx, ops...)
	w.settle()
	switch got := outcome(err); {
	case got == "succeeded" && w.done == 0:
		return fmt.Sprintf("said to have succeeded, was not done: %+v", ops)
	case got == "conflict" && w.done > 0:
		return fmt.Sprintf("said to be a conflict, was done %d times: %+v: %v", w.done, ops, err)
	case got != "succeeded" && got != "conflict" && got != "unknown":
		return got
	case w.done > 1 && conditional(ops):
		return fmt.Sprintf("done %d times: %+v", w.done, ops)
	}
	return ""
}

// conditional reports whether no Write of ops can hold twice in a row.
func conditional(ops []store.Op) bool {
	for _, op := range ops {
		if n, exact := op.Condition.Version(); exact && n > 0 && op.Kind != store.OpCheck {
			return true
		}
	}
	return false
}

// witness is a table that knows how often a Write was really done.
type witness struct {
	inner  *memory.DB
	script []int
	late   [][]store.Op
	tries  int
	done   int
}

// pick returns the script's next choice among n.
func (w *witness) pick(n int) int {
	if len(w.script) == 0 {
		return 0
	}
	next := w.script[0]
	w.script = w.script[1:]
	return next % n
}

func (w *witness) op(key store.Key) store.Op {
	c := []store.Condition{store.Any, store.Absent, store.Present, store.VersionIs(1), store.VersionIs(2)}[w.pick(5)]
	switch w.pick(4) {
	case 0:
		return store.Delete(key, c)
	case 1:
		return store.Check(key, c)
	}
	return put(key, "ours", c)
}

func (w *witness) send(ops []store.Op) error {
	err := w.inner.Write(context.Background(), ops...)
	if err == nil {
		w.done++
	}
	return err
}

func (w *witness) settle() {
	for _, ops := range w.late {
		w.send(ops)
	}
	w.late = nil
}

// others writes as other processes may between two tries: over what stands, or
// where nothing ever stood; they remove only what the Write does not make anew.
func (w *witness) others() {
	for range w.pick(3) {
		key := store.Key{PK: "P", SK: []string{"a", "b", "c"}[w.pick(3)]}
		item, err := w.inner.Get(context.Background(), key)
		switch {
		case err == nil:
			w.inner.Write(context.Background(), put(key, "another's", store.VersionIs(item.Version)))
		case w.tries == 0:
			w.inner.Write(context.Background(), put(key, "another's", store.Absent))
		}
	}
}

func (w *witness) Write(_ context.Context, ops ...store.Op) error {
	defer func() { w.tries++ }()
	w.others()
	if w.pick(2) == 0 {
		w.settle()
	}
	if w.tries > 3 {
		return w.send(ops)
	}
	switch w.pick(5) {
	case 0:
		return fmt.Errorf("before: %w", store.ErrUnavailable)
	case 1:
		return fmt.Errorf("before: %w", store.ErrUnknown)
	case 2:
		w.send(ops)
		return fmt.Errorf("after: %w", store.ErrUnknown)
	case 3:
		w.late = append(w.late, ops)
		return fmt.Errorf("late: %w", store.ErrUnknown)
	}
	return w.send(ops)
}

func (w *witness) Get(ctx context.Context, key store.Key) (store.Item, error) {
	return w.inner.Get(ctx, key)
}

func (w *witness) GetMany(ctx context.Context, keys []store.Key) (map[store.Key]store.Item, error) {
	w.others()
	return w.inner.GetMany(ctx, keys)
}

func (w *witness) Query(ctx context.Context, q store.Query) (store.Page, error) {
	return w.inner.Query(ctx, q)
}
