package whatsapptest

import (
	"context"
	"crypto/ecdh"
	"fmt"

	"go.mau.fi/libsignal/ecc"
	grouprecord "go.mau.fi/libsignal/groups/state/record"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/serialize"
	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/libsignal/state/store"
)

// archivedStates is how many old states of a session are kept.
const archivedStates = 40

// signalStore is a phone's Signal state. Sessions are kept as structures, not
// as bytes: each use works on a copy, and writing one is an assignment.
// Guarded by Server.mu.
type signalStore struct {
	// Of the interface's 22 methods libsignal calls those defined here.
	store.SignalProtocol

	identity     *ecdh.PrivateKey
	registration uint32
	signed       *ecdh.PrivateKey // the signed prekey, with id 1
	preKeys      map[uint32]*ecdh.PrivateKey
	nextPreKey   uint32
	sessions     map[string]*record.SessionStructure
	senderKeys   map[string]*grouprecord.SenderKeyStructure

	// loaded is the session that a decryption has begun with; nil outside one.
	loaded *record.SessionStructure
}

var _ store.SignalProtocol = (*signalStore)(nil)

func newSignalStore(registration uint32) (*signalStore, error) {
	own, err := privateKey(nil)
	if err != nil {
		return nil, err
	}
	signed, err := privateKey(nil)
	if err != nil {
		return nil, err
	}
	return &signalStore{
		identity:     own,
		registration: registration,
		signed:       signed,
		preKeys:      make(map[uint32]*ecdh.PrivateKey),
		nextPreKey:   1,
		sessions:     make(map[string]*record.SessionStructure),
		senderKeys:   make(map[string]*grouprecord.SenderKeyStructure),
	}, nil
}

// signalFormat reads and writes Signal's messages. It holds nothing.
var signalFormat = serialize.NewProtoBufSerializer()

func (s *signalStore) GetIdentityKeyPair() *identity.KeyPair {
	pair := pairOf(s.identity)
	return identity.NewKeyPair(identity.NewKey(pair.PublicKey()), pair.PrivateKey())
}

func (s *signalStore) GetLocalRegistrationID() uint32 { return s.registration }

// SaveIdentity keeps nothing: a phone trusts whom the server names.
func (s *signalStore) SaveIdentity(context.Context, *protocol.SignalAddress, *identity.Key) error {
	return nil
}

// IsTrustedIdentity trusts everybody.
func (s *signalStore) IsTrustedIdentity(context.Context, *protocol.SignalAddress, *identity.Key) (bool, error) {
	return true, nil
}

func (s *signalStore) LoadPreKey(_ context.Context, id uint32) (*record.PreKey, error) {
	key := s.preKeys[id]
	if key == nil {
		return nil, nil
	}
	return record.NewPreKey(id, pairOf(key), nil), nil
}

func (s *signalStore) RemovePreKey(_ context.Context, id uint32) error {
	delete(s.preKeys, id)
	return nil
}

func (s *signalStore) LoadSignedPreKey(_ context.Context, id uint32) (*record.SignedPreKey, error) {
	if id != 1 {
		return nil, nil
	}
	return record.NewSignedPreKey(id, 0, pairOf(s.signed), s.signature(), nil), nil
}

// signature is the identity key's over the signed prekey.
func (s *signalStore) signature() [64]byte {
	return sign(s.identity, append([]byte{ecc.DjbType}, s.signed.PublicKey().Bytes()...))
}

func (s *signalStore) ContainsSession(_ context.Context, address *protocol.SignalAddress) (bool, error) {
	return s.sessions[address.String()] != nil, nil
}

func (s *signalStore) LoadSession(_ context.Context, address *protocol.SignalAddress) (*record.Session, error) {
	structure := s.sessions[address.String()]
	if structure == nil {
		return record.NewSession(nil, nil), nil
	}
	session, err := record.NewSessionFromStructure(structure, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("a session: %w", err)
	}
	return session, nil
}

func (s *signalStore) StoreSession(_ context.Context, address *protocol.SignalAddress, session *record.Session) error {
	structure := session.Structure()
	if s.loaded != nil {
		repair(s.loaded, structure)
	}
	s.sessions[address.String()] = structure
	return nil
}

func (s *signalStore) LoadSenderKey(_ context.Context, name *protocol.SenderKeyName) (*grouprecord.SenderKey, error) {
	structure := s.senderKeys[senderKeyID(name)]
	if structure == nil {
		return grouprecord.NewSenderKey(nil, nil), nil
	}
	return grouprecord.NewSenderKeyFromStruct(structure, nil, nil)
}

func (s *signalStore) StoreSenderKey(_ context.Context, name *protocol.SenderKeyName, key *grouprecord.SenderKey) error {
	s.senderKeys[senderKeyID(name)] = key.Structure()
	return nil
}

func senderKeyID(name *protocol.SenderKeyName) string {
	return name.GroupID() + "/" + name.Sender().String()
}

// repair undoes what libsignal spoils when a message decrypts on an archived
// state: it has tried the message on the states before, which changes them, and
// keeps the promoted state in the archive too.
func repair(before, after *record.SessionStructure) {
	current := string(after.SessionState.SenderBaseKey)
	seen := map[string]bool{current: true}
	good := make(map[string]*record.StateStructure)
	all := append([]*record.StateStructure{before.SessionState}, before.PreviousStates...)
	for _, state := range all {
		good[string(state.SenderBaseKey)] = state
	}
	var archive []*record.StateStructure
	for _, state := range append(after.PreviousStates, all...) {
		base := string(state.SenderBaseKey)
		if seen[base] {
			continue
		}
		seen[base] = true
		if loaded := good[base]; loaded != nil {
			state = loaded
		}
		archive = append(archive, state)
	}
	after.PreviousStates = archive[:min(len(archive), archivedStates)]
}

// pairOf is a key as libsignal wants it.
func pairOf(key *ecdh.PrivateKey) *ecc.ECKeyPair {
	return ecc.NewECKeyPair(
		ecc.NewDjbECPublicKey([32]byte(key.PublicKey().Bytes())),
		ecc.NewDjbECPrivateKey([32]byte(key.Bytes())),
	)
}
