package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/enlacehq/enlace/store"
)

// writers is how many write at once; each that loses a race calls again.
func (e *env) writers() int {
	if e.driver.Slow {
		return 24
	}
	return 64
}

// together runs work for each of the writers at once and reports their errors.
func (e *env) together(work func(ctx context.Context, writer int) error) {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, e.writers())
	for w := range errs {
		wg.Go(func() { errs[w] = work(ctx, w) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		e.Fatal(err)
	}
}

// testGaplessAppends: many writers append to one log, each at the number after the
// last it knows of, and at the next whenever another was faster.
func testGaplessAppends(e *env) {
	const each = 2
	seqKey := func(n int) store.Key { return key(fmt.Sprintf("EV#%020d", n)) }
	e.together(func(ctx context.Context, w int) error {
		tail, err := e.table.Query(ctx, store.Query{PK: "P", Prefix: "EV#", Descending: true, Limit: 1})
		if err != nil {
			return err
		}
		next := 1
		if len(tail.Items) > 0 {
			last, _ := strconv.Atoi(tail.Items[0].SK[len("EV#"):])
			next = last + 1
		}
		for done := 0; done < each; next++ {
			event := store.Item{Key: seqKey(next), Value: fmt.Appendf(nil, "%d/%d", w, done)}
			mine := store.Item{Key: key(fmt.Sprintf("W#%d", w)), Value: event.Value}
			err := e.table.Write(ctx, store.Put(event, store.Absent), store.Put(mine, store.VersionIs(int64(done))))
			var taken *store.ConditionError
			switch {
			case err == nil:
				done++
			case !errors.As(err, &taken) || taken.Op != 0 || taken.Item == nil || len(taken.Others) != 0:
				return err
			}
		}
		return nil
	})
	seen := make(map[string]bool)
	for n, event := range e.all(store.Query{PK: "P", Prefix: "EV#"}) {
		if event.Key != seqKey(n+1) || event.Version != 1 {
			e.Fatalf("at place %d stands %s at version %d", n+1, event.Key, event.Version)
		}
		if seen[string(event.Value)] {
			e.Errorf("event %s is there twice", event.Value)
		}
		seen[string(event.Value)] = true
	}
	if len(seen) != e.writers()*each {
		e.Errorf("%d events, want %d", len(seen), e.writers()*each)
	}
}

// testCountersLoseNothing: read, add one, put at the version read; nothing is
// lost. Whoever cannot learn its outcome may count or not.
func testCountersLoseNothing(e *env) {
	const each = 1
	var mu sync.Mutex
	unknown := 0
	e.together(func(ctx context.Context, _ int) error {
		for done := 0; done < each; {
			before, err := e.table.Get(ctx, key("counter"))
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			n, _ := strconv.Atoi(string(before.Value))
			err = e.table.Write(ctx, store.Put(item("counter", strconv.Itoa(n+1)), store.VersionIs(before.Version)))
			var lost *store.ConditionError
			switch {
			case err == nil:
				done++
			case errors.Is(err, store.ErrUnknown):
				done++
				mu.Lock()
				unknown++
				mu.Unlock()
			case !errors.As(err, &lost):
				return err
			}
		}
		return nil
	})
	counter := e.get(key("counter"))
	n, _ := strconv.Atoi(string(counter.Value))
	if n < e.writers()*each-unknown || n > e.writers()*each || counter.Version != int64(n) {
		e.Errorf("counted %d at version %d, want %d, of which %d unknown", n, counter.Version, e.writers()*each, unknown)
	}
}

func testWake(e *env, waker store.Waker) {
	wake, stop := waker.Wake("P")
	other, stopOther := waker.Wake("Q")
	defer stopOther()
	woken := func(what string, c <-chan struct{}) {
		e.Helper()
		select {
		case <-c:
		case <-time.After(5 * time.Second):
			e.Fatalf("not woken within 5 s by %s", what)
		}
	}
	asleep := func(what string, c <-chan struct{}) {
		e.Helper()
		select {
		case <-c:
			e.Errorf("woken by %s", what)
		default:
		}
	}
	asleep("nothing", wake)
	e.write(store.Put(item("a", "1"), store.Any))
	woken("a put", wake)
	e.write(store.Delete(key("a"), store.Any))
	woken("a delete", wake)
	for range 3 { // there is room for one wake-up, and writing does not wait for it to be taken
		e.write(store.Put(item("a", "1"), store.Any), store.Put(item("b", "1"), store.Any))
	}
	woken("three writes", wake)
	e.write(store.Check(key("a"), store.Present))
	e.wantConflict(store.Put(item("a", "2"), store.Absent))
	asleep("writes that changed nothing", wake)
	asleep("writes of another partition", other)
	stop()
	stop() // twice does no harm
	e.write(store.Put(item("a", "3"), store.Any))
	asleep("a write after stop", wake)
	e.write(store.Put(store.Item{Key: store.Key{PK: "Q", SK: "a"}}, store.Any))
	woken("its own partition's write", other)

	index, stopIndex := waker.Wake("I")
	defer stopIndex()
	e.write(store.Put(indexed("P", "i", "I", "1"), store.Any))
	woken("an item that came into the index partition", index)
	e.write(store.Put(indexed("P", "i", "J", "1"), store.Any))
	woken("an item that left it", index)
	e.write(store.Put(indexed("P", "i", "J", "2"), store.Any))
	asleep("a write of another index partition", index)
	e.write(store.Put(indexed("P", "i", "I", "1"), store.Any))
	woken("its return", index)
	e.write(store.Delete(store.Key{PK: "P", SK: "i"}, store.Any))
	woken("its removal", index)
}
