//go:build unix

package workers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Locks holds a file lock for each worker of a folder, for the worker's whole
// life: the operating system frees the lock of a process that dies, so that
// nobody has to wait for its heartbeat to be missed.
type Locks struct {
	dir string
}

// NewLocks returns the locks in dir, which it creates.
func NewLocks(dir string) (*Locks, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of worker locks: %w", err)
	}
	return &Locks{dir: dir}, nil
}

func (l *Locks) path(worker string) string { return filepath.Join(l.dir, worker+".lock") }

// hold takes the lock of a new worker. The file outlives unlock: whoever buries
// the worker, or the worker itself when it has left, removes it.
func (l *Locks) hold(worker string) (unlock func(), err error) {
	f, err := os.OpenFile(l.path(worker), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("worker lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("worker lock: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// free reports whether worker had a lock here and holds it no longer. A worker
// without a lock file is not of this folder; its heartbeat tells.
func (l *Locks) free(worker string) bool {
	f, err := os.OpenFile(l.path(worker), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

func (l *Locks) remove(worker string) { _ = os.Remove(l.path(worker)) }
