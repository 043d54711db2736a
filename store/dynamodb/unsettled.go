package dynamodb

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/enlacehq/enlace/store"
)

// unsettled remembers how Writes were sent whose outcome is unknown: the caller
// sends the same Write again under the same id, and the engine knows a transaction
// again only if nothing in it has changed, the time in its conditions included.
type unsettled struct {
	mu     sync.Mutex
	writes map[string]unsettledWrite // by write id
}

type unsettledWrite struct {
	tried
	at time.Time
}

const (
	// tokenLife is how long the engine knows a transaction again.
	tokenLife = 10 * time.Minute
	// maxUnsettled bounds the memory of a long outage. A Write that is forgotten is
	// decided by its conditions alone.
	maxUnsettled = 10_000
)

// begin readies ops to be sent: like an earlier try of the same that may have been
// done, if there is one.
func (db *DB) begin(ops []store.Op) *write {
	w := &write{db: db, ops: slices.Clone(ops), tried: tried{now: db.seconds(), sure: true}}
	if len(ops) == 0 {
		return w
	}
	if id := ops[0].Item.WriteID; id != "" {
		if earlier, ok := db.unsettled.of(id); ok {
			w.tried = earlier
		}
	}
	fresh := store.NewWriteID()
	for i := range w.ops {
		if w.ops[i].Item.WriteID == "" {
			w.ops[i].Item.WriteID = fresh
		}
	}
	return w
}

// settle notes how w ended.
func (db *DB) settle(w *write, err error) {
	if len(w.ops) == 0 {
		return
	}
	id := w.ops[0].Item.WriteID
	switch {
	case errors.Is(err, store.ErrUnknown):
		w.sure = false
		db.unsettled.keep(id, w.tried)
	case err == nil || errors.As(err, new(*store.ConditionError)):
		db.unsettled.forget(id)
	}
}

func (u *unsettled) of(id string) (tried, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	write, ok := u.writes[id]
	return write.tried, ok && time.Since(write.at) < tokenLife
}

func (u *unsettled) keep(id string, t tried) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.writes == nil {
		u.writes = make(map[string]unsettledWrite)
	}
	if len(u.writes) >= maxUnsettled {
		u.sweep()
	}
	u.writes[id] = unsettledWrite{t, time.Now()}
}

// sweep forgets what is too old to be known again and, if that is little, half of the rest.
func (u *unsettled) sweep() {
	for id, write := range u.writes {
		if time.Since(write.at) > tokenLife {
			delete(u.writes, id)
		}
	}
	for id := range u.writes {
		if len(u.writes) <= maxUnsettled/2 {
			return
		}
		delete(u.writes, id)
	}
}

func (u *unsettled) forget(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.writes, id)
}
