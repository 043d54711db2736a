package signal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/enlacehq/enlace/store"
)

const (
	partBytes = 300 * 1024 // of a value that is cut into several items
	maxParts  = 90         // more do not fit into one Write
)

func addressSK(address string) string { return addressPrefix + part(address) }

func senderKeySK(group, user string) string { return senderKeyPrefix + part(group) + "#" + part(user) }

func isRow(sk string) bool {
	return strings.HasPrefix(sk, addressPrefix) || strings.HasPrefix(sk, senderKeyPrefix) || strings.HasPrefix(sk, eventPrefix)
}

// rowAddress returns the signal address that a row belongs to, "" if none.
func rowAddress(sk string) string {
	if address, ok := strings.CutPrefix(sk, addressPrefix); ok {
		return address
	}
	if _, rest, ok := strings.Cut(sk, "#"); ok && strings.HasPrefix(sk, senderKeyPrefix) {
		_, address, _ := strings.Cut(rest, "#")
		return address
	}
	return ""
}

func (c *Container) openRow(item store.Item) (*row, error) {
	value, err := c.open(item)
	if err != nil {
		return nil, err
	}
	return decodeRow(item.SK, item.Version, value)
}

// row returns the row at sk, of version 0 and empty when there is no item.
func (c *Container) row(ctx context.Context, sk string) (*row, error) {
	if r := c.budget.get(c.id, sk); r != nil {
		return r, nil
	}
	return c.fetch(ctx, sk)
}

// fetch reads the row at sk from the table.
func (c *Container) fetch(ctx context.Context, sk string) (*row, error) {
	value, version, err := c.get(ctx, c.hotPK(), sk)
	if err != nil {
		return nil, err
	}
	r := &row{sk: sk, loaded: true}
	if version > 0 {
		if r, err = decodeRow(sk, version, value); err != nil {
			return nil, err
		}
		c.meet(r)
	}
	c.budget.keep(c.id, r)
	return r, nil
}

// rows returns the rows at sks.
func (c *Container) rows(ctx context.Context, sks []string) (map[string]*row, error) {
	found := make(map[string]*row, len(sks))
	var missing []string
	for _, sk := range sks {
		if r := c.budget.get(c.id, sk); r != nil {
			found[sk] = r
		} else if _, twice := found[sk]; !twice {
			missing = append(missing, sk)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	items, err := c.getMany(ctx, c.hotPK(), missing)
	if err != nil {
		return nil, err
	}
	for _, sk := range missing {
		r := &row{sk: sk, loaded: true}
		if item, there := items[sk]; there {
			if r, err = c.openRow(item); err != nil {
				return nil, err
			}
			c.meet(r)
		}
		c.budget.keep(c.id, r)
		found[sk] = r
	}
	return found, nil
}

// whole returns r with its skipped keys. When the items that hold them do not
// belong to this version of r, someone else has written it: errStale.
func (c *Container) whole(ctx context.Context, r *row) (*row, error) {
	if r.loaded {
		return r, nil
	}
	skipped, err := c.readParts(ctx, keysPrefix+r.sk, r.keys.parts)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(keySum(skipped), r.keys.sum) {
		c.budget.drop(c.id, r.sk)
		return nil, errStale
	}
	loaded := r.clone()
	loaded.skipped, loaded.loaded = skipped, true
	c.budget.keep(c.id, loaded)
	return loaded, nil
}

var errStale = errors.New("row and its skipped keys are of different writes")

func keySum(skipped []byte) []byte {
	sum := sha256.Sum256(skipped)
	return sum[:8]
}

func partSK(base string, i int) string { return fmt.Sprintf("%s#%02d", base, i) }

// readParts joins a value that was cut into n items; missing ones are left out.
func (c *Container) readParts(ctx context.Context, base string, n int) ([]byte, error) {
	sks := make([]string, n)
	for i := range sks {
		sks[i] = partSK(base, i)
	}
	items, err := c.getMany(ctx, c.bulkPK(), sks)
	if err != nil {
		return nil, err
	}
	var whole []byte
	for _, sk := range sks {
		item, there := items[sk]
		if !there {
			continue
		}
		value, err := c.open(item)
		if err != nil {
			return nil, err
		}
		whole = append(whole, value...)
	}
	return whole, nil
}

// parts cuts value into puts of several items.
func (c *Container) parts(base string, value []byte) ([]store.Op, error) {
	var ops []store.Op
	for i := 0; len(value) > 0; i++ {
		n := min(len(value), partBytes)
		ops = append(ops, store.Put(c.item(c.bulkPK(), partSK(base, i), value[:n]), store.Any))
		value = value[n:]
	}
	if len(ops) > maxParts {
		return nil, fmt.Errorf("%d parts of one value: %w", len(ops), store.ErrTooLarge)
	}
	return ops, nil
}
