package workers

import (
	"context"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/enlacehq/enlace"
)

const (
	// steadyLeases is for how many leases the same workers must have been there
	// before a live channel is moved: a restart of all of them, one by one, moves
	// none besides those that it must.
	steadyLeases = 3
	// keepAway is for how long a worker leaves alone a channel that it has given away.
	keepAway = 10 * time.Second
)

// rebalance gives live channels away, one after the other and slowly, while this
// worker owns far more than its share. Giving one away costs it a reconnect.
func (l *life) rebalance(ctx context.Context) {
	if l.RebalanceEvery <= 0 {
		return
	}
	giving := false
	for ctx.Err() == nil {
		sleep(ctx, l.RebalanceEvery/2+rand.N(l.RebalanceEvery))
		giving = l.steady() && surplus(giving, l.owned(), l.share())
		if giving {
			l.giveOne()
		}
	}
}

// steady reports whether this is a time for moving what works.
func (l *life) steady() bool {
	steady := l.crew.steadyFor(time.Now(), 2*l.lease.part(maxGapPart))
	return l.lease.holds() && l.candidates.len() == 0 && steady >= steadyLeases*l.lease.length
}

// giveOne gives away a channel that is connected and has nothing to do.
func (l *life) giveOne() {
	var idle []*supervisor
	for _, s := range l.supervisors() {
		if s.idle() {
			idle = append(idle, s)
		}
	}
	if len(idle) == 0 {
		return
	}
	s := idle[rand.N(len(idle))]
	s.log.Info("channel given to a worker with fewer")
	now := time.Now()
	l.mu.Lock()
	maps.DeleteFunc(l.given, func(_ string, since time.Time) bool { return now.Sub(since) > keepAway })
	l.given[s.owner.ChannelID()] = now
	l.mu.Unlock()
	s.giveUp()
}

// keepsAway reports whether a channel was given away a moment ago.
func (l *life) keepsAway(channelID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	since, given := l.given[channelID]
	return given && time.Since(since) <= keepAway
}

// idle reports whether the channel is connected and nothing waits to be sent.
func (s *supervisor) idle() bool {
	if len(s.inbox.all()) > 0 || len(s.inbox.pending()) > 0 || s.owner.Channel().Status != enlace.Active {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected && !s.sending
}
