package workers

import (
	"context"
	"time"

	"github.com/enlacehq/enlace/store"
)

// outboxEvery is how often the worker looks for new entries of its channels'
// outboxes where the table does not tell it of them.
const outboxEvery = 250 * time.Millisecond

// outboxRest is how many times as long as a look took it rests before the next one:
// a look reads all that waits, and while much is sent each step of each message
// asks for one.
const outboxRest = 4

// outboxBusy bounds how rarely it looks while much is waiting that it knows of.
const outboxBusy = 2 * time.Second

// readOutbox tells supervisors of new entries. The index it reads may be stale:
// the supervisors read the outbox itself at claim.
func (l *life) readOutbox(ctx context.Context) {
	watch := l.Store.WatchOutbox(l.heart.ID())
	defer watch.Stop()
	for ctx.Err() == nil {
		began := time.Now()
		refs, err := l.Store.WaitingIn(ctx, l.heart.ID())
		if err != nil && ctx.Err() == nil {
			l.log.Warn("the outbox cannot be read", "error", err)
			sleep(ctx, time.Second)
		}
		for _, ref := range refs {
			l.hint(ctx, ref)
		}
		sleep(ctx, min(outboxEvery, outboxRest*time.Since(began)))
		pause := min(outboxBusy, outboxEvery+time.Duration(len(refs))*time.Millisecond)
		waited, cancel := context.WithTimeout(ctx, pause)
		_ = watch.Wait(waited)
		cancel()
	}
}

// hint tells the supervisor of the entry's channel of it, or its owner elsewhere.
func (l *life) hint(ctx context.Context, ref store.EntryRef) {
	if s := l.supervisor(ref.ChannelID); s != nil {
		s.hint(ref.Seq)
		return
	}
	if err := l.Store.Readdress(ctx, ref); err != nil && ctx.Err() == nil {
		l.log.Warn("an entry for another worker's channel stays here", "channel", ref.ChannelID, "error", err)
	}
}

const (
	expireEvery = time.Second
	tendEvery   = 12 * time.Hour
)

// expireMessages ends queued messages whose time is over, also while their
// channel is not connected.
func (l *life) expireMessages(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, expireEvery)
		for _, s := range l.supervisors() {
			s.expire(ctx)
		}
	}
}

// tend has each channel note, twice a day, how far its log and outbox have come.
func (l *life) tend(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, tendEvery)
		for _, s := range l.supervisors() {
			s.look()
			if err := s.owner.SaveTails(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("the ends of log and outbox are not noted", "error", err)
			}
		}
	}
}
