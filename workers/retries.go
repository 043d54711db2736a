package workers

import (
	"math/rand/v2"
	"time"
)

// The bounds of trying again.
const (
	maxDelay      = 5 * time.Minute  // between sessions
	settledAfter  = 2 * time.Minute  // connected so long, a channel starts counting anew
	replacedMax   = 3                // so often a session may be replaced
	replacedSpan  = 10 * time.Minute // within this time
	replacedDelay = 5 * time.Second  // and up to twice that
	restartsMax   = 5                // so often in a row WhatsApp may ask for a new connection at once
)

// retries counts what a channel went through since it was last well, and says
// when it may be tried again.
type retries struct {
	delay time.Duration // the base of the growing delay
	max   int           // refusals before giving up

	next        time.Time // not before
	tries       int       // sessions that ended, since it was last well
	refusals    int       // those that count against max
	restarts    int       // in a row
	replaced    []time.Time
	connectedAt time.Time // of the current session; zero when it has not connected
}

// connected notes that the session is live, from the first time that it says so.
func (r *retries) connected(now time.Time) {
	if r.connectedAt.IsZero() {
		r.connectedAt, r.restarts = now, 0
	}
}

// ended forgets the past if the session that ended had been well for long enough.
func (r *retries) ended(now time.Time) {
	if !r.connectedAt.IsZero() && now.Sub(r.connectedAt) >= settledAfter {
		r.tries, r.refusals = 0, 0
	}
	r.connectedAt = time.Time{}
}

// again plans the next try, with a delay that grows from try to try.
func (r *retries) again(now time.Time) {
	limit := r.delay << min(r.tries, 20)
	if limit <= 0 || limit > maxDelay {
		limit = maxDelay
	}
	r.tries++
	r.next = now.Add(r.jitter(limit))
}

// jitter returns a random part of d: many channels that failed together do not come back together.
func (r *retries) jitter(d time.Duration) time.Duration {
	return time.Duration(rand.Int64N(int64(d) + 1))
}

// replacedNow notes that another connection took the credentials and reports
// whether to try again.
func (r *retries) replacedNow(now time.Time) bool {
	kept := r.replaced[:0]
	for _, t := range r.replaced {
		if now.Sub(t) < replacedSpan {
			kept = append(kept, t)
		}
	}
	r.replaced = append(kept, now)
	r.next = now.Add(replacedDelay + r.jitter(replacedDelay))
	return len(r.replaced) <= replacedMax
}

// begin starts afresh, at a caller's wish.
func (r *retries) begin() { *r = retries{delay: r.delay, max: r.max} }
