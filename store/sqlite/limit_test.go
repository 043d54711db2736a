//go:build unix

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
)

// childLimit lets the disk fail at COMMIT: files may not grow beyond what they
// have, so that the log cannot take what it is given.
func childLimit(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	db, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Write(ctx, putA("1", store.Absent)); err != nil {
		return err
	}
	limit := func(bytes uint64) error {
		var rlimit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &rlimit); err != nil {
			return err
		}
		rlimit.Cur = min(bytes, rlimit.Max)
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &rlimit)
	}
	info, err := os.Stat(path + "-wal")
	if err != nil {
		return err
	}
	if err := limit(uint64(info.Size()) + 10_000); err != nil {
		return err
	}
	large := string(make([]byte, 100_000))
	holder, err := openConn(path)
	if err != nil {
		return err
	}
	defer holder.close()
	if err := holder.run("PRAGMA busy_timeout = 5000", "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	// committed together: what was to be done, and what failed because of it
	t := &testing.T{}
	outcomes := line(t, db, ops(put("b", large, store.Absent)), ops(put("b", "", store.Absent)))
	if err := holder.run("ROLLBACK"); err != nil {
		return err
	}
	if err := <-outcomes[0]; !errors.Is(err, store.ErrUnknown) {
		return fmt.Errorf("a write whose COMMIT failed: %w, want ErrUnknown", err)
	}
	var conflict *store.ConditionError
	if err := <-outcomes[1]; !errors.Is(err, store.ErrUnavailable) || errors.As(err, &conflict) {
		return fmt.Errorf("a write that failed by what was not committed: %w, want ErrUnavailable", err)
	}
	if _, err := db.Get(ctx, store.Key{PK: "P", SK: "b"}); !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read back: %w, want ErrNotFound", err)
	}
	// and it recovers: Retrying finds out what became of it
	restored := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { restored <- limit(1 << 40) })
	err = store.Retrying(db).Write(ctx, put("b", large, store.Absent), putA("2", store.VersionIs(1)))
	if err != nil {
		return fmt.Errorf("repeated until the disk took it: %w", err)
	}
	if err := <-restored; err != nil {
		return err
	}
	for sk, version := range map[string]int64{"a": 2, "b": 1} {
		if got, err := db.Get(ctx, store.Key{PK: "P", SK: sk}); err != nil || got.Version != version {
			return fmt.Errorf("%s stands at version %d, %w, want %d", sk, got.Version, err, version)
		}
	}
	fmt.Println("done")
	return nil
}

func TestDiskErrorAtCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	startChild(t, "limit", path, nil).want("done")
	if got := integrity(t, path); got != "ok" {
		t.Errorf("integrity check: %s", got)
	}
}
