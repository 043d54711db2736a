package signal

import (
	"context"
	"errors"
	"slices"
	"sync"
)

const (
	maxRiders     = 1024 // rows with something waiting; beyond it all of it is written
	riderOverhead = 200  // bytes in memory
)

// rider is what waits for the next write of a row, because it is not worth one
// of its own: a crash loses it. A rider is never changed, only replaced.
type rider struct {
	push     *string
	business *string
	secrets  []secret
	moved    []secret // of the row, that lie elsewhere now
}

func (r *rider) empty() bool {
	return r.push == nil && r.business == nil && len(r.secrets) == 0 && len(r.moved) == 0
}

func (c *Container) riderOf(sk string) *rider {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.riders[sk]
}

// ride replaces the rider of a row by what change makes of its copy.
func (c *Container) ride(ctx context.Context, sk string, change func(*rider)) error {
	if c.seat(sk, change) > maxRiders {
		return c.Flush(ctx)
	}
	return nil
}

func (c *Container) seat(sk string, change func(*rider)) (riders int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := new(rider)
	waiting := c.riders[sk]
	if waiting != nil {
		*r = *waiting
		r.secrets = slices.Clone(waiting.secrets)
	}
	change(r)
	c.replaceRider(sk, r)
	return len(c.riders)
}

// replaceRider sets the rider of a row; c.mu is held.
func (c *Container) replaceRider(sk string, r *rider) {
	_, there := c.riders[sk]
	switch {
	case r.empty():
		if there {
			delete(c.riders, sk)
			c.charge(-riderOverhead)
		}
		return
	case c.riders == nil:
		c.riders = make(map[string]*rider)
	}
	if !there {
		c.charge(riderOverhead)
	}
	c.riders[sk] = r
}

// board puts what waits for r's next write into r, and returns it.
func (c *Container) board(r *row) *rider {
	waiting := c.riderOf(r.sk)
	if waiting == nil {
		return nil
	}
	if waiting.push != nil {
		r.push = *waiting.push
	}
	if waiting.business != nil {
		r.business = *waiting.business
	}
	r.secrets = append(leaveOut(r.secrets, waiting.moved), leaveOut(waiting.secrets, r.secrets)...)
	return waiting
}

// arrived takes what was written from what waits.
func (c *Container) arrived(sk string, written *rider) {
	if written == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.riders[sk]
	if waiting == nil {
		return
	}
	rest := &rider{secrets: leaveOut(waiting.secrets, written.secrets), moved: leaveOut(waiting.moved, written.moved)}
	if waiting.push != written.push {
		rest.push = waiting.push
	}
	if waiting.business != written.business {
		rest.business = waiting.business
	}
	c.replaceRider(sk, rest)
}

// leaveOut returns the secrets of all that are not among gone.
func leaveOut(all, gone []secret) []secret {
	rest := make([]secret, 0, len(all))
	for _, s := range all {
		if !slices.ContainsFunc(gone, s.equal) {
			rest = append(rest, s)
		}
	}
	return rest
}

// Flush writes what waits for the next write of its item: push names, message
// secrets. A crash loses that and nothing else, so an owner calls Flush before
// it releases the channel, and may call it now and then.
func (c *Container) Flush(ctx context.Context) error {
	c.mu.Lock()
	sks := make([]string, 0, len(c.riders))
	for sk := range c.riders {
		sks = append(sks, sk)
	}
	c.mu.Unlock()
	if len(sks) == 0 {
		return nil
	}
	slices.Sort(sks)
	if _, err := c.rows(ctx, sks); err != nil { // into memory with one call
		return err
	}
	var mu sync.Mutex
	names := make(map[string]*rider)
	err := inParallel(sks, func(sk string) error {
		landed, err := c.flushRow(ctx, sk)
		if err != nil || landed {
			return err
		}
		if waiting := c.riderOf(sk); waiting != nil {
			mu.Lock()
			defer mu.Unlock()
			names[sk] = waiting
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.flushNames(ctx, names)
}

// flushRow writes a row with what waits for it. Names of someone to whom there
// is no Signal session do not make a row: landed is false.
func (c *Container) flushRow(ctx context.Context, sk string) (landed bool, err error) {
	err = c.retry(ctx, func() error {
		base, err := c.row(ctx, sk)
		if err != nil {
			return err
		}
		waiting := c.riderOf(sk)
		landed = waiting == nil || base.version > 0 || len(waiting.secrets) > 0
		if waiting == nil || !landed {
			return nil
		}
		return c.replace(ctx, base, base.clone())
	})
	return landed, err
}

// retry runs write again as long as it fails by a foreign write and the channel
// is still ours; what write reads, it reads anew each time.
func (c *Container) retry(ctx context.Context, write func() error) error {
	for range maxConflicts {
		err := write()
		if !isConflict(err) && !errors.Is(err, errStale) {
			return err
		}
		if err := c.settle(ctx); err != nil {
			return err
		}
	}
	return errTooManyConflicts
}
