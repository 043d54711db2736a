package socket

import "sync"

// moment is something that happens once.
type moment struct {
	given chan struct{}
	once  *sync.Once
}

func newMoment() moment { return moment{make(chan struct{}), new(sync.Once)} }

func (m moment) give() { m.once.Do(func() { close(m.given) }) }

func (m moment) wasGiven() bool {
	select {
	case <-m.given:
		return true
	default:
		return false
	}
}
