package workers

import (
	"slices"
	"sync"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// inbox is what a supervisor knows to be waiting in its channel's outbox.
type inbox struct {
	mu       sync.Mutex
	scan     bool               // the outbox is to be read whole
	hints    map[int64]struct{} // entries to be read
	commands []store.Command    // read, and not carried out yet, oldest first
	messages []waitingMessage   // read, and not sent yet, oldest first
	held     map[string]hold    // chats whose next message has to wait
}

// waitingMessage is what is kept of a message until it is its turn.
type waitingMessage struct {
	seq     int64
	chat    string
	queued  bool
	expires time.Time // while it is queued
}

// hold keeps a chat's messages back, so that they stay in order.
type hold struct {
	until time.Time
	tries int
}

const (
	firstHold = time.Second
	longHold  = time.Minute
)

// hint notes an entry to be read, and reports whether it is news.
func (b *inbox) hint(seq int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.knows(seq) {
		return false
	}
	if b.hints == nil {
		b.hints = map[int64]struct{}{}
	}
	_, noted := b.hints[seq]
	b.hints[seq] = struct{}{}
	return !noted
}

func (b *inbox) knows(seq int64) bool {
	_, queued := slices.BinarySearchFunc(b.messages, seq, func(m waitingMessage, seq int64) int { return int(m.seq - seq) })
	return queued || slices.ContainsFunc(b.commands, func(c store.Command) bool { return c.Seq == seq })
}

// toRead returns what is to be read: all of the outbox, or the entries hinted at.
func (b *inbox) toRead() (all bool, hints []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all = b.scan
	for seq := range b.hints {
		hints = append(hints, seq)
	}
	slices.Sort(hints)
	return all, hints
}

// take notes what was read; all says that it is everything that waits.
func (b *inbox) take(found store.Waiting, all bool, hints []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if all {
		b.scan = false
	}
	for _, seq := range hints {
		delete(b.hints, seq)
	}
	for _, c := range found.Commands {
		if !b.knows(c.Seq) {
			b.commands = append(b.commands, c)
		}
	}
	slices.SortFunc(b.commands, func(x, y store.Command) int { return int(x.Seq - y.Seq) })
	for _, m := range found.Messages {
		if !b.knows(m.Seq) {
			b.messages = append(b.messages, waitingMessage{seq: m.Seq, chat: m.Chat, queued: m.Status == enlace.Queued, expires: m.ExpiresAt})
		}
	}
	slices.SortFunc(b.messages, func(x, y waitingMessage) int { return int(x.seq - y.seq) })
}

// look makes the next read one of everything.
func (b *inbox) look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.scan = true
}

func (b *inbox) pending() []store.Command {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.commands)
}

// late notes that a read mark waits: that somebody is typing was of the moment.
func (b *inbox) late(seq int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range b.commands {
		if c.Seq == seq && c.Mark != nil {
			b.commands[i].Mark = &store.MarkRead{Identity: c.Mark.Identity}
		}
	}
}

// done forgets an entry that waits no longer.
func (b *inbox) done(seq int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.commands = slices.DeleteFunc(b.commands, func(c store.Command) bool { return c.Seq == seq })
	if i := slices.IndexFunc(b.messages, func(m waitingMessage) bool { return m.seq == seq }); i >= 0 {
		delete(b.held, b.messages[i].chat)
		b.messages = slices.Delete(b.messages, i, i+1)
	}
}

// next returns the message whose turn it is: the oldest of a chat that is not
// held. If all are held, wait says for how long; ok is false when nothing waits.
func (b *inbox) next(now time.Time) (m waitingMessage, wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		if left := b.held[m.chat].until.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		return m, 0, true
	}
	return waitingMessage{}, wait, wait > 0
}

// hold keeps a chat back after a failed try, for longer each time.
func (b *inbox) hold(chat string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held == nil {
		b.held = map[string]hold{}
	}
	h := b.held[chat]
	h.until = now.Add(min(longHold, firstHold<<min(h.tries, 10)))
	h.tries++
	b.held[chat] = h
}

// unhold lets all chats try again: there is a new session.
func (b *inbox) unhold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.held)
}

// sending notes that a message can expire no longer.
func (b *inbox) sending(seq int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.messages {
		if b.messages[i].seq == seq {
			b.messages[i].queued = false
			return
		}
	}
}

// expired returns the queued messages whose time is over.
func (b *inbox) expired(now time.Time) []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var seqs []int64
	for _, m := range b.messages {
		if m.queued && now.After(m.expires) {
			seqs = append(seqs, m.seq)
		}
	}
	return seqs
}

// all returns the numbers of the messages that wait.
func (b *inbox) all() []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	seqs := make([]int64, len(b.messages))
	for i, m := range b.messages {
		seqs[i] = m.seq
	}
	return seqs
}
