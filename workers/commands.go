package workers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
)

// Time limits of what is asked of WhatsApp for a command.
const (
	unlinkTime  = 30 * time.Second // a device that cannot be unlinked by then is only forgotten
	passkeyTime = 15 * time.Second
	markTime    = 10 * time.Second
)

// hint tells the supervisor of an entry in the channel's outbox.
func (s *supervisor) hint(seq int64) {
	if s.inbox.hint(seq) {
		s.poke()
	}
}

// look makes the supervisor read the channel's outbox whole.
func (s *supervisor) look() {
	s.inbox.look()
	s.poke()
}

// poke makes the supervisor attend to the outbox: at once in the session that
// runs, else at its next step.
func (s *supervisor) poke() {
	wake(s.poked)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interrupt == nil || s.listening {
		return
	}
	s.listening = true
	s.life.running.Go(s.listen)
}

// listen attends to the outbox while a session runs: it has messages sent,
// carries out the commands that need the session, and ends it for those that do
// not go with it.
func (s *supervisor) listen() {
	for {
		select {
		case <-s.poked:
		default:
			s.mu.Lock()
			defer s.mu.Unlock()
			s.listening = len(s.poked) > 0
			if s.listening {
				s.life.running.Go(s.listen)
			}
			return
		}
		ctx, cancel := context.WithTimeout(s.life.patience, unlinkTime)
		err := contained(s.log, func() error { return s.hear(ctx) })
		cancel()
		if err != nil && !errors.Is(err, store.ErrNotOwner) {
			s.log.Warn("a command is held up", "error", err)
			time.AfterFunc(hearAgain, s.poke)
		}
	}
}

// hearAgain is the pause after the outbox could not be attended to.
const hearAgain = time.Second

func (s *supervisor) hear(ctx context.Context) error {
	if err := s.read(ctx); err != nil {
		return err
	}
	for _, c := range s.inbox.pending() {
		var err error
		switch c.Kind {
		case store.CommandPasskey, store.CommandPasskeyConfirm:
			err = errors.Join(s.passkey(ctx, c), s.done(ctx, c))
		case store.CommandRead:
			err = s.markRead(ctx, c)
		case store.CommandConnect:
			err = s.done(ctx, c) // it is connecting, or connected
		case store.CommandLogout, store.CommandDelete:
			s.unlinkNow(ctx)
			s.endSession()
			return nil
		default:
			s.endSession()
			return nil
		}
		if err != nil {
			return err
		}
	}
	wake(s.more)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send()
	return nil
}

// read reads what the inbox was told of.
func (s *supervisor) read(ctx context.Context) error {
	all, hints := s.inbox.toRead()
	if all {
		found, err := s.owner.Waiting(ctx)
		if err != nil {
			return err
		}
		s.inbox.take(found, true, hints)
		return nil
	}
	for _, seq := range hints {
		found, err := s.owner.Entry(ctx, seq)
		if err != nil {
			return err
		}
		s.inbox.take(found, false, []int64{seq})
	}
	return nil
}

// done removes a command that was carried out.
func (s *supervisor) done(ctx context.Context, c store.Command) error {
	if err := s.owner.Done(ctx, c); err != nil {
		return err
	}
	s.inbox.done(c.Seq)
	return nil
}

// markRead marks a message as read, or leaves the mark for the next session.
func (s *supervisor) markRead(ctx context.Context, c store.Command) error {
	s.mu.Lock()
	client, connected := s.client, s.connected
	s.mu.Unlock()
	if !connected {
		return s.leaveMark(ctx, c)
	}
	marking, cancel := context.WithTimeout(ctx, markTime)
	defer cancel()
	if err := client.MarkRead(marking, *c.Mark); err != nil {
		s.log.Warn("message not marked as read", "error", err)
		return s.leaveMark(ctx, c)
	}
	return s.done(ctx, c)
}

// leaveMark leaves a read mark for the next session, if there is to be one.
func (s *supervisor) leaveMark(ctx context.Context, c store.Command) error {
	if !s.owner.WantsSession() {
		return s.done(ctx, c)
	}
	s.inbox.late(c.Seq)
	return nil
}

// endSession ends the session that runs; the next step carries the command out.
func (s *supervisor) endSession() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interrupt != nil {
		s.interrupt()
	}
}

// unlinkNow unlinks the device through the session that runs, if it can.
func (s *supervisor) unlinkNow(ctx context.Context) {
	s.mu.Lock()
	client, connected := s.client, s.connected
	s.mu.Unlock()
	if !connected {
		return
	}
	if err := client.Unlink(ctx); err != nil {
		s.log.Warn("device not unlinked", "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlinked = true
}

func (s *supervisor) passkey(ctx context.Context, c store.Command) error {
	ctx, cancel := context.WithTimeout(ctx, passkeyTime)
	defer cancel()
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client == nil {
		return nil // the session it was for is gone
	}
	if c.Kind == store.CommandPasskeyConfirm {
		return client.ConfirmPasskey(ctx)
	}
	answer, err := s.owner.Answer(ctx, c)
	if errors.Is(err, seal.ErrUnreadable) {
		s.log.Error("the answer to a passkey request cannot be opened")
		return nil
	}
	if err != nil {
		return err
	}
	return client.AnswerPasskey(ctx, answer)
}

// commandEndsIt reports whether the session that was logged out was so by a
// command, which is yet to be carried out to its end.
func (s *supervisor) commandEndsIt(ctx context.Context) bool {
	if s.read(ctx) != nil {
		return false
	}
	for _, c := range s.inbox.pending() {
		if c.Kind == store.CommandLogout || c.Kind == store.CommandDelete {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.unlinked = true
			return true
		}
	}
	return false
}

// carryOut carries out, while no session runs, the commands that wait.
func (s *supervisor) carryOut(ctx context.Context) error {
	if err := s.read(ctx); err != nil {
		return err
	}
	commands := s.inbox.pending()
	if len(commands) == 0 {
		return nil
	}
	if err := s.owner.StillOwner(ctx); err != nil { // and what the commands changed
		return err
	}
	for _, c := range commands {
		if s.owner.Deleted() {
			return nil // wipe does it all
		}
		var err error
		switch c.Kind {
		case store.CommandDisconnect:
			err = s.disconnect(ctx, c)
		case store.CommandLogout:
			err = s.logout(ctx, c)
		case store.CommandConnect:
			s.retry.begin()
			err = s.done(ctx, c)
		case store.CommandRead:
			err = s.leaveMark(ctx, c)
		default:
			err = s.done(ctx, c) // it was for a session that is gone
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *supervisor) disconnect(ctx context.Context, c store.Command) error {
	if s.owner.Channel().Status == enlace.Inactive {
		return s.done(ctx, c)
	}
	if err := s.owner.Inactive(ctx, enlace.ReasonDisconnected, c); err != nil {
		return err
	}
	s.inbox.done(c.Seq)
	return nil
}

func (s *supervisor) logout(ctx context.Context, c store.Command) error {
	if err := s.unlink(ctx); err != nil {
		return err
	}
	client, err := s.open(ctx)
	if err != nil {
		return err
	}
	if client != nil {
		if err := client.Forget(ctx); err != nil {
			return err
		}
	}
	if err := s.owner.Inactive(ctx, enlace.ReasonLoggedOut, c); err != nil {
		return err
	}
	s.inbox.done(c.Seq)
	return nil
}

func (s *supervisor) wipe(ctx context.Context) error {
	if err := s.unlink(ctx); err != nil {
		return err
	}
	s.closeClient()
	return s.owner.Wipe(ctx)
}

// unlink removes the channel's device at WhatsApp, in a session for that alone.
// It is tried once, and WhatsApp's refusal is no error: the credentials go anyhow.
func (s *supervisor) unlink(ctx context.Context) error {
	s.mu.Lock()
	done := s.unlinked
	s.unlinked = false
	s.mu.Unlock()
	if done || !s.owner.Linked() {
		return nil
	}
	client, err := s.open(ctx)
	if err != nil || client == nil || !client.Linked() {
		return err
	}
	held, cancel, err := s.life.lease.wait(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	held, stop := context.WithTimeout(held, unlinkTime)
	defer stop()
	u := &unlinker{client: client, stop: stop}
	end := client.Run(held, u)
	u.unlinking.Wait()
	s.log.Info("session to unlink the device ended", "cause", end.Cause.String())
	return ctx.Err()
}

// unlinker is the observer of a session that only unlinks.
type unlinker struct {
	client strategies.Client
	stop   context.CancelFunc

	unlinking sync.WaitGroup
}

var errOnlyUnlinking = errors.New("this session is there to unlink the device")

func (u *unlinker) QR(context.Context, enlace.QR) error               { return errOnlyUnlinking }
func (u *unlinker) PairingCode(context.Context, string) error         { return errOnlyUnlinking }
func (u *unlinker) Passkey(context.Context, enlace.Passkey) error     { return errOnlyUnlinking }
func (u *unlinker) Linked(context.Context, enlace.Account) error      { return errOnlyUnlinking }
func (u *unlinker) Received(context.Context, store.Incoming) error    { return errOnlyUnlinking }
func (u *unlinker) Unavailable(context.Context, store.Incoming) error { return errOnlyUnlinking }
func (u *unlinker) Receipt(context.Context, strategies.Receipt) error { return errOnlyUnlinking }

// Connected unlinks in a goroutine of its own: the session's handler must return
// before the session can hear WhatsApp's answer.
func (u *unlinker) Connected(ctx context.Context, _ enlace.Account) error {
	u.unlinking.Go(func() {
		_ = u.client.Unlink(ctx)
		u.stop()
	})
	return nil
}
