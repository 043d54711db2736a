package signal

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
)

const (
	waitingOverhead = 100 // bytes in memory
	maxDone         = 64  // acknowledged messages that are remembered by their hash
)

func plaintextBase(hash [32]byte) string { return plaintextPrefix + hex.EncodeToString(hash[:]) }

// holds reports whether r holds the plaintext of hash.
func (r *row) holds(hash [32]byte) bool { return r.find(hash) >= 0 }

func (r *row) find(hash [32]byte) int {
	return slices.IndexFunc(r.pending, func(p pending) bool { return p.hash == hash })
}

// waitingAt says where a plaintext waits.
type waitingAt struct {
	sk      string
	foreign bool // another container has stored it
}

// wait notes that a plaintext waits; c.mu is held.
func (c *Container) wait(hash [32]byte, at waitingAt) {
	if c.waiting == nil {
		c.waiting = make(map[[32]byte]waitingAt)
	}
	if _, there := c.waiting[hash]; !there {
		c.charge(waitingOverhead)
	}
	c.waiting[hash] = at
}

// unwait forgets a plaintext; c.mu is held.
func (c *Container) unwait(hash [32]byte) {
	if _, there := c.waiting[hash]; there {
		delete(c.waiting, hash)
		c.charge(-waitingOverhead)
	}
}

// meet notes what must be known of a row that was just read from the table: that
// it belongs to a user known by phone number, and the plaintexts in it that wait.
// A plaintext that was not known is an earlier owner's, written after Open has
// read the row: its message may be redelivered at any moment, and the ratchet is
// past it already.
func (c *Container) meet(r *row) {
	var oldest int64
	if !c.cfg.OldestEvent.IsZero() {
		oldest = c.cfg.OldestEvent.Add(-eventMargin).UnixMilli()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notePhone(r)
	for _, p := range r.pending {
		_, cleared := c.cleared[p.hash]
		if c.waiting[p.hash].foreign || cleared || p.writer == c.writer || p.stored < oldest {
			continue
		}
		c.wait(p.hash, waitingAt{r.sk, true})
		c.surprises++
	}
}

// surprised returns a number that grows whenever an unknown plaintext was met.
func (c *Container) surprised() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.surprises
}

func (c *Container) getBuffered(ctx context.Context, hash [32]byte) (*wastore.BufferedEvent, error) {
	c.mu.Lock()
	at, waits := c.waiting[hash]
	done := slices.Contains(c.done, hash)
	c.mu.Unlock()
	if done {
		return &wastore.BufferedEvent{}, nil
	}
	if !waits {
		return nil, nil
	}
	r, err := c.row(ctx, at.sk)
	if err != nil {
		return nil, err
	}
	if !r.holds(hash) {
		// The row in memory may be older than the write that stored the plaintext,
		// if that one failed after it was done. Only the table knows.
		if r, err = c.fetch(ctx, at.sk); err != nil {
			return nil, err
		}
	}
	i := r.find(hash)
	if i < 0 { // the write did not happen
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unwait(hash)
		return nil, nil
	}
	p := r.pending[i]
	if p.parts > 0 {
		if p.plaintext, err = c.readParts(ctx, plaintextBase(hash), p.parts); err != nil {
			return nil, err
		}
	}
	return &wastore.BufferedEvent{
		Plaintext:  append([]byte{}, p.plaintext...), // the caller may change it, and nil would mean: acknowledged
		InsertTime: time.UnixMilli(p.stored),
		ServerTime: time.Unix(p.server, 0),
	}, nil
}

// clearBuffered notes that a message is acknowledged. Its plaintext leaves with
// the next write of its row: until then a crash brings it back, and the handler
// recognises the message.
func (c *Container) clearBuffered(hash [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, waits := c.waiting[hash]
	if !waits {
		return
	}
	if at.foreign {
		if c.cleared == nil {
			c.cleared = make(map[[32]byte]struct{})
		}
		c.cleared[hash] = struct{}{}
	}
	c.unwait(hash)
	if len(c.done) < maxDone {
		c.done = append(c.done, hash)
		return
	}
	c.done[c.doneAt] = hash
	c.doneAt = (c.doneAt + 1) % maxDone
}
