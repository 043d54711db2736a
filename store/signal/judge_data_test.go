package signal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"pgregory.net/rapid"
)

// The calls that concern contacts and chats, messages and the device.

// names does what whatsmeow does with the names that come with a message.
func (j *judge) names(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	user, name := j.user(), rapid.SampledFrom([]string{"Ana", "Bea", "Caro"}).Draw(t, "name")
	type put func(ctx context.Context, user types.JID, name string) (bool, string, error)
	putNames := func(d *wastore.Device, put put) (bool, string, error) {
		changed, previous, err := put(j.w.ctx(), user, name)
		if err != nil || !changed {
			return changed, previous, err
		}
		other, err := d.GetAltJID(j.w.ctx(), user)
		if err == nil && !other.IsEmpty() {
			_, _, err = put(j.w.ctx(), other, name)
		}
		return changed, previous, err
	}
	putA, putB := ours.Contacts.PutPushName, theirs.Contacts.PutPushName
	if rapid.Bool().Draw(t, "business") {
		putA, putB = ours.Contacts.PutBusinessName, theirs.Contacts.PutBusinessName
	}
	changedA, previousA, errA := putNames(ours, putA)
	changedB, previousB, errB := putNames(theirs, putB)
	j.same("PutPushName", changedA, changedB, errA, errB)
	j.same("PutPushName's previous name", previousA, previousB, errA, errB)
	j.compareContact(user)
}

func (j *judge) compareContact(user types.JID) {
	ours, theirs := j.both()
	a, errA := ours.Contacts.GetContact(j.w.ctx(), user)
	b, errB := theirs.Contacts.GetContact(j.w.ctx(), user)
	j.same("GetContact", a, b, errA, errB)
}

func (j *judge) contacts(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	user, name := j.user(), rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "name")
	switch rapid.IntRange(0, 3).Draw(t, "call") {
	case 0:
		j.same("PutContactName", nil, nil, ours.Contacts.PutContactName(j.w.ctx(), user, name, name+" full"), theirs.Contacts.PutContactName(j.w.ctx(), user, name, name+" full"))
	case 1:
		var entries []wastore.ContactEntry
		for i := range rapid.IntRange(0, 120).Draw(t, "contacts") {
			entries = append(entries, wastore.ContactEntry{JID: pnUser(100 + i), FirstName: name, FullName: fmt.Sprint(name, i)})
		}
		entries = append(entries, wastore.ContactEntry{JID: user, FirstName: name + "1", FullName: name + "2"})
		j.same("PutAllContactNames", nil, nil, ours.Contacts.PutAllContactNames(j.w.ctx(), slices.Clone(entries)), theirs.Contacts.PutAllContactNames(j.w.ctx(), slices.Clone(entries)))
	case 2:
		entries := []wastore.RedactedPhoneEntry{{JID: user, RedactedPhone: "+52∙∙∙" + name}, {JID: lidUser(300), RedactedPhone: name}}
		j.same("PutManyRedactedPhones", nil, nil, ours.Contacts.PutManyRedactedPhones(j.w.ctx(), slices.Clone(entries)), theirs.Contacts.PutManyRedactedPhones(j.w.ctx(), slices.Clone(entries)))
	}
	j.compareContact(user)
	a, errA := ours.Contacts.GetAllContacts(j.w.ctx())
	b, errB := theirs.Contacts.GetAllContacts(j.w.ctx())
	j.same("GetAllContacts", a, b, errA, errB)
}

func (j *judge) chat(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	chat, on := j.user(), rapid.Bool().Draw(t, "on")
	switch rapid.IntRange(0, 2).Draw(t, "call") {
	case 0:
		until := rapid.SampledFrom([]time.Time{{}, wastore.MutedForever, time.Unix(1800000000, 0)}).Draw(t, "until")
		j.same("PutMutedUntil", nil, nil, ours.ChatSettings.PutMutedUntil(j.w.ctx(), chat, until), theirs.ChatSettings.PutMutedUntil(j.w.ctx(), chat, until))
	case 1:
		j.same("PutPinned", nil, nil, ours.ChatSettings.PutPinned(j.w.ctx(), chat, on), theirs.ChatSettings.PutPinned(j.w.ctx(), chat, on))
	case 2:
		j.same("PutArchived", nil, nil, ours.ChatSettings.PutArchived(j.w.ctx(), chat, on), theirs.ChatSettings.PutArchived(j.w.ctx(), chat, on))
	}
	a, errA := ours.ChatSettings.GetChatSettings(j.w.ctx(), chat)
	b, errB := theirs.ChatSettings.GetChatSettings(j.w.ctx(), chat)
	j.same("GetChatSettings", a, b, errA, errB)
}

func (j *judge) secret(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	if rapid.Bool().Draw(t, "put") {
		chat, sender := j.user(), j.user()
		for range rapid.IntRange(1, 12).Draw(t, "secrets") {
			id := fmt.Sprint("ID", j.noted.secrets)
			key := mac(j.noted.secrets)
			j.noted.secrets++
			if rapid.Bool().Draw(t, "many") {
				inserts := []wastore.MessageSecretInsert{{Chat: chat, Sender: sender, ID: id, Secret: key}}
				j.same("PutMessageSecrets", nil, nil, ours.MsgSecrets.PutMessageSecrets(j.w.ctx(), inserts), theirs.MsgSecrets.PutMessageSecrets(j.w.ctx(), inserts))
				continue
			}
			j.same("PutMessageSecret", nil, nil, ours.MsgSecrets.PutMessageSecret(j.w.ctx(), chat, sender, id, key), theirs.MsgSecrets.PutMessageSecret(j.w.ctx(), chat, sender, id, key))
			j.compareSecret(chat, sender, id)
		}
	}
	id := fmt.Sprint("ID", rapid.IntRange(0, max(j.noted.secrets, 1)).Draw(t, "id"))
	j.compareSecret(j.user(), j.user(), id)
}

func (j *judge) compareSecret(chat, sender types.JID, id string) {
	ours, theirs := j.both()
	a, senderA, errA := ours.MsgSecrets.GetMessageSecret(j.w.ctx(), chat, sender, id)
	b, senderB, errB := theirs.MsgSecrets.GetMessageSecret(j.w.ctx(), chat, sender, id)
	j.same("GetMessageSecret", a, b, errA, errB)
	j.same("GetMessageSecret's sender", senderA, senderB, errA, errB)
}

func (j *judge) token(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	i := rapid.IntRange(0, 5).Draw(t, "user")
	user := lidUser(i)
	switch rapid.IntRange(0, 3).Draw(t, "call") {
	case 0, 1:
		oldest := int64(1000)
		if !j.noted.cutoff.IsZero() { // only fresh ones come
			oldest = j.noted.cutoff.Unix()
		}
		token := wastore.PrivacyToken{User: user, Token: mac(rapid.IntRange(0, 99).Draw(t, "token")), Timestamp: time.Unix(rapid.Int64Range(oldest, 1100).Draw(t, "at"), 0)}
		if rapid.Bool().Draw(t, "sent") {
			token.SenderTimestamp = time.Unix(rapid.Int64Range(1, 100).Draw(t, "sent at"), 0)
		}
		j.same("PutPrivacyTokens", nil, nil, ours.PrivacyTokens.PutPrivacyTokens(j.w.ctx(), token), theirs.PrivacyTokens.PutPrivacyTokens(j.w.ctx(), token))
	case 2:
		cutoff := time.Unix(rapid.Int64Range(990, 1050).Draw(t, "cutoff"), 0)
		if cutoff.Before(j.noted.cutoff) { // the clock does not run back
			return
		}
		j.noted.cutoff = cutoff
		_, errA := ours.PrivacyTokens.DeleteExpiredPrivacyTokens(j.w.ctx(), cutoff)
		_, errB := theirs.PrivacyTokens.DeleteExpiredPrivacyTokens(j.w.ctx(), cutoff)
		j.same("DeleteExpiredPrivacyTokens", nil, nil, errA, errB)
	}
	if i < 4 && rapid.Bool().Draw(t, "by phone number") {
		user = pnUser(i)
	}
	j.compareToken(user)
}

func (j *judge) compareToken(user types.JID) {
	ours, theirs := j.both()
	a, errA := ours.PrivacyTokens.GetPrivacyToken(j.w.ctx(), user)
	b, errB := theirs.PrivacyTokens.GetPrivacyToken(j.w.ctx(), user)
	j.same("GetPrivacyToken", a, b, errA, errB)
}

func (j *judge) salt(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	if rapid.Bool().Draw(t, "put") {
		salt := mac(rapid.IntRange(0, 9).Draw(t, "salt"))
		j.same("PutNCTSalt", nil, nil, ours.NCTSalt.PutNCTSalt(j.w.ctx(), salt), theirs.NCTSalt.PutNCTSalt(j.w.ctx(), salt))
	} else if rapid.Bool().Draw(t, "delete") {
		j.same("DeleteNCTSalt", nil, nil, ours.NCTSalt.DeleteNCTSalt(j.w.ctx()), theirs.NCTSalt.DeleteNCTSalt(j.w.ctx()))
	}
	a, errA := ours.NCTSalt.GetNCTSalt(j.w.ctx())
	b, errB := theirs.NCTSalt.GetNCTSalt(j.w.ctx())
	j.same("GetNCTSalt", a, b, errA, errB)
}

var errUndecryptable = errors.New("cannot be decrypted")

// decryption does what whatsmeow does for one message: it may fail half-way, and
// then nothing of it may stay.
func (j *judge) decryption(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	at, group := j.address(), rapid.Bool().Draw(t, "group")
	hash := [32]byte{byte(len(j.noted.hashes)), 1}
	plaintext := bytes.Repeat([]byte{byte(len(j.noted.hashes))}, rapid.SampledFrom([]int{1, 10, 200, maxInlinePlaintext + 1}).Draw(t, "size"))
	fails := rapid.IntRange(0, 4).Draw(t, "fails") == 0
	var session, senderKey []byte
	if group {
		senderKey = serializeSenderKey(drawSenderKey(t))
	} else {
		before, err := theirs.Sessions.GetSession(j.w.ctx(), at)
		j.w.no(err)
		session = serializeSession(drawNextSession(t, before))
	}
	var prekey uint32
	if len(j.noted.prekeys) > 0 {
		if prekey = rapid.SampledFrom(j.noted.prekeys).Draw(t, "prekey"); prekey == slices.Max(j.noted.prekeys) {
			prekey = 0
		}
	}
	run := func(d *wastore.Device) error {
		return d.EventBuffer.DoDecryptionTxn(j.w.ctx(), func(ctx context.Context) error {
			if group {
				_, err := d.SenderKeys.GetSenderKey(ctx, "1@g.us", at)
				if err = cmp.Or(err, d.SenderKeys.PutSenderKey(ctx, "1@g.us", at, senderKey)); err != nil {
					return err
				}
			} else {
				_, err := d.Sessions.GetSession(ctx, at)
				if err = cmp.Or(err, d.Identities.PutIdentity(ctx, at, [32]byte{9}), d.Sessions.PutSession(ctx, at, session)); err != nil {
					return err
				}
				if prekey > 0 {
					if err := d.PreKeys.RemovePreKey(ctx, prekey); err != nil {
						return err
					}
				}
				if got, err := d.Sessions.GetSession(ctx, at); err != nil || !bytes.Equal(got, session) {
					return fmt.Errorf("a decryption does not see its own session (%w)", err)
				}
			}
			if fails {
				return errUndecryptable
			}
			return d.EventBuffer.PutBufferedEvent(ctx, hash, plaintext, time.Unix(1700000000, 0))
		})
	}
	errA, errB := run(ours), run(theirs)
	j.same("DoDecryptionTxn", errors.Is(errA, errUndecryptable), errors.Is(errB, errUndecryptable), errA, errB)
	if !fails {
		j.noted.hashes = append(j.noted.hashes, hash)
	}
	j.compareSession(at)
	j.compareBuffered(hash)
}

func (j *judge) buffered(t *rapid.T) {
	j.t = t
	if len(j.noted.hashes) == 0 {
		return
	}
	ours, theirs := j.both()
	hash := rapid.SampledFrom(j.noted.hashes).Draw(t, "hash")
	if rapid.Bool().Draw(t, "clear") {
		j.noted.cleared[hash] = true
		j.same("ClearBufferedEventPlaintext", nil, nil, ours.EventBuffer.ClearBufferedEventPlaintext(j.w.ctx(), hash), theirs.EventBuffer.ClearBufferedEventPlaintext(j.w.ctx(), hash))
	}
	j.same("DeleteOldBufferedHashes", nil, nil, ours.EventBuffer.DeleteOldBufferedHashes(j.w.ctx()), theirs.EventBuffer.DeleteOldBufferedHashes(j.w.ctx()))
	j.compareBuffered(hash)
}

func (j *judge) compareBuffered(hash [32]byte) {
	ours, theirs := j.both()
	a, errA := ours.EventBuffer.GetBufferedEvent(j.w.ctx(), hash)
	b, errB := theirs.EventBuffer.GetBufferedEvent(j.w.ctx(), hash)
	if j.noted.cleared[hash] {
		j.same("GetBufferedEvent of an acknowledged message", nil, nil, errA, errB)
		return
	}
	if a != nil && b != nil {
		a.InsertTime = b.InsertTime
	}
	j.same("GetBufferedEvent", a, b, errA, errB)
}

func (j *judge) outgoing(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	chat := j.user()
	if rapid.Bool().Draw(t, "add") {
		j.noted.outgoing++
		id := fmt.Sprint("OUT", j.noted.outgoing)
		plaintext := mac(j.noted.outgoing)
		j.same("AddOutgoingEvent", nil, nil, ours.EventBuffer.AddOutgoingEvent(j.w.ctx(), chat, id, "wa", plaintext), theirs.EventBuffer.AddOutgoingEvent(j.w.ctx(), chat, id, "wa", plaintext))
	}
	j.same("DeleteOldOutgoingEvents", nil, nil, ours.EventBuffer.DeleteOldOutgoingEvents(j.w.ctx()), theirs.EventBuffer.DeleteOldOutgoingEvents(j.w.ctx()))
	id := fmt.Sprint("OUT", rapid.IntRange(0, max(1, j.noted.outgoing)).Draw(t, "id"))
	other, err := ours.GetAltJID(j.w.ctx(), chat)
	j.w.no(err)
	formatA, a, errA := ours.EventBuffer.GetOutgoingEvent(j.w.ctx(), chat, other, id)
	formatB, b, errB := theirs.EventBuffer.GetOutgoingEvent(j.w.ctx(), chat, other, id)
	j.same("GetOutgoingEvent", a, b, errA, errB)
	j.same("GetOutgoingEvent's format", formatA, formatB, errA, errB)
}

// lids changes pairs of users 10 and up, which nothing else uses.
func (j *judge) lids(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	pair := func() wastore.LIDMapping {
		lid, pn := lidUser(rapid.IntRange(10, 40).Draw(t, "lid")), pnUser(rapid.IntRange(10, 40).Draw(t, "pn"))
		if rapid.IntRange(0, 9).Draw(t, "wrong way round") == 0 {
			lid, pn = pn, lid
		}
		return wastore.LIDMapping{LID: lid, PN: pn}
	}
	if rapid.Bool().Draw(t, "many") {
		var pairs []wastore.LIDMapping
		for range rapid.IntRange(0, 40).Draw(t, "pairs") {
			if p := pair(); !slices.Contains(pairs, p) {
				pairs = append(pairs, p)
			}
		}
		j.same("PutManyLIDMappings", nil, nil, ours.LIDs.PutManyLIDMappings(j.w.ctx(), slices.Clone(pairs)), theirs.LIDs.PutManyLIDMappings(j.w.ctx(), slices.Clone(pairs)))
	} else {
		p := pair()
		j.same("PutLIDMapping", nil, nil, ours.LIDs.PutLIDMapping(j.w.ctx(), p.LID, p.PN), theirs.LIDs.PutLIDMapping(j.w.ctx(), p.LID, p.PN))
	}
	j.compareLIDs()
}

func (j *judge) compareLIDs() {
	ours, theirs := j.both()
	var pns []types.JID
	for i := range 45 {
		lid, pn := lidUser(i), pnUser(i)
		lid.Device, pn.Device = uint16(i%3), uint16(i%3)
		pns = append(pns, pn, lid)
		a, errA := ours.LIDs.GetLIDForPN(j.w.ctx(), pn)
		b, errB := theirs.LIDs.GetLIDForPN(j.w.ctx(), pn)
		j.same("GetLIDForPN", a, b, errA, errB)
		a, errA = ours.LIDs.GetPNForLID(j.w.ctx(), lid)
		b, errB = theirs.LIDs.GetPNForLID(j.w.ctx(), lid)
		j.same("GetPNForLID", a, b, errA, errB)
	}
	a, errA := ours.LIDs.GetPNForLID(j.w.ctx(), pnUser(0))
	b, errB := theirs.LIDs.GetPNForLID(j.w.ctx(), pnUser(0))
	j.same("GetPNForLID of a phone number", a, b, errA, errB)
	allA, errA := ours.LIDs.GetManyLIDsForPNs(j.w.ctx(), pns)
	allB, errB := theirs.LIDs.GetManyLIDsForPNs(j.w.ctx(), pns)
	j.same("GetManyLIDsForPNs", allA, allB, errA, errB)
}

func (j *judge) deviceFields(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	name := rapid.SampledFrom([]string{"", "Shop", "Store"}).Draw(t, "name")
	for _, d := range []*wastore.Device{ours, theirs} {
		d.PushName, d.BusinessName, d.LIDMigrationTimestamp, d.CompanionMetaNonce = name, name+"!", int64(len(name)), name+"?"
	}
	j.same("PutDevice", nil, nil, ours.Save(j.w.ctx()), theirs.Save(j.w.ctx()))
}

// compareAll compares what is left at the end.
func (j *judge) compareAll() {
	ours, theirs := j.both()
	if a, b := describe2(j.w, ours), describe2(j.w, theirs); a != b {
		j.t.Fatalf("the devices differ:\n%q\n%q", a, b)
	}
	for i := range 6 {
		for _, jid := range []types.JID{lidUser(i), pnUser(i)} {
			j.compareContact(jid)
			if i < 4 || jid.Server == types.HiddenUserServer {
				j.compareToken(jid)
			}
			for jid.Device = range 2 {
				j.compareSession(address(jid))
				a, errA := ours.Identities.IsTrustedIdentity(j.w.ctx(), address(jid), [32]byte{1})
				b, errB := theirs.Identities.IsTrustedIdentity(j.w.ctx(), address(jid), [32]byte{1})
				j.same("IsTrustedIdentity", a, b, errA, errB)
			}
		}
	}
	for _, hash := range j.noted.hashes {
		j.compareBuffered(hash)
	}
	for name := range j.noted.versions {
		for i := 0; i < 200; i += 9 {
			j.compareAppState(name, i)
		}
	}
	j.compareLIDs()
}

func describe2(w *world, d *wastore.Device) string {
	credentials, err := encodeCredentials(d)
	w.no(err)
	return string(credentials)
}
