//go:build unix

package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
)

const (
	appenders = 4
	parts     = 3 // items of one append
)

func partKey(writer, n, part int) store.Key {
	return store.Key{PK: fmt.Sprintf("W#%d", writer), SK: fmt.Sprintf("N#%08d#%d", n, part)}
}

func counterKey(writer int) store.Key {
	return store.Key{PK: fmt.Sprintf("W#%d", writer), SK: "COUNTER"}
}

// childAppend appends for ever: each of the writers, one Write after another of
// several items and its counter, saying "writer n" when that is acknowledged.
func childAppend(path string) error {
	ctx := context.Background()
	db, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	errs := make(chan error)
	for w := range appenders {
		go func() { errs <- appendForEver(ctx, db, w) }()
	}
	return <-errs
}

func appendForEver(ctx context.Context, db *DB, w int) error {
	counter, err := db.Get(ctx, counterKey(w))
	if err != nil && counter.Version != 0 {
		return err
	}
	for n := int(counter.Version) + 1; ; n++ {
		ops := []store.Op{store.Put(store.Item{Key: counterKey(w), Value: []byte(strconv.Itoa(n))}, store.VersionIs(int64(n-1)))}
		for part := range parts {
			ops = append(ops, store.Put(store.Item{Key: partKey(w, n, part), Value: make([]byte, rand.IntN(3000))}, store.Absent))
		}
		if err := db.Write(ctx, ops...); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(os.Stdout, "%d %d\n", w, n); err != nil {
			return err
		}
	}
}

// TestKill kills the writing process at random moments: every acknowledged
// write is there afterwards, and of every other either all or nothing.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	var acknowledged [appenders]int
	for range 8 {
		c := startChild(t, "append", path, nil)
		first := c.line()
		timer := time.AfterFunc(rand.N(120*time.Millisecond), func() { c.cmd.Process.Kill() })
		for line := first; line != ""; line = c.line() {
			var w, n int
			if _, err := fmt.Sscanf(line, "%d %d", &w, &n); err != nil {
				t.Fatalf("the child says %q", line)
			}
			acknowledged[w] = n
		}
		timer.Stop()
		c.kill()
		if first == "" {
			t.Fatal("the child ended by itself")
		}
		checkAppended(t, path, &acknowledged)
	}
	t.Logf("acknowledged in the end: %v", acknowledged)
}

func checkAppended(t *testing.T, path string, acknowledged *[appenders]int) {
	t.Helper()
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var wg sync.WaitGroup
	for w := range appenders {
		wg.Go(func() {
			counter, err := db.Get(t.Context(), counterKey(w))
			if err != nil {
				t.Errorf("writer %d: %v", w, err)
				return
			}
			n := int(counter.Version)
			if string(counter.Value) != strconv.Itoa(n) || n < acknowledged[w] || n > acknowledged[w]+1 {
				t.Errorf("writer %d counted %s at version %d; %d were acknowledged", w, counter.Value, n, acknowledged[w])
			}
			acknowledged[w] = n
			q := store.Query{PK: counterKey(w).PK, Prefix: "N#"}
			for i := 0; ; {
				page, err := db.Query(t.Context(), q)
				if err != nil {
					t.Error(err)
					return
				}
				for _, item := range page.Items {
					if want := partKey(w, i/parts+1, i%parts); item.Key != want {
						t.Errorf("found %s, want %s", item.Key, want)
						return
					}
					i++
				}
				if page.Cursor == "" {
					if i != n*parts {
						t.Errorf("writer %d: %d items, want %d", w, i, n*parts)
					}
					return
				}
				q.Cursor = page.Cursor
			}
		})
	}
	wg.Wait()
	if got := integrity(t, path); got != "ok" {
		t.Errorf("integrity check: %s", got)
	}
}
