package whatsapptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// stateSchema is the version of the state file's form.
const stateSchema = 1

// stateFile keeps track of what is in the state file.
type stateFile struct {
	path    string
	current atomic.Uint64 // the version in memory

	writing sync.Mutex
	kept    uint64 // the version in the file, guarded by writing
}

// touch says that the state in memory has changed.
func (f *stateFile) touch() { f.current.Add(1) }

func (f *stateFile) version() uint64 { return f.current.Load() }

// keepNow returns when the state as it is now is in the file.
func (s *Server) keepNow() error { return s.keep(s.state.version()) }

// keep returns when a version of the state, or a later one, is in the file. Many
// may wait: the one that writes writes for all. The file is replaced as a whole,
// so that a process killed at any moment leaves the old one or the new one.
func (s *Server) keep(version uint64) error {
	if s.state.path == "" {
		return nil
	}
	s.state.writing.Lock()
	defer s.state.writing.Unlock()
	if s.state.kept >= version {
		return nil
	}
	s.mu.Lock()
	version = s.state.version()
	raw, err := json.Marshal(s.saved())
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := replaceFile(s.state.path, raw); err != nil {
		return err
	}
	s.state.kept = version
	return nil
}

// replaceFile writes beside the file and renames. A kill is survived; a power
// failure may not be: this is no file to keep for years.
func replaceFile(path string, raw []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(raw)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// load reads the state file, or makes a new state.
func (s *Server) load() error {
	var saved savedState
	if s.state.path != "" {
		raw, err := os.ReadFile(s.state.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			if err := json.Unmarshal(raw, &saved); err != nil {
				return fmt.Errorf("%s is no state file: %w", s.state.path, err)
			}
			if saved.Schema != stateSchema {
				return fmt.Errorf("%s has schema %d; this program knows %d", s.state.path, saved.Schema, stateSchema)
			}
		}
	}
	if s.opts.RootKey != nil {
		saved.Root = s.opts.RootKey
	}
	var err error
	if s.id, err = newServerKeys(saved.Root, saved.Static); err != nil {
		return fmt.Errorf("%s: %w", s.state.path, err)
	}
	if err := s.restore(saved); err != nil {
		return fmt.Errorf("%s: %w", s.state.path, err)
	}
	if saved.Schema == 0 {
		s.state.touch()
	}
	return s.keepNow()
}
