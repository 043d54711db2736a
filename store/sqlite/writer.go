package sqlite

import (
	"database/sql/driver"
	"fmt"
	"runtime"
	"sync"
	"time"

	engine "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/enlacehq/enlace/store"
)

const (
	// batchOps bounds what one transaction holds.
	batchOps = 1000
	// A checkpoint comes after so many pages in the write-ahead log when nobody
	// waits, and after so many whoever waits.
	checkpointIdle, checkpointBusy = 1000, 4000
)

// writer owns the one connection that writes. Its goroutine takes the writes
// that wait, puts them into one transaction, and answers them once that is
// committed: the one sync to disk serves them all.
type writer struct {
	db    *DB
	conn  *conn
	wake  chan struct{} // room for one: there is something to do
	stmts statements

	mu     sync.Mutex
	queue  []*pending
	closed bool

	// of the goroutine alone
	dataVersion int64     // what other processes have committed, as last seen
	polled      time.Time // when it was seen
	swept       time.Time
	walPages    int // in the log since the last checkpoint, about
}

type statements struct {
	begin, commit, rollback     *stmt
	standing, full              *stmt
	insert, update, updateValue *stmt
	remove                      *stmt
	dataVersion, checkpoint     *stmt
	anyExpired, sweep           *stmt
}

func newWriter(db *DB, c *conn) (*writer, error) {
	w := &writer{db: db, conn: c, wake: make(chan struct{}, 1), swept: time.Now()}
	for _, p := range []struct {
		stmt **stmt
		sql  string
	}{
		{&w.stmts.begin, "BEGIN IMMEDIATE"},
		{&w.stmts.commit, "COMMIT"},
		{&w.stmts.rollback, "ROLLBACK"},
		{&w.stmts.standing, "SELECT rowid, version, expires, index_pk, index_sk FROM items WHERE pk = ? AND sk = ?"},
		{&w.stmts.full, "SELECT " + columns + " FROM items WHERE rowid = ?"},
		{&w.stmts.insert, "INSERT INTO items (" + columns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)"},
		{&w.stmts.update, "UPDATE items SET version = ?, expires = ?, index_pk = ?, index_sk = ?, write_id = ?, value = ? WHERE rowid = ?"},
		{&w.stmts.updateValue, "UPDATE items SET version = ?, write_id = ?, value = ? WHERE rowid = ?"},
		{&w.stmts.remove, "DELETE FROM items WHERE rowid = ?"},
		{&w.stmts.dataVersion, "PRAGMA data_version"},
		{&w.stmts.checkpoint, "PRAGMA wal_checkpoint(PASSIVE)"},
		{&w.stmts.anyExpired, "SELECT 1 FROM items WHERE expires <= ? LIMIT 1"},
		{&w.stmts.sweep, sweepStatement},
	} {
		var err error
		if *p.stmt, err = c.prepare(p.sql); err != nil {
			return nil, err
		}
	}
	w.dataVersion, _ = w.readDataVersion()
	return w, nil
}

// enqueue adds p to what waits; false means that the table is closed.
func (w *writer) enqueue(p *pending) bool {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return false
	}
	w.queue = append(w.queue, p)
	w.mu.Unlock()
	w.kick()
	return true
}

func (w *writer) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run works until closing is closed and what waited then is answered.
func (w *writer) run(closing <-chan struct{}) {
	tick := time.NewTimer(w.db.tuning.sweep)
	defer tick.Stop()
	for open := true; open || w.waits(); {
		select {
		case <-closing:
			open, closing = false, nil
			w.mu.Lock()
			w.closed = true
			w.mu.Unlock()
		case <-w.wake:
		case <-tick.C:
		}
		for w.waits() {
			w.work()
			w.look()
		}
		w.look()
		w.sweep()
		tick.Reset(w.idle())
	}
}

// idle is the time until there is something to do without a kick.
func (w *writer) idle() time.Duration {
	if w.db.board.Waiting() {
		return w.db.tuning.poll
	}
	return w.db.tuning.sweep
}

func (w *writer) waits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) > 0
}

// work commits one batch of what waits.
func (w *writer) work() {
	if !w.begin() {
		return
	}
	batch := w.take()
	if len(batch) == 0 { // all given up
		_ = w.stmts.rollback.exec()
		return
	}
	if err := w.commit(batch); err != nil {
		w.fail(batch, err)
	}
	w.checkpoint()
}

// begin begins a transaction. While another process is in one it tries again;
// writes that have waited their time meanwhile are answered, and when none is
// left it returns false.
func (w *writer) begin() bool {
	for {
		runtime.Gosched() // callers just answered may have more to write: one sync for all
		err := w.stmts.begin.exec()
		if err == nil {
			return true
		}
		patience := w.db.tuning.busy
		if !isBusy(err) {
			patience = 0
		}
		if !w.expire(patience, fmt.Errorf("sqlite: %w", w.db.explain(err))) {
			return false
		}
		time.Sleep(busyPause())
	}
}

// expire answers the writes that have waited longer than patience with err,
// drops those given up, and reports whether any are left.
func (w *writer) expire(patience time.Duration, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.queue[:0]
	for _, p := range w.queue {
		switch {
		case p.state.Load() == givenUp:
		case time.Since(p.since) < patience:
			left = append(left, p)
		case p.state.CompareAndSwap(waiting, taken):
			p.answer(err)
		}
	}
	clear(w.queue[len(left):])
	w.queue = left
	return len(left) > 0
}

// take takes a batch out of the queue.
func (w *writer) take() []*pending {
	w.mu.Lock()
	defer w.mu.Unlock()
	var batch []*pending
	n, ops := 0, 0
	for n < len(w.queue) && ops < batchOps {
		p := w.queue[n]
		n++
		if p.state.CompareAndSwap(waiting, taken) {
			batch = append(batch, p)
			ops += len(p.ops)
		}
	}
	rest := copy(w.queue, w.queue[n:])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	return batch
}

// commit applies batch in the transaction that was begun, commits it and
// answers. An error means that nothing was done, nobody was answered and no
// transaction is open.
func (w *writer) commit(batch []*pending) error {
	changed := false
	conflicts := make([]error, len(batch))
	for i, p := range batch {
		conflict, err := w.apply(p)
		if err != nil {
			_ = w.stmts.rollback.exec()
			return err
		}
		conflicts[i] = conflict
		changed = changed || len(p.moves) > 0
	}
	if !changed {
		_ = w.stmts.rollback.exec()
	} else if err := w.stmts.commit.exec(); err != nil {
		_ = w.stmts.rollback.exec() // mostly the engine has done so itself
		return w.commitFailed(batch, conflicts, err)
	}
	for _, p := range batch {
		for _, m := range p.moves {
			w.db.board.Touch(m.key.PK)
			w.db.board.Touch(m.old.PK)
			w.db.board.Touch(m.new.PK)
		}
		w.db.moveLate(p.moves)
	}
	for i, p := range batch {
		p.answer(conflicts[i])
	}
	return nil
}

// commitFailed sorts a failed COMMIT. Busy or full: no commit record was
// written, nothing was done. Anything else, such as a failed sync: the record
// may stand in the log, to be found after a crash if no later commit has
// overwritten it, so the outcome is unknown. A conflict is not certain either
// way, for it may rest on what the batch had written: it was not done.
func (w *writer) commitFailed(batch []*pending, conflicts []error, err error) error {
	if isBusy(err) || code(err) == lib.SQLITE_FULL {
		return err
	}
	for i, p := range batch {
		if conflicts[i] != nil || len(p.moves) == 0 {
			p.answer(fmt.Errorf("sqlite: %s: disk error, nothing was written (%s): %w", w.db.path, err, store.ErrUnavailable))
			continue
		}
		p.answer(fmt.Errorf("sqlite: %s: disk error at commit (%s): %w", w.db.path, err, store.ErrUnknown))
	}
	return nil
}

// fail gives each write of a batch that failed as a whole a transaction of its
// own, so that one that cannot be done (a full disk takes no put, but a delete)
// does not fail the others.
func (w *writer) fail(batch []*pending, err error) {
	for _, p := range batch {
		if len(batch) > 1 {
			p.moves = nil
			if err = w.stmts.begin.exec(); err == nil {
				err = w.commit([]*pending{p})
			}
		}
		if err != nil {
			p.answer(fmt.Errorf("sqlite: %w", w.db.explain(err)))
		}
	}
}

// look wakes everybody when another process has committed since the last look.
func (w *writer) look() {
	if time.Since(w.polled) < w.db.tuning.poll || !w.db.board.Waiting() {
		return
	}
	w.polled = time.Now()
	version, err := w.readDataVersion()
	if err != nil || version == w.dataVersion {
		return
	}
	w.dataVersion = version
	w.db.board.TouchAll()
}

func (w *writer) readDataVersion() (version int64, err error) {
	err = w.stmts.dataVersion.each(func(row []driver.Value) error {
		version, _ = row[0].(int64)
		return nil
	})
	return version, err
}

// checkpoint moves the log into the file now and then, after its writes were
// answered. A checkpoint that could not finish is tried again at the next.
func (w *writer) checkpoint() {
	written, _, err := w.conn.raw.(engine.DBStatus).Status(engine.DBStatusCacheWrite, true)
	if err == nil {
		w.walPages += written
	}
	if w.walPages < checkpointIdle || w.walPages < checkpointBusy && w.waits() {
		return
	}
	err = w.stmts.checkpoint.each(func(row []driver.Value) error {
		inLog, _ := row[1].(int64)
		moved, _ := row[2].(int64)
		w.walPages = int(inLog - moved)
		return nil
	})
	if err != nil && !isBusy(err) {
		w.walPages = 0
		w.db.log.Warn("sqlite: checkpoint failed", "file", w.db.path, "error", err)
	}
}
