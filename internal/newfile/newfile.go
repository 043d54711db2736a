// Package newfile makes the files that hold secrets: readable by their owner
// alone, whole or not there, and made by one of all the processes that try.
package newfile

import (
	"os"
	"path/filepath"
	"runtime"
)

// Create makes the file at path with content, mode 0600. When it returns nil the
// file survives a power failure. An existing file is left as it is and is
// fs.ErrExist; whoever finds a file finds all of it.
func Create(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil { // unlike a rename it replaces nothing
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes new names in dir durable.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
