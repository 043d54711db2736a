package workers

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
)

// send starts sending what waits, if a session is connected and nobody sends yet.
// s.mu is held.
func (s *supervisor) send() {
	if !s.connected || s.sending {
		return
	}
	if _, _, ok := s.inbox.next(time.Now()); !ok {
		return
	}
	s.sending = true
	ctx, client := s.sessionCtx, s.client
	s.life.running.Go(func() { s.sendAll(ctx, client) })
}

// sendAll sends the messages that wait, in order in each chat, until there are
// none or the session ends.
func (s *supervisor) sendAll(ctx context.Context, client strategies.Client) {
	for ctx.Err() == nil {
		m, wait, ok := s.inbox.next(time.Now())
		if !ok {
			break
		}
		if wait > 0 {
			s.pauseSending(ctx, wait)
			continue
		}
		err := contained(s.log, func() error { return s.sendOne(ctx, client, m) })
		if errors.Is(err, store.ErrNotOwner) {
			s.endSession()
		} else if err != nil && ctx.Err() == nil {
			s.log.Warn("a message has to wait", "error", err)
			s.inbox.hold(m.chat, time.Now())
		} else {
			s.pace(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = false
	if ctx.Err() == nil || s.sessionCtx != ctx {
		s.send() // something may have come between the last look and now
	}
}

// pauseSending waits for a held chat, or for a message to another one.
func (s *supervisor) pauseSending(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-s.more:
	}
}

// pace keeps to the channel's send rate, in steps as uneven as a person's.
func (s *supervisor) pace(ctx context.Context) {
	if s.life.SendRate <= 0 {
		return
	}
	mean := float64(time.Second) / s.life.SendRate
	sleep(ctx, time.Duration(mean*(0.5+rand.Float64())))
}

// sendOne does what one waiting message needs. An error means that it still waits.
func (s *supervisor) sendOne(ctx context.Context, client strategies.Client, waiting waitingMessage) error {
	found, err := s.owner.Entry(ctx, waiting.seq)
	if err != nil {
		return err
	}
	if len(found.Messages) == 0 { // cancelled, or ended by an earlier owner
		s.inbox.done(waiting.seq)
		return nil
	}
	m := found.Messages[0]
	if over, err := s.endIfOver(ctx, m); over || err != nil {
		return err
	}
	if m.Status == enlace.Sending {
		// Sent before, and the answer perhaps told of before a crash.
		if ended, err := s.owner.CatchUp(ctx, m); ended || err != nil {
			if ended {
				s.inbox.done(m.Seq)
			}
			return err
		}
	}
	if err := s.owner.Fresh(); err != nil {
		return err
	}
	content, err := client.Prepare(ctx, m)
	if err != nil {
		return s.failIfFinal(ctx, m, err)
	}
	err = s.owner.Sending(ctx, m, content)
	var changed *store.ConditionError
	if errors.As(err, &changed) {
		return nil // cancelled at the last moment: the next look tells
	}
	if err != nil {
		return err
	}
	s.inbox.sending(m.Seq)
	at, err := client.Send(ctx, m)
	if err != nil {
		return s.failIfFinal(ctx, m, err)
	}
	if err := s.owner.Sent(ctx, m, at.UTC()); err != nil {
		return err
	}
	s.inbox.done(m.Seq)
	return nil
}

// endIfOver ends a message that was queued for too long, or sent for too long
// without an answer.
func (s *supervisor) endIfOver(ctx context.Context, m *store.Outbound) (over bool, err error) {
	now := time.Now()
	switch {
	case m.Status == enlace.Queued && now.After(m.ExpiresAt):
		err = s.owner.Expire(ctx, m.Seq)
	case m.Status == enlace.Sending && now.After(m.GiveUpAt):
		err = s.owner.FailMessage(ctx, m.Seq, enlace.CodeOutcomeUnknown, "WhatsApp never answered")
	default:
		return false, nil
	}
	if err == nil {
		s.inbox.done(m.Seq)
	}
	return true, err
}

func (s *supervisor) failIfFinal(ctx context.Context, m *store.Outbound, err error) error {
	var refused *strategies.SendError
	if !errors.As(err, &refused) || !refused.Final {
		return err
	}
	if err := s.owner.FailMessage(ctx, m.Seq, refused.Code, refused.Message); err != nil {
		return err
	}
	s.inbox.done(m.Seq)
	return nil
}

// expire ends queued messages whose time is over.
func (s *supervisor) expire(ctx context.Context) {
	for _, seq := range s.inbox.expired(time.Now()) {
		if err := s.owner.Expire(ctx, seq); err != nil {
			if ctx.Err() == nil && !errors.Is(err, store.ErrNotOwner) {
				s.log.Warn("a message has not been ended", "error", err)
			}
			return
		}
		s.inbox.done(seq)
		wake(s.poked) // a resting channel may have waited for this alone
	}
}

// fail ends messages that will not be sent.
func (s *supervisor) fail(ctx context.Context, seqs []int64) error {
	for _, seq := range seqs {
		if err := s.owner.FailMessage(ctx, seq, enlace.CodeChannelNotActive, "the channel was logged out"); err != nil {
			return err
		}
		s.inbox.done(seq)
	}
	return nil
}
