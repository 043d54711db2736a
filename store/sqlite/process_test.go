//go:build unix

package sqlite

import (
	"bufio"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
)

var keyA = store.Key{PK: "P", SK: "a"}

func putA(value string, c store.Condition) store.Op {
	return store.Put(store.Item{Key: keyA, Value: []byte(value)}, c)
}

// quick is a tuning that does not keep a test waiting.
func quick() tuning {
	return tuning{busy: 300 * time.Millisecond, sweep: time.Hour, poll: 5 * time.Millisecond}
}

func openTuned(t *testing.T, path string, o Options, tuning tuning) *DB {
	t.Helper()
	db, err := open(t.Context(), path, o, tuning)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// integrity returns what the engine says of the whole file.
func integrity(t *testing.T, path string) (verdict string) {
	t.Helper()
	c, err := openConn(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.run("PRAGMA busy_timeout = 5000"); err != nil { // a process that ends holds the file for a moment
		t.Fatal(err)
	}
	check, err := c.prepare("PRAGMA integrity_check")
	if err != nil {
		t.Fatal(err)
	}
	err = check.each(func(row []driver.Value) error {
		verdict += fmt.Sprint(row[0])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

// childHold takes the lock for writing, says "holding", and lets go when told so.
func childHold(path string) error {
	c, err := openConn(path)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.run("PRAGMA busy_timeout = 5000", "BEGIN IMMEDIATE", "UPDATE items SET version = version + 1"); err != nil {
		return err
	}
	fmt.Println("holding")
	bufio.NewReader(os.Stdin).ReadString('\n')
	if err := c.run("COMMIT"); err != nil {
		return err
	}
	fmt.Println("done")
	return nil
}

// A process that is stopped inside a transaction stops the other writers, who
// say so after the busy time, and come back when it ends; readers read on.
func TestProcessStoppedInTransaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	db := openTuned(t, path, Options{}, quick())
	patient := openTuned(t, path, Options{}, defaultTuning())
	if err := db.Write(t.Context(), putA("1", store.Absent)); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]struct {
		signal  syscall.Signal
		version int64
	}{
		"killed":    {syscall.SIGKILL, 0},
		"continued": {syscall.SIGCONT, 1},
	} {
		c := startChild(t, "hold", path, nil)
		c.want("holding")
		if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		before, err := db.Get(t.Context(), keyA)
		if err != nil {
			t.Fatalf("reading beside it: %v", err)
		}
		start := time.Now()
		err = db.Write(t.Context(), putA("2", store.Any))
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), "another process") {
			t.Errorf("writing beside it: %v", err)
		}
		if took := time.Since(start); took < 300*time.Millisecond || took > 5*time.Second {
			t.Errorf("gave up after %v, want 300 ms", took)
		}
		if opened, err := open(t.Context(), path, Options{}, quick()); err != nil {
			t.Errorf("opening beside it: %v", err)
		} else {
			opened.Close()
		}
		late := make(chan error)
		go func() { late <- patient.Write(t.Context(), putA("3", store.VersionIs(before.Version+end.version))) }()
		c.tell("go")
		if err := c.cmd.Process.Signal(end.signal); err != nil {
			t.Fatal(err)
		}
		if err := <-late; err != nil {
			t.Errorf("%s: a write that waited: %v", name, err)
		}
		c.kill()
	}
}

// childPut puts one item of partition P each time it is told to.
func childPut(path string) error {
	db, err := Open(context.Background(), path, Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := db.Write(context.Background(), putA(in.Text(), store.Any)); err != nil {
			return err
		}
	}
	return nil
}

// Two processes write to one file: each sees the other's writes at once, and
// is woken by them soon.
func TestProcessesShareTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	db := openTuned(t, path, Options{}, defaultTuning())
	c := startChild(t, "put", path, nil)
	c.want("ready")
	for n := range 5 {
		wake, stop := db.Wake("P")
		within(t, 10*time.Second, "woken by another process", func() {
			c.tell("theirs")
			for {
				got, err := db.Get(t.Context(), keyA)
				if err == nil && got.Version == int64(2*n+1) {
					break
				}
				<-wake
			}
		})
		stop()
		if err := db.Write(t.Context(), putA("ours", store.VersionIs(int64(2*n+1)))); err != nil {
			t.Fatal(err)
		}
	}
}

// Two tables on one file, both writing without a pause, get their turns.
func TestTwoWritersGetTheirTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const writes = 150
	errs := make(chan error)
	for who := range 2 {
		db := openTuned(t, path, Options{}, defaultTuning())
		go func() {
			for n := range writes {
				err := db.Write(ctx,
					store.Put(store.Item{Key: store.Key{PK: fmt.Sprint(who), SK: fmt.Sprint(n)}}, store.Absent),
					store.Put(store.Item{Key: keyA}, store.Any))
				if err != nil {
					errs <- fmt.Errorf("table %d, write %d: %w", who, n, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	db := openTuned(t, path, Options{}, defaultTuning())
	if got, err := db.Get(ctx, keyA); err != nil || got.Version != 2*writes {
		t.Errorf("counted %d, %v, want %d", got.Version, err, 2*writes)
	}
}
