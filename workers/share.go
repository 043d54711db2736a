package workers

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/enlacehq/enlace/store"
)

// fairShare returns how many of total channels each of several workers should own:
// the same number, rounded up, but for those whose limit is lower. limits has one
// entry for each worker; 0 is none.
func fairShare(total int, limits []int) int {
	limits = slices.Clone(limits)
	for i, limit := range limits {
		if limit <= 0 {
			limits[i] = math.MaxInt
		}
	}
	slices.Sort(limits)
	for i, limit := range limits {
		left := len(limits) - i
		level := (total + left - 1) / left
		if limit >= level {
			return level
		}
		total -= limit
	}
	return math.MaxInt // there is more than all may own: nobody stands back
}

// How long a worker above its share lets the others have a channel first: longer
// the more it has, and in the end longer than it takes all to find the channel.
const (
	standBackStep = 250 * time.Millisecond
	standBackMost = scanEvery + standBackStep
)

// standBack returns for how long a worker leaves a channel to the others.
func standBack(mine, share int) time.Duration {
	above := mine - share + 1 // with the channel
	if above <= 0 {
		return 0
	}
	return min(standBackMost, time.Duration(min(above, 100))*standBackStep)
}

// surplus reports whether a worker should give a live channel away. It takes a
// large imbalance to begin with that, and a small one to go on.
func surplus(giving bool, mine, share int) bool {
	if mine < share {
		return false
	}
	if giving {
		return mine-share > share/20
	}
	return mine-share > max(2, share/4)
}

// crew is what a worker has seen of the others.
type crew struct {
	mu      sync.Mutex
	others  []store.Worker // that take channels
	seen    time.Time      // when they were
	changed time.Time      // when one last came, or went, or began to leave
}

// see takes in a read of all workers.
func (c *crew) see(workers []store.Worker, self string, now time.Time) {
	others := slices.DeleteFunc(slices.Clone(workers), func(w store.Worker) bool {
		return w.ID == self || w.State != store.WorkerLive
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	sameID := func(a, b store.Worker) bool { return a.ID == b.ID }
	if c.seen.IsZero() || !slices.EqualFunc(c.others, others, sameID) {
		c.changed = now
	}
	c.others, c.seen = others, now
}

// share is how many channels a worker should own that owns mine, would own limit
// at most and knows of waiting channels without an owner. The others' numbers are
// as old as their heartbeats.
func (c *crew) share(mine, waiting, limit int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	total, limits := mine+waiting, []int{limit}
	for _, w := range c.others {
		total += w.Channels
		limits = append(limits, w.Limit)
	}
	share := fairShare(total, limits)
	if limit > 0 {
		share = min(share, limit)
	}
	return share
}

// age is how old the view is.
func (c *crew) age(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Sub(c.seen)
}

// steadyFor returns for how long the same workers have been there; 0 if they were
// not seen within the last while.
func (c *crew) steadyFor(now time.Time, while time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.seen) > while {
		return 0
	}
	return now.Sub(c.changed)
}
