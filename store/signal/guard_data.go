package signal

import (
	"context"
	"errors"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// The guarded methods of stores that touch no Signal session but those of the
// event buffer.

// AppStateSyncKeyStore.

func (g *guarded) PutAppStateSyncKey(ctx context.Context, id []byte, key wastore.AppStateSyncKey) (err error) {
	defer g.end("PutAppStateSyncKey", &err)
	return g.stores.PutAppStateSyncKey(ctx, id, key)
}

func (g *guarded) GetAppStateSyncKey(ctx context.Context, id []byte) (key *wastore.AppStateSyncKey, err error) {
	defer g.end("GetAppStateSyncKey", &err)
	return g.stores.GetAppStateSyncKey(ctx, id)
}

func (g *guarded) GetLatestAppStateSyncKeyID(ctx context.Context) (id []byte, err error) {
	defer g.end("GetLatestAppStateSyncKeyID", &err)
	return g.stores.GetLatestAppStateSyncKeyID(ctx)
}

func (g *guarded) GetAllAppStateSyncKeys(ctx context.Context) (keys []*wastore.AppStateSyncKey, err error) {
	defer g.end("GetAllAppStateSyncKeys", &err)
	return g.stores.GetAllAppStateSyncKeys(ctx)
}

// AppStateStore.

func (g *guarded) PutAppStateVersion(ctx context.Context, name string, version uint64, hash [128]byte) (err error) {
	defer g.end("PutAppStateVersion", &err)
	return g.stores.PutAppStateVersion(ctx, name, version, hash)
}

func (g *guarded) GetAppStateVersion(ctx context.Context, name string) (version uint64, hash [128]byte, err error) {
	defer g.end("GetAppStateVersion", &err)
	return g.stores.GetAppStateVersion(ctx, name)
}

func (g *guarded) DeleteAppStateVersion(ctx context.Context, name string) (err error) {
	defer g.end("DeleteAppStateVersion", &err)
	return g.stores.DeleteAppStateVersion(ctx, name)
}

func (g *guarded) PutAppStateMutationMACs(ctx context.Context, name string, version uint64, mutations []wastore.AppStateMutationMAC) (err error) {
	defer g.end("PutAppStateMutationMACs", &err)
	return g.stores.PutAppStateMutationMACs(ctx, name, version, mutations)
}

func (g *guarded) DeleteAppStateMutationMACs(ctx context.Context, name string, indexMACs [][]byte) (err error) {
	defer g.end("DeleteAppStateMutationMACs", &err)
	return g.stores.DeleteAppStateMutationMACs(ctx, name, indexMACs)
}

func (g *guarded) GetAppStateMutationMAC(ctx context.Context, name string, indexMAC []byte) (valueMAC []byte, err error) {
	defer g.end("GetAppStateMutationMAC", &err)
	return g.stores.GetAppStateMutationMAC(ctx, name, indexMAC)
}

// ContactStore.

func (g *guarded) PutPushName(ctx context.Context, user types.JID, pushName string) (changed bool, previous string, err error) {
	defer g.end("PutPushName", &err)
	return g.stores.PutPushName(ctx, user, pushName)
}

func (g *guarded) PutBusinessName(ctx context.Context, user types.JID, businessName string) (changed bool, previous string, err error) {
	defer g.end("PutBusinessName", &err)
	return g.stores.PutBusinessName(ctx, user, businessName)
}

func (g *guarded) PutContactName(ctx context.Context, user types.JID, firstName, fullName string) (err error) {
	defer g.end("PutContactName", &err)
	return g.stores.PutContactName(ctx, user, firstName, fullName)
}

func (g *guarded) PutAllContactNames(ctx context.Context, contacts []wastore.ContactEntry) (err error) {
	defer g.end("PutAllContactNames", &err)
	return g.stores.PutAllContactNames(ctx, contacts)
}

func (g *guarded) PutManyRedactedPhones(ctx context.Context, entries []wastore.RedactedPhoneEntry) (err error) {
	defer g.end("PutManyRedactedPhones", &err)
	return g.stores.PutManyRedactedPhones(ctx, entries)
}

func (g *guarded) GetContact(ctx context.Context, user types.JID) (info types.ContactInfo, err error) {
	defer g.end("GetContact", &err)
	return g.stores.GetContact(ctx, user)
}

func (g *guarded) GetAllContacts(ctx context.Context) (contacts map[types.JID]types.ContactInfo, err error) {
	defer g.end("GetAllContacts", &err)
	return g.stores.GetAllContacts(ctx)
}

// ChatSettingsStore.

func (g *guarded) PutMutedUntil(ctx context.Context, chat types.JID, mutedUntil time.Time) (err error) {
	defer g.end("PutMutedUntil", &err)
	return g.stores.PutMutedUntil(ctx, chat, mutedUntil)
}

func (g *guarded) PutPinned(ctx context.Context, chat types.JID, pinned bool) (err error) {
	defer g.end("PutPinned", &err)
	return g.stores.PutPinned(ctx, chat, pinned)
}

func (g *guarded) PutArchived(ctx context.Context, chat types.JID, archived bool) (err error) {
	defer g.end("PutArchived", &err)
	return g.stores.PutArchived(ctx, chat, archived)
}

func (g *guarded) GetChatSettings(ctx context.Context, chat types.JID) (settings types.LocalChatSettings, err error) {
	defer g.end("GetChatSettings", &err)
	return g.stores.GetChatSettings(ctx, chat)
}

// MsgSecretStore.

func (g *guarded) PutMessageSecrets(ctx context.Context, inserts []wastore.MessageSecretInsert) (err error) {
	defer g.end("PutMessageSecrets", &err)
	return g.stores.PutMessageSecrets(ctx, inserts)
}

func (g *guarded) PutMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, secret []byte) (err error) {
	defer g.end("PutMessageSecret", &err)
	return g.stores.PutMessageSecret(ctx, chat, sender, id, secret)
}

func (g *guarded) GetMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) (secret []byte, realSender types.JID, err error) {
	defer g.end("GetMessageSecret", &err)
	return g.stores.GetMessageSecret(ctx, chat, sender, id)
}

// PrivacyTokenStore.

func (g *guarded) PutPrivacyTokens(ctx context.Context, tokens ...wastore.PrivacyToken) (err error) {
	defer g.end("PutPrivacyTokens", &err)
	return g.stores.PutPrivacyTokens(ctx, tokens...)
}

func (g *guarded) GetPrivacyToken(ctx context.Context, user types.JID) (token *wastore.PrivacyToken, err error) {
	defer g.end("GetPrivacyToken", &err)
	return g.stores.GetPrivacyToken(ctx, user)
}

func (g *guarded) DeleteExpiredPrivacyTokens(ctx context.Context, cutoff time.Time) (deleted int64, err error) {
	defer g.end("DeleteExpiredPrivacyTokens", &err)
	return g.stores.DeleteExpiredPrivacyTokens(ctx, cutoff)
}

// NCTSaltStore.

func (g *guarded) PutNCTSalt(ctx context.Context, salt []byte) (err error) {
	defer g.end("PutNCTSalt", &err)
	return g.stores.PutNCTSalt(ctx, salt)
}

func (g *guarded) GetNCTSalt(ctx context.Context) (salt []byte, err error) {
	defer g.end("GetNCTSalt", &err)
	return g.stores.GetNCTSalt(ctx)
}

func (g *guarded) DeleteNCTSalt(ctx context.Context) (err error) {
	defer g.end("DeleteNCTSalt", &err)
	return g.stores.DeleteNCTSalt(ctx)
}

// EventBuffer.

func (g *guarded) GetBufferedEvent(ctx context.Context, ciphertextHash [32]byte) (event *wastore.BufferedEvent, err error) {
	defer g.end("GetBufferedEvent", &err)
	return g.stores.GetBufferedEvent(ctx, ciphertextHash)
}

func (g *guarded) PutBufferedEvent(ctx context.Context, ciphertextHash [32]byte, plaintext []byte, serverTimestamp time.Time) (err error) {
	defer g.end("PutBufferedEvent", &err)
	return g.stores.PutBufferedEvent(ctx, ciphertextHash, plaintext, serverTimestamp)
}

// DoDecryptionTxn returns fn's error as it is: only what happens to the store is
// a failure of the store.
func (g *guarded) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	var answered, answer error
	err := g.store("DoDecryptionTxn", func() error {
		err := g.stores.DoDecryptionTxn(ctx, func(ctx context.Context) error {
			answered = protect(func() error { return fn(ctx) })
			return answered
		})
		if err != nil && errors.Is(err, answered) {
			answer, err = err, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return answer
}

// store runs a call of a store, guarded.
func (g *guarded) store(method string, call func() error) (err error) {
	defer g.end(method, &err)
	return call()
}

func (g *guarded) ClearBufferedEventPlaintext(ctx context.Context, ciphertextHash [32]byte) (err error) {
	defer g.end("ClearBufferedEventPlaintext", &err)
	return g.stores.ClearBufferedEventPlaintext(ctx, ciphertextHash)
}

func (g *guarded) DeleteOldBufferedHashes(ctx context.Context) (err error) {
	defer g.end("DeleteOldBufferedHashes", &err)
	return g.stores.DeleteOldBufferedHashes(ctx)
}

func (g *guarded) GetOutgoingEvent(ctx context.Context, chatJID, altChatJID types.JID, id types.MessageID) (format string, plaintext []byte, err error) {
	defer g.end("GetOutgoingEvent", &err)
	return g.stores.GetOutgoingEvent(ctx, chatJID, altChatJID, id)
}

func (g *guarded) AddOutgoingEvent(ctx context.Context, chatJID types.JID, id types.MessageID, format string, plaintext []byte) (err error) {
	defer g.end("AddOutgoingEvent", &err)
	return g.stores.AddOutgoingEvent(ctx, chatJID, id, format, plaintext)
}

func (g *guarded) DeleteOldOutgoingEvents(ctx context.Context) (err error) {
	defer g.end("DeleteOldOutgoingEvents", &err)
	return g.stores.DeleteOldOutgoingEvents(ctx)
}

// LIDStore.

func (g *guarded) PutManyLIDMappings(ctx context.Context, mappings []wastore.LIDMapping) (err error) {
	defer g.end("PutManyLIDMappings", &err)
	return g.stores.PutManyLIDMappings(ctx, mappings)
}

func (g *guarded) PutLIDMapping(ctx context.Context, lid, pn types.JID) (err error) {
	defer g.end("PutLIDMapping", &err)
	return g.stores.PutLIDMapping(ctx, lid, pn)
}

func (g *guarded) GetPNForLID(ctx context.Context, lid types.JID) (pn types.JID, err error) {
	defer g.end("GetPNForLID", &err)
	return g.stores.GetPNForLID(ctx, lid)
}

func (g *guarded) GetLIDForPN(ctx context.Context, pn types.JID) (lid types.JID, err error) {
	defer g.end("GetLIDForPN", &err)
	return g.stores.GetLIDForPN(ctx, pn)
}

func (g *guarded) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (lids map[types.JID]types.JID, err error) {
	defer g.end("GetManyLIDsForPNs", &err)
	return g.stores.GetManyLIDsForPNs(ctx, pns)
}
