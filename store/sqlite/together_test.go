package sqlite

import (
	"path/filepath"
	"sync"
	"testing"
)

// Of many who open a new file at once one makes the tables, and nobody takes the
// half of it for another program's.
func TestOpen_ManyAtOnce(t *testing.T) {
	for range 15 {
		path := filepath.Join(t.TempDir(), "new.db")
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				db, err := Open(t.Context(), path, Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}
