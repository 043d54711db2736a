package signal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/enlacehq/enlace/store"
)

const (
	pairsPerItem = 25 // pairs of LID and phone number in one item: under 1 KB
	pairOverhead = 90 // bytes in memory, besides the numbers
)

// lidMap holds a channel's pairs of LID and phone number, each number in one
// pair at most. They lie in items of a few pairs each. One that is in use is
// never changed, only replaced.
type lidMap struct {
	byLID []*lidPair // sorted
	byPN  []*lidPair // sorted
	items []int64    // versions of the items LID#0, LID#1, …
}

type lidPair struct {
	lid, pn string
	item    int
}

func (p *lidPair) size() int { return pairOverhead + len(p.lid) + len(p.pn) }

func byLID(p *lidPair, lid string) int { return cmp.Compare(p.lid, lid) }
func byPN(p *lidPair, pn string) int   { return cmp.Compare(p.pn, pn) }

func (m *lidMap) pn(lid string) string {
	if i, found := slices.BinarySearchFunc(m.byLID, lid, byLID); found {
		return m.byLID[i].pn
	}
	return ""
}

func (m *lidMap) lid(pn string) string {
	if i, found := slices.BinarySearchFunc(m.byPN, pn, byPN); found {
		return m.byPN[i].lid
	}
	return ""
}

// with returns m with pairs added or changed, and the items that must be written
// for it. m is not changed.
func (m *lidMap) with(pairs []lidPair) (*lidMap, []int) {
	changed := make(map[int]bool)
	known := make(map[string]*lidPair, len(m.byLID)+len(pairs)) // by LID
	phones := make(map[string]*lidPair, len(m.byLID)+len(pairs))
	fill := make([]int, len(m.items))
	for _, p := range m.byLID {
		known[p.lid], phones[p.pn] = p, p
		fill[p.item]++
	}
	drop := func(p *lidPair) {
		delete(known, p.lid)
		delete(phones, p.pn)
		fill[p.item]--
		changed[p.item] = true
	}
	for _, fresh := range pairs {
		old := known[fresh.lid]
		if old != nil && old.pn == fresh.pn {
			continue
		}
		if old != nil {
			drop(old)
		}
		if taken := phones[fresh.pn]; taken != nil {
			drop(taken)
		}
		p := &lidPair{lid: fresh.lid, pn: fresh.pn, item: len(fill) - 1}
		if old != nil {
			p.item = old.item
		} else if len(fill) == 0 || fill[p.item] >= pairsPerItem {
			fill = append(fill, 0)
			p.item = len(fill) - 1
		}
		fill[p.item]++
		changed[p.item] = true
		known[p.lid], phones[p.pn] = p, p
	}
	next := &lidMap{items: slices.Clone(m.items)}
	for len(next.items) < len(fill) {
		next.items = append(next.items, 0)
	}
	for _, p := range known {
		next.byLID = append(next.byLID, p)
	}
	next.sort()
	var items []int
	for i := range changed {
		items = append(items, i)
	}
	slices.Sort(items)
	return next, items
}

func (m *lidMap) sort() {
	slices.SortFunc(m.byLID, func(a, b *lidPair) int { return cmp.Compare(a.lid, b.lid) })
	m.byPN = slices.Clone(m.byLID)
	slices.SortFunc(m.byPN, func(a, b *lidPair) int { return cmp.Compare(a.pn, b.pn) })
}

func (m *lidMap) size() int {
	if m == nil {
		return 0
	}
	n := 0
	for _, p := range m.byLID {
		n += p.size()
	}
	return n
}

// Fields of an item of pairs: a LID, then its phone number.
const (
	pairLID fieldNumber = 1
	pairPN  fieldNumber = 2
)

func (m *lidMap) encodeItem(item int) []byte {
	var e encoder
	for _, p := range m.byLID {
		if p.item == item {
			e.element(pairLID, []byte(p.lid))
			e.element(pairPN, []byte(p.pn))
		}
	}
	return e
}

func lidSK(item int) string { return fmt.Sprintf("%s%06d", lidPrefix, item) }

// loadLIDs replaces the map by what the items LID#… hold.
func (c *Container) loadLIDs(items []store.Item) error {
	next := lidMap{}
	for _, item := range items {
		n, err := strconv.Atoi(strings.TrimPrefix(item.SK, lidPrefix))
		if err != nil || n != len(next.items) {
			return fmt.Errorf("%s: %w", lidPrefix, errMalformed)
		}
		next.items = append(next.items, item.Version)
		value, err := c.open(item)
		if err != nil {
			return err
		}
		lid := ""
		err = decode(value, func(number fieldNumber, f field) (bool, error) {
			switch number {
			case pairLID:
				lid = string(f.b)
			case pairPN:
				next.byLID = append(next.byLID, &lidPair{lid: lid, pn: string(f.b), item: n})
			default:
				return false, nil
			}
			return true, nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", lidPrefix, err)
		}
	}
	next.sort()
	c.setLIDs(&next)
	return nil
}

// setLIDs replaces the map; lidMu is held.
func (c *Container) setLIDs(next *lidMap) {
	before := c.lids.Swap(next)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.charge(next.size() - before.size())
}

// reloadLIDs reads the pairs again; lidMu is held.
func (c *Container) reloadLIDs(ctx context.Context) error {
	var items []store.Item
	err := c.each(ctx, store.Query{PK: c.hotPK(), Prefix: lidPrefix}, func(item store.Item) (bool, error) {
		items = append(items, item)
		return true, nil
	})
	if err != nil {
		return err
	}
	return c.loadLIDs(items)
}

// putLIDs stores pairs that are not known yet.
func (c *Container) putLIDs(ctx context.Context, pairs []lidPair) error {
	known := c.lids.Load()
	pairs = slices.DeleteFunc(pairs, func(p lidPair) bool {
		return p.lid == "" || p.pn == "" || known.pn(p.lid) == p.pn
	})
	if len(pairs) == 0 {
		return nil
	}
	c.lidMu.Lock()
	defer c.lidMu.Unlock()
	return c.retry(ctx, func() error {
		if c.lidsStale {
			if err := c.reloadLIDs(ctx); err != nil {
				return err
			}
			c.lidsStale = false
		}
		next, items := c.lids.Load().with(pairs)
		if len(items) == 0 {
			return nil
		}
		c.lidsStale = true
		for chunk := range slices.Chunk(items, store.MaxOps) {
			ops := make([]store.Op, len(chunk))
			for i, item := range chunk {
				ops[i] = c.put(c.hotPK(), lidSK(item), next.encodeItem(item), next.items[item])
			}
			if err := c.write(ctx, ops...); err != nil {
				return err
			}
			for _, item := range chunk {
				next.items[item]++
			}
		}
		c.setLIDs(next)
		c.lidsStale = false
		return nil
	})
}

func (c *Container) putLIDMapping(ctx context.Context, lid, pn types.JID) error {
	if lid.Server != types.HiddenUserServer || pn.Server != types.DefaultUserServer {
		return answer{fmt.Errorf("not a LID and a phone number: servers %q and %q", lid.Server, pn.Server)}
	}
	return c.putLIDs(ctx, []lidPair{{lid: lid.User, pn: pn.User}})
}

func (c *Container) putLIDMappings(ctx context.Context, mappings []wastore.LIDMapping) error {
	pairs := make([]lidPair, 0, len(mappings))
	for _, m := range mappings {
		if m.LID.Server == types.HiddenUserServer && m.PN.Server == types.DefaultUserServer {
			pairs = append(pairs, lidPair{lid: m.LID.User, pn: m.PN.User})
		}
	}
	return c.putLIDs(ctx, pairs)
}

// lidOf returns the LID of a phone number, the empty JID when it is not known.
func (c *Container) lidOf(pn types.JID) types.JID {
	if lid := c.lids.Load().lid(pn.User); lid != "" {
		return types.JID{User: lid, Device: pn.Device, Server: types.HiddenUserServer}
	}
	return types.EmptyJID
}

// pnOf returns the phone number of a LID, the empty JID when it is not known.
func (c *Container) pnOf(lid types.JID) types.JID {
	if pn := c.lids.Load().pn(lid.User); pn != "" {
		return types.JID{User: pn, Device: lid.Device, Server: types.DefaultUserServer}
	}
	return types.EmptyJID
}

func (c *Container) lidsOf(pns []types.JID) map[types.JID]types.JID {
	if len(pns) == 0 {
		return nil
	}
	lids := make(map[types.JID]types.JID, len(pns))
	for _, pn := range pns {
		if pn.Server != types.DefaultUserServer {
			continue
		}
		if lid := c.lidOf(pn); !lid.IsEmpty() {
			lids[pn] = lid
		}
	}
	return lids
}

// alternate returns a user's other JID, empty when it is not known.
func (c *Container) alternate(user types.JID) types.JID {
	switch user.Server {
	case types.DefaultUserServer:
		return c.lidOf(user)
	case types.HiddenUserServer:
		return c.pnOf(user)
	}
	return types.EmptyJID
}
