package signal

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"

	"go.mau.fi/libsignal/keys/chain"
	"go.mau.fi/libsignal/keys/message"
	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/libsignal/util/optional"
	wastore "go.mau.fi/whatsmeow/store"
)

// whatsmeow hands sessions over as JSON, about three times as large as what is
// in them. Here they are kept in a compact form, in two parts: the ratchet, and
// the keys of skipped messages, which may be many and change seldom.

const (
	keyBytes      = 32
	publicBytes   = 33   // a public key as libsignal writes it, its type first
	publicType    = 0x05 // of the only curve in use
	messageIV     = 16
	maxStateCount = 1000 // of states or chains in one record: more is nonsense
)

// Fields of a session and of each of its states. An archived state leaves out
// what it shares with the current one.
const (
	sessionCurrent  fieldNumber = 1
	sessionPrevious fieldNumber = 2

	stateVersion    fieldNumber = 1
	stateOwn        fieldNumber = 2 // local identity
	stateTheirs     fieldNumber = 3 // remote identity
	stateOwnID      fieldNumber = 4 // local registration id
	stateTheirID    fieldNumber = 5
	stateRoot       fieldNumber = 6
	stateBase       fieldNumber = 7 // sender base key
	stateCounter    fieldNumber = 8 // previous counter
	stateSender     fieldNumber = 9
	stateReceiver   fieldNumber = 10
	statePreKey     fieldNumber = 11 // pending prekey
	stateExchange   fieldNumber = 12 // pending key exchange
	stateRefresh    fieldNumber = 13
	stateSharesOwn  fieldNumber = 14
	stateSharesPeer fieldNumber = 15

	chainPublic  fieldNumber = 1 // absent: that of the private key
	chainPrivate fieldNumber = 2
	chainKey     fieldNumber = 3
	chainIndex   fieldNumber = 4

	preKeyID       fieldNumber = 1
	preKeyIDEmpty  fieldNumber = 2
	preKeyIDNil    fieldNumber = 3
	preKeySignedID fieldNumber = 4
	preKeyBase     fieldNumber = 5
)

// parseSession reads whatsmeow's form of a session.
func parseSession(serialized []byte) (*record.SessionStructure, error) {
	session, err := wastore.SignalProtobufSerializer.Session.Deserialize(serialized)
	if err != nil {
		return nil, errors.New("session is not in whatsmeow's form")
	}
	if session == nil || session.SessionState == nil {
		return nil, errors.New("session without a state")
	}
	return session, nil
}

// serializeSession is the reverse of parseSession.
func serializeSession(session *record.SessionStructure) []byte {
	return wastore.SignalProtobufSerializer.Session.Serialize(session)
}

// encodeSession returns the compact form of session: the ratchet, and the skipped keys.
func encodeSession(session *record.SessionStructure) (ratchet, skipped []byte, err error) {
	var e encoder
	current := session.SessionState
	state, err := encodeState(current, nil)
	if err != nil {
		return nil, nil, err
	}
	e.element(sessionCurrent, state)
	for _, previous := range session.PreviousStates {
		if state, err = encodeState(previous, current); err != nil {
			return nil, nil, err
		}
		e.element(sessionPrevious, state)
	}
	skipped, err = encodeSkipped(session)
	return e, skipped, err
}

// decodeSession is the reverse of encodeSession.
func decodeSession(ratchet, skipped []byte) (*record.SessionStructure, error) {
	session := &record.SessionStructure{PreviousStates: []*record.StateStructure{}}
	err := decode(ratchet, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case sessionCurrent:
			var err error
			session.SessionState, err = decodeState(f.b, nil)
			return true, err
		case sessionPrevious:
			if session.SessionState == nil || len(session.PreviousStates) == maxStateCount {
				return true, errMalformed
			}
			state, err := decodeState(f.b, session.SessionState)
			session.PreviousStates = append(session.PreviousStates, state)
			return true, err
		}
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	if session.SessionState == nil {
		return nil, fmt.Errorf("session: %w", errMalformed)
	}
	if err := decodeSkipped(session, skipped); err != nil {
		return nil, fmt.Errorf("skipped keys: %w", err)
	}
	return session, nil
}

func encodeState(s, shared *record.StateStructure) ([]byte, error) {
	if s == nil {
		return nil, errors.New("session with an absent state")
	}
	e := make(encoder, 0, 512)
	var failed error
	public := func(number fieldNumber, key []byte) {
		if len(key) != publicBytes || key[0] != publicType {
			failed = errors.New("session with a key of an unknown type")
			return
		}
		e.bytes(number, key[1:])
	}
	e.number(stateVersion, uint64(s.SessionVersion))
	if shared != nil && bytes.Equal(s.LocalIdentityPublic, shared.LocalIdentityPublic) && s.LocalRegistrationID == shared.LocalRegistrationID {
		e.truth(stateSharesOwn, true)
	} else {
		public(stateOwn, s.LocalIdentityPublic)
		e.number(stateOwnID, uint64(s.LocalRegistrationID))
	}
	if shared != nil && bytes.Equal(s.RemoteIdentityPublic, shared.RemoteIdentityPublic) && s.RemoteRegistrationID == shared.RemoteRegistrationID {
		e.truth(stateSharesPeer, true)
	} else {
		public(stateTheirs, s.RemoteIdentityPublic)
		e.number(stateTheirID, uint64(s.RemoteRegistrationID))
	}
	e.bytes(stateRoot, s.RootKey)
	public(stateBase, s.SenderBaseKey)
	e.number(stateCounter, uint64(s.PreviousCounter))
	sender, err := encodeChain(s.SenderChain)
	if err != nil {
		return nil, err
	}
	e.element(stateSender, sender)
	for _, receiver := range s.ReceiverChains {
		chain, err := encodeChain(receiver)
		if err != nil {
			return nil, err
		}
		e.element(stateReceiver, chain)
	}
	if s.PendingPreKey != nil {
		var p encoder
		switch id := s.PendingPreKey.PreKeyID; {
		case id == nil:
			p.truth(preKeyIDNil, true)
		default:
			p.number(preKeyID, uint64(id.Value))
			p.truth(preKeyIDEmpty, id.IsEmpty)
		}
		p.number(preKeySignedID, uint64(s.PendingPreKey.SignedPreKeyID))
		p.bytes(preKeyBase, s.PendingPreKey.BaseKey)
		e.element(statePreKey, p)
	}
	if s.PendingKeyExchange != nil {
		e.element(stateExchange, encodeExchange(s.PendingKeyExchange))
	}
	e.truth(stateRefresh, s.NeedsRefresh)
	return e, failed
}

func decodeState(value []byte, shared *record.StateStructure) (*record.StateStructure, error) {
	s := &record.StateStructure{ReceiverChains: []*record.ChainStructure{}}
	err := decode(value, func(number fieldNumber, f field) (bool, error) {
		var err error
		switch number {
		case stateVersion:
			s.SessionVersion = int(f.n)
		case stateOwn:
			s.LocalIdentityPublic = publicKey(f.b)
		case stateOwnID:
			s.LocalRegistrationID = uint32(f.n)
		case stateTheirs:
			s.RemoteIdentityPublic = publicKey(f.b)
		case stateTheirID:
			s.RemoteRegistrationID = uint32(f.n)
		case stateSharesOwn, stateSharesPeer:
			if shared == nil {
				return true, errMalformed
			}
			if number == stateSharesOwn {
				s.LocalIdentityPublic, s.LocalRegistrationID = shared.LocalIdentityPublic, shared.LocalRegistrationID
			} else {
				s.RemoteIdentityPublic, s.RemoteRegistrationID = shared.RemoteIdentityPublic, shared.RemoteRegistrationID
			}
		case stateRoot:
			s.RootKey = f.b
		case stateBase:
			s.SenderBaseKey = publicKey(f.b)
		case stateCounter:
			s.PreviousCounter = uint32(f.n)
		case stateSender:
			s.SenderChain, err = decodeChain(f.b)
		case stateReceiver:
			if len(s.ReceiverChains) == maxStateCount {
				return true, errMalformed
			}
			var receiver *record.ChainStructure
			receiver, err = decodeChain(f.b)
			s.ReceiverChains = append(s.ReceiverChains, receiver)
		case statePreKey:
			s.PendingPreKey, err = decodePreKey(f.b)
		case stateExchange:
			s.PendingKeyExchange, err = decodeExchange(f.b)
		case stateRefresh:
			s.NeedsRefresh = true
		default:
			return false, nil
		}
		return true, err
	})
	return s, err
}

func encodeChain(c *record.ChainStructure) ([]byte, error) {
	if c == nil || c.ChainKey == nil || len(c.SenderRatchetKeyPublic) != publicBytes || c.SenderRatchetKeyPublic[0] != publicType {
		return nil, errors.New("session with a malformed chain")
	}
	e := make(encoder, 0, 112)
	if public := c.SenderRatchetKeyPublic[1:]; !bytes.Equal(public, publicOf(c.SenderRatchetKeyPrivate)) {
		e.bytes(chainPublic, public)
	}
	e.bytes(chainPrivate, c.SenderRatchetKeyPrivate)
	e.bytes(chainKey, c.ChainKey.Key)
	e.number(chainIndex, uint64(c.ChainKey.Index))
	return e, nil
}

func decodeChain(value []byte) (*record.ChainStructure, error) {
	c := &record.ChainStructure{ChainKey: &chain.KeyStructure{}, MessageKeys: []*message.KeysStructure{}}
	err := decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case chainPublic:
			c.SenderRatchetKeyPublic = publicKey(f.b)
		case chainPrivate:
			c.SenderRatchetKeyPrivate = f.b
		case chainKey:
			c.ChainKey.Key = f.b
		case chainIndex:
			c.ChainKey.Index = uint32(f.n)
		default:
			return false, nil
		}
		return true, nil
	})
	if public := publicOf(c.SenderRatchetKeyPrivate); c.SenderRatchetKeyPublic == nil && public != nil {
		c.SenderRatchetKeyPublic = publicKey(public)
	}
	return c, err
}

// publicOf returns the public key to a private one, which so need not be stored;
// nil if it is none.
func publicOf(private []byte) []byte {
	key, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil
	}
	return key.PublicKey().Bytes()
}

func decodePreKey(value []byte) (*record.PendingPreKeyStructure, error) {
	p := &record.PendingPreKeyStructure{PreKeyID: &optional.Uint32{}}
	err := decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case preKeyID:
			p.PreKeyID.Value = uint32(f.n)
		case preKeyIDEmpty:
			p.PreKeyID.IsEmpty = true
		case preKeyIDNil:
			p.PreKeyID = nil
		case preKeySignedID:
			p.SignedPreKeyID = uint32(f.n)
		case preKeyBase:
			p.BaseKey = f.b
		default:
			return false, nil
		}
		return true, nil
	})
	return p, err
}

// Fields of a pending key exchange; WhatsApp never makes one.
const exchangeSequence fieldNumber = 1

func exchangeKeys(x *record.PendingKeyExchangeStructure) []*[]byte {
	return []*[]byte{
		&x.LocalBaseKeyPublic, &x.LocalBaseKeyPrivate, &x.LocalRatchetKeyPublic,
		&x.LocalRatchetKeyPrivate, &x.LocalIdentityKeyPublic, &x.LocalIdentityKeyPrivate,
	}
}

func encodeExchange(x *record.PendingKeyExchangeStructure) []byte {
	var e encoder
	e.number(exchangeSequence, uint64(x.Sequence))
	for i, key := range exchangeKeys(x) {
		e.bytes(exchangeSequence+1+fieldNumber(i), *key)
	}
	return e
}

func decodeExchange(value []byte) (*record.PendingKeyExchangeStructure, error) {
	x := new(record.PendingKeyExchangeStructure)
	keys := exchangeKeys(x)
	err := decode(value, func(number fieldNumber, f field) (bool, error) {
		switch i := int(number - exchangeSequence - 1); {
		case number == exchangeSequence:
			x.Sequence = uint32(f.n)
		case i >= 0 && i < len(keys):
			*keys[i] = f.b
		default:
			return false, nil
		}
		return true, nil
	})
	return x, err
}

// publicKey puts the type back before a public key.
func publicKey(key []byte) []byte {
	return append([]byte{publicType}, key...)
}
