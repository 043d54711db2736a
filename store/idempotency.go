package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/enlacehq/enlace"
)

// idempotentLife is how long a key is remembered.
const idempotentLife = 24 * time.Hour

// idempotencyItem remembers what was posted under a key.
type idempotencyItem struct {
	Seq  int64  `json:"seq"`
	Body []byte `json:"body"` // its SHA-256
}

const idempotencySchema = 1

func idempotencyKey(company, channelID, key string) Key {
	hash := sha256.Sum256([]byte(key))
	return Key{PK: companyPK(company), SK: "IDEM#" + channelID + "#" + hex.EncodeToString(hash[:16])}
}

func (s *Store) idempotent(company, channelID string, request PostRequest, seq int64) (Op, error) {
	body := sha256.Sum256(request.Body)
	value, err := Encode(idempotencySchema, idempotencyItem{Seq: seq, Body: body[:]})
	if err != nil {
		return Op{}, err
	}
	item := Item{Key: idempotencyKey(company, channelID, request.IdempotencyKey), Value: value, Expires: s.now().Add(idempotentLife)}
	return Put(item, Absent), nil
}

// repeated returns the message that was posted under the request's key, if there is one.
func (s *Store) repeated(ctx context.Context, company, channelID string, request PostRequest) (enlace.Message, bool, error) {
	item, err := s.table.Get(ctx, idempotencyKey(company, channelID, request.IdempotencyKey))
	if errors.Is(err, ErrNotFound) {
		return enlace.Message{}, false, nil
	}
	if err != nil {
		return enlace.Message{}, false, fmt.Errorf("read idempotency key: %w", err)
	}
	var first idempotencyItem
	if err := Decode(item.Value, idempotencySchema, &first); err != nil {
		return enlace.Message{}, false, fmt.Errorf("idempotency key: %w", err)
	}
	if body := sha256.Sum256(request.Body); !slices.Equal(first.Body, body[:]) {
		return enlace.Message{}, false, enlace.Errorf(enlace.CodeIdempotencyKeyReused, "this Idempotency-Key was used with another body")
	}
	m, err := s.Message(ctx, company, channelID, messageID(first.Seq))
	return m, err == nil, err
}
