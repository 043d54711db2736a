package sqlite

import (
	"os"
	"testing"
)

func TestOpen_RelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, path := range []string{"plain.db", "data/in a folder?.db"} {
		db, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
