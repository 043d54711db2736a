package sqlite

import (
	"database/sql/driver"
	"time"
)

// sweepItems is how many expired items one transaction removes.
const sweepItems = 200

const sweepStatement = "DELETE FROM items WHERE rowid IN (SELECT rowid FROM items WHERE expires <= ? ORDER BY expires LIMIT ?)"

// sweep removes expired items now and then, a few at a time, standing back for
// writes that wait. Nobody sees the difference: they are absent already.
func (w *writer) sweep() {
	if time.Since(w.swept) < w.db.tuning.sweep {
		return
	}
	w.swept = time.Now()
	now := w.db.now().Unix()
	for more := true; more && !w.waits(); {
		if more = w.anyExpired(now); !more {
			return
		}
		if err := w.sweepSome(now); err != nil {
			if !isBusy(err) {
				w.db.log.Warn("sqlite: expired items stay for now", "file", w.db.path, "error", err)
			}
			return
		}
		w.checkpoint()
	}
}

func (w *writer) anyExpired(now int64) (found bool) {
	_ = w.stmts.anyExpired.each(func([]driver.Value) error {
		found = true
		return nil
	}, now)
	return found
}

func (w *writer) sweepSome(now int64) error {
	if err := w.stmts.begin.exec(); err != nil {
		return err
	}
	err := w.stmts.sweep.exec(now, int64(sweepItems))
	if err == nil {
		err = w.stmts.commit.exec()
	}
	if err != nil {
		_ = w.stmts.rollback.exec()
	}
	return err
}
