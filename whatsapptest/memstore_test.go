package whatsapptest_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"go.mau.fi/util/random"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// keyPool is shared by the clients: making 812 keys for each takes longer than
// all else that the tests do.
var keyPool = sync.OnceValue(func() []keys.KeyPair {
	pool := make([]keys.KeyPair, 900)
	for i := range pool {
		pool[i] = *keys.NewKeyPair()
	}
	return pool
})

// memStore is what a whatsmeow client keeps, in memory. What is not defined here
// is not kept.
type memStore struct {
	store.NoopStore

	mu         sync.Mutex
	device     *store.Device
	saved      bool
	identities map[string][32]byte
	sessions   map[string][]byte
	preKeys    map[uint32]*keys.PreKey
	nextPreKey uint32
	uploaded   uint32
	senderKeys map[string][]byte
	events     map[[32]byte]*store.BufferedEvent
	outgoing   map[string][]byte
	lids       map[string]string // phone number to LID
	pns        map[string]string
	appKeys    map[string]store.AppStateSyncKey
}

var (
	_ store.AllStores       = (*memStore)(nil)
	_ store.DeviceContainer = (*memStore)(nil)
)

// newMemStore makes a store with a device that is not linked.
func newMemStore() *memStore {
	m := &memStore{
		identities: make(map[string][32]byte),
		sessions:   make(map[string][]byte),
		preKeys:    make(map[uint32]*keys.PreKey),
		nextPreKey: 1,
		senderKeys: make(map[string][]byte),
		events:     make(map[[32]byte]*store.BufferedEvent),
		outgoing:   make(map[string][]byte),
		lids:       make(map[string]string),
		pns:        make(map[string]string),
		appKeys:    make(map[string]store.AppStateSyncKey),
	}
	m.device = &store.Device{
		NoiseKey:       keys.NewKeyPair(),
		IdentityKey:    keys.NewKeyPair(),
		RegistrationID: rand.Uint32(),
		AdvSecretKey:   random.Bytes(32),
		Container:      m,
		LIDs:           m,
	}
	m.device.SignedPreKey = m.device.IdentityKey.CreateSignedPreKey(1)
	m.device.SetAllStores(m)
	return m
}

// reopen returns the device as a program started again would read it.
func (m *memStore) reopen() *store.Device {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := *m.device
	d.SetAllStores(m)
	m.device = &d
	return &d
}

func (m *memStore) PutDevice(context.Context, *store.Device) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saved = true
	return nil
}

func (m *memStore) DeleteDevice(context.Context, *store.Device) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saved = false
	return nil
}

func (m *memStore) PutIdentity(_ context.Context, address string, key [32]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.identities[address] = key
	return nil
}

func (m *memStore) DeleteIdentity(_ context.Context, address string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.identities, address)
	return nil
}

func (m *memStore) DeleteAllIdentities(_ context.Context, user string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	deletePrefix(m.identities, user)
	return nil
}

func (m *memStore) IsTrustedIdentity(_ context.Context, address string, key [32]byte) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.identities[address]
	return !ok || known == key, nil
}

func (m *memStore) GetSession(_ context.Context, address string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[address], nil
}

func (m *memStore) HasSession(_ context.Context, address string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[address] != nil, nil
}

func (m *memStore) GetManySessions(_ context.Context, addresses []string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	many := make(map[string][]byte, len(addresses))
	for _, address := range addresses {
		many[address] = m.sessions[address]
	}
	return many, nil
}

func (m *memStore) PutSession(_ context.Context, address string, session []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[address] = session
	return nil
}

func (m *memStore) PutManySessions(_ context.Context, sessions map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for address, session := range sessions {
		m.sessions[address] = session
	}
	return nil
}

func (m *memStore) DeleteSession(_ context.Context, address string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, address)
	return nil
}

func (m *memStore) DeleteAllSessions(_ context.Context, user string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	deletePrefix(m.sessions, user)
	return nil
}

func (m *memStore) MigratePNToLID(_ context.Context, pn, lid types.JID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to := pn.SignalAddress().String(), lid.SignalAddress().String()
	if session := m.sessions[from]; session != nil {
		m.sessions[to] = session
		delete(m.sessions, from)
	}
	if key, ok := m.identities[from]; ok {
		m.identities[to] = key
		delete(m.identities, from)
	}
	return nil
}

func deletePrefix[V any](from map[string]V, user string) {
	for address := range from {
		if strings.HasPrefix(address, user+":") || strings.HasPrefix(address, user+"_") {
			delete(from, address)
		}
	}
}

func (m *memStore) GetOrGenPreKeys(_ context.Context, count uint32) ([]*keys.PreKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*keys.PreKey, count)
	for i := range list {
		list[i] = m.makePreKey()
	}
	return list, nil
}

func (m *memStore) makePreKey() *keys.PreKey {
	pool := keyPool()
	key := &keys.PreKey{KeyPair: pool[int(m.nextPreKey)%len(pool)], KeyID: m.nextPreKey}
	m.preKeys[m.nextPreKey] = key
	m.nextPreKey++
	return key
}

func (m *memStore) GenOnePreKey(context.Context) (*keys.PreKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.makePreKey(), nil
}

func (m *memStore) GetPreKey(_ context.Context, id uint32) (*keys.PreKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.preKeys[id], nil
}

func (m *memStore) RemovePreKey(_ context.Context, id uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.preKeys, id)
	return nil
}

func (m *memStore) MarkPreKeysAsUploaded(_ context.Context, upTo uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uploaded = upTo
	return nil
}

func (m *memStore) UploadedPreKeyCount(context.Context) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var n int
	for id := range m.preKeys {
		if id <= m.uploaded {
			n++
		}
	}
	return n, nil
}

func (m *memStore) PutSenderKey(_ context.Context, group, user string, key []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.senderKeys[group+"/"+user] = key
	return nil
}

func (m *memStore) GetSenderKey(_ context.Context, group, user string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.senderKeys[group+"/"+user], nil
}

func (m *memStore) GetBufferedEvent(_ context.Context, hash [32]byte) (*store.BufferedEvent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.events[hash], nil
}

func (m *memStore) PutBufferedEvent(_ context.Context, hash [32]byte, plaintext []byte, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events[hash] = &store.BufferedEvent{Plaintext: plaintext, InsertTime: time.Now(), ServerTime: at}
	return nil
}

func (m *memStore) DoDecryptionTxn(ctx context.Context, f func(context.Context) error) error {
	return f(ctx)
}

func (m *memStore) ClearBufferedEventPlaintext(_ context.Context, hash [32]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events[hash] = &store.BufferedEvent{InsertTime: time.Now()}
	return nil
}

// The methods that follow keep nothing. They take the lock to order what
// whatsmeow does at once: it takes the stores from a device that is unlinked
// while goroutines of its own still use them.

func (m *memStore) DeleteOldBufferedHashes(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return nil
}

func (m *memStore) PutPushName(context.Context, types.JID, string) (bool, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return false, "", nil
}

func (m *memStore) DeleteExpiredPrivacyTokens(context.Context, time.Time) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return 0, nil
}

func (m *memStore) GetPrivacyToken(context.Context, types.JID) (*store.PrivacyToken, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return nil, nil
}

func (m *memStore) PutLIDMapping(_ context.Context, lid, pn types.JID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if lid.Server == types.DefaultUserServer {
		lid, pn = pn, lid
	}
	m.lids[pn.User], m.pns[lid.User] = lid.User, pn.User
	return nil
}

func (m *memStore) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	for _, mapping := range mappings {
		m.PutLIDMapping(ctx, mapping.LID, mapping.PN)
	}
	return nil
}

func (m *memStore) GetLIDForPN(_ context.Context, pn types.JID) (types.JID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if lid, ok := m.lids[pn.User]; ok {
		return types.JID{User: lid, Device: pn.Device, Server: types.HiddenUserServer}, nil
	}
	return types.EmptyJID, nil
}

func (m *memStore) GetPNForLID(_ context.Context, lid types.JID) (types.JID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if pn, ok := m.pns[lid.User]; ok {
		return types.JID{User: pn, Device: lid.Device, Server: types.DefaultUserServer}, nil
	}
	return types.EmptyJID, nil
}

func (m *memStore) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (map[types.JID]types.JID, error) {
	many := make(map[types.JID]types.JID)
	for _, pn := range pns {
		if lid, _ := m.GetLIDForPN(ctx, pn); !lid.IsEmpty() {
			many[pn] = lid
		}
	}
	return many, nil
}

func (m *memStore) PutAppStateSyncKey(_ context.Context, id []byte, key store.AppStateSyncKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.appKeys[string(id)] = key
	return nil
}

func (m *memStore) GetAppStateSyncKey(_ context.Context, id []byte) (*store.AppStateSyncKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, ok := m.appKeys[string(id)]
	if !ok {
		return nil, nil
	}
	return &key, nil
}
