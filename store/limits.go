package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Longest keys in bytes, as DynamoDB has them.
const (
	maxPKBytes = 2048
	maxSKBytes = 1024
)

// CheckWrite refuses ops that no table may take: too many of them, an item too
// large (both ErrTooLarge), one key in two ops, a malformed key or op. Every
// driver calls it before anything is sent.
func CheckWrite(ops []Op) error {
	if len(ops) > MaxOps {
		return fmt.Errorf("%d ops in one write, at most %d: %w", len(ops), MaxOps, ErrTooLarge)
	}
	seen := make(map[Key]struct{}, len(ops))
	for i, op := range ops {
		if err := checkOp(op); err != nil {
			return fmt.Errorf("op %d: %w", i, err)
		}
		if _, twice := seen[op.Item.Key]; twice {
			return fmt.Errorf("op %d: key %s stands in two ops", i, op.Item.Key)
		}
		seen[op.Item.Key] = struct{}{}
	}
	return nil
}

func checkOp(op Op) error {
	if err := CheckKey(op.Item.Key); err != nil {
		return err
	}
	switch op.Kind {
	case OpDelete, OpCheck:
		return nil
	case OpPut:
	default:
		return fmt.Errorf("no such kind of op: %d", op.Kind)
	}
	if op.Item.Index.PK != "" {
		if err := CheckKey(op.Item.Index); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	if size := op.Item.size(); size > MaxItemBytes {
		return fmt.Errorf("item %s has %d bytes, at most %d: %w", op.Item.Key, size, MaxItemBytes, ErrTooLarge)
	}
	return nil
}

func (i Item) size() int { return len(i.PK) + len(i.SK) + len(i.Value) }

// CheckKey refuses a key that no table may hold: an empty half, one too long,
// or one that is not UTF-8.
func CheckKey(k Key) error {
	switch {
	case k.PK == "" || k.SK == "":
		return fmt.Errorf("key %q has an empty half", k)
	case len(k.PK) > maxPKBytes || len(k.SK) > maxSKBytes:
		return fmt.Errorf("key of %d and %d bytes, at most %d and %d: %w", len(k.PK), len(k.SK), maxPKBytes, maxSKBytes, ErrTooLarge)
	case !utf8.ValidString(k.PK) || !utf8.ValidString(k.SK):
		return fmt.Errorf("key %q is not UTF-8", k)
	}
	return nil
}

// Check refuses a query that no table may answer.
func (q Query) Check() error {
	switch {
	case q.PK == "":
		return errors.New("query without a partition")
	case q.Prefix != "" && (q.From != "" || q.To != ""):
		return errors.New("query with a prefix and a range")
	case q.Limit < 0:
		return fmt.Errorf("query with limit %d", q.Limit)
	}
	return nil
}

// Bounds returns the range of sort keys that the query asks for, its prefix
// turned into one: from ≤ SK < to in byte order, where an empty to is no bound.
func (q Query) Bounds() (from, to string) {
	if q.Prefix == "" {
		return q.From, q.To
	}
	end := []byte(q.Prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) > 0 {
		end[len(end)-1]++
	}
	return q.Prefix, string(end)
}

// PageLimit returns how many items a page of q has at most.
func (q Query) PageLimit() int {
	if q.Limit == 0 || q.Limit > MaxPageItems {
		return MaxPageItems
	}
	return q.Limit
}

// ExpirySeconds returns t as a table keeps it: in whole seconds since 1970,
// rounded up; 0 for the zero time.
func ExpirySeconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	seconds := t.Unix()
	if t.Nanosecond() > 0 {
		seconds++
	}
	return seconds
}

// ExpiryTime is the reverse of ExpirySeconds.
func ExpiryTime(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// NewWriteID returns a fresh write id: 128 random bits in hex.
func NewWriteID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
