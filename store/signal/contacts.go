package signal

import (
	"cmp"
	"context"
	"slices"
	"strings"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/enlacehq/enlace/store"
)

// contact is what the contact shelf holds of a JID: the names that the account's
// own phone gave it, and those that it gave itself as long as there is no row of
// its address to hold them.
type contact struct {
	first, full, redacted string
	names
}

// Fields of a contact.
const (
	contactFirst    fieldNumber = 1
	contactFull     fieldNumber = 2
	contactRedacted fieldNumber = 3
	contactPush     fieldNumber = 4
	contactBusiness fieldNumber = 5
	contactKnown    fieldNumber = 6 // so that a contact without names is one
)

func (e contact) encode() []byte {
	var enc encoder
	enc.text(contactFirst, e.first)
	enc.text(contactFull, e.full)
	enc.text(contactRedacted, e.redacted)
	enc.text(contactPush, e.push)
	enc.text(contactBusiness, e.business)
	enc.truth(contactKnown, true)
	return enc
}

// decodeContact returns the empty contact when value is nil.
func decodeContact(value []byte) (e contact, err error) {
	err = decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case contactFirst:
			e.first = string(f.b)
		case contactFull:
			e.full = string(f.b)
		case contactRedacted:
			e.redacted = string(f.b)
		case contactPush:
			e.push = string(f.b)
		case contactBusiness:
			e.business = string(f.b)
		case contactKnown:
		default:
			return false, nil
		}
		return true, nil
	})
	return e, err
}

func (c *Container) contacts() shelf { return shelf{c, contactPrefix} }

func contactKey(user types.JID) string { return part(user.String()) }

// names are those that a user gave itself.
type names struct{ push, business string }

func pushName(n names) string     { return n.push }
func businessName(n names) string { return n.business }

// nameUser returns the JID that a user's own names are kept under: the LID, which
// stands for the phone number too.
func (c *Container) nameUser(user types.JID) types.JID {
	user = user.ToNonAD()
	if lid := c.lidOf(user); user.Server == types.DefaultUserServer && !lid.IsEmpty() {
		return lid
	}
	return user
}

// nameSK returns the row that holds them, that of the user's main device.
func (c *Container) nameSK(user types.JID) string {
	return addressSK(c.nameUser(user).SignalAddress().String())
}

// ownName returns one of a user's own names: from its row, or, before it had
// one, from its contact.
func (c *Container) ownName(ctx context.Context, user types.JID, pick func(names) string) (string, error) {
	users := slices.Compact([]types.JID{c.nameUser(user), user.ToNonAD()})
	for _, user := range users {
		sk := addressSK(user.SignalAddress().String())
		known, err := c.rowNames(ctx, sk)
		if err != nil {
			return "", err
		}
		if name := pick(known); name != "" {
			return name, nil
		}
	}
	for _, user := range users {
		known, _, err := c.contact(ctx, user)
		if name := pick(known.names); err != nil || name != "" {
			return name, err
		}
	}
	return "", nil
}

// rowNames returns the names that a row holds, or that wait for its next write.
// They are asked for with every message, mostly while its decryption is being
// written: those of the row before it do then, for what the write brings of names
// waits until it has arrived.
func (c *Container) rowNames(ctx context.Context, sk string) (names, error) {
	c.mu.Lock()
	r := c.writing[sk]
	c.mu.Unlock()
	if r == nil {
		var err error
		if r, err = c.row(ctx, sk); err != nil {
			return names{}, err
		}
	}
	known := names{r.push, r.business}
	if waiting := c.riderOf(sk); waiting != nil {
		known.board(waiting)
	}
	return known, nil
}

func (n *names) board(waiting *rider) {
	if waiting.push != nil {
		n.push = *waiting.push
	}
	if waiting.business != nil {
		n.business = *waiting.business
	}
}

// contact returns what the shelf holds of a JID, and whether it holds anything.
func (c *Container) contact(ctx context.Context, user types.JID) (known contact, there bool, err error) {
	value, err := c.contacts().get(ctx, contactKey(user))
	if err != nil {
		return known, false, err
	}
	known, err = decodeContact(value)
	return known, value != nil, err
}

// rename sets one of a user's own names, if it is a new one.
func (c *Container) rename(ctx context.Context, user types.JID, name string, pick func(names) string, set func(*rider)) (changed bool, previous string, err error) {
	previous, err = c.ownName(ctx, user, pick)
	if err != nil || previous == name {
		return false, "", err
	}
	return true, previous, c.ride(ctx, c.nameSK(user), set)
}

func (c *Container) putPushName(ctx context.Context, user types.JID, name string) (changed bool, previous string, err error) {
	name = bounded(name)
	return c.rename(ctx, user, name, pushName, func(r *rider) { r.push = &name })
}

func (c *Container) putBusinessName(ctx context.Context, user types.JID, name string) (changed bool, previous string, err error) {
	name = bounded(name)
	return c.rename(ctx, user, name, businessName, func(r *rider) { r.business = &name })
}

// flushNames puts names of users without a row into their contacts.
func (c *Container) flushNames(ctx context.Context, riders map[string]*rider) error {
	byKey := make(map[string]*rider, len(riders))
	var keys []string
	for sk, waiting := range riders {
		key := contactKey(userOf(rowAddress(sk)))
		byKey[key] = waiting
		keys = append(keys, key)
	}
	err := c.changeContacts(ctx, keys, func(key string, known *contact) { known.board(byKey[key]) })
	if err != nil {
		return err
	}
	for sk, waiting := range riders {
		c.arrived(sk, waiting)
	}
	return nil
}

// userOf returns the user of a signal address.
func userOf(address string) types.JID {
	name, _, _ := strings.Cut(address, ":")
	user, agent, _ := strings.Cut(name, "_")
	switch agent {
	case "":
		return types.NewJID(user, types.DefaultUserServer)
	case "1":
		return types.NewJID(user, types.HiddenUserServer)
	case "128":
		return types.NewJID(user, types.HostedServer)
	case "129":
		return types.NewJID(user, types.HostedLIDServer)
	}
	return types.JID{User: name, Server: types.DefaultUserServer}
}

// changeContacts changes the contacts of users in the shelf.
func (c *Container) changeContacts(ctx context.Context, keys []string, change func(key string, known *contact)) error {
	var failed error
	err := c.contacts().update(ctx, keys, func(key string, value []byte) []byte {
		known, err := decodeContact(value)
		if err != nil {
			failed = err
			return value
		}
		before := known
		change(key, &known)
		if value != nil && known == before {
			return value
		}
		return known.encode()
	})
	return cmp.Or(failed, err)
}

func (c *Container) putContactName(ctx context.Context, user types.JID, first, full string) error {
	if known, err := c.getContact(ctx, user); err != nil || known.FirstName == first && known.FullName == full {
		return err
	}
	return c.changeContacts(ctx, []string{contactKey(user)}, func(_ string, known *contact) {
		known.first, known.full = first, full
	})
}

func (c *Container) putContactNames(ctx context.Context, entries []wastore.ContactEntry) error {
	names := make(map[string]wastore.ContactEntry, len(entries))
	keys := make([]string, len(entries))
	for i, entry := range entries {
		keys[i] = contactKey(entry.JID)
		names[keys[i]] = entry // the last one counts
	}
	return c.changeContacts(ctx, keys, func(key string, known *contact) {
		known.first, known.full = names[key].FirstName, names[key].FullName
	})
}

func (c *Container) putRedactedPhones(ctx context.Context, entries []wastore.RedactedPhoneEntry) error {
	phones := make(map[string]string, len(entries))
	keys := make([]string, len(entries))
	for i, entry := range entries {
		keys[i] = contactKey(entry.JID)
		phones[keys[i]] = entry.RedactedPhone
	}
	return c.changeContacts(ctx, keys, func(key string, known *contact) { known.redacted = phones[key] })
}

func (c *Container) getContact(ctx context.Context, user types.JID) (types.ContactInfo, error) {
	known, there, err := c.contact(ctx, user)
	if err != nil {
		return types.ContactInfo{}, err
	}
	if known.push, err = c.ownName(ctx, user, pushName); err != nil {
		return types.ContactInfo{}, err
	}
	known.business, err = c.ownName(ctx, user, businessName)
	info := known.info()
	info.Found = there || known.names != names{}
	return info, err
}

func (e contact) info() types.ContactInfo {
	return types.ContactInfo{
		Found: true, FirstName: e.first, FullName: e.full, RedactedPhone: e.redacted,
		PushName: e.push, BusinessName: e.business,
	}
}

func (c *Container) allContacts(ctx context.Context) (map[types.JID]types.ContactInfo, error) {
	if err := c.Flush(ctx); err != nil {
		return nil, err
	}
	all := make(map[types.JID]contact)
	items, err := c.contacts().items(ctx)
	if err != nil {
		return nil, err
	}
	own := make(map[types.JID]names)
	for _, item := range items {
		for _, entry := range item.entries {
			known, err := decodeContact(entry.value)
			if err != nil {
				return nil, err
			}
			if user, err := types.ParseJID(entry.key); err == nil && !strings.HasPrefix(entry.key, "%") {
				all[user], own[user] = known, known.names
			}
		}
	}
	err = c.each(ctx, store.Query{PK: c.hotPK(), Prefix: addressPrefix}, func(item store.Item) (bool, error) {
		r, err := c.openRow(item)
		if err != nil {
			return false, err
		}
		user := userOf(rowAddress(item.SK))
		own[user] = names{cmp.Or(r.push, own[user].push), cmp.Or(r.business, own[user].business)}
		return true, nil
	})
	for user, known := range own {
		for _, jid := range []types.JID{user, c.alternate(user)} {
			if !jid.IsEmpty() && known != (names{}) {
				both := all[jid]
				both.names = names{cmp.Or(known.push, both.push), cmp.Or(known.business, both.business)}
				all[jid] = both
			}
		}
	}
	infos := make(map[types.JID]types.ContactInfo, len(all))
	for user, known := range all {
		infos[user] = known.info()
	}
	return infos, err
}
