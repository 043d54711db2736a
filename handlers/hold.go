package handlers

import (
	"context"
	"time"
)

// hold returns a context for a request that waits for a change: it ends after
// wait, when the caller goes away, and when the server drains.
func (h *handlers) hold(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	held, cancel := context.WithTimeout(ctx, wait)
	stop := context.AfterFunc(h.Draining, cancel)
	return held, func() { stop(); cancel() }
}
