package sqlite_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/sqlite"
	"github.com/enlacehq/enlace/store/storetest"
)

func TestTable(t *testing.T) { storetest.Run(t, driver()) }

func TestTable_WithFaults(t *testing.T) { storetest.Run(t, storetest.WithFaults(driver(), 1)) }

func driver() storetest.Driver {
	type origin struct {
		path    string
		options sqlite.Options
	}
	var origins sync.Map // of each table that Open gave
	return storetest.Driver{
		Open: func(t testing.TB, c storetest.Config) store.Table {
			o := origin{filepath.Join(t.TempDir(), "enlace.db"), sqlite.Options{Now: c.Now, IndexDelay: c.IndexDelay}}
			db := open(t, o.path, o.options)
			origins.Store(db, o)
			return db
		},
		Reopen: func(t testing.TB, table store.Table) store.Table {
			db := table.(*sqlite.DB)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			known, _ := origins.Load(db)
			return open(t, known.(origin).path, known.(origin).options)
		},
		DelaysIndex: true,
	}
}

func open(t testing.TB, path string, o sqlite.Options) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}
