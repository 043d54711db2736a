package workers

import (
	"context"
	"time"
)

// outboxEvery is how often the worker looks for new entries of its channels'
// outboxes where the table does not tell it of them.
const outboxEvery = 250 * time.Millisecond

// readOutbox tells supervisors of new entries. The index it reads may be stale:
// the supervisor reads the entries themselves, and reads them at claim as well.
func (l *life) readOutbox(ctx context.Context) {
	watch := l.Store.WatchOutbox(l.heart.ID())
	defer watch.Stop()
	for ctx.Err() == nil {
		ids, err := l.Store.WaitingIn(ctx, l.heart.ID())
		if err != nil && ctx.Err() == nil {
			l.log.Warn("the outbox cannot be read", "error", err)
			sleep(ctx, time.Second)
		}
		for _, id := range ids {
			l.poke(id)
		}
		waited, cancel := context.WithTimeout(ctx, outboxEvery)
		_ = watch.Wait(waited)
		cancel()
	}
}
