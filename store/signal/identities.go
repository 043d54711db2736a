package signal

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow/types"

	"github.com/enlacehq/enlace/store"
)

// trusted reports whether key is the identity of an address, or the first that
// was ever seen of it.
func (c *Container) trusted(ctx context.Context, address string, key [32]byte) (bool, error) {
	r, err := c.readRow(ctx, addressSK(address))
	if err != nil {
		return false, err
	}
	return len(r.identity) == 0 || bytes.Equal(r.identity, key[:]), nil
}

func (c *Container) putIdentity(ctx context.Context, address string, key [32]byte) error {
	return c.change(ctx, addressSK(address), func(r *row) error {
		r.identity = key[:]
		return nil
	})
}

func (c *Container) deleteIdentity(ctx context.Context, address string) error {
	return c.change(ctx, addressSK(address), dropIdentity)
}

func dropIdentity(r *row) error {
	r.identity = nil
	return nil
}

func dropSession(r *row) error {
	r.ratchet, r.skipped, r.loaded = nil, nil, true
	return nil
}

// eachOf changes the rows of all of a user's addresses. whatsmeow names the user
// without saying whether it is a phone number or a LID, so both are meant.
func (c *Container) eachOf(ctx context.Context, user string, change func(*row) error) error {
	if user == "" || part(user) != user {
		return nil
	}
	for _, prefix := range []string{user + ":", user + "_"} {
		var sks []string
		err := c.each(ctx, store.Query{PK: c.hotPK(), Prefix: addressPrefix + prefix}, func(item store.Item) (bool, error) {
			sks = append(sks, item.SK)
			return true, nil
		})
		if err != nil {
			return err
		}
		for _, sk := range sks {
			if err := c.change(ctx, sk, change); err != nil {
				return err
			}
		}
	}
	return nil
}

// phoneUser returns the user of a row that is kept under a phone number, "" for
// others: their addresses name the kind of user after an underscore.
func phoneUser(sk string) string {
	address := rowAddress(sk)
	user, _, found := strings.Cut(address, ":")
	if !found || strings.ContainsAny(user, "_%") {
		return ""
	}
	return user
}

// notePhone keeps the list of rows under phone numbers; c.mu is held.
func (c *Container) notePhone(r *row) {
	user := phoneUser(r.sk)
	if user == "" {
		return
	}
	listed := slices.Contains(c.phones[user], r.sk)
	switch {
	case !listed && !r.empty():
		if c.phones == nil {
			c.phones = make(map[string][]string)
		}
		c.phones[user] = append(c.phones[user], r.sk)
		c.charge(len(r.sk) + 80)
	case listed && r.empty():
		c.phones[user] = slices.DeleteFunc(c.phones[user], func(sk string) bool { return sk == r.sk })
		c.charge(-len(r.sk) - 80)
		if len(c.phones[user]) == 0 {
			delete(c.phones, user)
		}
	}
}

// migrate moves what is kept under a user's phone number to its LID. It is
// called with every message and nearly always finds nothing.
func (c *Container) migrate(ctx context.Context, phone, lid types.JID) error {
	from, to := phone.SignalAddressUser(), lid.SignalAddressUser()
	c.mu.Lock()
	sks := slices.Clone(c.phones[from])
	c.mu.Unlock()
	for _, sk := range sks {
		head, found := strings.CutSuffix(sk, rowAddress(sk))
		device := strings.TrimPrefix(rowAddress(sk), from)
		if !found {
			continue
		}
		if err := c.move(ctx, sk, head+to+device); err != nil {
			return err
		}
	}
	return nil
}

// move puts what the row at from holds into the row at to, and empties the first.
func (c *Container) move(ctx context.Context, from, to string) error {
	return c.retry(ctx, func() error {
		source, err := c.row(ctx, from)
		if err != nil {
			return err
		}
		if source, err = c.whole(ctx, source); err != nil {
			return err
		}
		target, err := c.row(ctx, to)
		if err != nil || source.empty() {
			return err
		}
		left, merged := source.clone(), target.clone()
		if len(source.ratchet) > 0 {
			merged.ratchet, merged.skipped, merged.loaded = source.ratchet, source.skipped, true
		}
		if len(source.identity) > 0 {
			merged.identity = source.identity
		}
		merged.push, merged.business = cmp.Or(target.push, source.push), cmp.Or(target.business, source.business)
		merged.secrets = append(merged.secrets, source.secrets...)
		merged.token = newerToken(target.token, source.token)
		c.mu.Lock()
		for _, p := range source.pending {
			if _, waits := c.waiting[p.hash]; waits {
				merged.pending = append(merged.pending, p)
			}
		}
		c.mu.Unlock()
		*left = row{sk: from, loaded: true}
		put, err := c.prepare(target, merged)
		if err != nil {
			return err
		}
		emptied, err := c.prepare(source, left)
		if err != nil {
			return err
		}
		return c.writeRows(ctx, put, emptied)
	})
}
