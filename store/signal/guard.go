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

// guarded stands before a device's stores. Every method of theirs that fails, or
// panics, ends the session before it returns: whatsmeow would acknowledge what
// could not be stored, and a panic in some of its goroutines would end the program.
type guarded struct {
	stores everyStore
	fail   func(error)
}

var (
	_ wastore.AllStores       = (*guarded)(nil)
	_ wastore.DeviceContainer = (*guarded)(nil)
)

// everyStore is what a device has.
type everyStore struct {
	wastore.DeviceContainer
	wastore.IdentityStore
	wastore.SessionStore
	wastore.PreKeyStore
	wastore.SenderKeyStore
	wastore.AppStateSyncKeyStore
	wastore.AppStateStore
	wastore.ContactStore
	wastore.ChatSettingsStore
	wastore.MsgSecretStore
	wastore.PrivacyTokenStore
	wastore.NCTSaltStore
	wastore.EventBuffer
	wastore.LIDStore
}

// Guard makes whatever fails in the stores of d end the session by fail, as
// Container.Device says. A device of a Container is guarded; this is for one
// before whose stores others were put.
func Guard(d *wastore.Device, fail func(error)) {
	g := &guarded{fail: fail, stores: everyStore{
		d.Container, d.Identities, d.Sessions, d.PreKeys, d.SenderKeys, d.AppStateKeys, d.AppState,
		d.Contacts, d.ChatSettings, d.MsgSecrets, d.PrivacyTokens, d.NCTSalt, d.EventBuffer, d.LIDs,
	}}
	d.Container, d.LIDs = g, g
	d.SetAllStores(g)
}

// failure is what a failed method returns. It wraps context.Canceled: of all
// errors only that one keeps whatsmeow from acknowledging a message.
type failure struct {
	method string
	cause  error
}

func (f *failure) Error() string   { return fmt.Sprintf("signal store: %s: %v", f.method, f.cause) }
func (f *failure) Unwrap() []error { return []error{context.Canceled, f.cause} }

// end ends each method: deferred, with the method's error.
func (g *guarded) end(method string, err *error) {
	if p := recover(); p != nil {
		*err = panicked(p)
	}
	var known answer
	var failed *failure
	if *err == nil || errors.Is(*err, ErrConflict) || errors.Is(*err, errStale) || errors.As(*err, &known) || errors.As(*err, &failed) {
		return
	}
	*err = &failure{method, *err}
	g.fail(*err)
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

func (g *guarded) PutDevice(ctx context.Context, d *wastore.Device) (err error) {
	defer g.end("PutDevice", &err)
	return g.stores.PutDevice(ctx, d)
}

func (g *guarded) DeleteDevice(ctx context.Context, d *wastore.Device) (err error) {
	defer g.end("DeleteDevice", &err)
	return g.stores.DeleteDevice(ctx, d)
}

// IdentityStore.

func (g *guarded) PutIdentity(ctx context.Context, address string, key [32]byte) (err error) {
	defer swallow(ctx, &err)
	defer g.end("PutIdentity", &err)
	return g.stores.PutIdentity(ctx, address, key)
}

func (g *guarded) DeleteAllIdentities(ctx context.Context, phone string) (err error) {
	defer g.end("DeleteAllIdentities", &err)
	return g.stores.DeleteAllIdentities(ctx, phone)
}

func (g *guarded) DeleteIdentity(ctx context.Context, address string) (err error) {
	defer g.end("DeleteIdentity", &err)
	return g.stores.DeleteIdentity(ctx, address)
}

func (g *guarded) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (trusted bool, err error) {
	defer func() {
		if swallow(ctx, &err) {
			trusted = true
		}
	}()
	defer g.end("IsTrustedIdentity", &err)
	return g.stores.IsTrustedIdentity(ctx, address, key)
}

// swallow takes the error of a method that may not fail in a send: whatsmeow
// would leave out the recipient and report success. The send fails with it when
// it stores its sessions.
func swallow(ctx context.Context, err *error) bool {
	b := batchOf(ctx)
	if *err == nil || b == nil || !b.send {
		return false
	}
	b.remember(*err)
	*err = nil
	return true
}

// SessionStore.

func (g *guarded) GetSession(ctx context.Context, address string) (session []byte, err error) {
	defer g.end("GetSession", &err)
	return g.stores.GetSession(ctx, address)
}

func (g *guarded) HasSession(ctx context.Context, address string) (has bool, err error) {
	defer g.end("HasSession", &err)
	return g.stores.HasSession(ctx, address)
}

func (g *guarded) GetManySessions(ctx context.Context, addresses []string) (sessions map[string][]byte, err error) {
	defer g.end("GetManySessions", &err)
	return g.stores.GetManySessions(ctx, addresses)
}

func (g *guarded) PutSession(ctx context.Context, address string, session []byte) (err error) {
	defer g.end("PutSession", &err)
	return g.stores.PutSession(ctx, address, session)
}

func (g *guarded) PutManySessions(ctx context.Context, sessions map[string][]byte) (err error) {
	defer g.end("PutManySessions", &err)
	return g.stores.PutManySessions(ctx, sessions)
}

func (g *guarded) DeleteAllSessions(ctx context.Context, phone string) (err error) {
	defer g.end("DeleteAllSessions", &err)
	return g.stores.DeleteAllSessions(ctx, phone)
}

func (g *guarded) DeleteSession(ctx context.Context, address string) (err error) {
	defer g.end("DeleteSession", &err)
	return g.stores.DeleteSession(ctx, address)
}

func (g *guarded) MigratePNToLID(ctx context.Context, pn, lid types.JID) (err error) {
	defer g.end("MigratePNToLID", &err)
	return g.stores.MigratePNToLID(ctx, pn, lid)
}

// PreKeyStore.

func (g *guarded) GetOrGenPreKeys(ctx context.Context, count uint32) (prekeys []*keys.PreKey, err error) {
	defer g.end("GetOrGenPreKeys", &err)
	return g.stores.GetOrGenPreKeys(ctx, count)
}

func (g *guarded) GenOnePreKey(ctx context.Context) (prekey *keys.PreKey, err error) {
	defer g.end("GenOnePreKey", &err)
	return g.stores.GenOnePreKey(ctx)
}

func (g *guarded) GetPreKey(ctx context.Context, id uint32) (prekey *keys.PreKey, err error) {
	defer g.end("GetPreKey", &err)
	return g.stores.GetPreKey(ctx, id)
}

func (g *guarded) RemovePreKey(ctx context.Context, id uint32) (err error) {
	defer g.end("RemovePreKey", &err)
	return g.stores.RemovePreKey(ctx, id)
}

func (g *guarded) MarkPreKeysAsUploaded(ctx context.Context, upToID uint32) (err error) {
	defer g.end("MarkPreKeysAsUploaded", &err)
	return g.stores.MarkPreKeysAsUploaded(ctx, upToID)
}

func (g *guarded) UploadedPreKeyCount(ctx context.Context) (count int, err error) {
	defer g.end("UploadedPreKeyCount", &err)
	return g.stores.UploadedPreKeyCount(ctx)
}

// SenderKeyStore.

func (g *guarded) PutSenderKey(ctx context.Context, group, user string, session []byte) (err error) {
	defer g.end("PutSenderKey", &err)
	return g.stores.PutSenderKey(ctx, group, user, session)
}

func (g *guarded) GetSenderKey(ctx context.Context, group, user string) (key []byte, err error) {
	defer g.end("GetSenderKey", &err)
	return g.stores.GetSenderKey(ctx, group, user)
}
