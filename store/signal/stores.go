package signal

import (
	"context"
	"errors"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// stores are whatsmeow's stores and container on the state of a channel. Guard
// stands before them.
type stores struct{ c *Container }

var (
	_ wastore.AllStores       = (*stores)(nil)
	_ wastore.DeviceContainer = (*stores)(nil)
)

// answer is an error that is no failure: the caller asked for what cannot be.
type answer struct{ error }

func (a answer) Unwrap() error { return a.error }

// DeviceContainer.

func (s *stores) PutDevice(ctx context.Context, d *wastore.Device) (err error) {
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
	return s.c.putIdentity(ctx, address, key)
}

func (s *stores) DeleteAllIdentities(ctx context.Context, phone string) (err error) {
	return s.c.eachOf(ctx, phone, dropIdentity)
}

func (s *stores) DeleteIdentity(ctx context.Context, address string) (err error) {
	return s.c.deleteIdentity(ctx, address)
}

func (s *stores) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (trusted bool, err error) {
	return s.c.trusted(ctx, address, key)
}

// SessionStore.

func (s *stores) GetSession(ctx context.Context, address string) (session []byte, err error) {
	return s.c.getSession(ctx, address)
}

func (s *stores) HasSession(ctx context.Context, address string) (has bool, err error) {
	return s.c.hasSession(ctx, address)
}

func (s *stores) GetManySessions(ctx context.Context, addresses []string) (sessions map[string][]byte, err error) {
	return s.c.getSessions(ctx, addresses)
}

func (s *stores) PutSession(ctx context.Context, address string, session []byte) (err error) {
	return s.c.putSession(ctx, address, session)
}

func (s *stores) PutManySessions(ctx context.Context, sessions map[string][]byte) (err error) {
	return s.c.putSessions(ctx, sessions)
}

func (s *stores) DeleteAllSessions(ctx context.Context, phone string) (err error) {
	return s.c.eachOf(ctx, phone, dropSession)
}

func (s *stores) DeleteSession(ctx context.Context, address string) (err error) {
	return s.c.deleteSession(ctx, address)
}

func (s *stores) MigratePNToLID(ctx context.Context, pn, lid types.JID) (err error) {
	return s.c.migrate(ctx, pn, lid)
}

// PreKeyStore.

func (s *stores) GetOrGenPreKeys(ctx context.Context, count uint32) (prekeys []*keys.PreKey, err error) {
	return s.c.getOrGenPreKeys(ctx, int(count))
}

func (s *stores) GenOnePreKey(ctx context.Context) (prekey *keys.PreKey, err error) {
	return s.c.genOnePreKey(ctx)
}

func (s *stores) GetPreKey(ctx context.Context, id uint32) (prekey *keys.PreKey, err error) {
	return s.c.getPreKey(ctx, id)
}

// RemovePreKey in a decryption waits until the session is stored.
func (s *stores) RemovePreKey(ctx context.Context, id uint32) (err error) {
	if b := batchOf(ctx); b != nil && !b.send {
		b.prekeys = append(b.prekeys, id)
		return nil
	}
	return s.c.removePreKeys(ctx, id)
}

func (s *stores) MarkPreKeysAsUploaded(ctx context.Context, upToID uint32) (err error) {
	return s.c.markUploaded(ctx, upToID)
}

func (s *stores) UploadedPreKeyCount(ctx context.Context) (count int, err error) {
	return s.c.uploadedCount(ctx)
}

// SenderKeyStore.

func (s *stores) PutSenderKey(ctx context.Context, group, user string, session []byte) (err error) {
	return s.c.putSenderKey(ctx, group, user, session)
}

func (s *stores) GetSenderKey(ctx context.Context, group, user string) (key []byte, err error) {
	return s.c.getSenderKey(ctx, group, user)
}
