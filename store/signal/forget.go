package signal

import (
	"context"

	"github.com/enlacehq/enlace/store"
)

// Forget wipes all of the channel's Signal state. What an interrupted Forget
// leaves behind is wiped before another device is stored.
func (c *Container) Forget(ctx context.Context) error {
	c.deviceMu.Lock()
	defer c.deviceMu.Unlock()
	c.lidMu.Lock()
	defer c.lidMu.Unlock()
	if err := c.forgetDevice(ctx); err != nil {
		return err
	}
	c.remains = true
	for _, pk := range []string{c.hotPK(), c.bulkPK()} {
		if err := c.wipe(ctx, pk); err != nil {
			return err
		}
	}
	c.remains = false
	c.setLIDs(new(lidMap))
	c.lidsStale = false
	c.budget.leave(c.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.cleared, c.done, c.doneAt = nil, nil, nil, 0
	c.riders, c.phones, c.loose, c.tokensSince = nil, nil, nil, 0
	c.budget.charge(-c.charged)
	c.charged = 0
	return nil
}

// forgetDevice deletes the credentials first, on condition that they are the
// ones we know: someone else's are not ours to wipe. deviceMu is held.
func (c *Container) forgetDevice(ctx context.Context) error {
	for range maxConflicts {
		current, err := c.loadDevice(ctx)
		if err != nil || current == nil {
			return err
		}
		c.deviceStale = true
		err = c.write(ctx, store.Delete(store.Key{PK: c.hotPK(), SK: deviceSK}, store.VersionIs(current.version)))
		if err == nil {
			c.dev, c.deviceStale = nil, false
			return nil
		}
		if !isConflict(err) {
			return err
		}
		if err := c.settle(ctx); err != nil {
			return err
		}
	}
	return errTooManyConflicts
}

// wipe deletes a partition, as long as no device is stored.
func (c *Container) wipe(ctx context.Context, pk string) error {
	noDevice := store.Check(store.Key{PK: c.hotPK(), SK: deviceSK}, store.Absent)
	return c.deleteAll(ctx, store.Query{PK: pk}, noDevice)
}

// deleteAll deletes what q finds, each write together with also.
func (c *Container) deleteAll(ctx context.Context, q store.Query, also ...store.Op) error {
	q.Limit = store.MaxOps - len(also)
	for {
		ops := also[:len(also):len(also)]
		err := c.each(ctx, q, func(item store.Item) (bool, error) {
			ops = append(ops, store.Delete(item.Key, store.Any))
			return len(ops) < store.MaxOps, nil
		})
		if err != nil || len(ops) == len(also) {
			return err
		}
		if err := c.write(ctx, ops...); err != nil {
			return err
		}
	}
}
