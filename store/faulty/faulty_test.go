package faulty_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/faulty"
	"github.com/enlacehq/enlace/store/memory"
)

func put(pk, sk string, c store.Condition) store.Op {
	return store.Put(store.Item{Key: store.Key{PK: pk, SK: sk}, Index: store.Key{PK: "I", SK: sk}}, c)
}

// bench is a table with faults; version asks the table underneath.
func bench(t *testing.T) (table store.Table, faults *faulty.Faults, version func(pk, sk string) int64) {
	inner := memory.New(memory.Options{})
	table, faults = faulty.Wrap(inner, 1)
	return table, faults, func(pk, sk string) int64 {
		t.Helper()
		item, err := inner.Get(context.Background(), store.Key{PK: pk, SK: sk})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return item.Version
	}
}

func TestRule_MeansWhatItNames(t *testing.T) {
	tests := []struct {
		rule faulty.Rule
		want string // which of the calls below it strikes
	}{
		{faulty.Rule{}, "get,many,query,put,delete,two"},
		{faulty.Rule{Call: faulty.Get}, "get"},
		{faulty.Rule{Call: faulty.GetMany}, "many"},
		{faulty.Rule{Call: faulty.Query}, "query"},
		{faulty.Rule{Call: faulty.Write}, "put,delete,two"},
		{faulty.Rule{PK: "SIG#*"}, "get,many,put,two"},
		{faulty.Rule{PK: "*#1"}, "get,many,query,put,delete,two"},
		{faulty.Rule{PK: "SIG#"}, ""},
		{faulty.Rule{SK: "EV#*"}, "query,delete,two"},
		{faulty.Rule{PK: "CH#1", SK: "EV#*7"}, "delete,two"},
		{faulty.Rule{PK: "SIG#*", SK: "EV#*"}, ""}, // no one key is both
		{faulty.Rule{Op: store.OpDelete}, "delete"},
		{faulty.Rule{Op: store.OpPut, PK: "CH#1"}, "two"},
		{faulty.Rule{Match: func(ops []store.Op) bool { return len(ops) == 2 }}, "two"},
	}
	calls := []struct {
		name string
		call func(context.Context, store.Table) error
	}{
		{"get", func(ctx context.Context, table store.Table) error {
			_, err := table.Get(ctx, store.Key{PK: "SIG#1", SK: "a"})
			return err
		}},
		{"many", func(ctx context.Context, table store.Table) error {
			_, err := table.GetMany(ctx, []store.Key{{PK: "X#1", SK: "b"}, {PK: "SIG#1", SK: "a"}})
			return err
		}},
		{"query", func(ctx context.Context, table store.Table) error {
			_, err := table.Query(ctx, store.Query{PK: "CH#1", Prefix: "EV#"})
			return err
		}},
		{"put", func(ctx context.Context, table store.Table) error {
			return table.Write(ctx, put("SIG#1", "a", store.Any))
		}},
		{"delete", func(ctx context.Context, table store.Table) error {
			return table.Write(ctx, store.Delete(store.Key{PK: "CH#1", SK: "EV#17"}, store.Any))
		}},
		{"two", func(ctx context.Context, table store.Table) error {
			return table.Write(ctx, put("SIG#1", "b", store.Any), put("CH#1", "EV#7", store.Any))
		}},
	}
	for _, test := range tests {
		table, faults, _ := bench(t)
		fault := faults.Add(test.rule)
		got, n := "", 0
		for _, c := range calls {
			if err := c.call(t.Context(), table); errors.Is(err, store.ErrUnavailable) {
				if n++; n > 1 {
					got += ","
				}
				got += c.name
			}
		}
		if got != test.want || fault.Struck() != n {
			t.Errorf("%+v strikes %q (%d), want %q", test.rule, got, fault.Struck(), test.want)
		}
	}
}

func TestRule_NthAndRemoval(t *testing.T) {
	table, faults, version := bench(t)
	own := errors.New("own")
	fault := faults.Add(faulty.Rule{Call: faulty.Write, Nth: 2, Err: own})
	other := faults.Add(faulty.Rule{Call: faulty.Write, Nth: 4})
	want := []error{nil, own, nil, store.ErrUnavailable, nil}
	for i, want := range want {
		if err := table.Write(t.Context(), put("P", "a", store.Any)); !errors.Is(err, want) {
			t.Errorf("write %d: %v, want %v", i+1, err, want)
		}
	}
	if fault.Struck() != 1 || other.Struck() != 1 || version("P", "a") != 3 {
		t.Errorf("struck %d and %d times, version %d", fault.Struck(), other.Struck(), version("P", "a"))
	}
	always := faults.Add(faulty.Rule{})
	always.Remove()
	faults.Add(faulty.Rule{})
	faults.Clear()
	if err := table.Write(t.Context(), put("P", "a", store.Any)); err != nil {
		t.Errorf("without rules: %v", err)
	}
}

func TestRule_RateFollowsTheSeed(t *testing.T) {
	run := func(seed uint64) (fates string) {
		table, faults := faulty.Wrap(memory.New(memory.Options{}), seed)
		faults.Add(faulty.Rule{Rate: 0.3})
		for range 1000 {
			_, err := table.GetMany(t.Context(), nil)
			fates += map[bool]string{true: "x", false: "."}[err != nil]
		}
		return fates
	}
	first := run(1)
	failed := 0
	for _, fate := range first {
		if fate == 'x' {
			failed++
		}
	}
	if failed < 230 || failed > 370 {
		t.Errorf("%d of 1000 failed, want about 300", failed)
	}
	if run(1) != first || run(2) == first {
		t.Error("chance does not follow the seed")
	}
}

func TestWhen(t *testing.T) {
	table, faults, version := bench(t)
	write := func(rule faulty.Rule, c store.Condition) error {
		t.Helper()
		faults.Clear()
		rule.Nth = 1
		faults.Add(rule)
		return table.Write(t.Context(), put("P", "a", c))
	}
	if err := write(faulty.Rule{When: faulty.After}, store.Absent); !errors.Is(err, store.ErrUnknown) || version("P", "a") != 1 {
		t.Errorf("after: %v, version %d", err, version("P", "a"))
	}
	var conflict *store.ConditionError
	if err := write(faulty.Rule{When: faulty.After}, store.Absent); !errors.As(err, &conflict) {
		t.Errorf("after a write that fails by itself: %v", err)
	}
	if err := write(faulty.Rule{When: faulty.Late}, store.VersionIs(1)); !errors.Is(err, store.ErrUnknown) || version("P", "a") != 1 {
		t.Errorf("late: %v, version %d", err, version("P", "a"))
	}
	if err := table.Write(t.Context(), put("P", "b", store.Absent)); err != nil || version("P", "a") != 2 {
		t.Errorf("after the next write the late one is to have come: %v, version %d", err, version("P", "a"))
	}
	if err := write(faulty.Rule{When: faulty.Late}, store.VersionIs(2)); !errors.Is(err, store.ErrUnknown) {
		t.Error(err)
	}
	if faults.Settle(); version("P", "a") != 3 {
		t.Errorf("settled: version %d", version("P", "a"))
	}
	for _, panics := range []struct {
		when    faulty.When
		version int64
	}{{faulty.Before, 3}, {faulty.After, 4}} {
		func() {
			defer func() {
				if got := recover(); got != "boom" {
					t.Errorf("panicked with %v", got)
				}
			}()
			t.Error(write(faulty.Rule{When: panics.when, Panic: "boom"}, store.VersionIs(3)))
		}()
		if got := version("P", "a"); got != panics.version {
			t.Errorf("a panic %d left version %d, want %d", panics.when, got, panics.version)
		}
	}
	faults.Clear()
	faults.Add(faulty.Rule{When: faulty.After})
	if item, err := table.Get(t.Context(), store.Key{PK: "P", SK: "a"}); !errors.Is(err, store.ErrUnavailable) || item.Version != 0 {
		t.Errorf("a read whose answer is lost: %+v, %v", item, err)
	}
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, faults, version := bench(t)
		asked := 0
		faults.Add(faulty.Rule{When: faulty.Slow, Delay: time.Second, Do: func() { asked++ }})
		start := time.Now()
		if err := table.Write(t.Context(), put("P", "a", store.Absent)); err != nil || time.Since(start) != time.Second || asked != 1 {
			t.Errorf("%v after %v, asked %d times", err, time.Since(start), asked)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := table.Write(ctx, put("P", "a", store.Any)); !errors.Is(err, context.DeadlineExceeded) || version("P", "a") != 1 {
			t.Errorf("%v, version %d", err, version("P", "a"))
		}
	})
}

func TestStale(t *testing.T) {
	table, faults, _ := bench(t)
	list := func() (list string) {
		t.Helper()
		page, err := table.Query(t.Context(), store.Query{PK: "I", Index: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			list += fmt.Sprint(item.SK)
		}
		return list
	}
	write := func(ops ...store.Op) {
		t.Helper()
		if err := table.Write(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
	fault := faults.Add(faulty.Rule{When: faulty.Stale})
	write(put("P", "a", store.Absent))
	if got := list(); got != "" {
		t.Errorf("stale from the beginning shows %q", got)
	}
	fault.Remove()
	if got := list(); got != "a" {
		t.Errorf("fresh shows %q", got)
	}
	faults.Add(faulty.Rule{When: faulty.Stale})
	write(store.Delete(store.Key{PK: "P", SK: "a"}, store.Any), put("P", "b", store.Absent))
	if got := list(); got != "a" {
		t.Errorf("stale shows %q, want what was", got)
	}
	if page, err := table.Query(t.Context(), store.Query{PK: "P"}); err != nil || len(page.Items) != 1 || page.Items[0].SK != "b" {
		t.Errorf("the table itself is never stale: %v, %v", page.Items, err)
	}
	faults.Clear()
	if got := list(); got != "b" {
		t.Errorf("fresh again shows %q", got)
	}
}
