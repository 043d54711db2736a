//go:build unix

package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/storetest"
)

// lock takes the file's lock for writing; the returned function lets it go.
func lock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	c, err := openConn(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.run("PRAGMA busy_timeout = 5000", "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := c.run("ROLLBACK"); err != nil {
			t.Error(err)
		}
		c.close()
	}
}

// line puts writes into the queue one behind the other, and returns where
// their outcomes come.
func line(t *testing.T, db *DB, writes ...[]store.Op) []chan error {
	t.Helper()
	outcomes := make([]chan error, len(writes))
	for i, ops := range writes {
		outcomes[i] = make(chan error, 1)
		go func() { outcomes[i] <- db.Write(context.Background(), ops...) }()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			db.writer.mu.Lock()
			queued := len(db.writer.queue)
			db.writer.mu.Unlock()
			if queued > i {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("write %d does not stand in line", i)
			}
		}
	}
	return outcomes
}

func ops(ops ...store.Op) []store.Op { return ops }

func put(sk, value string, c store.Condition) store.Op {
	return store.Put(store.Item{Key: store.Key{PK: "P", SK: sk}, Value: []byte(value)}, c)
}

// Writes that are committed together are each all or nothing by themselves,
// and later ones see what earlier ones did.
func TestGroupCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	db := openTuned(t, path, Options{}, defaultTuning())
	unlock := lock(t, path)
	outcomes := line(t, db,
		ops(put("a", "first", store.Absent), put("b", "first", store.Absent)),
		ops(put("c", "second", store.Any), put("a", "second", store.Absent)),
		ops(put("a", "third", store.VersionIs(1)), store.Delete(store.Key{PK: "P", SK: "b"}, store.VersionIs(1))),
		ops(put("b", "fourth", store.Absent), store.Check(store.Key{PK: "P", SK: "c"}, store.Absent)),
	)
	unlock()
	for i, outcome := range outcomes {
		err := <-outcome
		var conflict *store.ConditionError
		switch {
		case i == 1:
			if !errors.As(err, &conflict) || conflict.Op != 1 || string(conflict.Item.Value) != "first" || conflict.Item.Version != 1 {
				t.Errorf("write 1: %v, want a conflict with what write 0 did", err)
			}
		case err != nil:
			t.Errorf("write %d: %v", i, err)
		}
	}
	got := make(map[string]string)
	page, err := db.Query(t.Context(), store.Query{PK: "P"})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range page.Items {
		got[item.SK] = fmt.Sprint(string(item.Value), item.Version)
	}
	if want := map[string]string{"a": "third2", "b": "fourth1"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("stored %v, want %v", got, want)
	}
}

// A write whose context ends while it waits for its turn is never done.
func TestWrite_GivenUpWhileWaiting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	db := openTuned(t, path, Options{}, defaultTuning())
	unlock := lock(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := db.Write(ctx, put("a", "1", store.Any)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("%v, want DeadlineExceeded", err)
	}
	outcome := line(t, db, ops(put("b", "1", store.Any)))
	unlock()
	if err := <-outcome[0]; err != nil {
		t.Error(err)
	}
	if _, err := db.Get(t.Context(), keyA); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the write that was given up: %v, want ErrNotFound", err)
	}
}

// Close answers what waits, refuses what comes later, and leaves no log behind.
func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	db := openTuned(t, path, Options{}, defaultTuning())
	unlock := lock(t, path)
	outcome := line(t, db, ops(put("a", "1", store.Absent)))
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	unlock()
	if err := <-outcome[0]; err != nil {
		t.Errorf("a write that waited at Close: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if err := db.Write(t.Context(), put("a", "2", store.Any)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if _, err := db.Get(t.Context(), keyA); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Get after Close: %v", err)
	}
	if left, _ := filepath.Glob(path + "-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	db = openTuned(t, path, Options{}, defaultTuning())
	if got, err := db.Get(t.Context(), keyA); err != nil || string(got.Value) != "1" {
		t.Errorf("after opening again: %q, %v", got.Value, err)
	}
}

// A full disk fails the writes that need space, certainly and in clear words,
// and no others; it takes them again when there is space.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	small := defaultTuning()
	small.maxPages = 100
	db := openTuned(t, path, Options{}, small)
	large := string(make([]byte, 20_000))
	n := 0
	var err error
	for ; n < 100 && err == nil; n++ {
		err = db.Write(t.Context(), put(fmt.Sprint(n), large, store.Absent), put("count", fmt.Sprint(n), store.Any))
	}
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) ||
		!strings.Contains(err.Error(), "disk full, nothing was written") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("write %d: %v, want one line that says the disk is full", n, err)
	}
	last := fmt.Sprint(n - 1)
	if _, err := db.Get(t.Context(), store.Key{PK: "P", SK: last}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the write that failed: %v, want ErrNotFound", err)
	}
	if got, err := db.Get(t.Context(), store.Key{PK: "P", SK: "count"}); err != nil || string(got.Value) != fmt.Sprint(n-2) {
		t.Errorf("its other item: %q, %v, want %d", got.Value, err, n-2)
	}
	// together with others that need no space, it fails alone
	unlock := lock(t, path)
	outcomes := line(t, db,
		ops(store.Delete(store.Key{PK: "P", SK: "count"}, store.Present)),
		ops(put(last, large, store.Absent), put("y", large, store.Absent)),
		ops(store.Check(store.Key{PK: "P", SK: "count"}, store.Absent)),
		ops(store.Delete(store.Key{PK: "P", SK: "0"}, store.Present)),
		ops(put("z", large, store.Absent)),
	)
	unlock()
	for i, outcome := range outcomes {
		if err := <-outcome; (i == 1) != errors.Is(err, store.ErrUnavailable) || i != 1 && err != nil {
			t.Errorf("write %d of the batch: %v", i, err)
		}
	}
	if got := integrity(t, path); got != "ok" {
		t.Errorf("integrity check: %s", got)
	}
}

// rows counts what the file really holds.
func rows(t *testing.T, path string) (n int64) {
	t.Helper()
	c, err := openConn(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if n, err = c.number("SELECT count(*) FROM items"); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSweep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	clock := storetest.NewClock()
	often := defaultTuning()
	often.sweep = 5 * time.Millisecond
	db := openTuned(t, path, Options{Now: clock.Now}, often)
	var batch []store.Op
	for n := range 3 * sweepItems {
		op := put(fmt.Sprint(n), "", store.Absent)
		op.Item.Expires = clock.Now().Add(time.Minute)
		if n%3 == 0 {
			op.Item.Expires = clock.Now().Add(time.Hour)
		}
		if batch = append(batch, op); len(batch) == store.MaxOps {
			if err := db.Write(t.Context(), batch...); err != nil {
				t.Fatal(err)
			}
			batch = nil
		}
	}
	if n := rows(t, path); n != 3*sweepItems {
		t.Errorf("%d rows before their time, want %d", n, 3*sweepItems)
	}
	clock.Advance(2 * time.Minute)
	for deadline := time.Now().Add(10 * time.Second); rows(t, path) != sweepItems; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d rows, want %d", rows(t, path), sweepItems)
		}
	}
}

// The log is moved into the file now and then, so that it stays small.
func TestCheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	db := openTuned(t, path, Options{}, defaultTuning())
	for n := range 60 { // 18 MB, each time others: the engine leaves alone what stays as it is
		value := strings.Repeat(string(rune('A'+n)), 300<<10)
		if err := db.Write(t.Context(), put("a", value, store.VersionIs(int64(n)))); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 8<<20 {
		t.Errorf("the log has %d bytes, want at most 8 MB", info.Size())
	}
}

// A page of large items is short, so that reading it takes a few megabytes.
func TestQuery_PageOfLargeItemsIsShort(t *testing.T) {
	db := openTuned(t, filepath.Join(t.TempDir(), "enlace.db"), Options{}, defaultTuning())
	value := string(make([]byte, 300<<10))
	for n := range 20 {
		if err := db.Write(t.Context(), put(fmt.Sprintf("%02d", n), value, store.Absent)); err != nil {
			t.Fatal(err)
		}
	}
	page, err := db.Query(t.Context(), store.Query{PK: "P"})
	if err != nil || page.Cursor == "" || len(page.Items) != 14 {
		t.Errorf("a page of %d items, cursor %q, %v, want 14 and a cursor", len(page.Items), page.Cursor, err)
	}
}

// Queries are answered from the indexes, in their order.
func TestQueryPlans(t *testing.T) {
	c, err := openSchema(t.Context(), filepath.Join(t.TempDir(), "enlace.db"), quick())
	if err != nil {
		// prepareFile has not run: the engine makes the file
		t.Fatal(err)
	}
	defer c.close()
	plan := func(sql string) (plan string) {
		explain, err := c.prepare("EXPLAIN QUERY PLAN " + sql)
		if err != nil {
			t.Fatal(err)
		}
		args := make([]any, strings.Count(sql, "?"))
		for i := range args {
			args[i] = ""
		}
		explain.each(func(row []driver.Value) error {
			plan += fmt.Sprint(row[3], "; ")
			return nil
		}, args...)
		return plan
	}
	for _, direction := range []string{"ASC", "DESC"} {
		if got := plan(fmt.Sprintf(tableQuery, direction)); got != "SEARCH items USING INDEX items_key (pk=? AND sk>? AND sk<?); " {
			t.Errorf("table %s: %s", direction, got)
		}
		if got := plan(fmt.Sprintf(indexQuery, direction)); got != "SEARCH items USING COVERING INDEX items_index (index_pk=? AND (index_sk,pk,sk)>(?,?,?) AND (index_sk,pk,sk)<(?,?,?)); " {
			t.Errorf("index %s: %s", direction, got)
		}
	}
	if got := plan(sweepStatement); !strings.Contains(got, "items_expires (expires<?)") {
		t.Errorf("sweep: %s", got)
	}
}
