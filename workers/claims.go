package workers

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/enlacehq/enlace/store"
)

// scanEvery is how often a worker looks for channels without an owner: the
// longest that a lost job delays a channel.
const scanEvery = 2 * time.Second

// candidate is a channel that may want a new owner.
type candidate struct {
	channelID string
	from      string // the owner that it is to be taken from; empty: none
}

// candidates is the list of channels that the worker will try to claim, one
// after the other.
type candidates struct {
	mu    sync.Mutex
	known map[candidate]bool
	list  []candidate
	added chan struct{}
}

func newCandidates() *candidates {
	return &candidates{known: map[candidate]bool{}, added: make(chan struct{}, 1)}
}

func (c *candidates) add(list ...candidate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range list {
		if !c.known[one] {
			c.known[one] = true
			c.list = append(c.list, one)
		}
	}
	wake(c.added)
}

func (c *candidates) next() (candidate, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		return candidate{}, false
	}
	first := c.list[0]
	c.list = c.list[1:]
	delete(c.known, first)
	if len(c.list) > 0 {
		wake(c.added) // others may be waiting
	}
	return first, true
}

// wake sends into a channel with room for one wake-up.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// claims claims the candidates until ctx ends.
func (l *life) claims(ctx context.Context) {
	var claimers sync.WaitGroup
	for range l.ClaimsAtOnce {
		claimers.Go(func() { l.claimInTurn(ctx) })
	}
	claimers.Wait()
}

// claimInTurn claims one candidate after the other.
func (l *life) claimInTurn(ctx context.Context) {
	for ctx.Err() == nil {
		next, ok := l.candidates.next()
		if !ok {
			select {
			case <-ctx.Done():
			case <-l.candidates.added:
			}
			continue
		}
		err := contained(l.log, func() error { return l.claim(ctx, next) })
		if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrNotClaimable) {
			// The channel is still in the index: the next scan finds it.
			l.log.Warn("claim failed", "channel", next.channelID, "error", err)
			// Or it is ours, and the answer was lost: then nobody else looks for it.
			l.candidates.add(candidate{channelID: next.channelID, from: l.heart.ID()})
			sleep(ctx, l.lease.part(heartbeatPart)/4)
		}
	}
}

func (l *life) claim(ctx context.Context, c candidate) error {
	if l.supervisor(c.channelID) != nil {
		return nil // it is ours
	}
	held, cancel, err := l.lease.wait(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	l.turn.RLock()
	defer l.turn.RUnlock()
	owner, err := l.Store.Claim(held, store.Claimer{Worker: l.heart.ID(), Fresh: l.lease.Fresh, Moved: l.moved}, c.channelID, c.from)
	if err != nil {
		return err
	}
	l.log.Info("channel claimed", "channel", owner.ChannelID(), "company", owner.CompanyID())
	l.supervise(ctx, owner)
	return nil
}

// supervise starts the supervisor of a channel that was claimed.
func (l *life) supervise(ctx context.Context, owner *store.Owner) {
	s := newSupervisor(l, owner)
	l.mu.Lock()
	l.channels[owner.ChannelID()] = s
	l.mu.Unlock()
	l.running.Go(func() {
		s.run(ctx)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.channels[owner.ChannelID()] == s { // else it was released and is claimed again
			delete(l.channels, owner.ChannelID())
		}
	})
}

// supervisor returns the supervisor of a channel, if this worker owns it.
func (l *life) supervisor(channelID string) *supervisor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.channels[channelID]
}

func (l *life) supervisors() []*supervisor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.channels))
}

// scanUnowned finds channels that nobody owns.
func (l *life) scanUnowned(ctx context.Context) {
	watch := l.Store.WatchUnowned()
	defer watch.Stop()
	for ctx.Err() == nil {
		l.considerOwnedBy(ctx, "")
		waited, cancel := context.WithTimeout(ctx, scanEvery)
		_ = watch.Wait(waited)
		cancel()
	}
}

// considerOwnedBy makes candidates of the channels that the index shows under a
// worker that is dead, or under none. Several workers do so at once: in random
// order they seldom meet at the same channel.
func (l *life) considerOwnedBy(ctx context.Context, worker string) {
	ids, err := l.Store.OwnedBy(ctx, worker)
	if err != nil {
		if ctx.Err() == nil {
			l.log.Warn("scan failed", "error", err)
		}
		return
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	list := make([]candidate, len(ids))
	for i, id := range ids {
		list[i] = candidate{channelID: id, from: worker}
	}
	l.candidates.add(list...)
}
