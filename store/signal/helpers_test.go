package signal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
)

// spy is a table that counts and can be made to fail.
type spy struct {
	store.Table
	mu     sync.Mutex
	puts   []string // sort keys
	reads  int
	before func(op string, ops []store.Op) error // may fail the call, before it has an effect
	after  func(op string, ops []store.Op) error // the same after it
}

func (s *spy) hook(hook *func(string, []store.Op) error, op string, ops []store.Op) error {
	s.mu.Lock()
	call := *hook
	s.mu.Unlock()
	if call == nil {
		return nil
	}
	return call(op, ops)
}

func (s *spy) set(before, after func(string, []store.Op) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

func (s *spy) read(op string, do func() error) error {
	s.mu.Lock()
	s.reads++
	s.mu.Unlock()
	if err := s.hook(&s.before, op, nil); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return s.hook(&s.after, op, nil)
}

func (s *spy) Get(ctx context.Context, key store.Key) (item store.Item, err error) {
	err = s.read("Get", func() error { item, err = s.Table.Get(ctx, key); return err })
	return item, err
}

func (s *spy) GetMany(ctx context.Context, keys []store.Key) (items map[store.Key]store.Item, err error) {
	err = s.read("GetMany", func() error { items, err = s.Table.GetMany(ctx, keys); return err })
	return items, err
}

func (s *spy) Query(ctx context.Context, q store.Query) (page store.Page, err error) {
	err = s.read("Query", func() error { page, err = s.Table.Query(ctx, q); return err })
	return page, err
}

func (s *spy) Write(ctx context.Context, ops ...store.Op) error {
	if err := s.hook(&s.before, "Write", ops); err != nil {
		return err
	}
	if err := s.Table.Write(ctx, ops...); err != nil {
		return err
	}
	s.mu.Lock()
	for _, op := range ops {
		if op.Kind == store.OpPut {
			s.puts = append(s.puts, op.Item.SK)
		}
	}
	s.mu.Unlock()
	return s.hook(&s.after, "Write", ops)
}

// counted returns the sort keys that were put, and how many reads there were,
// since the last call.
func (s *spy) counted() (puts []string, reads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	puts, reads = s.puts, s.reads
	s.puts, s.reads = nil, 0
	return puts, reads
}

// world is a channel's state and what surrounds it.
type world struct {
	testing.TB
	table  *spy
	key    *seal.DataKey
	config Config
	now    time.Time

	c      *Container
	device *wastore.Device

	mu     sync.Mutex
	failed []error
}

func newWorld(t testing.TB) *world {
	t.Helper()
	raw := make([]byte, seal.KeyBytes)
	_, _ = rand.Read(raw)
	key, err := seal.NewDataKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, key: key, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	w.table = &spy{Table: memory.New(memory.Options{Now: clock})}
	w.config = Config{
		Table: w.table, ChannelID: "ch_1", Key: key, Now: clock,
		Budget: NewBudget(1 << 20), Log: slog.New(slog.DiscardHandler),
	}
	w.open()
	return w
}

// open opens the state anew, as another process would, and takes a device from it.
func (w *world) open() {
	w.Helper()
	c, err := Open(w.ctx(), w.config)
	if err != nil {
		w.Fatalf("open: %v", err)
	}
	w.c = c
	w.newSession()
}

// newSession takes another device from the same container.
func (w *world) newSession() {
	w.Helper()
	device, err := w.c.Device(w.ctx(), func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed = append(w.failed, err)
	})
	if err != nil {
		w.Fatalf("device: %v", err)
	}
	w.device = device
}

func (w *world) ctx() context.Context { return context.Background() }

// failures returns what fail was called with since the last call.
func (w *world) failures() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	failed := w.failed
	w.failed = nil
	return failed
}

func (w *world) no(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected error: %v", err)
	}
}

// mustFail checks that a store method failed as it must.
func (w *world) mustFail(what string, err error) {
	w.Helper()
	if !errors.Is(err, context.Canceled) {
		w.Errorf("%s: error %v, want one that wraps context.Canceled", what, err)
	}
	if len(w.failures()) == 0 {
		w.Errorf("%s: fail was not called", what)
	}
}

var (
	ownPN  = types.JID{User: "5215550001", Device: 7, Server: types.DefaultUserServer}
	ownLID = types.JID{User: "900000000000001", Device: 7, Server: types.HiddenUserServer}
)

// accept makes device what it is after the account accepted it.
func accept(device *wastore.Device) {
	id := ownPN
	device.ID, device.LID = &id, ownLID
	device.Platform, device.BusinessName = "android", "Shop"
	device.Account = &waAdv.ADVSignedDeviceIdentity{
		Details: []byte("details"), AccountSignature: make([]byte, 64),
		AccountSignatureKey: []byte("account signature key, 32 bytes."), DeviceSignature: make([]byte, 64),
	}
}

// pair does what whatsmeow does with its stores when a device is linked.
func (w *world) pair() {
	w.Helper()
	accept(w.device)
	w.no(w.device.Save(w.ctx()))
	w.no(w.device.LIDs.PutLIDMapping(w.ctx(), ownLID, ownPN))
	w.no(w.device.Identities.PutIdentity(w.ctx(), address(ownLID.ToNonAD()), [32]byte(w.device.Account.AccountSignatureKey)))
}

// login does what whatsmeow does with its stores at a login.
func (w *world) login() {
	w.Helper()
	_, err := w.device.PrivacyTokens.DeleteExpiredPrivacyTokens(w.ctx(), w.now.Add(-28*24*time.Hour))
	w.no(err)
	count, err := w.device.PreKeys.UploadedPreKeyCount(w.ctx())
	w.no(err)
	if count > 0 {
		return
	}
	keys, err := w.device.PreKeys.GetOrGenPreKeys(w.ctx(), firstUpload)
	w.no(err)
	if len(keys) != firstUpload {
		w.Fatalf("%d prekeys, want %d", len(keys), firstUpload)
	}
	w.no(w.device.PreKeys.MarkPreKeysAsUploaded(w.ctx(), keys[len(keys)-1].KeyID))
}

func address(jid types.JID) string { return jid.SignalAddress().String() }

// kinds names the kinds of sort keys.
func kinds(sks []string) string {
	names := make([]string, len(sks))
	for i, sk := range sks {
		names[i] = kind(sk)
	}
	return strings.Join(names, " ")
}

// lidUser returns the JID of the i-th contact by LID.
func lidUser(i int) types.JID {
	return types.NewJID(fmt.Sprintf("8000000000%05d", i), types.HiddenUserServer)
}

// pnUser returns the JID of the i-th contact by phone number.
func pnUser(i int) types.JID {
	return types.NewJID(fmt.Sprintf("52155510%04d", i), types.DefaultUserServer)
}

func tokenOf(user types.JID) wastore.PrivacyToken {
	return wastore.PrivacyToken{User: user, Token: []byte("token"), Timestamp: time.Unix(1700000000, 0)}
}
