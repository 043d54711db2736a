package workers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
)

// The defaults of Config.
const (
	DefaultLease                = 20 * time.Second
	DefaultReconnectDelay       = 2 * time.Second
	DefaultMaxReconnectAttempts = 10
)

// Config is what a worker needs.
type Config struct {
	Store      *store.Store
	Queue      queue.Queue
	Strategies strategies.Registry
	// Locks, where processes share a folder, shows the death of a worker at once.
	Locks *Locks
	// Lease gives all times of ownership: how long a silent worker is waited for.
	Lease time.Duration
	// ReconnectDelay is the base of the growing delay between sessions.
	ReconnectDelay time.Duration
	// MaxReconnectAttempts is how often a channel that WhatsApp refuses is tried
	// before it is given up; the network may fail for ever.
	MaxReconnectAttempts int
	// SendRate is how many messages a channel sends in a second at most, in uneven
	// steps; 0 means as fast as WhatsApp takes them.
	SendRate float64
	// ClaimsAtOnce is how many channels are claimed at a time; one when 0. All
	// claims check the worker's own item in their writes: make it more where the
	// table lets several such writes pass at once, so that they need not wait for
	// the disk one after the other.
	ClaimsAtOnce int
	// MaxChannels is how many channels the worker owns at most; 0 is no limit.
	MaxChannels int
	// RebalanceEvery is the mean time between two live channels that a worker with
	// far more than its share gives away; 0 is never.
	RebalanceEvery time.Duration
	Log            *slog.Logger
}

// Worker owns channels. See Run.
type Worker struct {
	config Config
}

// New returns a worker; nothing happens before Run.
func New(config Config) *Worker {
	if config.Lease == 0 {
		config.Lease = DefaultLease
	}
	if config.ReconnectDelay == 0 {
		config.ReconnectDelay = DefaultReconnectDelay
	}
	if config.MaxReconnectAttempts == 0 {
		config.MaxReconnectAttempts = DefaultMaxReconnectAttempts
	}
	if config.ClaimsAtOnce == 0 {
		config.ClaimsAtOnce = 1
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	return &Worker{config: config}
}

const (
	leaveTime    = 20 * time.Second // to close sessions and release channels; a few seconds more for the rest
	patienceTime = 3 * time.Second  // how long a worker that is told to leave still waits for WhatsApp
)

// Run owns channels until ctx ends; then it closes its sessions, releases the
// channels and returns nil, within 25 seconds. A worker that was taken for dead
// drops all it owns and starts over under a new id.
func (w *Worker) Run(ctx context.Context) error {
	for {
		err := w.live(ctx)
		if !errors.Is(err, store.ErrBuried) {
			return err
		}
		w.config.Log.Warn("this worker was taken for dead; it starts over under a new id")
	}
}

// live is one life of the worker, under one id.
func (w *Worker) live(ctx context.Context) error {
	l := newLife(w.config)
	if err := l.begin(ctx); err != nil {
		return err
	}
	defer l.end()
	return l.run(ctx)
}

// life is a worker under one id, from its first heartbeat to its burial or leave.
type life struct {
	Config
	log    *slog.Logger
	heart  *store.Heart
	unlock func()
	lease  *lease
	moved  *store.Moved
	// turn is held by a heartbeat, and shared by claims: some tables refuse two writers
	// on the heartbeat's item, and the heartbeat must not be the one that loses.
	turn sync.RWMutex

	// patience ends soon after the worker was told to leave: nothing waits for
	// WhatsApp after that.
	patience context.Context

	buried     atomic.Bool
	candidates *candidates
	crew       crew
	pace       pace
	graveDug   chan struct{} // another worker has buried one
	admitting  chan struct{} // has room for the candidate whose turn it is
	// lookedAround is when the candidate whose turn it was last asked for the others.
	lookedAround time.Time
	claiming     atomic.Int64 // claims under way
	wasFull      atomic.Bool
	mu           sync.Mutex
	channels     map[string]*supervisor // by channel id
	doubts       map[string]time.Time   // channels that may be owned without a supervisor, and since when
	given        map[string]time.Time   // channels that were given to others, and when
	running      sync.WaitGroup         // the supervisors
}

func newLife(config Config) *life {
	heart := config.Store.NewHeart()
	return &life{
		Config: config, heart: heart, lease: newLease(config.Lease),
		log:        config.Log.With("worker", heart.ID()),
		moved:      config.Store.NewMoved(heart.ID()),
		candidates: newCandidates(),
		graveDug:   make(chan struct{}, 1), admitting: make(chan struct{}, 1),
		channels: map[string]*supervisor{}, doubts: map[string]time.Time{}, given: map[string]time.Time{},
		unlock: func() {},
	}
}

// begin takes the worker's lock and shows its first heartbeat, as soon as the
// store lets it.
func (l *life) begin(ctx context.Context) error {
	if l.Locks != nil {
		unlock, err := l.Locks.hold(l.heart.ID())
		if err != nil {
			return err
		}
		l.unlock = unlock
	}
	for {
		err := l.beat(ctx)
		if err == nil || errors.Is(err, store.ErrBuried) {
			l.log.Info("worker begins")
			return err
		}
		if ctx.Err() != nil {
			l.unlock()
			return nil
		}
		l.log.Warn("the store does not answer", "error", err)
		sleep(ctx, l.lease.part(heartbeatPart)/2)
	}
}

func (l *life) end() { l.unlock() }

// run does the worker's work until ctx ends or the worker is buried.
func (l *life) run(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	// alive outlives ctx: a leaving worker still beats while it releases its channels.
	alive, die := context.WithCancel(context.WithoutCancel(ctx))
	defer die()
	owning, stopOwning := context.WithCancel(ctx) // ends sessions and claims
	defer stopOwning()
	context.AfterFunc(alive, stopOwning)
	patience, lose := context.WithCancel(context.WithoutCancel(ctx))
	defer lose()
	context.AfterFunc(owning, func() { time.AfterFunc(patienceTime, lose) })
	l.patience = patience

	var upkeep, work sync.WaitGroup
	upkeep.Go(func() { l.lease.watch(alive) })
	upkeep.Go(func() {
		if err := l.beats(alive); err != nil {
			l.buried.Store(true)
			die()
		}
	})
	upkeep.Go(func() { l.keep(alive, l.flushMoved) })
	upkeep.Go(func() { l.keep(alive, l.vitals) })
	for _, loop := range []func(context.Context){l.claims, l.scanUnowned, l.watchOthers, l.sweepGraves, l.receiveJobs, l.readOutbox, l.expireMessages, l.tend, l.rebalance, l.settleDoubts} {
		work.Go(func() { l.keep(owning, loop) })
	}
	<-owning.Done()
	late := time.After(leaveTime)
	work.Wait()
	l.leave(alive, late)
	die()
	upkeep.Wait()
	if l.buried.Load() {
		return store.ErrBuried
	}
	return l.farewell(context.WithoutCancel(ctx))
}

// leave waits until every supervisor has released its channel, or has dropped it
// because the worker is buried, but not for longer than late.
func (l *life) leave(alive context.Context, late <-chan time.Time) {
	released := make(chan struct{})
	go func() { l.running.Wait(); close(released) }()
	l.turn.Lock()
	l.heart.Drain()
	l.turn.Unlock()
	if err := l.beat(alive); err != nil && !errors.Is(err, store.ErrBuried) {
		l.log.Warn("the others do not know that this worker leaves", "error", err)
	}
	select {
	case <-released:
	case <-late:
		l.log.Error("channels were not released in time; they are taken over when this worker is buried")
	}
}

// farewell removes the worker's item, so that nobody waits for its heartbeat. A
// worker that could not release all its channels is better buried.
func (l *life) farewell(ctx context.Context) error {
	l.mu.Lock()
	left := len(l.channels) + len(l.doubts)
	l.mu.Unlock()
	if left > 0 {
		return fmt.Errorf("%d channels were not released", left)
	}
	ctx, cancel := context.WithTimeout(ctx, l.lease.part(heartbeatPart))
	defer cancel()
	if err := contained(l.log, func() error { return l.moved.Flush(ctx) }); err != nil {
		return err
	}
	if err := l.heart.Leave(ctx); err != nil && !errors.Is(err, store.ErrBuried) {
		return fmt.Errorf("leave: %w", err)
	}
	if l.Locks != nil {
		l.Locks.remove(l.heart.ID())
	}
	l.log.Info("worker left")
	return nil
}

// beats shows that the worker is alive, until ctx ends. ErrBuried: it is not any more.
func (l *life) beats(ctx context.Context) error {
	pause := l.lease.part(heartbeatPart)
	for {
		sleep(ctx, pause)
		if ctx.Err() != nil {
			return nil
		}
		pause = l.lease.part(heartbeatPart)
		err := l.beat(ctx)
		if errors.Is(err, store.ErrBuried) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			l.log.Warn("heartbeat failed", "error", err)
			pause /= 4
		}
	}
}

func (l *life) beat(ctx context.Context) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	ctx, cancel := context.WithTimeout(ctx, l.lease.part(heartbeatPart))
	defer cancel()
	sent := time.Now()
	l.heart.Carry(l.owned(), l.MaxChannels)
	if err := contained(l.log, func() error { return l.heart.Beat(ctx) }); err != nil {
		return err
	}
	l.lease.renew(sent)
	return nil
}

// movedEvery is how often readers of a company's feed are told of new events.
const movedEvery = time.Second

func (l *life) flushMoved(ctx context.Context) {
	for {
		sleep(ctx, movedEvery)
		if ctx.Err() != nil {
			return
		}
		if err := l.moved.Flush(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("the feed is late", "error", err)
		}
	}
}

// sleep returns after d or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
