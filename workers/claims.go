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
	list  []noted
	added chan struct{}
}

// noted is a candidate, and when it was found.
type noted struct {
	candidate
	at time.Time
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
			c.list = append(c.list, noted{one, time.Now()})
		}
	}
	wake(c.added)
}

func (c *candidates) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.list)
}

func (c *candidates) next() (noted, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		return noted{}, false
	}
	first := c.list[0]
	c.list = c.list[1:]
	delete(c.known, first.candidate)
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
		if !l.admit(ctx, next) {
			continue
		}
		err := contained(l.log, func() error { return l.claim(ctx, next.candidate) })
		l.claiming.Add(-1)
		l.settled(next.candidate, err)
		if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrNotClaimable) {
			// The channel is still in the index: the next scan finds it.
			l.log.Warn("claim failed", "channel", next.channelID, "error", err)
			// Or it is ours, and the answer was lost: then nobody else looks for it.
			l.candidates.add(candidate{channelID: next.channelID, from: l.heart.ID()})
			sleep(ctx, l.lease.part(heartbeatPart)/4)
		}
	}
}

// owned is how many channels the worker owns, or is about to own.
func (l *life) owned() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.channels) + int(l.claiming.Load())
}

// share is how many it should own.
func (l *life) share() int { return l.crew.share(l.owned(), l.candidates.len(), l.MaxChannels) }

// glance is how often a worker that stands back looks at how things stand.
const glance = 50 * time.Millisecond

// admit waits until the worker may try to claim a channel, and counts it as its
// own; false if it may not. Above its share it leaves time for others to come
// first. Whoever is admitted is so in turn: each sees what those before it took.
func (l *life) admit(ctx context.Context, c noted) bool {
	select {
	case <-ctx.Done():
		return false
	case l.admitting <- struct{}{}:
	}
	defer func() { <-l.admitting }()
	if c.from != l.heart.ID() { // else it may be ours already
		l.lookAround(ctx)
		if l.full() || l.keepsAway(c.channelID) {
			return false
		}
		for wait := l.standsBack(c); wait > 0; wait = l.standsBack(c) {
			sleep(ctx, min(wait, glance))
		}
	}
	if ctx.Err() != nil {
		return false
	}
	l.claiming.Add(1)
	return true
}

// viewAge is how old the view of the other workers may be for it to be claimed by.
const viewAge = 200 * time.Millisecond

// lookAround sees to it that the worker knows who else could have a channel.
func (l *life) lookAround(ctx context.Context) {
	now := time.Now()
	if l.crew.age(now) < viewAge || now.Sub(l.lookedAround) < viewAge {
		return
	}
	l.lookedAround = now
	workers, err := l.readWorkers(ctx)
	if err == nil {
		l.crew.see(workers, l.heart.ID(), time.Now())
	}
}

// full reports whether the worker owns as many channels as it may.
func (l *life) full() bool {
	full := l.MaxChannels > 0 && l.owned() >= l.MaxChannels
	if l.wasFull.Swap(full) != full && full {
		l.log.Warn("the worker owns as many channels as it may: more have to wait for others", "limit", l.MaxChannels)
	}
	return full
}

// standsBack returns for how much longer a channel is left to others.
func (l *life) standsBack(c noted) time.Duration {
	mine := l.owned()
	share := l.crew.share(mine, l.candidates.len()+1, l.MaxChannels)
	return standBack(mine, share) - time.Since(c.at)
}

func (l *life) claim(ctx context.Context, c candidate) error {
	if l.supervisor(c.channelID) != nil {
		return nil // it is ours
	}
	_, cancel, err := l.lease.wait(ctx)
	if err != nil {
		return err
	}
	cancel()
	// A claim that was begun is finished, also by a worker that is told to leave:
	// it could not know whether the channel is its own. It may not hold up the
	// heartbeat, though.
	finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.lease.part(heartbeatPart))
	defer cancel()
	owner, err := l.Store.Claim(finishing, store.Claimer{Worker: l.heart.ID(), Fresh: l.lease.Fresh, Moved: l.moved, Turn: l.turn.RLocker()}, c.channelID, c.from)
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
	ctx, s.giveUp = context.WithCancel(ctx)
	l.mu.Lock()
	l.channels[owner.ChannelID()] = s
	l.mu.Unlock()
	l.running.Go(func() {
		defer s.giveUp()
		if !s.run(ctx) {
			l.doubt(owner.ChannelID())
		}
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
