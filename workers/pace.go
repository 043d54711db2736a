package workers

import (
	"math/rand/v2"
	"sync"
	"time"
)

// takeoverEvery is the mean time between two sessions that a worker opens for
// channels which it has just taken over: a thousand of them must not fall on
// WhatsApp, or on the machine, at once.
const takeoverEvery = 20 * time.Millisecond

// pace spaces out takeovers, unevenly.
type pace struct {
	mu   sync.Mutex
	next time.Time
}

// turn returns when the next one may begin.
func (p *pace) turn(now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(takeoverEvery/2 + rand.N(takeoverEvery))
	return p.next
}
