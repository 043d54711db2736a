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
	push, business        string
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

// nameSK returns the row that holds the names which a user gave itself: that of
// its main device under its LID, which stands for the phone number too.
func (c *Container) nameSK(user types.JID) string {
	if lid := c.lidOf(user.ToNonAD()); user.Server == types.DefaultUserServer && !lid.IsEmpty() {
		user = lid
	}
	return addressSK(user.ToNonAD().SignalAddress().String())
}

// ownNames returns the names that a user gave itself, wherever they lie.
func (c *Container) ownNames(ctx context.Context, user types.JID) (push, business string, err error) {
	own := addressSK(user.ToNonAD().SignalAddress().String())
	for _, sk := range slices.Compact([]string{c.nameSK(user), own}) {
		r, err := c.row(ctx, sk)
		if err != nil {
			return "", "", err
		}
		rowPush, rowBusiness := r.push, r.business
		if waiting := c.riderOf(sk); waiting != nil {
			if waiting.push != nil {
				rowPush = *waiting.push
			}
			if waiting.business != nil {
				rowBusiness = *waiting.business
			}
		}
		push, business = cmp.Or(push, rowPush), cmp.Or(business, rowBusiness)
	}
	return push, business, nil
}

// rename sets one of the names that a user gave itself, if it is a new one.
func (c *Container) rename(ctx context.Context, user types.JID, name string,
	pick func(push, business string) string, set func(*rider),
) (changed bool, previous string, err error) {
	push, business, err := c.ownNames(ctx, user)
	if err != nil {
		return false, "", err
	}
	previous = pick(push, business)
	if previous == "" { // perhaps it came before there was a row
		value, err := c.contacts().get(ctx, contactKey(user))
		if err != nil {
			return false, "", err
		}
		known, err := decodeContact(value)
		if err != nil {
			return false, "", err
		}
		previous = pick(known.push, known.business)
	}
	if previous == name {
		return false, "", nil
	}
	return true, previous, c.ride(ctx, c.nameSK(user), set)
}

func (c *Container) putPushName(ctx context.Context, user types.JID, name string) (changed bool, previous string, err error) {
	return c.rename(ctx, user, name,
		func(push, _ string) string { return push }, func(r *rider) { r.push = &name })
}

func (c *Container) putBusinessName(ctx context.Context, user types.JID, name string) (changed bool, previous string, err error) {
	return c.rename(ctx, user, name,
		func(_, business string) string { return business }, func(r *rider) { r.business = &name })
}

// flushNames puts names of users without a row into their contacts.
func (c *Container) flushNames(ctx context.Context, names map[string]*rider) error {
	byKey := make(map[string]*rider, len(names))
	var keys []string
	for sk, waiting := range names {
		key := contactKey(userOf(rowAddress(sk)))
		byKey[key] = waiting
		keys = append(keys, key)
	}
	var failed error
	err := c.contacts().update(ctx, keys, func(key string, value []byte) []byte {
		known, err := decodeContact(value)
		if err != nil {
			failed = err
			return value
		}
		if waiting := byKey[key]; waiting.push != nil {
			known.push = *waiting.push
		}
		if waiting := byKey[key]; waiting.business != nil {
			known.business = *waiting.business
		}
		return known.encode()
	})
	if err != nil || failed != nil {
		return cmp.Or(failed, err)
	}
	for sk, waiting := range names {
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
	value, err := c.contacts().get(ctx, contactKey(user))
	if err != nil {
		return types.ContactInfo{}, err
	}
	known, err := decodeContact(value)
	if err != nil {
		return types.ContactInfo{}, err
	}
	push, business, err := c.ownNames(ctx, user)
	info := known.info(push, business)
	info.Found = value != nil || push != "" || business != ""
	return info, err
}

func (e contact) info(push, business string) types.ContactInfo {
	return types.ContactInfo{
		Found: true, FirstName: e.first, FullName: e.full, RedactedPhone: e.redacted,
		PushName: cmp.Or(push, e.push), BusinessName: cmp.Or(business, e.business),
	}
}

func (c *Container) allContacts(ctx context.Context) (map[types.JID]types.ContactInfo, error) {
	if err := c.Flush(ctx); err != nil {
		return nil, err
	}
	all := make(map[types.JID]types.ContactInfo)
	items, err := c.contacts().items(ctx)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		for _, entry := range item.entries {
			known, err := decodeContact(entry.value)
			if err != nil {
				return nil, err
			}
			if user, err := types.ParseJID(entry.key); err == nil && !strings.HasPrefix(entry.key, "%") {
				all[user] = known.info("", "")
			}
		}
	}
	err = c.each(ctx, store.Query{PK: c.hotPK(), Prefix: addressPrefix}, func(item store.Item) (bool, error) {
		r, err := c.openRow(item)
		if err != nil || r.push == "" && r.business == "" {
			return true, err
		}
		user := userOf(rowAddress(item.SK))
		for _, known := range []types.JID{user, c.alternate(user)} {
			if known.IsEmpty() {
				continue
			}
			info := all[known]
			info.Found = true
			info.PushName, info.BusinessName = cmp.Or(r.push, info.PushName), cmp.Or(r.business, info.BusinessName)
			all[known] = info
		}
		return true, nil
	})
	return all, err
}
