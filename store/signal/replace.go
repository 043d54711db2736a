package signal

import (
	"bytes"
	"context"

	"github.com/enlacehq/enlace/store"
)

// Plaintexts larger than this get items of their own.
const maxInlinePlaintext = 32 * 1024

// prepared is a row that is about to be written in the place of base.
type prepared struct {
	base    *row
	next    *row
	ops     []store.Op
	written *rider
}

// update replaces the row at sk by what change makes of a copy, unless it leaves
// it as it was. It may be called more than once.
func (c *Container) update(ctx context.Context, sk string, change func(*row) error) error {
	return c.retry(ctx, func() error {
		base, err := c.row(ctx, sk)
		if err != nil {
			return err
		}
		next := base.clone()
		if err := change(next); err != nil || next.equal(base) {
			return err
		}
		return c.replace(ctx, base, next)
	})
}

// replace writes next in the place of base.
func (c *Container) replace(ctx context.Context, base, next *row) error {
	p, err := c.prepare(base, next)
	if err != nil {
		return err
	}
	return c.writeRows(ctx, p)
}

// prepare turns next into what is written in the place of base. Its new
// plaintexts count as waiting from now on, because the outcome of the write may
// never be known; whoever looks for one reads the row.
func (c *Container) prepare(base, next *row) (prepared, error) {
	p := prepared{base: base, next: next}
	c.mu.Lock()
	for _, fresh := range next.pending {
		if !base.holds(fresh.hash) {
			c.wait(fresh.hash, waitingAt{next.sk, c.waiting[fresh.hash].foreign})
		}
	}
	next.tidy(c.cfg.Now(), func(hash [32]byte) bool { _, waits := c.waiting[hash]; return waits })
	c.mu.Unlock()
	p.written = c.board(next)
	if err := c.prepareKeys(base, &p); err != nil {
		return p, err
	}
	for i, large := range next.pending {
		if large.parts > 0 || len(large.plaintext) <= maxInlinePlaintext {
			continue
		}
		ops, err := c.parts(plaintextBase(large.hash), large.plaintext)
		if err != nil {
			return p, err
		}
		for j := range ops {
			ops[j].Item.Expires = c.cfg.Now().Add(pendingLife)
		}
		next.pending[i].parts, next.pending[i].plaintext = len(ops), nil
		p.ops = append(p.ops, ops...)
	}
	// A row is never deleted, so that its version never begins again.
	p.ops = append(p.ops, c.put(c.hotPK(), next.sk, next.encode(), base.version))
	next.version = base.version + 1
	return p, nil
}

// prepareKeys gives skipped keys that are many items of their own, written only
// when they changed.
func (c *Container) prepareKeys(base *row, p *prepared) error {
	next := p.next
	if !next.loaded {
		return nil
	}
	next.keys = keysRef{}
	if len(next.skipped) > maxInlineKeys {
		next.keys = keysRef{parts: (len(next.skipped) + partBytes - 1) / partBytes, sum: keySum(next.skipped)}
		if !bytes.Equal(next.keys.sum, base.keys.sum) {
			ops, err := c.parts(keysPrefix+next.sk, next.skipped)
			if err != nil {
				return err
			}
			p.ops = append(p.ops, ops...)
		}
	}
	for i := next.keys.parts; i < base.keys.parts; i++ {
		p.ops = append(p.ops, store.Delete(store.Key{PK: c.bulkPK(), SK: partSK(keysPrefix+next.sk, i)}, store.Any))
	}
	return nil
}

// writeRows writes rows all or nothing. After anything but success they are read
// again before they are used.
func (c *Container) writeRows(ctx context.Context, rows ...prepared) error {
	c.turn.RLock()
	defer c.turn.RUnlock()
	return c.writeRowsAlone(ctx, rows...)
}

// writeRowsAlone is writeRows for who has turn already.
func (c *Container) writeRowsAlone(ctx context.Context, rows ...prepared) error {
	var ops []store.Op
	for _, p := range rows {
		ops = append(ops, p.ops...)
		c.budget.drop(c.id, p.next.sk)
	}
	if len(ops) == 0 {
		return nil
	}
	c.beginWriting(rows)
	err := c.write(ctx, ops...)
	c.endWriting(rows)
	if err != nil {
		return err
	}
	for _, p := range rows {
		c.budget.keep(c.id, p.next)
		c.arrived(p.next.sk, p.written)
		c.mu.Lock()
		c.notePhone(p.next)
		for _, old := range p.base.pending {
			delete(c.cleared, old.hash)
		}
		c.mu.Unlock()
	}
	return nil
}

func (c *Container) beginWriting(rows []prepared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing == nil {
		c.writing = make(map[string]*row)
	}
	for _, p := range rows {
		c.writing[p.next.sk] = p.base
	}
}

func (c *Container) endWriting(rows []prepared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range rows {
		if c.writing[p.next.sk] == p.base { // else somebody else writes the row too
			delete(c.writing, p.next.sk)
		}
	}
}
