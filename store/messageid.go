package store

import (
	"crypto/aes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/enlacehq/enlace"
)

// messageID is the id of the message with a number in its channel's outbox.
func messageID(seq int64) string { return enlace.MessagePrefix + strconv.FormatInt(seq, 36) }

// whatsAppPrefix begins the ids that WhatsApp's own web client chooses.
const whatsAppPrefix = "3EB0"

// A WhatsApp id of ours is the prefix and 18 hex digits: four random bytes, and
// the message's number in five bytes, hidden. So a receipt finds its message
// without an index of ids. The key hides a count from the recipients and protects
// nothing: an id is believed only if the message of that number bears it.
const (
	hiddenRandom = 4
	hiddenSeq    = 5
	maxHiddenSeq = 1<<(8*hiddenSeq) - 1
	idKeyBytes   = 16
)

func newIDKey() []byte {
	key := make([]byte, idKeyBytes)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
	return key
}

// newWhatsAppID returns a new WhatsApp id for the message with number seq.
func newWhatsAppID(key []byte, seq int64) (string, error) {
	if seq < 1 || seq > maxHiddenSeq {
		return "", fmt.Errorf("message number %d does not fit into an id", seq)
	}
	id := make([]byte, hiddenRandom+hiddenSeq)
	_, _ = rand.Read(id[:hiddenRandom])
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], uint64(seq))
	if err := hide(key, id[:hiddenRandom], number[8-hiddenSeq:]); err != nil {
		return "", err
	}
	copy(id[hiddenRandom:], number[8-hiddenSeq:])
	return whatsAppPrefix + strings.ToUpper(hex.EncodeToString(id)), nil
}

// hide covers number with a mask made of key and random; once more uncovers it.
func hide(key, random, number []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("key of message ids: %w", err)
	}
	var mask [aes.BlockSize]byte
	copy(mask[:], random)
	block.Encrypt(mask[:], mask[:])
	for i := range number {
		number[i] ^= mask[i]
	}
	return nil
}

// seqOf returns the number in a message's id, ours or WhatsApp's; ok is false if there is none.
func seqOf(key []byte, id string) (seq int64, ok bool) {
	if digits, ours := strings.CutPrefix(id, enlace.MessagePrefix); ours {
		seq, err := strconv.ParseInt(digits, 36, 64)
		return seq, err == nil && seq > 0 && messageID(seq) == id
	}
	digits, ours := strings.CutPrefix(id, whatsAppPrefix)
	raw, err := hex.DecodeString(digits)
	if !ours || err != nil || len(raw) != hiddenRandom+hiddenSeq || len(key) != idKeyBytes {
		return 0, false
	}
	if hide(key, raw[:hiddenRandom], raw[hiddenRandom:]) != nil {
		return 0, false
	}
	var number [8]byte
	copy(number[8-hiddenSeq:], raw[hiddenRandom:])
	seq = int64(binary.BigEndian.Uint64(number[:]))
	return seq, seq > 0
}
