package signal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.mau.fi/libsignal/groups/ratchet"
	"go.mau.fi/libsignal/groups/state/record"
	wastore "go.mau.fi/whatsmeow/store"
)

// Fields of a sender key and of each of its states.
const (
	senderState fieldNumber = 1

	senderKeyID     fieldNumber = 1
	senderIteration fieldNumber = 2
	senderChain     fieldNumber = 3
	senderPublic    fieldNumber = 4
	senderPrivate   fieldNumber = 5 // absent: there is none
	senderNoPrivate fieldNumber = 6 // a private key of zeros, libsignal's form of none
)

// parseSenderKey reads whatsmeow's form of a sender key.
func parseSenderKey(serialized []byte) (*record.SenderKeyStructure, error) {
	key, err := wastore.SignalProtobufSerializer.SenderKeyRecord.Deserialize(serialized)
	if err != nil || key == nil {
		return nil, errors.New("sender key is not in whatsmeow's form")
	}
	return key, nil
}

// serializeSenderKey is the reverse of parseSenderKey.
func serializeSenderKey(key *record.SenderKeyStructure) []byte {
	return wastore.SignalProtobufSerializer.SenderKeyRecord.Serialize(key)
}

// encodeSenderKey returns the compact form of key: the chains, and the skipped
// keys: of each only its iteration and its seed, from which the rest follows.
func encodeSenderKey(key *record.SenderKeyStructure) (chains, skipped []byte, err error) {
	var e encoder
	count := 0
	for _, state := range key.SenderKeyStates {
		if state == nil || state.SenderChainKey == nil || len(state.SigningKeyPublic) != publicBytes || state.SigningKeyPublic[0] != publicType {
			return nil, nil, errors.New("malformed sender key")
		}
		var s encoder
		s.number(senderKeyID, uint64(state.KeyID))
		s.number(senderIteration, uint64(state.SenderChainKey.Iteration))
		s.bytes(senderChain, state.SenderChainKey.ChainKey)
		s.bytes(senderPublic, state.SigningKeyPublic[1:])
		if bytes.Equal(state.SigningKeyPrivate, make([]byte, keyBytes)) {
			s.truth(senderNoPrivate, true)
		} else {
			s.bytes(senderPrivate, state.SigningKeyPrivate)
		}
		e.element(senderState, s)

		skipped = binary.AppendUvarint(skipped, uint64(len(state.Keys)))
		count += len(state.Keys)
		for _, message := range state.Keys {
			if message == nil || len(message.Seed) != keyBytes || !derived(message) {
				return nil, nil, errors.New("sender key with a malformed message key")
			}
			skipped = append(binary.AppendUvarint(skipped, uint64(message.Iteration)), message.Seed...)
		}
	}
	if count == 0 {
		skipped = nil
	}
	return e, skipped, nil
}

// decodeSenderKey is the reverse of encodeSenderKey.
func decodeSenderKey(chains, skipped []byte) (*record.SenderKeyStructure, error) {
	key := &record.SenderKeyStructure{SenderKeyStates: []*record.SenderKeyStateStructure{}}
	err := decode(chains, func(number fieldNumber, f field) (bool, error) {
		if number != senderState {
			return false, nil
		}
		state, err := decodeSenderState(f.b)
		key.SenderKeyStates = append(key.SenderKeyStates, state)
		return true, err
	})
	if err == nil && len(skipped) > 0 {
		err = decodeSenderSkipped(key, skipped)
	}
	if err != nil {
		return nil, fmt.Errorf("sender key: %w", err)
	}
	return key, nil
}

func decodeSenderState(value []byte) (*record.SenderKeyStateStructure, error) {
	state := &record.SenderKeyStateStructure{
		Keys:           []*ratchet.SenderMessageKeyStructure{},
		SenderChainKey: &ratchet.SenderChainKeyStructure{},
	}
	err := decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case senderKeyID:
			state.KeyID = uint32(f.n)
		case senderIteration:
			state.SenderChainKey.Iteration = uint32(f.n)
		case senderChain:
			state.SenderChainKey.ChainKey = f.b
		case senderPublic:
			state.SigningKeyPublic = publicKey(f.b)
		case senderPrivate:
			state.SigningKeyPrivate = f.b
		case senderNoPrivate:
			state.SigningKeyPrivate = make([]byte, keyBytes)
		default:
			return false, nil
		}
		return true, nil
	})
	return state, err
}

func decodeSenderSkipped(key *record.SenderKeyStructure, skipped []byte) error {
	for _, state := range key.SenderKeyStates {
		count, rest, err := takeNumber(skipped)
		if err != nil || count > uint64(len(rest))/keyBytes {
			return errMalformed
		}
		skipped = rest
		for range count {
			iteration, rest, err := takeNumber(skipped)
			if err != nil || len(rest) < keyBytes {
				return errMalformed
			}
			message, err := ratchet.NewSenderMessageKey(uint32(iteration), rest[:keyBytes:keyBytes])
			if err != nil {
				return err
			}
			state.Keys = append(state.Keys, ratchet.NewStructFromSenderMessageKey(message))
			skipped = rest[keyBytes:]
		}
	}
	if len(skipped) > 0 {
		return errMalformed
	}
	return nil
}

// derived reports whether a message key is the one that follows from its seed.
func derived(key *ratchet.SenderMessageKeyStructure) bool {
	want, err := ratchet.NewSenderMessageKey(key.Iteration, key.Seed)
	return err == nil && bytes.Equal(want.Iv(), key.IV) && bytes.Equal(want.CipherKey(), key.CipherKey)
}
