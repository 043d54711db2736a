package sqlite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	engine "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/enlacehq/enlace/store"
)

// code returns the engine's primary result code of err, and 0 for other errors.
func code(err error) int {
	var e *engine.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

func isBusy(err error) bool {
	switch code(err) {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL:
		return true
	}
	return false
}

// busyPause is the time before another try at a lock: short, for the lock is
// free for moments only where another process writes without a pause.
func busyPause() time.Duration {
	return time.Millisecond/2 + rand.N(2*time.Millisecond)
}

func (db *DB) explain(err error) error { return explain(db.path, err) }

// explain says in one line what an error of the engine means, for a statement
// that has certainly done nothing.
func explain(path string, err error) error {
	if isBusy(err) {
		return fmt.Errorf("%s: another process is writing for too long: %w", path, store.ErrUnavailable)
	}
	switch code(err) {
	case 0:
		return err
	case lib.SQLITE_FULL:
		return diskFull(path)
	case lib.SQLITE_IOERR:
		if e := (*engine.Error)(nil); errors.As(err, &e) && e.Code() == lib.SQLITE_IOERR_SHMSIZE {
			return diskFull(path) // there was no room for the file that all connections share
		}
		return fmt.Errorf("%s: disk error, nothing was written (%s): %w", path, err, store.ErrUnavailable)
	case lib.SQLITE_NOMEM:
		return fmt.Errorf("%s: out of memory: %w", path, store.ErrUnavailable)
	case lib.SQLITE_CORRUPT:
		return fmt.Errorf("%s is corrupt; restore it from a backup", path)
	case lib.SQLITE_NOTADB:
		return fmt.Errorf("%s is not a database file, or is corrupt", path)
	case lib.SQLITE_READONLY:
		return fmt.Errorf("%s cannot be written: the file or its folder is read-only", path)
	case lib.SQLITE_CANTOPEN, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		return fmt.Errorf("%s cannot be opened: %s", path, whyNotWritable(path))
	case lib.SQLITE_TOOBIG:
		return fmt.Errorf("%s: %w", path, store.ErrTooLarge)
	}
	return fmt.Errorf("%s: %w", path, err)
}

func diskFull(path string) error {
	return fmt.Errorf("%s: disk full, nothing was written: %w", path, store.ErrUnavailable)
}

// whyNotWritable asks the system, of which the engine keeps the answer to itself.
func whyNotWritable(path string) string {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".probe-*")
	if err != nil {
		return "its folder: " + reason(err).Error()
	}
	_ = errors.Join(file.Close(), os.Remove(file.Name()))
	return "may this user read and write it and its folder?"
}
