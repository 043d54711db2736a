// Package sqlite is a store.Table in one SQLite file, for enlace on one
// machine: durable at every acknowledged write, many readers, and one writing
// connection that commits the waiting writes of many callers together. Several
// processes may share the file.
package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/internal/hints"
	"github.com/enlacehq/enlace/store/internal/wake"
)

// Options may be left zero.
type Options struct {
	// Now is the clock that expiry goes by; time.Now when nil.
	Now func() time.Time
	// IndexDelay is for tests of what reads the index: it makes the index run
	// late by as much of that clock, as another engine's may, and blind to other
	// processes' writes.
	IndexDelay time.Duration
	// Log is told what no caller is: a sweep or a checkpoint that failed.
	// slog.Default when nil.
	Log *slog.Logger
}

// tuning is what the package's own tests change.
type tuning struct {
	// busy is how long a write waits for a transaction of another process.
	busy time.Duration
	// sweep is the time between two sweeps of expired items.
	sweep time.Duration
	// poll is the time between two looks at whether another process has written,
	// while somebody waits for that.
	poll time.Duration
	// maxPages bounds the file, when not 0.
	maxPages int
}

func defaultTuning() tuning {
	return tuning{busy: 5 * time.Second, sweep: time.Minute, poll: 25 * time.Millisecond}
}

// readerCount is how many reads run at once; further ones wait.
const readerCount = 4

// DB is a table in a SQLite file. It is safe for concurrent use.
type DB struct {
	path    string
	now     func() time.Time
	log     *slog.Logger
	tuning  tuning
	readers chan *reader
	writer  *writer
	board   wake.Board

	lateMu sync.Mutex
	late   *hints.Index // the index, when a test wants it late; else nil

	closing  chan struct{}
	done     chan struct{} // closed when the writer's goroutine has ended
	closed   sync.Once
	closeErr error
}

var (
	_ store.Table = (*DB)(nil)
	_ store.Waker = (*DB)(nil)
)

// Open opens the table in the file at path and starts the goroutine that
// writes, which Close ends. A missing file is created (mode 0600), its folder
// too (mode 0700) if only that is missing. What is wrong with the file or its
// folder is said in one line; a file of a newer schema is store.ErrNewerSchema.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	return open(ctx, path, o, defaultTuning())
}

func open(ctx context.Context, path string, o Options, tuning tuning) (*DB, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	db := &DB{
		path: path, now: o.Now, log: o.Log, tuning: tuning,
		readers: make(chan *reader, readerCount),
		closing: make(chan struct{}), done: make(chan struct{}),
	}
	if err := db.open(ctx, o); err != nil {
		db.abandon()
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	go func() {
		defer close(db.done)
		db.writer.run(db.closing)
	}()
	return db, nil
}

func (db *DB) open(ctx context.Context, o Options) error {
	if err := prepareFile(db.path); err != nil {
		return err
	}
	conn, err := openSchema(ctx, db.path, db.tuning)
	if err != nil {
		return err
	}
	if db.writer, err = newWriter(db, conn); err != nil {
		conn.close()
		return db.explain(err)
	}
	for range readerCount {
		r, err := openReader(db.path)
		if err != nil {
			return db.explain(err)
		}
		db.readers <- r
	}
	if o.IndexDelay == 0 {
		return nil
	}
	return db.loadLateIndex(ctx, o.IndexDelay)
}

// Close ends the table: writes that are waiting are still done, later calls
// are refused. It returns when the goroutine is gone and the file is closed; a
// second call does nothing.
func (db *DB) Close() error {
	db.closed.Do(func() {
		close(db.closing)
		<-db.done
		for range readerCount { // those in use come back
			r := <-db.readers
			r.conn.close()
		}
		db.closeErr = db.writer.conn.close()
	})
	return db.closeErr
}

// abandon closes what an Open that failed had opened.
func (db *DB) abandon() {
	for len(db.readers) > 0 {
		r := <-db.readers
		r.conn.close()
	}
	if db.writer != nil {
		db.writer.conn.close()
	}
}

// Wake is store.Waker's.
func (db *DB) Wake(pk string) (<-chan struct{}, func()) {
	c, stop := db.board.Wake(pk)
	db.writer.kick() // it looks for other processes' writes only while somebody waits
	return c, stop
}

func (db *DB) errClosed() error { return fmt.Errorf("sqlite: %s: %w", db.path, os.ErrClosed) }
