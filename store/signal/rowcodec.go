package signal

import (
	"bytes"
	"fmt"
)

// Skipped message keys up to this many bytes stand in the row itself.
const maxInlineKeys = 340

// Fields of a row.
const (
	rowRatchet  fieldNumber = 1
	rowSkipped  fieldNumber = 2
	rowKeyParts fieldNumber = 3
	rowKeySum   fieldNumber = 4
	rowIdentity fieldNumber = 5
	rowPending  fieldNumber = 6
	rowPush     fieldNumber = 7
	rowBusiness fieldNumber = 8
	rowSecret   fieldNumber = 9
	rowToken    fieldNumber = 10
	// Where in the ratchet the identity begins, instead of rowIdentity.
	rowIdentityAt fieldNumber = 11
)

func (r *row) encode() []byte {
	e := make(encoder, 0, 64+len(r.ratchet)+len(r.skipped))
	e.bytes(rowRatchet, r.ratchet)
	if r.keys.parts > 0 {
		e.number(rowKeyParts, uint64(r.keys.parts))
		e.bytes(rowKeySum, r.keys.sum)
	} else {
		e.bytes(rowSkipped, r.skipped)
	}
	if at := bytes.Index(r.ratchet, r.identity); at > 0 && len(r.identity) > 0 {
		e.number(rowIdentityAt, uint64(at))
	} else {
		e.bytes(rowIdentity, r.identity)
	}
	for _, p := range r.pending {
		e.element(rowPending, p.encode())
	}
	e.text(rowPush, r.push)
	e.text(rowBusiness, r.business)
	for _, s := range r.secrets {
		e.element(rowSecret, s.encode())
	}
	if r.token != nil {
		e.element(rowToken, r.token.encode())
	}
	return e
}

func decodeRow(sk string, version int64, value []byte) (*row, error) {
	r := &row{sk: sk, version: version}
	err := decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case rowRatchet:
			r.ratchet = bytes.Clone(f.b)
		case rowSkipped:
			r.skipped = bytes.Clone(f.b)
		case rowKeyParts:
			r.keys.parts = int(f.n)
		case rowKeySum:
			r.keys.sum = bytes.Clone(f.b)
		case rowIdentity:
			if len(f.b) != 32 {
				return true, fmt.Errorf("%w: identity of %d bytes", errMalformed, len(f.b))
			}
			r.identity = bytes.Clone(f.b)
		case rowIdentityAt:
			if f.n > uint64(len(r.ratchet)) || len(r.ratchet)-int(f.n) < keyBytes {
				return true, fmt.Errorf("%w: identity at %d of %d bytes", errMalformed, f.n, len(r.ratchet))
			}
			r.identity = bytes.Clone(r.ratchet[f.n:][:keyBytes])
		case rowPending:
			p, err := decodePending(f.b)
			r.pending = append(r.pending, p)
			return true, err
		case rowPush:
			r.push = string(f.b)
		case rowBusiness:
			r.business = string(f.b)
		case rowSecret:
			s, err := decodeSecret(f.b)
			r.secrets = append(r.secrets, s)
			return true, err
		case rowToken:
			var err error
			r.token, err = decodeToken(f.b)
			return true, err
		default:
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind(sk), err)
	}
	r.loaded = r.keys.parts == 0
	return r, nil
}

const (
	pendingHash      fieldNumber = 1
	pendingPlaintext fieldNumber = 2
	pendingParts     fieldNumber = 3
	pendingServer    fieldNumber = 4
	pendingStored    fieldNumber = 5
	pendingWriter    fieldNumber = 6
)

func (p pending) encode() []byte {
	e := make(encoder, 0, 64+len(p.plaintext))
	e.bytes(pendingHash, p.hash[:])
	if p.parts > 0 {
		e.number(pendingParts, uint64(p.parts))
	} else {
		e.bytes(pendingPlaintext, p.plaintext)
	}
	e.number(pendingServer, uint64(p.server))
	e.number(pendingStored, uint64(p.stored))
	e.number(pendingWriter, uint64(p.writer))
	return e
}

func decodePending(value []byte) (p pending, err error) {
	p.plaintext = []byte{} // an empty one is one
	err = decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case pendingHash:
			if len(f.b) != len(p.hash) {
				return true, fmt.Errorf("%w: hash of %d bytes", errMalformed, len(f.b))
			}
			p.hash = [32]byte(f.b)
		case pendingPlaintext:
			p.plaintext = bytes.Clone(f.b)
		case pendingParts:
			p.parts = int(f.n)
		case pendingServer:
			p.server = int64(f.n)
		case pendingStored:
			p.stored = int64(f.n)
		case pendingWriter:
			p.writer = uint32(f.n)
		default:
			return false, nil
		}
		return true, nil
	})
	return p, err
}

const (
	secretKey    fieldNumber = 1
	secretID     fieldNumber = 2
	secretChat   fieldNumber = 3 // absent: the same as the sender
	secretSender fieldNumber = 4
	secretStored fieldNumber = 5
)

func (s secret) encode() []byte {
	var e encoder
	e.bytes(secretKey, s.key)
	e.text(secretID, s.id)
	if s.chat != s.sender {
		e.text(secretChat, s.chat)
	}
	e.text(secretSender, s.sender)
	e.number(secretStored, uint64(s.stored))
	return e
}

func decodeSecret(value []byte) (s secret, err error) {
	err = decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case secretKey:
			s.key = bytes.Clone(f.b)
		case secretID:
			s.id = string(f.b)
		case secretChat:
			s.chat = string(f.b)
		case secretSender:
			s.sender = string(f.b)
		case secretStored:
			s.stored = int64(f.n)
		default:
			return false, nil
		}
		return true, nil
	})
	if s.chat == "" {
		s.chat = s.sender
	}
	return s, err
}

const (
	tokenValue  fieldNumber = 1
	tokenAt     fieldNumber = 2
	tokenSentAt fieldNumber = 3
)

func (t *token) encode() []byte {
	var e encoder
	e.bytes(tokenValue, t.value)
	e.number(tokenAt, uint64(t.at))
	e.number(tokenSentAt, uint64(t.sentAt))
	return e
}

func decodeToken(value []byte) (*token, error) {
	t := new(token)
	err := decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case tokenValue:
			t.value = bytes.Clone(f.b)
		case tokenAt:
			t.at = int64(f.n)
		case tokenSentAt:
			t.sentAt = int64(f.n)
		default:
			return false, nil
		}
		return true, nil
	})
	return t, err
}
