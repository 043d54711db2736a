package signal

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"go.mau.fi/libsignal/state/record"
)

const (
	maxLoose     = 256 // sessions remembered as they were read outside a batch
	parallelPuts = 8   // of one send or one Flush
)

// session returns the session in r, nil when there is none.
func (c *Container) session(ctx context.Context, r *row) (*record.SessionStructure, error) {
	if len(r.ratchet) == 0 {
		return nil, nil
	}
	whole, err := c.whole(ctx, r)
	if err != nil {
		return nil, err
	}
	return decodeSession(whole.ratchet, whole.skipped)
}

// readRow returns the row at sk as the batch of ctx sees it, or as it is.
func (c *Container) readRow(ctx context.Context, sk string) (*row, error) {
	b := batchOf(ctx)
	if b == nil {
		return c.row(ctx, sk)
	}
	d, err := c.draft(ctx, b, sk)
	if err != nil {
		return nil, err
	}
	return d.next, nil
}

func (c *Container) hasSession(ctx context.Context, address string) (bool, error) {
	r, err := c.readRow(ctx, addressSK(address))
	return r != nil && len(r.ratchet) > 0, err
}

func (c *Container) getSession(ctx context.Context, address string) ([]byte, error) {
	sk := addressSK(address)
	b := batchOf(ctx)
	if b == nil {
		return c.getLoose(ctx, sk)
	}
	d, err := c.draft(ctx, b, sk)
	if err != nil {
		return nil, err
	}
	if b.send {
		return c.handOutSent(ctx, b, d.base)
	}
	return c.handOut(ctx, d)
}

// handOut returns the session of a draft in whatsmeow's form.
func (c *Container) handOut(ctx context.Context, d *draft) ([]byte, error) {
	d.session = nil
	if len(d.next.ratchet) == 0 {
		return nil, nil
	}
	if err := c.completed(ctx, d); err != nil {
		return nil, err
	}
	session, err := decodeSession(d.next.ratchet, d.next.skipped)
	if err != nil {
		return nil, err
	}
	d.session = session
	return serializeSession(session), nil
}

// getLoose reads outside of a batch: whatsmeow answers a retry receipt, or
// writes to the own phone. What it read is remembered for putLoose.
func (c *Container) getLoose(ctx context.Context, sk string) (serialized []byte, err error) {
	err = c.retry(ctx, func() error {
		r, err := c.row(ctx, sk)
		if err != nil {
			return err
		}
		session, err := c.session(ctx, r)
		if err != nil || session == nil {
			c.readLoosely(sk, nil)
			return err
		}
		c.readLoosely(sk, r.ratchet)
		serialized = serializeSession(session)
		return nil
	})
	return serialized, err
}

func (c *Container) readLoosely(sk string, ratchet []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loose == nil || len(c.loose) >= maxLoose {
		c.loose = make(map[string][]byte)
	}
	c.loose[sk] = ratchet
}

// getSessions answers for every address, nil for those without a session: one
// that is left out would get no message.
func (c *Container) getSessions(ctx context.Context, addresses []string) (map[string][]byte, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	sks := make([]string, len(addresses))
	for i, address := range addresses {
		sks[i] = addressSK(address)
	}
	rows, err := c.rows(ctx, sks)
	if err != nil {
		return nil, err
	}
	b := batchOf(ctx)
	sessions := make(map[string][]byte, len(addresses))
	for i, address := range addresses {
		if b == nil {
			sessions[address], err = c.getLoose(ctx, sks[i])
		} else {
			sessions[address], err = c.handOutSent(ctx, b, rows[sks[i]])
		}
		if err != nil {
			return nil, err
		}
	}
	return sessions, nil
}

// handOutSent hands a row's session to a send, reading it anew when its parts do
// not belong together.
func (c *Container) handOutSent(ctx context.Context, b *batch, r *row) (serialized []byte, err error) {
	err = c.retry(ctx, func() error {
		serialized, err = c.handOut(ctx, b.adopt(r))
		if errors.Is(err, errStale) {
			b.forget(r.sk)
			if r, err = c.row(ctx, r.sk); err == nil {
				err = errStale
			}
		}
		return err
	})
	return serialized, err
}

func (b *batch) forget(sk string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.drafts, sk)
}

func (c *Container) putSession(ctx context.Context, address string, serialized []byte) error {
	sk := addressSK(address)
	b := batchOf(ctx)
	if b != nil && b.send {
		return c.putSent(ctx, b, map[string][]byte{address: serialized})
	}
	if b == nil {
		return c.putLoose(ctx, sk, serialized)
	}
	d, err := c.draft(ctx, b, sk)
	if err != nil {
		return err
	}
	session, err := parseSession(serialized)
	if err != nil {
		return err
	}
	if d.session != nil {
		session = repair(d.session, session)
	}
	b.last = d
	return d.next.setSession(session)
}

func (r *row) setSession(session *record.SessionStructure) error {
	ratchet, skipped, err := encodeSession(session)
	if err != nil {
		return err
	}
	r.ratchet, r.skipped, r.loaded = ratchet, skipped, true
	return nil
}

// putLoose writes outside of a batch. Nothing can be encrypted again there, so a
// session that changed since it was read is a failure. Two such flows at once on
// one address are told apart only if a decryption does not come between them;
// then a message costs a retry.
func (c *Container) putLoose(ctx context.Context, sk string, serialized []byte) error {
	session, err := parseSession(serialized)
	if err != nil {
		return err
	}
	c.mu.Lock()
	read, wasRead := c.loose[sk]
	c.mu.Unlock()
	var written []byte
	err = c.update(ctx, sk, func(r *row) error {
		if wasRead && !bytes.Equal(r.ratchet, read) {
			return errors.New("the session changed while a message was encrypted for it")
		}
		err := r.setSession(session)
		written = r.ratchet
		return err
	})
	if err == nil && wasRead {
		c.readLoosely(sk, written)
	}
	return err
}

// putSessions stores what a send has encrypted with, before anything leaves.
func (c *Container) putSessions(ctx context.Context, sessions map[string][]byte) error {
	if b := batchOf(ctx); b != nil && b.send {
		return c.putSent(ctx, b, sessions)
	}
	for address, serialized := range sessions {
		if err := c.putSession(ctx, address, serialized); err != nil {
			return err
		}
	}
	return nil
}

// putSent writes a send's sessions and identities, each row by itself: nothing
// has left yet, so all must be stored, but not all at once. It fails with what
// earlier methods of the send could not report, and with ErrConflict when a
// session is no longer the one that was encrypted with.
func (c *Container) putSent(ctx context.Context, b *batch, sessions map[string][]byte) error {
	if err := b.failure(); err != nil {
		return err
	}
	for address, serialized := range sessions {
		d, err := c.draft(ctx, b, addressSK(address))
		if err != nil {
			return err
		}
		session, err := parseSession(serialized)
		if err != nil {
			return err
		}
		if err := d.next.setSession(session); err != nil {
			return err
		}
	}
	return inParallel(b.changed(), func(d *draft) error { return c.putDraft(ctx, d) })
}

// putDraft writes one draft of a send. When the row was written meanwhile, but
// not its session, the draft's changes are made to the new row.
func (c *Container) putDraft(ctx context.Context, d *draft) error {
	err := c.retry(ctx, func() error {
		current, err := c.row(ctx, d.base.sk)
		if err != nil {
			return err
		}
		if !d.rebase(current) {
			return ErrConflict
		}
		next := d.next.clone()
		if err := c.replace(ctx, d.base, next); err != nil {
			return err
		}
		d.base, d.next, d.read = next, next.clone(), next.ratchet
		return nil
	})
	return err
}

// inParallel runs do for all items, a few at a time, and returns one of the
// errors, a failure before a conflict. A panic is an error too: nobody else would
// catch it.
func inParallel[T any](items []T, do func(T) error) error {
	if len(items) == 1 {
		return do(items[0])
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, parallelPuts)
	errs := make([]error, len(items))
	for i, item := range items {
		slots <- struct{}{}
		group.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = panicked(p)
				}
				<-slots
			}()
			errs[i] = do(item)
		})
	}
	group.Wait()
	var conflict error
	for _, err := range errs {
		switch {
		case errors.Is(err, ErrConflict):
			conflict = err
		case err != nil:
			return err
		}
	}
	return conflict
}

func (c *Container) deleteSession(ctx context.Context, address string) error {
	return c.change(ctx, addressSK(address), dropSession)
}

// change changes a row in the batch of ctx, or at once when there is none.
func (c *Container) change(ctx context.Context, sk string, change func(*row) error) error {
	b := batchOf(ctx)
	if b == nil {
		return c.update(ctx, sk, change)
	}
	d, err := c.draft(ctx, b, sk)
	if err != nil {
		return err
	}
	return change(d.next)
}
