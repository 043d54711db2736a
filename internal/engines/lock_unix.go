//go:build unix

package engines

import (
	"os"
	"syscall"
)

// lock waits until no other process holds file's lock, and takes it until file is closed.
func lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
}
