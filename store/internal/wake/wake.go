// Package wake is the notice board of one table in one process: who waits for
// writes to which partition, and how a driver tells them.
package wake

import "sync"

// Board knows who waits. Its zero value is ready for use.
type Board struct {
	mu      sync.Mutex
	waiters map[string]map[*waiter]struct{}
	count   int
}

type waiter struct{ wake chan struct{} }

// Wake is store.Waker's.
func (b *Board) Wake(pk string) (wake <-chan struct{}, stop func()) {
	w := &waiter{wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiters == nil {
		b.waiters = make(map[string]map[*waiter]struct{})
	}
	if b.waiters[pk] == nil {
		b.waiters[pk] = make(map[*waiter]struct{})
	}
	b.waiters[pk][w] = struct{}{}
	b.count++
	return w.wake, func() { b.remove(pk, w) }
}

func (b *Board) remove(pk string, w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.waiters[pk][w]; !there {
		return
	}
	b.count--
	delete(b.waiters[pk], w)
	if len(b.waiters[pk]) == 0 {
		delete(b.waiters, pk)
	}
}

// Waiting reports whether anybody waits.
func (b *Board) Waiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count > 0
}

// Touch wakes those who wait for partition pk.
func (b *Board) Touch(pk string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.waiters[pk] {
		w.nudge()
	}
}

// TouchAll wakes everybody.
func (b *Board) TouchAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, partition := range b.waiters {
		for w := range partition {
			w.nudge()
		}
	}
}

func (w *waiter) nudge() {
	select {
	case w.wake <- struct{}{}:
	default: // a wake-up is waiting there already
	}
}
