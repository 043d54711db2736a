package workers

import (
	"context"
	"errors"
	"time"

	"github.com/enlacehq/enlace/store"
)

// doubtFor is how long a claim whose outcome is not known may still take effect.
const doubtFor = time.Minute

// doubt notes a channel that may be owned by this worker in the store though
// nobody supervises it: a claim or a release whose outcome is not known. No other
// worker looks for it while this one lives.
func (l *life) doubt(channelID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.doubts[channelID]; !known {
		l.doubts[channelID] = time.Now()
	}
}

// settled takes in the outcome of a claim.
func (l *life) settled(c candidate, err error) {
	switch {
	case errors.Is(err, store.ErrBuried):
	case err == nil:
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.doubts, c.channelID)
	case !errors.Is(err, store.ErrNotClaimable):
		l.doubt(c.channelID)
	case c.from == l.heart.ID():
		l.mu.Lock()
		defer l.mu.Unlock()
		if since, known := l.doubts[c.channelID]; known && time.Since(since) > doubtFor {
			delete(l.doubts, c.channelID)
		}
	}
}

// settleDoubts claims again what may be owned already.
func (l *life) settleDoubts(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, min(sweepSoon, l.lease.part(sweepPart)))
		l.mu.Lock()
		for id := range l.doubts {
			l.candidates.add(candidate{channelID: id, from: l.heart.ID()})
		}
		l.mu.Unlock()
	}
}
