package workers

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"
)

// contained runs f. A panic of it is logged and becomes an error: whatever is
// wrong with one channel, the others of the worker go on.
func contained(log *slog.Logger, f func() error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		// What was not made by the runtime is not shown: it may hold anything.
		err = fmt.Errorf("panic of type %T", p)
		if known, ok := p.(runtime.Error); ok {
			err = fmt.Errorf("panic: %w", known)
		}
		log.Error("panic in a worker", "error", err, "stack", string(debug.Stack()))
	}()
	return f()
}

// keep runs a loop of the worker until ctx ends, and again when it panics.
func (l *life) keep(ctx context.Context, loop func(context.Context)) {
	for ctx.Err() == nil {
		err := contained(l.log, func() error { loop(ctx); return nil })
		if err == nil {
			return
		}
		sleep(ctx, time.Second)
	}
}
