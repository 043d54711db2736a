package sqlite

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/internal/hints"
)

// loadLateIndex reads the whole index into memory, from where it answers late.
func (db *DB) loadLateIndex(ctx context.Context, delay time.Duration) error {
	late := hints.New(delay)
	past := db.now().Add(-delay) // what stands there already is to be seen
	err := db.read(ctx, func(r *reader, _ int64) error {
		all, err := r.conn.prepare("SELECT pk, sk, index_pk, index_sk FROM items WHERE index_pk IS NOT NULL")
		if err != nil {
			return err
		}
		return all.each(func(row []driver.Value) error {
			var key, index store.Key
			key.PK, _ = row[0].(string)
			key.SK, _ = row[1].(string)
			index.PK, _ = row[2].(string)
			index.SK, _ = row[3].(string)
			late.Move(past, key, store.Key{}, index)
			return nil
		})
	})
	db.late = late
	return err
}

// moveLate notes where committed ops moved their items in the index.
func (db *DB) moveLate(moves []move) {
	if db.late == nil {
		return
	}
	db.lateMu.Lock()
	defer db.lateMu.Unlock()
	for _, m := range moves {
		db.late.Move(db.now(), m.key, m.old, m.new)
	}
}

func (db *DB) queryLate(q store.Query) (store.Page, error) {
	db.lateMu.Lock()
	defer db.lateMu.Unlock()
	return db.late.Query(db.now(), q, func(store.Key) bool { return false })
}
