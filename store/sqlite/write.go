package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/enlacehq/enlace/store"
)

// answerGrace is how long a caller whose context has ended still waits for the
// outcome of a write that stands in a transaction already.
const answerGrace = time.Second

// pending is one caller's Write on its way.
type pending struct {
	ops   []store.Op
	since time.Time
	state atomic.Int32
	moves []move        // what it changed
	err   error         // valid once done is closed
	done  chan struct{} // closed with the outcome
}

// The states of a pending write: it may be given up only while it waits.
const (
	waiting = iota
	taken
	givenUp
)

// move is an item's change of place in the index; old and new may be empty.
type move struct{ key, old, new store.Key }

func (p *pending) answer(err error) {
	p.err = err
	close(p.done)
}

// Write is store.Table's. A write that waits for its turn ends with its
// context; one that stands in a transaction is waited for a second longer, and
// is ErrUnknown after that.
func (db *DB) Write(ctx context.Context, ops ...store.Op) error {
	if err := store.CheckWrite(ops); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(ops) == 0 {
		return nil
	}
	p := &pending{ops: ops, since: time.Now(), done: make(chan struct{})}
	if !db.writer.enqueue(p) {
		return db.errClosed()
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	if p.state.CompareAndSwap(waiting, givenUp) {
		return ctx.Err()
	}
	grace := time.NewTimer(answerGrace)
	defer grace.Stop()
	select {
	case <-p.done:
		return p.err
	case <-grace.C:
		return fmt.Errorf("sqlite: %w: %w", store.ErrUnknown, ctx.Err())
	}
}
