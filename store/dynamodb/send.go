package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/enlacehq/enlace/store"
)

const (
	// busyPatience is how long a caller without a deadline waits for a busy engine.
	busyPatience = 10 * time.Second
	// A pause is random between nothing and busyBase, doubled at each try up to busyCap.
	busyBase = 10 * time.Millisecond
	busyCap  = time.Second
)

// read sends a request that changes nothing, again while the engine is busy. Its
// errors are those of a Table's reads.
func (db *DB) read(ctx context.Context, send func(context.Context) error) error {
	return persist(ctx, func() error {
		failure := db.send(ctx, send)
		switch {
		case failure == nil:
			return nil
		case failure.kind == refused:
			return db.explain(failure.err)
		case failure.kind == busy:
			return &busyError{failure.err}
		case ctx.Err() != nil:
			return fmt.Errorf("dynamodb: %w", ctx.Err())
		}
		return fmt.Errorf("dynamodb: %w: %s", store.ErrUnavailable, brief(failure.err))
	})
}

// write sends a request that changes something, once. Its errors are those of a
// Table's Write, or a *busyError: certainly not done. A failed condition is the
// engine's own error.
func (db *DB) write(ctx context.Context, send func(context.Context) error) error {
	failure := db.send(ctx, send)
	switch {
	case failure == nil:
		return nil
	case failure.kind == failed:
		return failure.err
	case failure.kind == refused:
		return db.explain(failure.err)
	case failure.kind == busy:
		return &busyError{failure.err}
	case failure.kind == unsent && ctx.Err() != nil:
		return fmt.Errorf("dynamodb: %w", ctx.Err())
	case failure.kind == unsent:
		return fmt.Errorf("dynamodb: %w: %s", store.ErrUnavailable, brief(failure.err))
	}
	return fmt.Errorf("dynamodb: %w: %s", store.ErrUnknown, brief(failure.err))
}

// send sends one request, and says of a failure what kind it is.
func (db *DB) send(ctx context.Context, send func(context.Context) error) *failure {
	var sent atomic.Bool
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, sentKey{}, &sent), db.timeout)
	defer cancel()
	err := send(ctx)
	if err == nil {
		return nil
	}
	return &failure{err, kindOf(err, sent.Load())}
}

// busyError is of a request that did nothing and may be sent again at once: the
// engine throttles, or another transaction was at the same item.
type busyError struct{ err error }

func (e *busyError) Error() string { return "dynamodb: busy: " + brief(e.err) }

func (e *busyError) Unwrap() error { return store.ErrUnavailable }

// persist repeats do while the engine is busy, with full jitter, until the caller's deadline.
func persist(ctx context.Context, do func() error) error {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, busyPatience)
		defer cancel()
	}
	for try := 0; ; try++ {
		err := do()
		var later *busyError
		if !errors.As(err, &later) || !pause(ctx, try) {
			return err
		}
	}
}

// pause waits before another try, and reports whether ctx still lives.
func pause(ctx context.Context, try int) bool {
	timer := time.NewTimer(rand.N(min(busyBase<<min(try, 20), busyCap)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
