package dynamodb_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/dynamodb"
)

func key(sk string) store.Key { return store.Key{PK: "P", SK: sk} }

func item(sk, value string) store.Item { return store.Item{Key: key(sk), Value: []byte(value)} }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func value(t testing.TB, table store.Table, sk string) (string, int64) {
	t.Helper()
	got, err := table.Get(t.Context(), key(sk))
	if errors.Is(err, store.ErrNotFound) {
		return "", 0
	}
	must(t, err)
	return string(got.Value), got.Version
}

// kinds are Writes of each kind of request. Before each, a stands at version 1.
var kinds = map[string]struct {
	ops    []store.Op
	before string // what the request is called
	done   string // a and b afterwards
}{
	"put of a known version":   {[]store.Op{store.Put(item("a", "2"), store.VersionIs(1))}, "PutItem", "2 at 2, none"},
	"put of any version":       {[]store.Op{store.Put(item("a", "2"), store.Any)}, "UpdateItem", "2 at 2, none"},
	"put if present":           {[]store.Op{store.Put(item("a", "2"), store.Present)}, "UpdateItem", "2 at 2, none"},
	"put of what is new":       {[]store.Op{store.Put(item("b", "1"), store.Absent)}, "PutItem", "1 at 1, 1 at 1"},
	"delete":                   {[]store.Op{store.Delete(key("a"), store.Any)}, "DeleteItem", "none, none"},
	"delete under a condition": {[]store.Op{store.Delete(key("a"), store.VersionIs(1))}, "TransactWriteItems", "none, none"},
	"several ops": {[]store.Op{
		store.Put(item("a", "2"), store.Any), store.Put(item("b", "1"), store.Absent), store.Check(key("c"), store.Absent),
	}, "TransactWriteItems", "2 at 2, 1 at 1"},
	"deletes and checks": {[]store.Op{
		store.Delete(key("a"), store.Present), store.Check(key("c"), store.Absent),
	}, "TransactWriteItems", "none, none"},
}

func state(t testing.TB, table store.Table) string {
	t.Helper()
	var parts []string
	for _, sk := range []string{"a", "b"} {
		part := "none"
		if v, n := value(t, table, sk); n != 0 {
			part = fmt.Sprintf("%s at %d", v, n)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// reset makes what each of kinds begins with.
func reset(t testing.TB, table store.Table) {
	t.Helper()
	for _, sk := range []string{"a", "b"} {
		must(t, table.Write(t.Context(), store.Delete(key(sk), store.Any)))
	}
	must(t, table.Write(t.Context(), store.Put(item("a", "1"), store.Absent)))
}

func TestWrite_WithoutAnAnswerIsUnknownAndSentOnce(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	for name, c := range kinds {
		for fateName, f := range map[string]fate{
			"cut before": cutBefore, "cut after": cutAfter, "500 before": failedBefore, "500 after": failedAfter, "503 after": awayAfter,
		} {
			p.next()
			reset(t, db)
			p.next(f)
			err := db.Write(t.Context(), c.ops...)
			if !errors.Is(err, store.ErrUnknown) || errors.Is(err, store.ErrUnavailable) || errors.As(err, new(*store.ConditionError)) {
				t.Errorf("%s, %s: %v, want ErrUnknown", name, fateName, err)
			}
			if got := p.operations(); got != c.before {
				t.Errorf("%s, %s: sent %s, want %s", name, fateName, got, c.before)
			}
			want := c.done
			if f.lost {
				want = "1 at 1, none"
			}
			if got := state(t, db); got != want {
				t.Errorf("%s, %s: then %s, want %s", name, fateName, got, want)
			}
		}
	}
}

func TestWrite_RetryingLearnsWhatBecameOfIt(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	table := store.Retrying(db)
	for name, c := range kinds {
		for _, fates := range [][]fate{
			{cutBefore},
			{cutAfter},
			{failedBefore},
			{failedAfter},
			{awayBefore},
			{cutAfter, throttled},
			{throttled, cutAfter, failedBefore},
			{cutAfter, cutBefore, refusal("TransactionInProgressException")},
		} {
			p.next()
			reset(t, db)
			p.next(fates...)
			if err := table.Write(t.Context(), c.ops...); err != nil {
				t.Errorf("%s, %v: %v", name, fates, err)
			}
			if got := state(t, db); got != c.done {
				t.Errorf("%s, %v: then %s, want %s", name, fates, got, c.done)
			}
		}
	}
}

// A transaction that was done and written over since is known again by its token:
// no condition could tell.
func TestWrite_ATransactionIsDoneOnceUnderItsToken(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	must(t, db.Write(t.Context(), store.Put(item("a", "1"), store.Any)))
	ops := []store.Op{store.Put(item("a", "2"), store.Any), store.Delete(key("b"), store.Any)}
	for i := range ops {
		ops[i].Item.WriteID = store.NewWriteID()
	}
	p.next(cutAfter)
	if err := db.Write(t.Context(), ops...); !errors.Is(err, store.ErrUnknown) {
		t.Fatalf("got %v, want ErrUnknown", err)
	}
	must(t, db.Write(t.Context(), store.Put(item("a", "3"), store.VersionIs(2))))
	must(t, db.Write(t.Context(), ops...))
	if v, n := value(t, db, "a"); v != "3" || n != 3 {
		t.Errorf("a is %s at %d, want 3 at 3: the transaction was done twice", v, n)
	}
}

// The token is kept also when an item expired meanwhile, and time went on.
func TestWrite_ATokenOutlivesTheClock(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	db, p := behind(t, dynamodb.Options{Now: clock})
	must(t, db.Write(t.Context(), store.Put(item("a", "1"), store.Any)))
	expiring := item("b", "1")
	expiring.Expires = now.Add(-time.Second)
	must(t, db.Write(t.Context(), store.Put(expiring, store.Any)))
	ops := []store.Op{store.Delete(key("a"), store.VersionIs(1)), store.Put(item("b", "2"), store.Any)}
	id := store.NewWriteID()
	for i := range ops {
		ops[i].Item.WriteID = id
	}
	p.next(pass, cutAfter) // the first fails by what has expired
	if err := db.Write(t.Context(), ops...); !errors.Is(err, store.ErrUnknown) {
		t.Fatalf("got %v, want ErrUnknown", err)
	}
	mu.Lock()
	now = now.Add(5 * time.Second)
	mu.Unlock()
	p.next(throttled, refusal("TransactionInProgressException"))
	if err := db.Write(t.Context(), ops...); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("while it is in progress: %v, want ErrUnknown", err)
	}
	if err := db.Write(t.Context(), ops...); err != nil {
		t.Errorf("what was done, sent again: %v", err)
	}
	if got := state(t, db); got != "none, 2 at 1" {
		t.Errorf("then %s", got)
	}
}

func TestWrite_NotSentIsUnavailable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, listener.Close()) // nobody answers there
	db := open(t, "none", dynamodb.Options{Endpoint: "http://" + listener.Addr().String()})
	for name, c := range kinds {
		err := db.Write(t.Context(), c.ops...)
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
	if _, err := db.Get(t.Context(), key("a")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get: %v, want ErrUnavailable", err)
	}
}

func TestWrite_BusyEngineIsAskedAgainWithinTheDeadline(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	cancelled := fate{lost: true, status: 400, body: `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"Transaction cancelled",` +
		`"CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"},{"Code":"ThrottlingError"}]}`}
	for name, busy := range map[string]fate{
		"throttled": throttled, "throttling": refusal("ThrottlingException"), "request limit": refusal("RequestLimitExceeded"),
		"conflict": refusal("TransactionConflictException"), "cancelled": cancelled,
	} {
		for kind, c := range kinds {
			if name == "cancelled" && kind != "several ops" {
				continue
			}
			p.next()
			reset(t, db)
			p.next(busy, busy)
			if err := db.Write(t.Context(), c.ops...); err != nil {
				t.Errorf("%s, %s twice: %v", kind, name, err)
			}
			if got := state(t, db); got != c.done {
				t.Errorf("%s, %s: then %s, want %s", kind, name, got, c.done)
			}
		}
	}
	p.set(func(request) fate { return throttled })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := db.Write(ctx, store.Put(item("a", "2"), store.Any)); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("throttled for good: %v, want ErrUnavailable", err)
	}
	if _, err := db.Get(ctx, key("a")); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get, throttled for good: %v", err)
	}
}

func TestWrite_HangingEngine(t *testing.T) {
	p := newProxy(t)
	db := open(t, "any", dynamodb.Options{Endpoint: p.url, Timeout: 300 * time.Millisecond})
	for _, f := range []fate{hangBefore, hangAfter} {
		p.next(f)
		started := time.Now()
		if err := db.Write(t.Context(), store.Put(item("b", "1"), store.Any)); !errors.Is(err, store.ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	}
	p.next(hangAfter)
	if _, err := db.Get(t.Context(), key("a")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get: %v, want ErrUnavailable", err)
	}
	// the caller's context ends
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	p.set(func(request) fate { return hangAfter })
	if err := db.Write(ctx, store.Put(item("b", "2"), store.Any)); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	if _, err := db.Get(ctx, key("a")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get: %v, want the context's error", err)
	}
}

func TestWrite_RefusedIsPermanent(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	for code, want := range map[string]string{
		"AccessDeniedException": "does not allow", "UnrecognizedClientException": "credentials",
		"ResourceNotFoundException": "there is no table", "ValidationException": "ValidationException: so the test will have it",
	} {
		p.set(func(request) fate { return refusal(code) })
		_, getErr := db.Get(t.Context(), key("a"))
		for call, err := range map[string]error{"Write": db.Write(t.Context(), store.Put(item("a", "1"), store.Any)), "Get": getErr} {
			if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: %v", call, code, err)
			}
		}
		if got := p.operations(); got != "GetItem UpdateItem" {
			t.Errorf("%s: sent %s, want each once", code, got)
		}
	}
}

func TestReads_PassingFailuresAreUnavailable(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	reads := map[string]func() error{
		"Get": func() error { _, err := db.Get(t.Context(), key("a")); return err },
		"GetMany": func() error {
			_, err := db.GetMany(t.Context(), []store.Key{key("a"), key("b")})
			return err
		},
		"Query": func() error { _, err := db.Query(t.Context(), store.Query{PK: "P"}); return err },
		"index": func() error { _, err := db.Query(t.Context(), store.Query{PK: "P", Index: true}); return err },
		"check": func() error { return db.Write(t.Context(), store.Check(key("a"), store.Present)) },
	}
	for name, read := range reads {
		for _, f := range []fate{cutBefore, cutAfter, failedBefore, awayBefore, {lost: true, status: 200, body: "{"}} {
			p.next(f)
			if err := read(); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) {
				t.Errorf("%s, %v: %v, want ErrUnavailable", name, f, err)
			}
		}
	}
}

// Sixteen writers count under one key through a network that loses, cuts and
// throttles: nothing is lost or done twice but what is said to be unknown.
func TestTable_UnderABadNetwork(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	table := store.Retrying(db)
	random := rand.New(rand.NewPCG(7, 7))
	fates := []fate{cutBefore, cutAfter, cutAfter, failedBefore, failedAfter, awayAfter, throttled, refusal("TransactionConflictException")}
	p.set(func(request) fate {
		if random.IntN(5) > 0 {
			return pass
		}
		return fates[random.IntN(len(fates))]
	})
	const writers, each = 16, 3
	var group sync.WaitGroup
	var mu sync.Mutex
	certain, unknown := 0, 0
	for w := range writers {
		group.Go(func() {
			for done := 0; done < each; {
				before, err := table.Get(t.Context(), key("counter"))
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Errorf("Get: %v", err)
					return
				}
				n, _ := strconv.Atoi(string(before.Value))
				ops := []store.Op{store.Put(item("counter", strconv.Itoa(n+1)), store.VersionIs(before.Version))}
				if w%2 == 0 {
					ops = append(ops, store.Put(item(fmt.Sprint("own", w), "x"), store.Any))
				}
				err = table.Write(t.Context(), ops...)
				mu.Lock()
				switch {
				case err == nil:
					certain, done = certain+1, done+1
				case errors.Is(err, store.ErrUnknown):
					unknown, done = unknown+1, done+1
				case !errors.As(err, new(*store.ConditionError)):
					t.Errorf("Write: %v", err)
					done = each
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	p.next()
	v, version := value(t, db, "counter")
	n, _ := strconv.Atoi(v)
	if n < certain || n > certain+unknown || version != int64(n) {
		t.Errorf("counted %d at version %d; %d writes were done and %d are unknown", n, version, certain, unknown)
	}
	if certain == 0 {
		t.Error("no write was certain")
	}
}
