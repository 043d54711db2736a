package workers

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/enlacehq/enlace/store"
)

// sighting is what a watcher has seen of another worker's heartbeat without a break.
type sighting struct {
	counter int64
	since   time.Time // when the read that first showed this counter had come back
	reads   int
}

// leastReads is how many reads must have shown the same counter.
const leastReads = 4

// watchOthers buries workers that have fallen silent: whose counter stood still
// over a whole lease of this worker's own reads. A read that fails or is late
// begins the watch again, so that an outage of the store buries nobody; so does a
// lapse of this worker's own lease: where nobody can write, all stand still.
func (l *life) watchOthers(ctx context.Context) {
	seen := map[string]sighting{}
	var last time.Time
	for ctx.Err() == nil {
		asked := time.Now()
		workers, err := l.readWorkers(ctx)
		answered := time.Now()
		if err != nil || !l.lease.holds() || answered.Sub(asked) > l.lease.part(maxGapPart) || asked.Sub(last) > l.lease.part(maxGapPart) {
			clear(seen)
		}
		if err == nil {
			l.crew.see(workers, l.heart.ID(), answered)
		}
		if err != nil && ctx.Err() == nil {
			l.log.Warn("the other workers cannot be seen", "error", err)
		}
		last = asked
		l.look(ctx, seen, workers, asked, answered)
		sleep(ctx, l.watchEvery(seen, answered))
	}
}

// watchEvery is shorter where locks tell of a death at once, and while somebody
// seems to be dead: then all who watch know of it at about the same time.
func (l *life) watchEvery(seen map[string]sighting, now time.Time) time.Duration {
	every := l.lease.part(watchPart)
	if l.Locks != nil {
		every = min(every, time.Second)
	}
	for _, s := range seen {
		if now.Sub(s.since) > l.lease.length/2 {
			return min(every, l.lease.part(closeWatchPart))
		}
	}
	return every
}

func (l *life) readWorkers(ctx context.Context) ([]store.Worker, error) {
	ctx, cancel := context.WithTimeout(ctx, l.lease.part(maxGapPart))
	defer cancel()
	return l.Store.Workers(ctx)
}

// look takes in one read of the workers and buries those that are dead.
func (l *life) look(ctx context.Context, seen map[string]sighting, workers []store.Worker, asked, answered time.Time) {
	present := map[string]bool{}
	for _, w := range workers {
		if w.ID == l.heart.ID() {
			continue
		}
		present[w.ID] = true
		s, known := seen[w.ID]
		if !known || s.counter != w.Counter {
			s = sighting{counter: w.Counter, since: answered}
		}
		s.reads++
		seen[w.ID] = s
		silent := s.reads >= leastReads && asked.Sub(s.since) >= l.lease.length
		if silent || l.Locks != nil && l.Locks.free(w.ID) {
			l.bury(ctx, w)
		}
	}
	for id := range seen {
		if !present[id] {
			delete(seen, id)
			wake(l.graveDug) // by another
		}
	}
}

func (l *life) bury(ctx context.Context, w store.Worker) {
	buried, err := l.Store.Bury(ctx, w)
	if err != nil {
		l.log.Warn("burial failed", "dead", w.ID, "error", err)
		return
	}
	if !buried {
		return
	}
	l.log.Warn("worker buried", "dead", w.ID)
	if l.Locks != nil {
		l.Locks.remove(w.ID)
	}
	l.considerOwnedBy(ctx, w.ID)
}

// A buried worker's channels are looked for again and again: a claim of its may
// have been in flight, and the index may lag.
const (
	sweepSoon    = 10 * time.Second
	sweepSoonFor = 2 * time.Minute
	sweepLate    = 5 * time.Minute
	sweepPart    = 0.5 // of a lease, where that is sooner
)

type grave struct {
	found time.Time // by this worker
	swept time.Time
}

// sweepGraves takes over what buried workers still seem to own.
func (l *life) sweepGraves(ctx context.Context) {
	graves := map[string]*grave{}
	for ctx.Err() == nil {
		buried, err := l.Store.Buried(ctx)
		if err != nil && ctx.Err() == nil {
			l.log.Warn("the buried workers cannot be seen", "error", err)
		}
		maps.DeleteFunc(graves, func(id string, _ *grave) bool { return err == nil && !slices.Contains(buried, id) })
		for _, id := range buried {
			now := time.Now()
			g := graves[id]
			if g == nil {
				g = &grave{found: now}
				graves[id] = g
			}
			if age := now.Sub(g.found); age > sweepSoonFor && now.Sub(g.swept) < sweepLate {
				continue
			}
			g.swept = now
			l.considerOwnedBy(ctx, id)
		}
		timer := time.NewTimer(min(sweepSoon, l.lease.part(sweepPart)))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.graveDug:
		}
		timer.Stop()
	}
}
