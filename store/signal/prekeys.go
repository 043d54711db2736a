package signal

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"go.mau.fi/whatsmeow/util/keys"
)

const (
	firstUpload = 812 // prekeys that whatsmeow uploads after a linking
	maxPreKeyID = 1<<24 - 1
)

// prekeys are the one-time keys that peers begin sessions with. None is stored:
// each follows from the seed and its id. Ids are given out once, in order.
type prekeys struct {
	seed     []byte
	next     uint32 // ids below exist
	uploaded uint32 // ids below are at the server
	single   idSet  // further ids that are at the server: sent out in a retry receipt
	used     idSet  // ids that are gone
}

// Fields of prekeys. Keys imported from elsewhere follow from no seed; they will
// lie in items of their own, for the ids below a further field here.
const (
	preKeysSeed     fieldNumber = 1
	preKeysNext     fieldNumber = 2
	preKeysUploaded fieldNumber = 3
	preKeysSingle   fieldNumber = 4
	preKeysUsed     fieldNumber = 5
)

// newPreKeys returns the prekeys of a new device. Those of the first upload
// exist at once, so that the upload itself needs no write before it.
func newPreKeys() prekeys {
	seed := make([]byte, keyBytes)
	_, _ = rand.Read(seed) // never fails
	return prekeys{seed: seed, next: 1 + firstUpload, uploaded: 1}
}

func (p prekeys) encode() []byte {
	var e encoder
	e.bytes(preKeysSeed, p.seed)
	e.number(preKeysNext, uint64(p.next))
	e.number(preKeysUploaded, uint64(p.uploaded))
	e.bytes(preKeysSingle, p.single.encode())
	e.bytes(preKeysUsed, p.used.encode())
	return e
}

func decodePreKeys(value []byte) (p prekeys, err error) {
	err = decode(value, func(number fieldNumber, f field) (bool, error) {
		var err error
		switch number {
		case preKeysSeed:
			p.seed = bytes.Clone(f.b)
		case preKeysNext:
			p.next = uint32(f.n)
		case preKeysUploaded:
			p.uploaded = uint32(f.n)
		case preKeysSingle:
			p.single, err = decodeIDSet(f.b)
		case preKeysUsed:
			p.used, err = decodeIDSet(f.b)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && len(p.seed) != keyBytes {
		err = errMalformed
	}
	return p, err
}

// key derives the prekey of an id.
func (p prekeys) key(id uint32) (*keys.PreKey, error) {
	info := binary.BigEndian.AppendUint32([]byte("enlace prekey "), id)
	private, err := hkdf.Key(sha256.New, p.seed, nil, string(info), keyBytes)
	if err != nil {
		return nil, err
	}
	private[0] &= 248
	private[31] = private[31]&127 | 64
	pair, err := keyPair(private)
	if err != nil {
		return nil, err
	}
	return &keys.PreKey{KeyPair: *pair, KeyID: id}, nil
}

// fresh returns the ids that are not at the server yet, at most limit of them.
func (p prekeys) fresh(limit int) []uint32 {
	var ids []uint32
	for id := p.uploaded; id < p.next && len(ids) < limit; id++ {
		if !p.single.has(id) && !p.used.has(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// take gives out n ids that were never given out.
func (p *prekeys) take(n int) (first uint32, err error) {
	if n > maxPreKeyID-int(p.next) {
		return 0, fmt.Errorf("no prekey ids left after %d", p.next)
	}
	first = p.next
	p.next += uint32(n)
	return first, nil
}

// count returns how many usable prekeys are at the server.
func (p prekeys) count() int {
	n := int(p.uploaded) - 1 - p.used.count(1, p.uploaded)
	for _, run := range p.single {
		n += int(run.end-run.first) - p.used.count(run.first, run.end)
	}
	return n
}

func (c *Container) getOrGenPreKeys(ctx context.Context, count int) ([]*keys.PreKey, error) {
	var ids []uint32
	var from prekeys
	err := c.changeDevice(ctx, func(d *device) error {
		ids = d.prekeys.fresh(count)
		missing := count - len(ids)
		first, err := d.prekeys.take(missing)
		if err != nil {
			return err
		}
		for i := range missing {
			ids = append(ids, first+uint32(i))
		}
		from = d.prekeys
		return nil
	})
	if err != nil {
		return nil, err
	}
	generated := make([]*keys.PreKey, len(ids))
	for i, id := range ids {
		if generated[i], err = from.key(id); err != nil {
			return nil, err
		}
	}
	return generated, nil
}

func (c *Container) genOnePreKey(ctx context.Context) (*keys.PreKey, error) {
	var id uint32
	var from prekeys
	err := c.changeDevice(ctx, func(d *device) (err error) {
		if id, err = d.prekeys.take(1); err != nil {
			return err
		}
		d.prekeys.single = d.prekeys.single.with(id, id+1)
		from = d.prekeys
		return nil
	})
	if err != nil {
		return nil, err
	}
	return from.key(id)
}

// getPreKey returns nil for an id that does not exist or is gone.
func (c *Container) getPreKey(ctx context.Context, id uint32) (*keys.PreKey, error) {
	d, err := c.currentDevice(ctx)
	if err != nil || d == nil || id == 0 || id >= d.prekeys.next || d.prekeys.used.has(id) {
		return nil, err
	}
	return d.prekeys.key(id)
}

func (c *Container) removePreKeys(ctx context.Context, ids ...uint32) error {
	return c.changeDevice(ctx, func(d *device) error {
		for _, id := range ids {
			if id > 0 && id < d.prekeys.next {
				d.prekeys.used = d.prekeys.used.with(id, id+1)
			}
		}
		return nil
	})
}

// markUploaded notes that all ids up to and including upTo are at the server.
func (c *Container) markUploaded(ctx context.Context, upTo uint32) error {
	return c.changeDevice(ctx, func(d *device) error {
		if end := min(upTo, maxPreKeyID) + 1; end > d.prekeys.uploaded {
			d.prekeys.uploaded = min(end, d.prekeys.next)
			d.prekeys.single = d.prekeys.single.from(d.prekeys.uploaded)
		}
		return nil
	})
}

func (c *Container) uploadedCount(ctx context.Context) (int, error) {
	d, err := c.currentDevice(ctx)
	if err != nil || d == nil {
		return 0, err
	}
	return d.prekeys.count(), nil
}
