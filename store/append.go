package store

import (
	"context"
	"fmt"
)

// append appends an event to the channel's log, together with more ops, in one
// Write, the event's op first. If somebody else took the number it goes on to
// the next, as long as the channel is still the owner's; a condition of more that
// fails is returned as the *ConditionError.
func (o *Owner) append(ctx context.Context, e eventItem, more ...Op) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	e.At = o.store.time()
	for {
		if err := o.current(ctx); err != nil {
			return err
		}
		e.Epoch = o.r.Epoch
		event, err := o.store.event(o.id, o.seq+1, e)
		if err != nil {
			return err
		}
		err = o.store.table.Write(ctx, append([]Op{event}, more...)...)
		if _, taken := conflictAt(err, 0); taken {
			o.stale = true
			continue
		}
		if isConflict(err) {
			return err
		}
		if err != nil {
			o.stale = true
			return fmt.Errorf("append to channel %s: %w", o.id, err)
		}
		o.seq++
		o.moved.mark(o.company, o.id, o.seq)
		return nil
	}
}
