package signal

import (
	"encoding/binary"
	"errors"

	"go.mau.fi/libsignal/keys/message"
	"go.mau.fi/libsignal/state/record"
)

// The keys of skipped messages stand apart from the ratchet: for each chain, in
// the order of the states and of their chains, how many there are, and then
// each key: its index, 32 bytes cipher key, 32 bytes MAC key, 16 bytes IV.

const skippedKeyBytes = keyBytes + keyBytes + messageIV

// chains visits a session's chains in a fixed order.
func chains(session *record.SessionStructure, visit func(*record.ChainStructure) error) error {
	states := append([]*record.StateStructure{session.SessionState}, session.PreviousStates...)
	for _, state := range states {
		if state.SenderChain == nil {
			return errors.New("session without a sender chain")
		}
		if err := visit(state.SenderChain); err != nil {
			return err
		}
		for _, receiver := range state.ReceiverChains {
			if err := visit(receiver); err != nil {
				return err
			}
		}
	}
	return nil
}

// encodeSkipped returns nil when no key was skipped.
func encodeSkipped(session *record.SessionStructure) ([]byte, error) {
	var skipped []byte
	count := 0
	err := chains(session, func(chain *record.ChainStructure) error {
		skipped = binary.AppendUvarint(skipped, uint64(len(chain.MessageKeys)))
		count += len(chain.MessageKeys)
		for _, key := range chain.MessageKeys {
			if key == nil || len(key.CipherKey) != keyBytes || len(key.MacKey) != keyBytes || len(key.IV) != messageIV {
				return errors.New("session with a malformed message key")
			}
			skipped = binary.AppendUvarint(skipped, uint64(key.Index))
			skipped = append(append(append(skipped, key.CipherKey...), key.MacKey...), key.IV...)
		}
		return nil
	})
	if err != nil || count == 0 {
		return nil, err
	}
	return skipped, nil
}

func decodeSkipped(session *record.SessionStructure, skipped []byte) error {
	if len(skipped) == 0 {
		return nil
	}
	err := chains(session, func(chain *record.ChainStructure) error {
		count, rest, err := takeNumber(skipped)
		if err != nil || count > uint64(len(rest))/skippedKeyBytes {
			return errMalformed
		}
		skipped = rest
		for range count {
			index, rest, err := takeNumber(skipped)
			if err != nil || len(rest) < skippedKeyBytes {
				return errMalformed
			}
			chain.MessageKeys = append(chain.MessageKeys, &message.KeysStructure{
				Index:     uint32(index),
				CipherKey: rest[:keyBytes:keyBytes],
				MacKey:    rest[keyBytes : 2*keyBytes : 2*keyBytes],
				IV:        rest[2*keyBytes : skippedKeyBytes : skippedKeyBytes],
			})
			skipped = rest[skippedKeyBytes:]
		}
		return nil
	})
	if err == nil && len(skipped) > 0 {
		err = errMalformed
	}
	return err
}

func takeNumber(b []byte) (n uint64, rest []byte, err error) {
	n, length := binary.Uvarint(b)
	if length <= 0 {
		return 0, nil, errMalformed
	}
	return n, b[length:], nil
}
