package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
)

// KeyBytes is the length of a data key, in bytes.
const KeyBytes = 32

// The first byte of what Seal returns. AES-256-GCM, 12 random bytes of nonce
// before the ciphertext, the place as additional data.
const sealedFormat = 1

// DataKey seals and opens values. It is bound to nothing by itself; what it
// seals is bound to the place (PK, SK) where the value lies, so that a value
// copied to another item does not open there. It never prints its key.
// All methods may be called by many goroutines at once.
type DataKey struct {
	aead cipher.AEAD
	raw  [KeyBytes]byte // to be wrapped anew
}

// NewDataKey returns the data key of raw, which must be KeyBytes long. Key
// holders call it; nobody else sees raw keys.
func NewDataKey(raw []byte) (*DataKey, error) {
	if len(raw) != KeyBytes {
		return nil, fmt.Errorf("data key of %d bytes, want %d", len(raw), KeyBytes)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	return &DataKey{aead: aead, raw: [KeyBytes]byte(raw)}, nil
}

// WrapBy calls wrap with a copy of the raw key, which is cleared afterwards. It is
// for key holders, which alone may see it.
func (k *DataKey) WrapBy(wrap func(raw []byte) ([]byte, error)) ([]byte, error) {
	raw := k.raw
	defer clear(raw[:])
	return wrap(raw[:])
}

// newRawKey returns KeyBytes random bytes.
func newRawKey() []byte {
	raw := make([]byte, KeyBytes)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the program instead
	return raw
}

// Seal encrypts plaintext for the place pk, sk. The result is 29 bytes longer.
// Sealing the same value twice gives different bytes.
func (k *DataKey) Seal(plaintext []byte, pk, sk string) []byte {
	sealed := make([]byte, 1, 1+len(plaintext)+k.aead.Overhead())
	sealed[0] = sealedFormat
	return k.aead.Seal(sealed, nil, plaintext, place(pk, sk))
}

// Open returns what was sealed for the place pk, sk. ErrUnreadable: it was
// damaged, sealed for another place or under another key, or is no sealed value.
func (k *DataKey) Open(sealed []byte, pk, sk string) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealedFormat {
		return nil, fmt.Errorf("%w: unknown format", ErrUnreadable)
	}
	plaintext, err := k.aead.Open(nil, nil, sealed[1:], place(pk, sk))
	if err != nil {
		return nil, fmt.Errorf("%w: damaged, of another place, or under another key", ErrUnreadable)
	}
	return plaintext, nil
}

// place encodes pk and sk so that no two pairs give the same bytes.
func place(pk, sk string) []byte {
	data := binary.AppendUvarint([]byte{sealedFormat}, uint64(len(pk)))
	return append(append(data, pk...), sk...)
}

const redacted = "[data key]"

var (
	_ fmt.Stringer   = DataKey{}
	_ fmt.GoStringer = DataKey{}
	_ fmt.Formatter  = DataKey{}
	_ slog.LogValuer = DataKey{}
)

// String returns a placeholder.
func (DataKey) String() string { return redacted }

// GoString returns a placeholder.
func (DataKey) GoString() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (DataKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns a placeholder.
func (DataKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns a placeholder.
func (DataKey) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
