package signal

import (
	"context"
	"errors"
	"fmt"
	"runtime"

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
