package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// retryPatience is how long Retrying tries for a caller without a deadline.
	retryPatience = 10 * time.Second
	// A pause is random between nothing and retryBase, doubled at each try up to retryCap.
	retryBase = 10 * time.Millisecond
	retryCap  = time.Second
)

// Retrying returns t with its passing failures repeated: ErrUnavailable until
// the caller's deadline (10 s without one), and a Write whose outcome is unknown
// until it is known. It is the one place where either is done.
//
// All puts of a Write get one fresh write id before the first try, whatever
// they bring along, and each further try is the same Write under the same id.
// So a condition that fails because an earlier try was done after all is
// recognised by the item that came back: that Write has succeeded. What remains
// undecided at the deadline, or cannot be decided any more since others have
// written over it, is ErrUnknown: neither done nor not done.
//
// A Write that holds again after it was done may be done twice: a put if absent
// that another deleted meanwhile, one without a condition that another wrote over.
//
// It is the outermost layer: below another Retrying it would replace the ids by
// which that one recognises its writes. The result is a Waker if t is.
func Retrying(t Table) Table {
	r := &retrying{table: t}
	if waker, ok := t.(Waker); ok {
		return &wakingRetrying{r, waker}
	}
	return r
}

type retrying struct{ table Table }

type wakingRetrying struct {
	*retrying
	Waker
}

var (
	_ Table = (*retrying)(nil)
	_ Waker = (*wakingRetrying)(nil)
)

// Get is Table's.
func (r *retrying) Get(ctx context.Context, key Key) (item Item, err error) {
	err = retryRead(ctx, func(ctx context.Context) (err error) {
		item, err = r.table.Get(ctx, key)
		return err
	})
	return item, err
}

// GetMany is Table's.
func (r *retrying) GetMany(ctx context.Context, keys []Key) (items map[Key]Item, err error) {
	err = retryRead(ctx, func(ctx context.Context) (err error) {
		items, err = r.table.GetMany(ctx, keys)
		return err
	})
	return items, err
}

// Query is Table's.
func (r *retrying) Query(ctx context.Context, q Query) (page Page, err error) {
	err = retryRead(ctx, func(ctx context.Context) (err error) {
		page, err = r.table.Query(ctx, q)
		return err
	})
	return page, err
}

// retryRead repeats read while the table is unavailable.
func retryRead(caller context.Context, read func(context.Context) error) error {
	ctx, cancel := withPatience(caller)
	defer cancel()
	for try := 0; ; try++ {
		err := read(ctx)
		if !errors.Is(err, ErrUnavailable) || !pause(ctx, try) {
			return gaveUp(caller, err)
		}
	}
}

// Write is Table's.
func (r *retrying) Write(caller context.Context, ops ...Op) error {
	ctx, cancel := withPatience(caller)
	defer cancel()
	ops = stamp(ops)
	uncertain := false // an earlier try may have been done
	for try := 0; ; try++ {
		err := r.table.Write(ctx, ops...)
		var conflict *ConditionError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &conflict):
			return r.resolve(caller, ops, conflict, uncertain)
		case errors.Is(err, ErrUnknown):
			uncertain = true
		case errors.Is(err, ErrUnavailable):
		case uncertain: // and even sending it again does not help to learn
			return unknown(caller, err)
		default:
			return gaveUp(caller, err)
		}
		switch {
		case pause(ctx, try):
		case uncertain:
			return unknown(caller, err)
		default:
			return gaveUp(caller, err)
		}
		if uncertain && mayHoldTwice(ops) {
			if done, _, _ := r.look(ctx, ops, nil); done {
				return nil
			}
		}
	}
}

// mayHoldTwice reports whether ops may be done again right after they were: no
// put or delete takes away what its own condition asks for. A put that expires
// may leave nothing, as a delete does.
func mayHoldTwice(ops []Op) bool {
	for _, op := range ops {
		version, exact := op.Condition.Version()
		lasts := op.Item.Expires.IsZero() || version > 0
		if op.Kind == OpPut && exact && lasts || op.Kind == OpDelete && !op.Condition.Holds(0) {
			return false
		}
	}
	return true
}

// resolve says what a failed condition means for the Write as a whole: nil when
// an earlier try has done it, conflict when none has and none can any more, and
// ErrUnknown when what is to be seen allows both.
func (r *retrying) resolve(caller context.Context, ops []Op, conflict *ConditionError, uncertain bool) error {
	failed := make(map[int]bool)
	disproved := false
	for _, c := range append([]Conflict{conflict.Conflict}, conflict.Others...) {
		if ours(ops[c.Op], c.Item) {
			return nil
		}
		failed[c.Op] = true
		disproved = disproved || disproves(ops[c.Op], c.Item)
	}
	if !uncertain || disproved {
		return conflict
	}
	// the other puts may tell: their conditions did not fail, or the engine did not say so
	done, disproved, err := r.look(caller, ops, failed)
	switch {
	case err != nil:
		return unknown(caller, err)
	case done:
		return nil
	case disproved:
		return conflict
	}
	return unknown(caller, conflict)
}

// look reads what stands at the keys of ops' puts, but for those in skip, and
// reports whether it shows that ops were done, or that they never will be. To
// see neither says nothing: a try may be on its way still.
func (r *retrying) look(ctx context.Context, ops []Op, skip map[int]bool) (done, disproved bool, err error) {
	var keys []Key
	for i, op := range ops {
		if op.Kind == OpPut && !skip[i] {
			keys = append(keys, op.Item.Key)
		}
	}
	items, err := r.GetMany(ctx, keys)
	if err != nil {
		return false, false, err
	}
	for _, op := range ops {
		if item, there := items[op.Item.Key]; there {
			done = done || ours(op, &item)
			disproved = disproved || disproves(op, &item)
		}
	}
	return done, disproved, nil
}

// ours reports whether item, standing at op's key, is what op puts.
func ours(op Op, item *Item) bool {
	return op.Kind == OpPut && item != nil && item.WriteID == op.Item.WriteID
}

// disproves reports whether item, standing at op's key and not ours, shows that
// op was never done and never will be. It does when the key went the one step
// from the version that op asks for to the next under another's hand: had op
// been done in between, that step would have been op's. (A key that is removed
// and made anew within one Write's tries could take that step twice; keys are
// not used so.) A check changes nothing, so it may have held before.
func disproves(op Op, item *Item) bool {
	asked, exact := op.Condition.Version()
	return op.Kind != OpCheck && exact && item != nil && item.Version == asked+1
}

// stamp gives all ops one fresh write id. Of a put it is the item's; a driver
// may use it as the token of the whole.
func stamp(ops []Op) []Op {
	ops = slices.Clone(ops)
	id := NewWriteID()
	for i := range ops {
		ops[i].Item.WriteID = id
	}
	return ops
}

// unknown makes an ErrUnknown of err, and of nothing else that err may be, but
// of the end of the caller's context.
func unknown(caller context.Context, err error) error {
	if ctxErr := caller.Err(); ctxErr != nil {
		return fmt.Errorf("%w: %v (%w)", ErrUnknown, err, ctxErr)
	}
	return fmt.Errorf("%w: %v", ErrUnknown, err)
}

// gaveUp is err as the caller is told it, of a call that did nothing: the
// end of our own patience is not the end of the caller's context.
func gaveUp(caller context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrUnavailable) {
		if ctxErr := caller.Err(); ctxErr != nil {
			return fmt.Errorf("%w (%w)", err, ctxErr)
		}
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) && caller.Err() == nil {
		return fmt.Errorf("%w: no answer within %v", ErrUnavailable, retryPatience)
	}
	return err
}

func withPatience(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, retryPatience)
}

// pause waits before another try, full jitter, and reports whether ctx still lives.
func pause(ctx context.Context, try int) bool {
	longest := min(retryBase<<min(try, 20), retryCap)
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
