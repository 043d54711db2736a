package newfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/enlacehq/enlace/internal/newfile"
)

func TestCreate_OneOfManyMakesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	var made atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			err := newfile.Create(path, fmt.Appendf(nil, "the content of number %2d", i))
			switch {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("want fs.ErrExist, got %v", err)
			}
			// Whoever lost reads the winner's file at once.
			if content, err := os.ReadFile(path); err != nil || len(content) != len("the content of number 00") {
				t.Errorf("want a whole file, got %q, %v", content, err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("want the file made once, got %d times", made.Load())
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("want mode 0600, got %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(path + ".*")
	if err != nil || len(left) != 0 {
		t.Errorf("want nothing left beside the file, got %v, %v", left, err)
	}
}

func TestCreate_LeavesAnExistingFileAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newfile.Create(path, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("want fs.ErrExist, got %v", err)
	}
	if content, _ := os.ReadFile(path); string(content) != "first" {
		t.Errorf("want the file as it was, got %q", content)
	}
}
