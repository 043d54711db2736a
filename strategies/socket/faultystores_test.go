package socket

import (
	"context"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/enlacehq/enlace/store/signal"
)

// faultyState is a channel's Signal state whose devices' stores fail when faults
// say so.
type faultyState struct {
	*signal.Container
	faults *faults
}

var _ credentials = faultyState{}

func (s faultyState) Device(ctx context.Context, fail func(error)) (*wastore.Device, error) {
	d, err := s.Container.Device(ctx, fail)
	if err != nil {
		return nil, err
	}
	f := &faultyStores{s.faults, d.Container, d.Identities.(wastore.AllStores)} // one has them all
	s.faults.mu.Lock()
	s.faults.stores = f.stores
	s.faults.mu.Unlock()
	d.Container, d.LIDs = f, f
	d.SetAllStores(f)
	signal.Guard(d, fail)
	return d, nil
}

// faultyStores are a device's stores, each method of which can fail.
type faultyStores struct {
	faults    *faults
	container wastore.DeviceContainer
	stores    wastore.AllStores
}

var (
	_ wastore.AllStores       = (*faultyStores)(nil)
	_ wastore.DeviceContainer = (*faultyStores)(nil)
)

// DeviceContainer.

func (s *faultyStores) PutDevice(ctx context.Context, d *wastore.Device) (err error) {
	s.faults.call("DeviceContainer.PutDevice", &err, func() { err = s.container.PutDevice(ctx, d) })
	return err
}

func (s *faultyStores) DeleteDevice(ctx context.Context, d *wastore.Device) (err error) {
	s.faults.call("DeviceContainer.DeleteDevice", &err, func() { err = s.container.DeleteDevice(ctx, d) })
	return err
}

// IdentityStore.

func (s *faultyStores) PutIdentity(ctx context.Context, address string, key [32]byte) (err error) {
	s.faults.call("IdentityStore.PutIdentity", &err, func() { err = s.stores.PutIdentity(ctx, address, key) })
	return err
}

func (s *faultyStores) DeleteAllIdentities(ctx context.Context, phone string) (err error) {
	s.faults.call("IdentityStore.DeleteAllIdentities", &err, func() { err = s.stores.DeleteAllIdentities(ctx, phone) })
	return err
}

func (s *faultyStores) DeleteIdentity(ctx context.Context, address string) (err error) {
	s.faults.call("IdentityStore.DeleteIdentity", &err, func() { err = s.stores.DeleteIdentity(ctx, address) })
	return err
}

func (s *faultyStores) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (trusted bool, err error) {
	s.faults.call("IdentityStore.IsTrustedIdentity", &err, func() { trusted, err = s.stores.IsTrustedIdentity(ctx, address, key) })
	return trusted, err
}

// SessionStore.

func (s *faultyStores) GetSession(ctx context.Context, address string) (session []byte, err error) {
	s.faults.call("SessionStore.GetSession", &err, func() { session, err = s.stores.GetSession(ctx, address) })
	return session, err
}

func (s *faultyStores) HasSession(ctx context.Context, address string) (has bool, err error) {
	s.faults.call("SessionStore.HasSession", &err, func() { has, err = s.stores.HasSession(ctx, address) })
	return has, err
}

func (s *faultyStores) GetManySessions(ctx context.Context, addresses []string) (sessions map[string][]byte, err error) {
	s.faults.call("SessionStore.GetManySessions", &err, func() { sessions, err = s.stores.GetManySessions(ctx, addresses) })
	return sessions, err
}

func (s *faultyStores) PutSession(ctx context.Context, address string, session []byte) (err error) {
	s.faults.call("SessionStore.PutSession", &err, func() { err = s.stores.PutSession(ctx, address, session) })
	return err
}

func (s *faultyStores) PutManySessions(ctx context.Context, sessions map[string][]byte) (err error) {
	s.faults.call("SessionStore.PutManySessions", &err, func() { err = s.stores.PutManySessions(ctx, sessions) })
	return err
}

func (s *faultyStores) DeleteAllSessions(ctx context.Context, phone string) (err error) {
	s.faults.call("SessionStore.DeleteAllSessions", &err, func() { err = s.stores.DeleteAllSessions(ctx, phone) })
	return err
}

func (s *faultyStores) DeleteSession(ctx context.Context, address string) (err error) {
	s.faults.call("SessionStore.DeleteSession", &err, func() { err = s.stores.DeleteSession(ctx, address) })
	return err
}

func (s *faultyStores) MigratePNToLID(ctx context.Context, pn, lid types.JID) (err error) {
	s.faults.call("SessionStore.MigratePNToLID", &err, func() { err = s.stores.MigratePNToLID(ctx, pn, lid) })
	return err
}

// PreKeyStore.

// GetOrGenPreKeys gives less than the 812 of a new device, which take their time.
func (s *faultyStores) GetOrGenPreKeys(ctx context.Context, count uint32) (prekeys []*keys.PreKey, err error) {
	s.faults.call("PreKeyStore.GetOrGenPreKeys", &err, func() { prekeys, err = s.stores.GetOrGenPreKeys(ctx, min(count, 50)) })
	return prekeys, err
}

func (s *faultyStores) GenOnePreKey(ctx context.Context) (prekey *keys.PreKey, err error) {
	s.faults.call("PreKeyStore.GenOnePreKey", &err, func() { prekey, err = s.stores.GenOnePreKey(ctx) })
	return prekey, err
}

func (s *faultyStores) GetPreKey(ctx context.Context, id uint32) (prekey *keys.PreKey, err error) {
	s.faults.call("PreKeyStore.GetPreKey", &err, func() { prekey, err = s.stores.GetPreKey(ctx, id) })
	return prekey, err
}

func (s *faultyStores) RemovePreKey(ctx context.Context, id uint32) (err error) {
	s.faults.call("PreKeyStore.RemovePreKey", &err, func() { err = s.stores.RemovePreKey(ctx, id) })
	return err
}

func (s *faultyStores) MarkPreKeysAsUploaded(ctx context.Context, upToID uint32) (err error) {
	s.faults.call("PreKeyStore.MarkPreKeysAsUploaded", &err, func() { err = s.stores.MarkPreKeysAsUploaded(ctx, upToID) })
	return err
}

func (s *faultyStores) UploadedPreKeyCount(ctx context.Context) (count int, err error) {
	s.faults.call("PreKeyStore.UploadedPreKeyCount", &err, func() { count, err = s.stores.UploadedPreKeyCount(ctx) })
	return count, err
}

// SenderKeyStore.

func (s *faultyStores) PutSenderKey(ctx context.Context, group, user string, session []byte) (err error) {
	s.faults.call("SenderKeyStore.PutSenderKey", &err, func() { err = s.stores.PutSenderKey(ctx, group, user, session) })
	return err
}

func (s *faultyStores) GetSenderKey(ctx context.Context, group, user string) (key []byte, err error) {
	s.faults.call("SenderKeyStore.GetSenderKey", &err, func() { key, err = s.stores.GetSenderKey(ctx, group, user) })
	return key, err
}

// AppStateSyncKeyStore.

func (s *faultyStores) PutAppStateSyncKey(ctx context.Context, id []byte, key wastore.AppStateSyncKey) (err error) {
	s.faults.call("AppStateSyncKeyStore.PutAppStateSyncKey", &err, func() { err = s.stores.PutAppStateSyncKey(ctx, id, key) })
	return err
}

func (s *faultyStores) GetAppStateSyncKey(ctx context.Context, id []byte) (key *wastore.AppStateSyncKey, err error) {
	s.faults.call("AppStateSyncKeyStore.GetAppStateSyncKey", &err, func() { key, err = s.stores.GetAppStateSyncKey(ctx, id) })
	return key, err
}

func (s *faultyStores) GetLatestAppStateSyncKeyID(ctx context.Context) (id []byte, err error) {
	s.faults.call("AppStateSyncKeyStore.GetLatestAppStateSyncKeyID", &err, func() { id, err = s.stores.GetLatestAppStateSyncKeyID(ctx) })
	return id, err
}

func (s *faultyStores) GetAllAppStateSyncKeys(ctx context.Context) (keys []*wastore.AppStateSyncKey, err error) {
	s.faults.call("AppStateSyncKeyStore.GetAllAppStateSyncKeys", &err, func() { keys, err = s.stores.GetAllAppStateSyncKeys(ctx) })
	return keys, err
}

// AppStateStore.

func (s *faultyStores) PutAppStateVersion(ctx context.Context, name string, version uint64, hash [128]byte) (err error) {
	s.faults.call("AppStateStore.PutAppStateVersion", &err, func() { err = s.stores.PutAppStateVersion(ctx, name, version, hash) })
	return err
}

func (s *faultyStores) GetAppStateVersion(ctx context.Context, name string) (version uint64, hash [128]byte, err error) {
	s.faults.call("AppStateStore.GetAppStateVersion", &err, func() { version, hash, err = s.stores.GetAppStateVersion(ctx, name) })
	return version, hash, err
}

func (s *faultyStores) DeleteAppStateVersion(ctx context.Context, name string) (err error) {
	s.faults.call("AppStateStore.DeleteAppStateVersion", &err, func() { err = s.stores.DeleteAppStateVersion(ctx, name) })
	return err
}

func (s *faultyStores) PutAppStateMutationMACs(ctx context.Context, name string, version uint64, mutations []wastore.AppStateMutationMAC) (err error) {
	s.faults.call("AppStateStore.PutAppStateMutationMACs", &err, func() { err = s.stores.PutAppStateMutationMACs(ctx, name, version, mutations) })
	return err
}

func (s *faultyStores) DeleteAppStateMutationMACs(ctx context.Context, name string, indexMACs [][]byte) (err error) {
	s.faults.call("AppStateStore.DeleteAppStateMutationMACs", &err, func() { err = s.stores.DeleteAppStateMutationMACs(ctx, name, indexMACs) })
	return err
}

func (s *faultyStores) GetAppStateMutationMAC(ctx context.Context, name string, indexMAC []byte) (valueMAC []byte, err error) {
	s.faults.call("AppStateStore.GetAppStateMutationMAC", &err, func() { valueMAC, err = s.stores.GetAppStateMutationMAC(ctx, name, indexMAC) })
	return valueMAC, err
}

// ContactStore.

func (s *faultyStores) PutPushName(ctx context.Context, user types.JID, pushName string) (changed bool, previous string, err error) {
	s.faults.call("ContactStore.PutPushName", &err, func() { changed, previous, err = s.stores.PutPushName(ctx, user, pushName) })
	return changed, previous, err
}

func (s *faultyStores) PutBusinessName(ctx context.Context, user types.JID, businessName string) (changed bool, previous string, err error) {
	s.faults.call("ContactStore.PutBusinessName", &err, func() { changed, previous, err = s.stores.PutBusinessName(ctx, user, businessName) })
	return changed, previous, err
}

func (s *faultyStores) PutContactName(ctx context.Context, user types.JID, firstName, fullName string) (err error) {
	s.faults.call("ContactStore.PutContactName", &err, func() { err = s.stores.PutContactName(ctx, user, firstName, fullName) })
	return err
}

func (s *faultyStores) PutAllContactNames(ctx context.Context, contacts []wastore.ContactEntry) (err error) {
	s.faults.call("ContactStore.PutAllContactNames", &err, func() { err = s.stores.PutAllContactNames(ctx, contacts) })
	return err
}

func (s *faultyStores) PutManyRedactedPhones(ctx context.Context, entries []wastore.RedactedPhoneEntry) (err error) {
	s.faults.call("ContactStore.PutManyRedactedPhones", &err, func() { err = s.stores.PutManyRedactedPhones(ctx, entries) })
	return err
}

func (s *faultyStores) GetContact(ctx context.Context, user types.JID) (info types.ContactInfo, err error) {
	s.faults.call("ContactStore.GetContact", &err, func() { info, err = s.stores.GetContact(ctx, user) })
	return info, err
}

func (s *faultyStores) GetAllContacts(ctx context.Context) (contacts map[types.JID]types.ContactInfo, err error) {
	s.faults.call("ContactStore.GetAllContacts", &err, func() { contacts, err = s.stores.GetAllContacts(ctx) })
	return contacts, err
}

// ChatSettingsStore.

func (s *faultyStores) PutMutedUntil(ctx context.Context, chat types.JID, mutedUntil time.Time) (err error) {
	s.faults.call("ChatSettingsStore.PutMutedUntil", &err, func() { err = s.stores.PutMutedUntil(ctx, chat, mutedUntil) })
	return err
}

func (s *faultyStores) PutPinned(ctx context.Context, chat types.JID, pinned bool) (err error) {
	s.faults.call("ChatSettingsStore.PutPinned", &err, func() { err = s.stores.PutPinned(ctx, chat, pinned) })
	return err
}

func (s *faultyStores) PutArchived(ctx context.Context, chat types.JID, archived bool) (err error) {
	s.faults.call("ChatSettingsStore.PutArchived", &err, func() { err = s.stores.PutArchived(ctx, chat, archived) })
	return err
}

func (s *faultyStores) GetChatSettings(ctx context.Context, chat types.JID) (settings types.LocalChatSettings, err error) {
	s.faults.call("ChatSettingsStore.GetChatSettings", &err, func() { settings, err = s.stores.GetChatSettings(ctx, chat) })
	return settings, err
}

// MsgSecretStore.

func (s *faultyStores) PutMessageSecrets(ctx context.Context, inserts []wastore.MessageSecretInsert) (err error) {
	s.faults.call("MsgSecretStore.PutMessageSecrets", &err, func() { err = s.stores.PutMessageSecrets(ctx, inserts) })
	return err
}

func (s *faultyStores) PutMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, secret []byte) (err error) {
	s.faults.call("MsgSecretStore.PutMessageSecret", &err, func() { err = s.stores.PutMessageSecret(ctx, chat, sender, id, secret) })
	return err
}

func (s *faultyStores) GetMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) (secret []byte, realSender types.JID, err error) {
	s.faults.call("MsgSecretStore.GetMessageSecret", &err, func() { secret, realSender, err = s.stores.GetMessageSecret(ctx, chat, sender, id) })
	return secret, realSender, err
}

// PrivacyTokenStore.

func (s *faultyStores) PutPrivacyTokens(ctx context.Context, tokens ...wastore.PrivacyToken) (err error) {
	s.faults.call("PrivacyTokenStore.PutPrivacyTokens", &err, func() { err = s.stores.PutPrivacyTokens(ctx, tokens...) })
	return err
}

func (s *faultyStores) GetPrivacyToken(ctx context.Context, user types.JID) (token *wastore.PrivacyToken, err error) {
	s.faults.call("PrivacyTokenStore.GetPrivacyToken", &err, func() { token, err = s.stores.GetPrivacyToken(ctx, user) })
	return token, err
}

func (s *faultyStores) DeleteExpiredPrivacyTokens(ctx context.Context, cutoff time.Time) (deleted int64, err error) {
	s.faults.call("PrivacyTokenStore.DeleteExpiredPrivacyTokens", &err, func() { deleted, err = s.stores.DeleteExpiredPrivacyTokens(ctx, cutoff) })
	return deleted, err
}

// NCTSaltStore.

func (s *faultyStores) PutNCTSalt(ctx context.Context, salt []byte) (err error) {
	s.faults.call("NCTSaltStore.PutNCTSalt", &err, func() { err = s.stores.PutNCTSalt(ctx, salt) })
	return err
}

func (s *faultyStores) GetNCTSalt(ctx context.Context) (salt []byte, err error) {
	s.faults.call("NCTSaltStore.GetNCTSalt", &err, func() { salt, err = s.stores.GetNCTSalt(ctx) })
	return salt, err
}

func (s *faultyStores) DeleteNCTSalt(ctx context.Context) (err error) {
	s.faults.call("NCTSaltStore.DeleteNCTSalt", &err, func() { err = s.stores.DeleteNCTSalt(ctx) })
	return err
}

// EventBuffer.

func (s *faultyStores) GetBufferedEvent(ctx context.Context, ciphertextHash [32]byte) (event *wastore.BufferedEvent, err error) {
	s.faults.call("EventBuffer.GetBufferedEvent", &err, func() { event, err = s.stores.GetBufferedEvent(ctx, ciphertextHash) })
	return event, err
}

func (s *faultyStores) PutBufferedEvent(ctx context.Context, ciphertextHash [32]byte, plaintext []byte, serverTimestamp time.Time) (err error) {
	s.faults.call("EventBuffer.PutBufferedEvent", &err, func() { err = s.stores.PutBufferedEvent(ctx, ciphertextHash, plaintext, serverTimestamp) })
	return err
}

func (s *faultyStores) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) (err error) {
	s.faults.call("EventBuffer.DoDecryptionTxn", &err, func() { err = s.stores.DoDecryptionTxn(ctx, fn) })
	return err
}

func (s *faultyStores) ClearBufferedEventPlaintext(ctx context.Context, ciphertextHash [32]byte) (err error) {
	s.faults.call("EventBuffer.ClearBufferedEventPlaintext", &err, func() { err = s.stores.ClearBufferedEventPlaintext(ctx, ciphertextHash) })
	return err
}

func (s *faultyStores) DeleteOldBufferedHashes(ctx context.Context) (err error) {
	s.faults.call("EventBuffer.DeleteOldBufferedHashes", &err, func() { err = s.stores.DeleteOldBufferedHashes(ctx) })
	return err
}

func (s *faultyStores) GetOutgoingEvent(ctx context.Context, chatJID, altChatJID types.JID, id types.MessageID) (format string, plaintext []byte, err error) {
	s.faults.call("EventBuffer.GetOutgoingEvent", &err, func() { format, plaintext, err = s.stores.GetOutgoingEvent(ctx, chatJID, altChatJID, id) })
	return format, plaintext, err
}

func (s *faultyStores) AddOutgoingEvent(ctx context.Context, chatJID types.JID, id types.MessageID, format string, plaintext []byte) (err error) {
	s.faults.call("EventBuffer.AddOutgoingEvent", &err, func() { err = s.stores.AddOutgoingEvent(ctx, chatJID, id, format, plaintext) })
	return err
}

func (s *faultyStores) DeleteOldOutgoingEvents(ctx context.Context) (err error) {
	s.faults.call("EventBuffer.DeleteOldOutgoingEvents", &err, func() { err = s.stores.DeleteOldOutgoingEvents(ctx) })
	return err
}

// LIDStore.

func (s *faultyStores) PutManyLIDMappings(ctx context.Context, mappings []wastore.LIDMapping) (err error) {
	s.faults.call("LIDStore.PutManyLIDMappings", &err, func() { err = s.stores.PutManyLIDMappings(ctx, mappings) })
	return err
}

func (s *faultyStores) PutLIDMapping(ctx context.Context, lid, pn types.JID) (err error) {
	s.faults.call("LIDStore.PutLIDMapping", &err, func() { err = s.stores.PutLIDMapping(ctx, lid, pn) })
	return err
}

func (s *faultyStores) GetPNForLID(ctx context.Context, lid types.JID) (pn types.JID, err error) {
	s.faults.call("LIDStore.GetPNForLID", &err, func() { pn, err = s.stores.GetPNForLID(ctx, lid) })
	return pn, err
}

func (s *faultyStores) GetLIDForPN(ctx context.Context, pn types.JID) (lid types.JID, err error) {
	s.faults.call("LIDStore.GetLIDForPN", &err, func() { lid, err = s.stores.GetLIDForPN(ctx, pn) })
	return lid, err
}

func (s *faultyStores) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (lids map[types.JID]types.JID, err error) {
	s.faults.call("LIDStore.GetManyLIDsForPNs", &err, func() { lids, err = s.stores.GetManyLIDsForPNs(ctx, pns) })
	return lids, err
}
