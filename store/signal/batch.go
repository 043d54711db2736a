package signal

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"go.mau.fi/libsignal/state/record"
)

// batch is what one decryption or one send has read and changed. It holds every
// row that it has read until it ends, so that nothing has to be read twice, and
// nothing that is read twice can differ or fail.
type batch struct {
	send bool // of a send; else of a decryption

	mu      sync.Mutex
	drafts  map[string]*draft
	last    *draft   // whose ratchet was set last: the plaintext belongs to it
	prekeys []uint32 // to remove once the drafts are written
	once    bool     // the message cannot be decrypted again
	alone   bool     // no other row is written meanwhile
	failed  error    // of a call that could not report it
	closed  bool
}

// draft is one row of a batch.
type draft struct {
	base *row // as it was read
	next *row // as it will be written
	read []byte
	// The session as it was handed out, for repair; nil when it was not.
	session *record.SessionStructure
}

type batchKey struct{}

// batchOf returns the batch that ctx belongs to, nil if none.
func batchOf(ctx context.Context) *batch {
	b, _ := ctx.Value(batchKey{}).(*batch)
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	return b
}

func (b *batch) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.drafts = nil
}

// remember keeps the first error that a method had to swallow.
func (b *batch) remember(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = err
	}
}

func (b *batch) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// draft returns the batch's draft of the row at sk.
func (c *Container) draft(ctx context.Context, b *batch, sk string) (*draft, error) {
	b.mu.Lock()
	d := b.drafts[sk]
	b.mu.Unlock()
	if d != nil {
		return d, nil
	}
	r, err := c.row(ctx, sk)
	if err != nil {
		return nil, err
	}
	return b.adopt(r), nil
}

// adopt begins a draft of a row that was read.
func (b *batch) adopt(r *row) *draft {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.drafts[r.sk]; d != nil {
		return d
	}
	d := &draft{base: r, next: r.clone(), read: r.ratchet}
	if b.drafts == nil {
		b.drafts = make(map[string]*draft)
	}
	b.drafts[r.sk] = d
	return d
}

// changed returns the drafts that differ from what was read.
func (b *batch) changed() []*draft {
	b.mu.Lock()
	defer b.mu.Unlock()
	var changed []*draft
	for _, d := range b.drafts {
		if !d.next.equal(d.base) {
			changed = append(changed, d)
		}
	}
	return changed
}

// completed gives a draft its skipped keys.
func (c *Container) completed(ctx context.Context, d *draft) error {
	if d.next.loaded {
		return nil
	}
	whole, err := c.whole(ctx, d.base)
	if err != nil {
		return err
	}
	d.base = whole
	d.next.skipped, d.next.loaded = whole.skipped, true
	return nil
}

// rebase makes a draft's changes to current, the row that stands there now. It
// returns false when its ratchet or identity is no longer the one that was read.
func (d *draft) rebase(current *row) bool {
	if current.version == d.base.version {
		return true
	}
	if !bytes.Equal(current.ratchet, d.read) || !bytes.Equal(current.identity, d.base.identity) {
		return false
	}
	next := current.clone()
	next.ratchet, next.skipped, next.loaded, next.keys = d.next.ratchet, d.next.skipped, d.next.loaded, d.next.keys
	next.identity = d.next.identity
	for _, p := range d.next.pending {
		if !d.base.holds(p.hash) {
			next.pending = append(next.pending, p)
		}
	}
	d.base, d.next = current, next
	return true
}

// patientTries is how often a decryption may be overtaken by other writes of ours
// before it makes them wait.
const patientTries = 3

var (
	errChanged  = errors.New("a session changed while a message was decrypted with it")
	errNotAgain = errors.New("a sender key changed while a group message was decrypted with it")
)

// decrypt runs fn, whatsmeow's decryption of one message, and writes what it
// changed together with the plaintext. When someone else has written one of the
// sessions meanwhile, all is read again and fn runs again. answer is fn's error,
// err ours.
//
// fn cannot run again for a group message: libsignal decrypts that in the place
// of the ciphertext. It then ends the session, so that the message comes anew.
func (c *Container) decrypt(ctx context.Context, fn func(context.Context) error) (answer, err error) {
	surprises := c.surprised()
	for try := range maxConflicts {
		b := &batch{alone: try >= patientTries}
		if try == patientTries {
			c.turn.Lock()
			defer c.turn.Unlock()
		}
		answer = protect(func() error { return fn(context.WithValue(ctx, batchKey{}, b)) })
		switch {
		case errors.Is(answer, errStale):
			err = c.settle(ctx)
		case answer != nil:
			b.close()
			if c.surprised() != surprises {
				// The plaintext that was just met may be that of this message. In a
				// new session the message comes again and is answered with it.
				return nil, errEarlierOwner
			}
			return answer, nil
		default:
			err = c.commit(ctx, b)
			if errors.Is(err, errChanged) && b.once {
				err = errNotAgain
			}
		}
		b.close()
		if err != nil && !errors.Is(err, errChanged) || err == nil && answer == nil {
			return nil, err
		}
	}
	return nil, errTooManyConflicts
}

var errEarlierOwner = errors.New("an earlier owner has decrypted messages of this sender")

// commit writes a decryption's drafts in one write, then removes the prekeys: in
// the other order a crash between would lose the message.
func (c *Container) commit(ctx context.Context, b *batch) error {
	drafts := b.changed()
	err := c.retry(ctx, func() error {
		var rows []prepared
		for _, d := range drafts {
			current, err := c.row(ctx, d.base.sk)
			if err != nil {
				return err
			}
			if !d.rebase(current) {
				return errChanged
			}
			p, err := c.prepare(d.base, d.next.clone())
			if err != nil {
				return err
			}
			rows = append(rows, p)
		}
		if b.alone {
			return c.writeRowsAlone(ctx, rows...)
		}
		return c.writeRows(ctx, rows...)
	})
	if err != nil || len(b.prekeys) == 0 {
		return err
	}
	return c.removePreKeys(ctx, b.prekeys...)
}

// protect turns a panic of fn into an error. A message that makes the decryption
// panic is one that cannot be decrypted: it does so each time it comes.
func protect(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("decryption panicked")
		}
	}()
	return fn()
}

// WithSend returns the context to give to whatsmeow's SendMessage. What the send
// reads stays with it until done is called, and what it writes is conditional on
// it; SendMessage then fails with ErrConflict instead of overwriting.
func (c *Container) WithSend(ctx context.Context) (sendCtx context.Context, done func()) {
	b := &batch{send: true}
	return context.WithValue(ctx, batchKey{}, b), b.close
}
