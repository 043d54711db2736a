package signal

import (
	"bytes"
	"slices"
	"time"
)

// row is what one item of the hot partition holds about one signal address (or
// one sender of a group, or one plaintext without an address). A row that is in
// the budget or in a draft's base is never changed: writers copy it.
type row struct {
	sk      string
	version int64 // 0: there is no item

	ratchet  []byte  // session or sender key in compact form, without skipped keys
	skipped  []byte  // the skipped message keys of the ratchet
	keys     keysRef // where skipped lies when it has items of its own
	loaded   bool    // skipped is here; else it is in items of its own, not read yet
	identity []byte  // 32 bytes
	pending  []pending
	push     string // names of the contact
	business string
	secrets  []secret
	token    *token
}

// keysRef names the items that hold a row's skipped keys.
type keysRef struct {
	parts int    // 0: they stand in the row itself
	sum   []byte // first 8 bytes of their SHA-256, so that a foreign write shows
}

// pending is a decrypted message that has not been acknowledged yet.
type pending struct {
	hash      [32]byte
	plaintext []byte
	parts     int    // when not 0, the plaintext is in as many items of its own
	server    int64  // seconds since 1970
	stored    int64  // milliseconds since 1970
	writer    uint32 // the container that stored it
}

// secret is the key to later edits and votes of one message.
type secret struct {
	chat, sender, id string
	key              []byte
	stored           int64 // seconds since 1970
}

// token is a contact's privacy token. Timestamps in seconds since 1970.
type token struct {
	value  []byte
	at     int64
	sentAt int64 // 0: never
}

// clone returns a copy whose fields and lists may be changed; what they point to may not.
func (r *row) clone() *row {
	c := *r
	c.pending = slices.Clone(r.pending)
	c.secrets = slices.Clone(r.secrets)
	return &c
}

func (r *row) equal(o *row) bool {
	return bytes.Equal(r.ratchet, o.ratchet) && r.loaded == o.loaded && bytes.Equal(r.skipped, o.skipped) &&
		bytes.Equal(r.keys.sum, o.keys.sum) && bytes.Equal(r.identity, o.identity) &&
		r.push == o.push && r.business == o.business && r.token.equal(o.token) &&
		slices.EqualFunc(r.pending, o.pending, func(a, b pending) bool { return a.hash == b.hash }) &&
		slices.EqualFunc(r.secrets, o.secrets, secret.equal)
}

// empty reports whether nothing is worth an item.
func (r *row) empty() bool {
	return len(r.ratchet) == 0 && len(r.identity) == 0 && len(r.pending) == 0 && r.push == "" && r.business == "" &&
		len(r.secrets) == 0 && r.token == nil
}

// size is about what r occupies in memory, in bytes.
func (r *row) size() int64 {
	n := 250 + len(r.sk) + len(r.ratchet) + len(r.skipped) + len(r.identity) + len(r.push) + len(r.business)
	for _, p := range r.pending {
		n += 90 + len(p.plaintext)
	}
	for _, s := range r.secrets {
		n += 90 + len(s.chat) + len(s.sender) + len(s.id) + len(s.key)
	}
	if r.token != nil {
		n += 48 + len(r.token.value)
	}
	return int64(n)
}

func (s secret) equal(o secret) bool {
	return s.chat == o.chat && s.sender == o.sender && s.id == o.id && bytes.Equal(s.key, o.key)
}

func (t *token) equal(o *token) bool {
	if t == nil || o == nil {
		return t == o
	}
	return bytes.Equal(t.value, o.value) && t.at == o.at && t.sentAt == o.sentAt
}

const (
	pendingLife = 30 * 24 * time.Hour // as long as anything about a message is kept
	secretLife  = 90 * 24 * time.Hour
)

// tidy drops what no one needs any more. live tells which plaintexts still wait.
func (r *row) tidy(now time.Time, live func(hash [32]byte) bool) {
	oldest := now.Add(-pendingLife).UnixMilli()
	r.pending = slices.DeleteFunc(r.pending, func(p pending) bool { return p.stored < oldest || !live(p.hash) })
	dead := now.Add(-secretLife).Unix()
	r.secrets = slices.DeleteFunc(r.secrets, func(s secret) bool { return s.stored < dead })
}
