package workers

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The parts of a lease. All times follow from its length.
const (
	heartbeatPart  = 0.25 // between heartbeats
	watchPart      = 0.2  // between reads of the others' heartbeats
	closeWatchPart = 0.05 // the same, while one of them stands still
	maxGapPart     = 0.3  // between two such reads that count as one watch
	freshPart      = 0.75 // after which nothing may begin
	closePart      = 0.6  // after which sessions are closed
)

// errStale says that the worker's last heartbeat is too old for it to act: it may
// have been taken for dead.
var errStale = errors.New("the worker's lease is not fresh")

// lease is the time for which the worker may trust that nobody takes its
// channels. It is counted from the sending of the last heartbeat that succeeded.
type lease struct {
	length time.Duration

	mu      sync.Mutex
	sent    time.Time
	held    context.Context // ends when sessions must close
	end     context.CancelCauseFunc
	renewed chan struct{} // closed at the next renewal
}

func newLease(length time.Duration) *lease {
	held, end := context.WithCancelCause(context.Background())
	end(errStale)
	return &lease{length: length, held: held, end: end, renewed: make(chan struct{})}
}

func (l *lease) part(p float64) time.Duration { return time.Duration(float64(l.length) * p) }

// renew counts the lease from sent, when a heartbeat was sent that succeeded.
func (l *lease) renew(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = sent
	if l.elapsedLocked() > l.part(closePart) {
		return // it took too long to be of use
	}
	if l.held.Err() != nil {
		l.held, l.end = context.WithCancelCause(context.Background())
	}
	close(l.renewed)
	l.renewed = make(chan struct{})
}

// elapsedLocked is the larger of the two clocks' differences: a machine that was
// suspended may have stopped its monotonic clock, one whose time was set has
// moved the other.
func (l *lease) elapsedLocked() time.Duration {
	now := time.Now()
	return max(now.Sub(l.sent), now.Round(0).Sub(l.sent.Round(0)))
}

// Fresh returns nil while there is a quarter of the lease left.
func (l *lease) Fresh() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.elapsedLocked() > l.part(freshPart) {
		return errStale
	}
	return nil
}

// holds reports whether sessions may live.
func (l *lease) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.elapsedLocked() <= l.part(closePart)
}

// wait returns, as soon as the lease is held, a context that ends when it is not
// any more or ctx ends.
func (l *lease) wait(ctx context.Context) (context.Context, context.CancelFunc, error) {
	for {
		l.mu.Lock()
		held, renewed := l.held, l.renewed
		l.mu.Unlock()
		if held.Err() == nil {
			both, cancel := context.WithCancelCause(ctx)
			stop := context.AfterFunc(held, func() { cancel(errStale) })
			return both, func() { stop(); cancel(nil) }, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-renewed:
		}
	}
}

// watch ends what is held whenever the lease runs out, until ctx ends.
func (l *lease) watch(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		left := l.part(closePart) - l.elapsedLocked()
		if left < 0 {
			l.end(errStale)
		}
		l.mu.Unlock()
		look := l.length / 20 // the clocks may jump meanwhile
		if left >= 0 {
			look = min(look, left+time.Millisecond)
		}
		sleep(ctx, look)
	}
}
