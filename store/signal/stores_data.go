package signal

import (
	"context"
	"fmt"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// The methods of stores that touch no Signal session but those of the event
// buffer.

// AppStateSyncKeyStore.

func (s *stores) PutAppStateSyncKey(ctx context.Context, id []byte, key wastore.AppStateSyncKey) (err error) {
	return s.c.putAppKey(ctx, id, key)
}

func (s *stores) GetAppStateSyncKey(ctx context.Context, id []byte) (key *wastore.AppStateSyncKey, err error) {
	return s.c.getAppKey(ctx, id)
}

func (s *stores) GetLatestAppStateSyncKeyID(ctx context.Context) (id []byte, err error) {
	return s.c.latestAppKey(ctx)
}

func (s *stores) GetAllAppStateSyncKeys(ctx context.Context) (keys []*wastore.AppStateSyncKey, err error) {
	all, err := s.c.appKeys(ctx)
	for i := range all {
		keys = append(keys, &all[i].key)
	}
	return keys, err
}

// AppStateStore.

func (s *stores) PutAppStateVersion(ctx context.Context, name string, version uint64, hash [128]byte) (err error) {
	return s.c.putAppVersion(ctx, name, version, hash)
}

func (s *stores) GetAppStateVersion(ctx context.Context, name string) (version uint64, hash [128]byte, err error) {
	return s.c.getAppVersion(ctx, name)
}

func (s *stores) DeleteAppStateVersion(ctx context.Context, name string) (err error) {
	return s.c.deleteAppVersion(ctx, name)
}

func (s *stores) PutAppStateMutationMACs(ctx context.Context, name string, version uint64, mutations []wastore.AppStateMutationMAC) (err error) {
	if len(mutations) == 0 {
		return nil
	}
	return s.c.putMACs(ctx, name, version, mutations)
}

func (s *stores) DeleteAppStateMutationMACs(ctx context.Context, name string, indexMACs [][]byte) (err error) {
	if len(indexMACs) == 0 {
		return nil
	}
	return s.c.deleteMACs(ctx, name, indexMACs)
}

func (s *stores) GetAppStateMutationMAC(ctx context.Context, name string, indexMAC []byte) (valueMAC []byte, err error) {
	return s.c.getMAC(ctx, name, indexMAC)
}

// ContactStore.

func (s *stores) PutPushName(ctx context.Context, user types.JID, pushName string) (changed bool, previous string, err error) {
	return s.c.putPushName(ctx, user, pushName)
}

func (s *stores) PutBusinessName(ctx context.Context, user types.JID, businessName string) (changed bool, previous string, err error) {
	return s.c.putBusinessName(ctx, user, businessName)
}

// PutContactName takes the first name first, as whatsmeow calls it, whatever the
// interface names its parameters.
func (s *stores) PutContactName(ctx context.Context, user types.JID, firstName, fullName string) (err error) {
	return s.c.putContactName(ctx, user, firstName, fullName)
}

func (s *stores) PutAllContactNames(ctx context.Context, contacts []wastore.ContactEntry) (err error) {
	return s.c.putContactNames(ctx, contacts)
}

func (s *stores) PutManyRedactedPhones(ctx context.Context, entries []wastore.RedactedPhoneEntry) (err error) {
	return s.c.putRedactedPhones(ctx, entries)
}

func (s *stores) GetContact(ctx context.Context, user types.JID) (info types.ContactInfo, err error) {
	return s.c.getContact(ctx, user)
}

func (s *stores) GetAllContacts(ctx context.Context) (contacts map[types.JID]types.ContactInfo, err error) {
	return s.c.allContacts(ctx)
}

// ChatSettingsStore.

func (s *stores) PutMutedUntil(ctx context.Context, chat types.JID, mutedUntil time.Time) (err error) {
	return s.c.putMutedUntil(ctx, chat, mutedUntil)
}

func (s *stores) PutPinned(ctx context.Context, chat types.JID, pinned bool) (err error) {
	return s.c.changeChat(ctx, chat, func(settings *chatSettings) { settings.pinned = pinned })
}

func (s *stores) PutArchived(ctx context.Context, chat types.JID, archived bool) (err error) {
	return s.c.changeChat(ctx, chat, func(settings *chatSettings) { settings.archived = archived })
}

func (s *stores) GetChatSettings(ctx context.Context, chat types.JID) (settings types.LocalChatSettings, err error) {
	return s.c.getChat(ctx, chat)
}

// MsgSecretStore.

func (s *stores) PutMessageSecrets(ctx context.Context, inserts []wastore.MessageSecretInsert) (err error) {
	return s.c.putSecrets(ctx, inserts)
}

func (s *stores) PutMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, secret []byte) (err error) {
	return s.c.putSecret(ctx, chat, sender, id, secret)
}

func (s *stores) GetMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) (secret []byte, realSender types.JID, err error) {
	return s.c.getSecret(ctx, chat, sender, id)
}

// PrivacyTokenStore.

func (s *stores) PutPrivacyTokens(ctx context.Context, tokens ...wastore.PrivacyToken) (err error) {
	return s.c.putTokens(ctx, tokens)
}

func (s *stores) GetPrivacyToken(ctx context.Context, user types.JID) (token *wastore.PrivacyToken, err error) {
	return s.c.getToken(ctx, user)
}

// DeleteExpiredPrivacyTokens does not count: 0, always.
func (s *stores) DeleteExpiredPrivacyTokens(_ context.Context, cutoff time.Time) (deleted int64, err error) {
	s.c.expireTokens(cutoff)
	return 0, nil
}

// NCTSaltStore.

func (s *stores) PutNCTSalt(ctx context.Context, salt []byte) (err error) {
	return s.c.putSalt(ctx, salt)
}

func (s *stores) GetNCTSalt(ctx context.Context) (salt []byte, err error) {
	return s.c.getSalt(ctx)
}

func (s *stores) DeleteNCTSalt(ctx context.Context) (err error) {
	return s.c.putSalt(ctx, nil)
}

// EventBuffer.

func (s *stores) GetBufferedEvent(ctx context.Context, ciphertextHash [32]byte) (event *wastore.BufferedEvent, err error) {
	return s.c.getBuffered(ctx, ciphertextHash)
}

func (s *stores) PutBufferedEvent(ctx context.Context, ciphertextHash [32]byte, plaintext []byte, serverTimestamp time.Time) (err error) {
	return s.c.putBuffered(ctx, ciphertextHash, plaintext, serverTimestamp)
}

// DoDecryptionTxn returns fn's error as it is, or else what happened to the store.
func (s *stores) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	answer, err := s.c.decrypt(ctx, fn)
	if err != nil {
		return err
	}
	return answer
}

func (s *stores) ClearBufferedEventPlaintext(_ context.Context, ciphertextHash [32]byte) (err error) {
	s.c.clearBuffered(ciphertextHash)
	return nil
}

// DeleteOldBufferedHashes has nothing to do: hashes leave with their plaintext.
func (s *stores) DeleteOldBufferedHashes(context.Context) error { return nil }

func (s *stores) GetOutgoingEvent(ctx context.Context, chatJID, altChatJID types.JID, id types.MessageID) (format string, plaintext []byte, err error) {
	return s.c.getOutgoing(ctx, chatJID, altChatJID, id)
}

func (s *stores) AddOutgoingEvent(ctx context.Context, chatJID types.JID, id types.MessageID, format string, plaintext []byte) (err error) {
	return s.c.addOutgoing(ctx, chatJID, id, format, plaintext)
}

// DeleteOldOutgoingEvents has nothing to do: they expire by themselves.
func (s *stores) DeleteOldOutgoingEvents(context.Context) error { return nil }

// LIDStore.

func (s *stores) PutManyLIDMappings(ctx context.Context, mappings []wastore.LIDMapping) (err error) {
	return s.c.putLIDMappings(ctx, mappings)
}

func (s *stores) PutLIDMapping(ctx context.Context, lid, pn types.JID) (err error) {
	return s.c.putLIDMapping(ctx, lid, pn)
}

func (s *stores) GetPNForLID(_ context.Context, lid types.JID) (pn types.JID, err error) {
	if lid.Server != types.HiddenUserServer {
		return pn, answer{fmt.Errorf("not a LID: server %q", lid.Server)}
	}
	return s.c.pnOf(lid), nil
}

func (s *stores) GetLIDForPN(_ context.Context, pn types.JID) (lid types.JID, err error) {
	if pn.Server != types.DefaultUserServer {
		return lid, answer{fmt.Errorf("not a phone number: server %q", pn.Server)}
	}
	return s.c.lidOf(pn), nil
}

func (s *stores) GetManyLIDsForPNs(_ context.Context, pns []types.JID) (lids map[types.JID]types.JID, err error) {
	return s.c.lidsOf(pns), nil
}
