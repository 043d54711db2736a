package signal

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// stores is what whatsmeow sees: all its stores and the container, for one
// session. Every method that fails, or panics, ends the session before it
// returns: whatsmeow would acknowledge what could not be stored.
type stores struct {
	c    *Container
	fail func(error)
}

var (
	_ wastore.AllStores       = (*stores)(nil)
	_ wastore.DeviceContainer = (*stores)(nil)
)

// answer is an error that is no failure: the caller asked for what cannot be.
type answer struct{ error }

func (a answer) Unwrap() error { return a.error }

// failure is what a failed method returns. It wraps context.Canceled: of all
// errors only that one keeps whatsmeow from acknowledging a message.
type failure struct {
	method string
	cause  error
}

func (f *failure) Error() string   { return fmt.Sprintf("signal store: %s: %v", f.method, f.cause) }
func (f *failure) Unwrap() []error { return []error{context.Canceled, f.cause} }

// guard ends each method: deferred, with the method's error.
func (s *stores) guard(method string, err *error) {
	if p := recover(); p != nil {
		*err = panicked(p)
	}
	var known answer
	var failed *failure
	if *err == nil || errors.Is(*err, ErrConflict) || errors.Is(*err, errStale) || errors.As(*err, &known) || errors.As(*err, &failed) {
		return
	}
	*err = &failure{method, *err}
	s.fail(*err)
}

// panicked returns a panic as an error. What was not made by the runtime is not
// shown: it may be anything.
func panicked(p any) error {
	if err, ok := p.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", err)
	}
	return fmt.Errorf("panic of type %T", p)
}

// DeviceContainer.

func (s *stores) PutDevice(ctx context.Context, d *wastore.Device) (err error) {
	defer s.guard("PutDevice", &err)
	if d.ID == nil {
		return answer{errors.New("device without a JID")}
	}
	return s.c.putDevice(ctx, d)
}

// DeleteDevice deletes nothing; see Container.Deleted.
func (s *stores) DeleteDevice(context.Context, *wastore.Device) error {
	s.c.deleted.Store(true)
	return nil
}

// IdentityStore.

func (s *stores) PutIdentity(ctx context.Context, address string, key [32]byte) (err error) {
	defer s.swallow(ctx, &err)
	defer s.guard("PutIdentity", &err)
	return s.c.putIdentity(ctx, address, key)
}

func (s *stores) DeleteAllIdentities(ctx context.Context, phone string) (err error) {
	defer s.guard("DeleteAllIdentities", &err)
	return s.c.eachOf(ctx, phone, dropIdentity)
}

func (s *stores) DeleteIdentity(ctx context.Context, address string) (err error) {
	defer s.guard("DeleteIdentity", &err)
	return s.c.deleteIdentity(ctx, address)
}

func (s *stores) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (trusted bool, err error) {
	defer func() {
		if s.swallow(ctx, &err) {
			trusted = true
		}
	}()
	defer s.guard("IsTrustedIdentity", &err)
	return s.c.trusted(ctx, address, key)
}

// swallow takes the error of a method that may not fail in a send: whatsmeow
// would leave out the recipient and report success. The send fails with it when
// it stores its sessions.
func (s *stores) swallow(ctx context.Context, err *error) bool {
	b := batchOf(ctx)
	if *err == nil || b == nil || !b.send {
		return false
	}
	b.remember(*err)
	*err = nil
	return true
}

// SessionStore.

func (s *stores) GetSession(ctx context.Context, address string) (session []byte, err error) {
	defer s.guard("GetSession", &err)
	return s.c.getSession(ctx, address)
}

func (s *stores) HasSession(ctx context.Context, address string) (has bool, err error) {
	defer s.guard("HasSession", &err)
	return s.c.hasSession(ctx, address)
}

func (s *stores) GetManySessions(ctx context.Context, addresses []string) (sessions map[string][]byte, err error) {
	defer s.guard("GetManySessions", &err)
	return s.c.getSessions(ctx, addresses)
}

func (s *stores) PutSession(ctx context.Context, address string, session []byte) (err error) {
	defer s.guard("PutSession", &err)
	return s.c.putSession(ctx, address, session)
}

func (s *stores) PutManySessions(ctx context.Context, sessions map[string][]byte) (err error) {
	defer s.guard("PutManySessions", &err)
	return s.c.putSessions(ctx, sessions)
}

func (s *stores) DeleteAllSessions(ctx context.Context, phone string) (err error) {
	defer s.guard("DeleteAllSessions", &err)
	return s.c.eachOf(ctx, phone, dropSession)
}

func (s *stores) DeleteSession(ctx context.Context, address string) (err error) {
	defer s.guard("DeleteSession", &err)
	return s.c.deleteSession(ctx, address)
}

func (s *stores) MigratePNToLID(ctx context.Context, pn, lid types.JID) (err error) {
	defer s.guard("MigratePNToLID", &err)
	return s.c.migrate(ctx, pn, lid)
}

// PreKeyStore.

func (s *stores) GetOrGenPreKeys(ctx context.Context, count uint32) (prekeys []*keys.PreKey, err error) {
	defer s.guard("GetOrGenPreKeys", &err)
	return s.c.getOrGenPreKeys(ctx, int(count))
}

func (s *stores) GenOnePreKey(ctx context.Context) (prekey *keys.PreKey, err error) {
	defer s.guard("GenOnePreKey", &err)
	return s.c.genOnePreKey(ctx)
}

func (s *stores) GetPreKey(ctx context.Context, id uint32) (prekey *keys.PreKey, err error) {
	defer s.guard("GetPreKey", &err)
	return s.c.getPreKey(ctx, id)
}

// RemovePreKey in a decryption waits until the session is stored.
func (s *stores) RemovePreKey(ctx context.Context, id uint32) (err error) {
	defer s.guard("RemovePreKey", &err)
	if b := batchOf(ctx); b != nil && !b.send {
		b.prekeys = append(b.prekeys, id)
		return nil
	}
	return s.c.removePreKeys(ctx, id)
}

func (s *stores) MarkPreKeysAsUploaded(ctx context.Context, upToID uint32) (err error) {
	defer s.guard("MarkPreKeysAsUploaded", &err)
	return s.c.markUploaded(ctx, upToID)
}

func (s *stores) UploadedPreKeyCount(ctx context.Context) (count int, err error) {
	defer s.guard("UploadedPreKeyCount", &err)
	return s.c.uploadedCount(ctx)
}

// SenderKeyStore.

func (s *stores) PutSenderKey(ctx context.Context, group, user string, session []byte) (err error) {
	defer s.guard("PutSenderKey", &err)
	return s.c.putSenderKey(ctx, group, user, session)
}

func (s *stores) GetSenderKey(ctx context.Context, group, user string) (key []byte, err error) {
	defer s.guard("GetSenderKey", &err)
	return s.c.getSenderKey(ctx, group, user)
}

// AppStateSyncKeyStore.

func (s *stores) PutAppStateSyncKey(ctx context.Context, id []byte, key wastore.AppStateSyncKey) (err error) {
	defer s.guard("PutAppStateSyncKey", &err)
	return s.c.putAppKey(ctx, id, key)
}

func (s *stores) GetAppStateSyncKey(ctx context.Context, id []byte) (key *wastore.AppStateSyncKey, err error) {
	defer s.guard("GetAppStateSyncKey", &err)
	return s.c.getAppKey(ctx, id)
}

func (s *stores) GetLatestAppStateSyncKeyID(ctx context.Context) (id []byte, err error) {
	defer s.guard("GetLatestAppStateSyncKeyID", &err)
	return s.c.latestAppKey(ctx)
}

func (s *stores) GetAllAppStateSyncKeys(ctx context.Context) (keys []*wastore.AppStateSyncKey, err error) {
	defer s.guard("GetAllAppStateSyncKeys", &err)
	all, err := s.c.appKeys(ctx)
	for i := range all {
		keys = append(keys, &all[i].key)
	}
	return keys, err
}

// AppStateStore.

func (s *stores) PutAppStateVersion(ctx context.Context, name string, version uint64, hash [128]byte) (err error) {
	defer s.guard("PutAppStateVersion", &err)
	return s.c.putAppVersion(ctx, name, version, hash)
}

func (s *stores) GetAppStateVersion(ctx context.Context, name string) (version uint64, hash [128]byte, err error) {
	defer s.guard("GetAppStateVersion", &err)
	return s.c.getAppVersion(ctx, name)
}

func (s *stores) DeleteAppStateVersion(ctx context.Context, name string) (err error) {
	defer s.guard("DeleteAppStateVersion", &err)
	return s.c.deleteAppVersion(ctx, name)
}

func (s *stores) PutAppStateMutationMACs(ctx context.Context, name string, version uint64, mutations []wastore.AppStateMutationMAC) (err error) {
	defer s.guard("PutAppStateMutationMACs", &err)
	if len(mutations) == 0 {
		return nil
	}
	return s.c.putMACs(ctx, name, version, mutations)
}

func (s *stores) DeleteAppStateMutationMACs(ctx context.Context, name string, indexMACs [][]byte) (err error) {
	defer s.guard("DeleteAppStateMutationMACs", &err)
	if len(indexMACs) == 0 {
		return nil
	}
	return s.c.deleteMACs(ctx, name, indexMACs)
}

func (s *stores) GetAppStateMutationMAC(ctx context.Context, name string, indexMAC []byte) (valueMAC []byte, err error) {
	defer s.guard("GetAppStateMutationMAC", &err)
	return s.c.getMAC(ctx, name, indexMAC)
}

// ContactStore.

func (s *stores) PutPushName(ctx context.Context, user types.JID, pushName string) (changed bool, previous string, err error) {
	defer s.guard("PutPushName", &err)
	return s.c.putPushName(ctx, user, pushName)
}

func (s *stores) PutBusinessName(ctx context.Context, user types.JID, businessName string) (changed bool, previous string, err error) {
	defer s.guard("PutBusinessName", &err)
	return s.c.putBusinessName(ctx, user, businessName)
}

// PutContactName takes the first name first, as whatsmeow calls it, whatever the
// interface names its parameters.
func (s *stores) PutContactName(ctx context.Context, user types.JID, firstName, fullName string) (err error) {
	defer s.guard("PutContactName", &err)
	return s.c.putContactName(ctx, user, firstName, fullName)
}

func (s *stores) PutAllContactNames(ctx context.Context, contacts []wastore.ContactEntry) (err error) {
	defer s.guard("PutAllContactNames", &err)
	return s.c.putContactNames(ctx, contacts)
}

func (s *stores) PutManyRedactedPhones(ctx context.Context, entries []wastore.RedactedPhoneEntry) (err error) {
	defer s.guard("PutManyRedactedPhones", &err)
	return s.c.putRedactedPhones(ctx, entries)
}

func (s *stores) GetContact(ctx context.Context, user types.JID) (info types.ContactInfo, err error) {
	defer s.guard("GetContact", &err)
	return s.c.getContact(ctx, user)
}

func (s *stores) GetAllContacts(ctx context.Context) (contacts map[types.JID]types.ContactInfo, err error) {
	defer s.guard("GetAllContacts", &err)
	return s.c.allContacts(ctx)
}

// ChatSettingsStore.

func (s *stores) PutMutedUntil(ctx context.Context, chat types.JID, mutedUntil time.Time) (err error) {
	defer s.guard("PutMutedUntil", &err)
	return s.c.putMutedUntil(ctx, chat, mutedUntil)
}

func (s *stores) PutPinned(ctx context.Context, chat types.JID, pinned bool) (err error) {
	defer s.guard("PutPinned", &err)
	return s.c.changeChat(ctx, chat, func(settings *chatSettings) { settings.pinned = pinned })
}

func (s *stores) PutArchived(ctx context.Context, chat types.JID, archived bool) (err error) {
	defer s.guard("PutArchived", &err)
	return s.c.changeChat(ctx, chat, func(settings *chatSettings) { settings.archived = archived })
}

func (s *stores) GetChatSettings(ctx context.Context, chat types.JID) (settings types.LocalChatSettings, err error) {
	defer s.guard("GetChatSettings", &err)
	return s.c.getChat(ctx, chat)
}

// MsgSecretStore.

func (s *stores) PutMessageSecrets(ctx context.Context, inserts []wastore.MessageSecretInsert) (err error) {
	defer s.guard("PutMessageSecrets", &err)
	return s.c.putSecrets(ctx, inserts)
}

func (s *stores) PutMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, secret []byte) (err error) {
	defer s.guard("PutMessageSecret", &err)
	return s.c.putSecret(ctx, chat, sender, id, secret)
}

func (s *stores) GetMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) (secret []byte, realSender types.JID, err error) {
	defer s.guard("GetMessageSecret", &err)
	return s.c.getSecret(ctx, chat, sender, id)
}

// PrivacyTokenStore.

func (s *stores) PutPrivacyTokens(ctx context.Context, tokens ...wastore.PrivacyToken) (err error) {
	defer s.guard("PutPrivacyTokens", &err)
	return s.c.putTokens(ctx, tokens)
}

func (s *stores) GetPrivacyToken(ctx context.Context, user types.JID) (token *wastore.PrivacyToken, err error) {
	defer s.guard("GetPrivacyToken", &err)
	return s.c.getToken(ctx, user)
}

// DeleteExpiredPrivacyTokens does not count: 0, always.
func (s *stores) DeleteExpiredPrivacyTokens(_ context.Context, cutoff time.Time) (deleted int64, err error) {
	defer s.guard("DeleteExpiredPrivacyTokens", &err)
	s.c.expireTokens(cutoff)
	return 0, nil
}

// NCTSaltStore.

func (s *stores) PutNCTSalt(ctx context.Context, salt []byte) (err error) {
	defer s.guard("PutNCTSalt", &err)
	return s.c.putSalt(ctx, salt)
}

func (s *stores) GetNCTSalt(ctx context.Context) (salt []byte, err error) {
	defer s.guard("GetNCTSalt", &err)
	return s.c.getSalt(ctx)
}

func (s *stores) DeleteNCTSalt(ctx context.Context) (err error) {
	defer s.guard("DeleteNCTSalt", &err)
	return s.c.putSalt(ctx, nil)
}

// EventBuffer.

func (s *stores) GetBufferedEvent(ctx context.Context, ciphertextHash [32]byte) (event *wastore.BufferedEvent, err error) {
	defer s.guard("GetBufferedEvent", &err)
	return s.c.getBuffered(ctx, ciphertextHash)
}

func (s *stores) PutBufferedEvent(ctx context.Context, ciphertextHash [32]byte, plaintext []byte, serverTimestamp time.Time) (err error) {
	defer s.guard("PutBufferedEvent", &err)
	return s.c.putBuffered(ctx, ciphertextHash, plaintext, serverTimestamp)
}

// DoDecryptionTxn returns fn's error as it is: only what happens to the store is
// a failure of the store.
func (s *stores) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	answer, err := s.decrypt(ctx, fn)
	if err != nil {
		return err
	}
	return answer
}

func (s *stores) decrypt(ctx context.Context, fn func(context.Context) error) (answer, err error) {
	defer s.guard("DoDecryptionTxn", &err)
	return s.c.decrypt(ctx, fn)
}

func (s *stores) ClearBufferedEventPlaintext(_ context.Context, ciphertextHash [32]byte) (err error) {
	defer s.guard("ClearBufferedEventPlaintext", &err)
	s.c.clearBuffered(ciphertextHash)
	return nil
}

// DeleteOldBufferedHashes has nothing to do: hashes leave with their plaintext.
func (s *stores) DeleteOldBufferedHashes(context.Context) error { return nil }

func (s *stores) GetOutgoingEvent(ctx context.Context, chatJID, altChatJID types.JID, id types.MessageID) (format string, plaintext []byte, err error) {
	defer s.guard("GetOutgoingEvent", &err)
	return s.c.getOutgoing(ctx, chatJID, altChatJID, id)
}

func (s *stores) AddOutgoingEvent(ctx context.Context, chatJID types.JID, id types.MessageID, format string, plaintext []byte) (err error) {
	defer s.guard("AddOutgoingEvent", &err)
	return s.c.addOutgoing(ctx, chatJID, id, format, plaintext)
}

// DeleteOldOutgoingEvents has nothing to do: they expire by themselves.
func (s *stores) DeleteOldOutgoingEvents(context.Context) error { return nil }

// LIDStore.

func (s *stores) PutManyLIDMappings(ctx context.Context, mappings []wastore.LIDMapping) (err error) {
	defer s.guard("PutManyLIDMappings", &err)
	return s.c.putLIDMappings(ctx, mappings)
}

func (s *stores) PutLIDMapping(ctx context.Context, lid, pn types.JID) (err error) {
	defer s.guard("PutLIDMapping", &err)
	return s.c.putLIDMapping(ctx, lid, pn)
}

func (s *stores) GetPNForLID(_ context.Context, lid types.JID) (pn types.JID, err error) {
	defer s.guard("GetPNForLID", &err)
	if lid.Server != types.HiddenUserServer {
		return pn, answer{fmt.Errorf("not a LID: server %q", lid.Server)}
	}
	return s.c.pnOf(lid), nil
}

func (s *stores) GetLIDForPN(_ context.Context, pn types.JID) (lid types.JID, err error) {
	defer s.guard("GetLIDForPN", &err)
	if pn.Server != types.DefaultUserServer {
		return lid, answer{fmt.Errorf("not a phone number: server %q", pn.Server)}
	}
	return s.c.lidOf(pn), nil
}

func (s *stores) GetManyLIDsForPNs(_ context.Context, pns []types.JID) (lids map[types.JID]types.JID, err error) {
	defer s.guard("GetManyLIDsForPNs", &err)
	return s.c.lidsOf(pns), nil
}
