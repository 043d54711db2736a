package workers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
)

// supervisor looks after one channel for as long as the worker owns it: it opens
// sessions, decides what follows from their ends, carries out what is asked of
// the channel, and releases it when there is nothing left to do.
type supervisor struct {
	life  *life
	owner *store.Owner
	log   *slog.Logger
	retry retries
	// giveUp has the channel closed and handed over.
	giveUp context.CancelFunc
	paced  bool // the first session of a channel that is linked waits for its turn

	inbox inbox
	poked chan struct{} // there is something to attend to
	more  chan struct{} // there is more to send

	mu     sync.Mutex
	client strategies.Client
	// interrupt ends the running session, and sessionCtx is its context; nil when there is none.
	interrupt  context.CancelFunc
	sessionCtx context.Context
	connected  bool
	sending    bool // sendAll is under way
	unlinked   bool // at WhatsApp, for a command that is being carried out
	listening  bool // a listen is under way
}

func newSupervisor(l *life, owner *store.Owner) *supervisor {
	return &supervisor{
		life: l, owner: owner,
		log:   l.log.With("channel", owner.ChannelID(), "company", owner.CompanyID()),
		retry: retries{delay: l.ReconnectDelay, max: l.MaxReconnectAttempts},
		inbox: inbox{scan: true},
		poked: make(chan struct{}, 1),
		more:  make(chan struct{}, 1),
	}
}

// lateLook is when the outbox is read once more after a claim: what was posted
// under the former owner may have been on its way.
const lateLook = time.Minute

// run supervises until the channel is released, wiped or lost, or ctx ends. It
// reports whether it is certain that the worker owns the channel no more.
func (s *supervisor) run(ctx context.Context) (gone bool) {
	late := time.AfterFunc(lateLook, s.look)
	defer late.Stop()
	err := s.supervise(ctx)
	s.closeClient()
	switch {
	case errors.Is(err, store.ErrNotOwner):
		s.log.Info("channel is another worker's now")
		return true
	case err != nil && ctx.Err() == nil:
		s.log.Error("channel dropped", "error", err)
		return false
	case ctx.Err() != nil && !s.life.buried.Load():
		return s.handOver(ctx)
	}
	return true
}

// supervise returns nil when the channel is released or wiped or ctx ended, and
// ErrNotOwner when it is lost. Other failures are waited out.
func (s *supervisor) supervise(ctx context.Context) error {
	for ctx.Err() == nil {
		var done bool
		err := contained(s.log, func() (err error) {
			done, err = s.step(ctx)
			return err
		})
		if done || errors.Is(err, store.ErrNotOwner) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("supervising is held up", "error", err)
			s.pause(ctx, s.retry.jitter(s.retry.delay))
		}
	}
	return nil
}

// step does the next thing that the channel needs; done means that it needs no owner any more.
func (s *supervisor) step(ctx context.Context) (done bool, err error) {
	if err := s.carryOut(ctx); err != nil {
		return false, err
	}
	if s.owner.Deleted() {
		return true, s.wipe(ctx)
	}
	if !s.owner.WantsSession() {
		return s.rest(ctx)
	}
	if turn, err := s.awaitTurn(ctx); !turn {
		return false, err
	}
	return false, s.session(ctx)
}

// awaitTurn reports whether a session may be opened now; else it waits, or ends
// what kept it from that.
func (s *supervisor) awaitTurn(ctx context.Context) (turn bool, err error) {
	if until := s.owner.Channel().Until; until != nil && time.Now().Before(*until) {
		s.pause(ctx, time.Until(*until))
		return false, nil
	} else if until != nil {
		return false, s.owner.Retry(ctx)
	}
	if !s.paced && s.owner.Linked() {
		s.retry.next = s.life.pace.turn(time.Now())
	}
	s.paced = true
	if wait := time.Until(s.retry.next); wait > 0 {
		s.pause(ctx, wait)
		return false, nil
	}
	return true, nil
}

// rest releases a channel that wants no session, once nothing waits to be sent:
// messages wait for their end or for the next connect, but not for a new device.
func (s *supervisor) rest(ctx context.Context) (done bool, err error) {
	waiting := s.inbox.all()
	switch {
	case len(waiting) == 0:
		return s.release(ctx)
	case s.owner.Channel().Reason == enlace.ReasonLoggedOut:
		return false, s.fail(ctx, waiting)
	}
	s.pause(ctx, time.Minute)
	return false, nil
}

// pause waits for d, for a poke, or for ctx to end.
func (s *supervisor) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-s.poked:
	}
}

// session opens one session and decides what follows from its end.
func (s *supervisor) session(ctx context.Context) error {
	client, err := s.open(ctx)
	if err != nil || client == nil {
		return err
	}
	held, cancel, err := s.life.lease.wait(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if goOn, err := s.before(held, client); !goOn {
		return err
	}
	end := s.runSession(held, client, observer{s})
	if ctx.Err() != nil {
		return nil
	}
	s.log.Info("session ended", "cause", end.Cause.String(), "code", end.Code, "error", end.Err)
	return s.settle(ctx, end)
}

// before makes the status fit for a session; goOn is false if there is to be none.
// It stands apart from session, as awaitTurn from step: the frames below a running
// session stay for as long as it does, in each channel, and a copy of the channel
// in one of them would double the stack.
func (s *supervisor) before(ctx context.Context, client strategies.Client) (goOn bool, err error) {
	channel := s.owner.Channel()
	if channel.Reconnect != nil && s.owner.Linked() && !client.Linked() {
		// The credentials went before the status could say so.
		return false, s.owner.Inactive(ctx, enlace.ReasonLoggedOut)
	}
	if channel.Status != enlace.Active {
		return true, nil
	}
	// The session was closed without a word: the store did not answer, or the lease ran out.
	err = s.owner.Reconnecting(ctx, enlace.ReasonNetwork, enlace.Reconnect{NextAt: time.Now().UTC()}, nil)
	return err == nil, err
}

// runSession runs one session to its end; listen and interrupt reach it meanwhile.
func (s *supervisor) runSession(ctx context.Context, client strategies.Client, o strategies.Observer) strategies.End {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.interrupt, s.sessionCtx = cancel, ctx
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.interrupt, s.sessionCtx, s.connected = nil, nil, false
		s.mu.Unlock()
	}()
	s.poke() // for what came before there was a session to listen in
	return client.Run(ctx, o)
}

// open returns the channel's client, which its strategy makes at the first
// session. It is nil if there is no strategy; that ends the channel.
func (s *supervisor) open(ctx context.Context) (strategies.Client, error) {
	if s.client != nil {
		return s.client, nil
	}
	strategy, ok := s.life.Strategies[s.owner.Type()]
	if !ok {
		return nil, s.owner.Failed(ctx, enlace.ReasonTypeNotAvailable, nil, &enlace.LastError{
			Code: string(enlace.CodeTypeNotAvailable), Message: "this worker has no strategy for channels of type " + string(s.owner.Type()),
		})
	}
	client, err := strategy.Open(ctx, s.owner)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = client
	return client, nil
}

func (s *supervisor) closeClient() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}

// release gives up a channel that wants no session. done is false if something
// is asked of it after all.
func (s *supervisor) release(ctx context.Context) (done bool, err error) {
	if err := s.life.moved.Flush(ctx); err != nil {
		return false, err
	}
	err = s.owner.Release(ctx, true)
	if errors.Is(err, store.ErrWaiting) {
		s.inbox.look()
		return false, nil
	}
	return err == nil, err
}

// handOverTime bounds the release of a channel by a leaving worker.
const handOverTime = 10 * time.Second

// handOver releases a channel that goes on elsewhere, and reports whether it did.
func (s *supervisor) handOver(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), handOverTime)
	defer cancel()
	err := contained(s.log, func() error {
		if err := s.life.moved.Flush(ctx); err != nil {
			return err
		}
		return s.owner.Release(ctx, false)
	})
	switch {
	case errors.Is(err, store.ErrNotOwner):
	case err != nil:
		s.log.Warn("channel was not handed over", "error", err)
		return false
	default:
		s.life.callOthers(ctx, s.owner.ChannelID())
	}
	return true
}

// observer records what a session tells.
type observer struct{ *supervisor }

func (o observer) QR(ctx context.Context, qr enlace.QR) error { return o.owner.ShowQR(ctx, qr) }

func (o observer) PairingCode(ctx context.Context, code string) error {
	return o.owner.ShowPairingCode(ctx, code)
}

func (o observer) Passkey(ctx context.Context, passkey enlace.Passkey) error {
	return o.owner.ShowPasskey(ctx, passkey)
}

func (o observer) Linked(ctx context.Context, account enlace.Account) error {
	return o.owner.Accepted(ctx, account)
}

func (o observer) Connected(ctx context.Context, account enlace.Account) error {
	if err := o.owner.Ready(ctx, account); err != nil {
		return err
	}
	o.retry.connected(time.Now())
	o.inbox.unhold()
	o.mu.Lock()
	o.connected = true
	o.send()
	o.mu.Unlock()
	if len(o.inbox.pending()) > 0 {
		o.poke() // marks that have waited for a session
	}
	return nil
}

func (o observer) Received(ctx context.Context, in store.Incoming) error {
	_, err := o.owner.Received(ctx, in)
	return err
}

func (o observer) Unavailable(ctx context.Context, in store.Incoming) error {
	return o.owner.Unavailable(ctx, in)
}

func (o observer) Receipt(ctx context.Context, r strategies.Receipt) error {
	return o.owner.Receipt(ctx, r.WhatsAppID, r.Status, r.At, r.Recipient)
}
