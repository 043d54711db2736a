// Package enlace is the vocabulary of the product: companies and their channels,
// the events and messages of a channel, jobs, identifiers and errors. It knows
// no database, no protocol and no transport, and imports nothing of ours.
package enlace

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

// DefaultName is the name of a channel whose creator gave none.
const DefaultName = "default"

const maxIDBytes = 64

// ValidID reports whether s may stand as an identifier in a path or as a
// channel's name: 1 to 64 of A–Z, a–z, 0–9, "_" and "-".
func ValidID(s string) bool {
	if s == "" || len(s) > maxIDBytes {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// The prefixes of identifiers, so that a reader of a log knows what one names.
const (
	ChannelPrefix   = "ch_"
	MessagePrefix   = "msg_"
	WebhookPrefix   = "wh_"
	KeyPrefix       = "key_"
	OperationPrefix = "op_"
	WorkerPrefix    = "wk_"
)

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns prefix and 100 random bits as 20 characters of Crockford's base 32.
func NewID(prefix string) string {
	var random [13]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	return prefix + idEncoding.EncodeToString(random[:])[:20]
}

// HasPrefix reports whether id is a valid identifier that begins with prefix.
func HasPrefix(id, prefix string) bool { return ValidID(id) && strings.HasPrefix(id, prefix) }
