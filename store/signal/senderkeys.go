package signal

import (
	"bytes"
	"context"
	"errors"
)

func (c *Container) getSenderKey(ctx context.Context, group, user string) ([]byte, error) {
	sk := senderKeySK(group, user)
	b := batchOf(ctx)
	if b == nil {
		return c.getLooseSenderKey(ctx, sk)
	}
	d, err := c.draft(ctx, b, sk)
	if err != nil || len(d.next.ratchet) == 0 {
		return nil, err
	}
	if err := c.completed(ctx, d); err != nil {
		return nil, err
	}
	return senderKeyOf(d.next)
}

func (c *Container) getLooseSenderKey(ctx context.Context, sk string) (serialized []byte, err error) {
	err = c.retry(ctx, func() error {
		r, err := c.row(ctx, sk)
		if err != nil {
			return err
		}
		c.readLoosely(sk, r.ratchet)
		if len(r.ratchet) == 0 {
			return nil
		}
		if r, err = c.whole(ctx, r); err != nil {
			return err
		}
		serialized, err = senderKeyOf(r)
		return err
	})
	return serialized, err
}

func senderKeyOf(r *row) ([]byte, error) {
	key, err := decodeSenderKey(r.ratchet, r.skipped)
	if err != nil {
		return nil, err
	}
	return serializeSenderKey(key), nil
}

// putSenderKey stores a sender key: in a decryption with its other changes, in a
// send at once, because the message that uses it may leave next. Outside of both
// it came with a message whose acknowledgement is about to leave, so a failure
// must end the session.
func (c *Container) putSenderKey(ctx context.Context, group, user string, serialized []byte) error {
	sk := senderKeySK(group, user)
	key, err := parseSenderKey(serialized)
	if err != nil {
		return err
	}
	chains, skipped, err := encodeSenderKey(key)
	if err != nil {
		return err
	}
	set := func(r *row) error {
		r.ratchet, r.skipped, r.loaded = chains, skipped, true
		return nil
	}
	b := batchOf(ctx)
	if b == nil {
		return c.putLooseSenderKey(ctx, sk, set)
	}
	d, err := c.draft(ctx, b, sk)
	if err != nil {
		return err
	}
	if err := set(d.next); err != nil || !b.send {
		b.last, b.once = d, true
		return err
	}
	if d.next.equal(d.base) {
		return nil
	}
	return c.putDraft(ctx, d)
}

func (c *Container) putLooseSenderKey(ctx context.Context, sk string, set func(*row) error) error {
	c.mu.Lock()
	read, wasRead := c.loose[sk]
	delete(c.loose, sk)
	c.mu.Unlock()
	return c.update(ctx, sk, func(r *row) error {
		if wasRead && !bytes.Equal(r.ratchet, read) {
			return errors.New("the sender key changed while another one was added to it")
		}
		return set(r)
	})
}
