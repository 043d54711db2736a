package socket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waWa6"
	wastore "go.mau.fi/whatsmeow/store"

	"github.com/enlacehq/enlace/strategies"
)

// grace is how long an ended connection's reason may come after its end.
const grace = 2 * time.Second

// session is one connection of a channel, on one context: whatever ends it
// cancels that context when nothing can leave any more, and before whatever
// failed returns to whatsmeow, so that nothing is acknowledged after a failure.
type session struct {
	times    Times
	now      func() time.Time
	log      *slog.Logger
	observer strategies.Observer
	owner    owner
	state    credentials
	wa       *whatsmeow.Client
	wire     *wire
	notes    *notebook

	ctx    context.Context
	cancel context.CancelCauseFunc

	dead   atomic.Bool // the end has begun
	over   chan struct{}
	result strategies.End // set before over is closed

	live    atomic.Bool                    // whatsmeow has the connection
	gone    moment                         // whatsmeow said that it dropped it
	paired  moment                         // whatsmeow said how linking went
	success atomic.Bool                    // it went well
	refused atomic.Pointer[strategies.End] // the end that WhatsApp announced
	refusal chan struct{}                  // has room for one word of it
	calls   calls
	steps   chan any // what happened, for follow
	passkey passkeyState

	// The rest belongs to the goroutine of run.
	dialing   chan error      // the dial's outcome; nil when it is known
	losing    <-chan struct{} // the connection's end; nil when it is known
	timer     *time.Timer
	due       func()   // what happens when timer fires; nil: nothing
	codes     []string // the QR codes that were not shown yet
	of        int      // how many there were
	expires   time.Time
	isLinked  bool // there are credentials that WhatsApp accepted
	wasLinked bool // there were before the session
	restart   bool // WhatsApp asked for a new connection before it was known that it accepted them
	connected bool
	timedOut  strategies.Cause // what it means that nobody used the code shown; 0: none is shown
}

// connect runs one session, presenting version.
func (c *client) connect(ctx context.Context, observer strategies.Observer, version wastore.WAVersionContainer) strategies.End {
	c.mu.Lock()
	state, unreadable := c.state, c.unreadable
	c.mu.Unlock()
	if unreadable != nil {
		return strategies.End{Cause: strategies.CauseUnreadable, Err: brief(unreadable)}
	}
	s := c.newSession(ctx, observer)
	s.state = state
	device, err := c.device(ctx, state, s.fail)
	if err != nil {
		s.endOnError(ctx, err)
		return s.result
	}
	lastTry := state.LastTry()
	s.wasLinked = device.ID != nil
	s.isLinked = s.wasLinked
	s.prepare(device, version, c.strategy)

	c.mu.Lock()
	c.session = s
	c.mu.Unlock()
	end := s.run(ctx)
	c.mu.Lock()
	c.session = nil
	c.mu.Unlock()

	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	if err := c.settle(after, state, s, end, lastTry); err != nil {
		c.log.Warn("credentials could not be settled after a session", "cause", end.Cause.String(), "error", brief(err))
	}
	return end
}

func (c *client) newSession(ctx context.Context, observer strategies.Observer) *session {
	s := &session{
		times:    c.strategy.times,
		now:      c.strategy.now,
		log:      c.log,
		observer: observer,
		owner:    c.owner,
		over:     make(chan struct{}),
		gone:     newMoment(),
		paired:   newMoment(),
		refusal:  make(chan struct{}, 1),
		steps:    make(chan any),
	}
	// Not a child of ctx: that one's end must go through s.end, in its order.
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	s.wire = newWire(c.strategy.transport, c.owner.Fresh, s.fail)
	return s
}

// prepare makes the whatsmeow client.
func (s *session) prepare(device *wastore.Device, version wastore.WAVersionContainer, strategy *Strategy) {
	s.notes = keepNotes(device)
	wa := whatsmeow.NewClient(device, &logger{log: s.log, muted: s.dead.Load, tap: s.sees})
	slim(wa)
	web := &http.Client{Transport: s.wire}
	wa.SetWebsocketHTTPClient(web)
	wa.SetPreLoginHTTPClient(web)
	wa.SetMediaHTTPClient(strategy.media)
	wa.GetClientPayload = func() *waWa6.ClientPayload { return payload(device, version) }
	wa.BackgroundEventCtx = s.ctx
	wa.EnableAutoReconnect = false
	wa.DisableLoginAutoReconnect = true
	wa.SynchronousAck = true
	wa.EnableDecryptedEventBuffer = true
	wa.UseRetryMessageStore = false
	wa.GetMessageForRetry = s.forRetry
	// Fetching history by itself would keep a goroutine for a minute after the
	// session's end; its notices are answered all the same.
	wa.ManualHistorySyncDownload = true
	wa.SetForceActiveDeliveryReceipts(true)
	// Without one, whatsmeow would call nil when it is told that a token of
	// another product's accounts has expired, and take the program with it.
	wa.RefreshCAT = func(context.Context) error { return errors.New("there is no token to refresh") }
	wa.AddEventHandlerWithSuccessStatus(s.handle)
	s.wa = wa
}

// run connects and returns when the session is over and nothing of it runs any more.
func (s *session) run(ctx context.Context) strategies.End {
	stop := context.AfterFunc(ctx, func() { s.end(strategies.End{Cause: strategies.CauseStopped}) })
	defer stop()
	dialed := make(chan error, 1)
	go func() { dialed <- s.dial() }()
	s.timer = time.NewTimer(s.times.Connect)
	defer s.timer.Stop()
	s.due, s.dialing, s.losing = s.silent, dialed, s.wire.lost.given
	for !s.dead.Load() {
		s.turn()
	}
	<-s.over
	if s.dialing != nil {
		<-s.dialing //nolint:errcheck // whatever came of it, the session is over
	}
	s.unwind()
	return s.result
}

// turn waits for one thing to happen and goes on from it.
func (s *session) turn() {
	defer s.recovered(nil)
	select {
	case <-s.over:
	case err := <-s.dialing:
		s.dialing = nil
		s.reached(err)
	case step := <-s.steps:
		if s.dialing != nil { // it has succeeded, or nothing would happen
			s.reached(<-s.dialing)
			s.dialing = nil
		}
		s.follow(step)
	case <-s.notes.changed:
		s.renamed()
	case <-s.refusal:
		s.refusedBy(*s.refused.Load())
	case <-s.losing:
		s.losing = nil
		s.cut()
	case <-s.timer.C:
		s.due()
	}
}

// recovered is deferred: a panic ends the session like a failure. ok, if not nil,
// becomes false then.
func (s *session) recovered(ok *bool) {
	p := recover()
	if p == nil {
		return
	}
	s.log.Error("panic in a session", "panic", scrub(fmt.Sprint(p)), "stack", string(debug.Stack()))
	if ok != nil {
		*ok = false
	}
	s.fail(errors.New("panic in a session"))
}

// after sets what happens when d has passed, in place of what was to happen.
// At any moment a session waits for one thing.
func (s *session) after(d time.Duration, then func()) {
	s.due = then
	s.timer.Reset(d)
}

// never waits for nothing more.
func (s *session) never() {
	s.timer.Stop()
	s.due = func() {}
}

// endOnError ends a session that could not begin.
func (s *session) endOnError(ctx context.Context, err error) {
	if ctx.Err() != nil {
		s.end(strategies.End{Cause: strategies.CauseStopped})
		return
	}
	s.fail(err)
}

// fail ends the session because something could not be stored. It is called by
// the stores of whatsmeow's device too, and returns when nothing can leave.
func (s *session) fail(err error) {
	cause := strategies.CauseStore
	if isUnreadable(err) {
		cause = strategies.CauseUnreadable
	}
	s.end(strategies.End{Cause: cause, Err: brief(err)})
}

// end ends the session; the first end counts. It returns when nothing can leave
// any more and the context is cancelled.
func (s *session) end(e strategies.End) {
	if !s.dead.CompareAndSwap(false, true) {
		<-s.over
		return
	}
	s.result = e
	s.wire.close()
	if s.live.Load() && !s.wa.DangerousInternals().IsExpectedDisconnect() {
		// whatsmeow would otherwise be dropping the connection while it
		// disconnects itself after a failed linking, which it does not survive.
		wait(s.gone.given, closeWait)
	}
	err := e.Err
	if err == nil {
		err = errShut
	}
	s.cancel(err)
	close(s.over)
}

// unwind waits for what still runs on the session's behalf.
func (s *session) unwind() {
	// Requests that were cut off wait for a reconnection unless none is expected.
	s.wa.DangerousInternals().ExpectDisconnect()
	s.calls.close()
	if !s.wasLinked && s.notes.saved() {
		wait(s.paired.given, closeWait)
	}
}

// leftHalf reports whether linking began and failed: a device may be stored that
// WhatsApp does not know. It is asked after the session's end.
func (s *session) leftHalf() bool {
	return !s.wasLinked && s.notes.saved() && !s.success.Load()
}

// wait waits for done, at most for limit.
func wait(done <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// post hands a step to run's goroutine and waits until it is taken, or the session is over.
func (s *session) post(step any) {
	select {
	case s.steps <- step:
	case <-s.over:
	}
}

// tell has the observer record something. What cannot be recorded ends the session.
func (s *session) tell(record func(ctx context.Context) error) bool {
	if err := record(s.ctx); err != nil {
		s.fail(err)
		return false
	}
	return true
}
