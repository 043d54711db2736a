// Package seal encrypts what enlace stores of a channel's secrets. Each channel
// has a data key of its own; a key holder (a local key file, or a key service)
// keeps the key that wraps it.
package seal

import (
	"context"
	"errors"
)

// KeyHolder makes data keys and opens wrapped ones. scope (a channel's id) is
// bound into the wrapping: a key wrapped for one scope does not open for another.
type KeyHolder interface {
	// GenerateDataKey makes a data key and its wrapped form, which may be stored.
	GenerateDataKey(ctx context.Context, scope string) (*DataKey, []byte, error)
	// OpenDataKey returns the data key of a wrapped form. ErrUnreadable: it is
	// damaged, of another scope, or wrapped by a key that is not held here.
	OpenDataKey(ctx context.Context, scope string, wrapped []byte) (*DataKey, error)
	// WrapDataKey wraps a data key that exists for scope, by the newest key.
	WrapDataKey(ctx context.Context, scope string, key *DataKey) ([]byte, error)
	// Newest reports whether wrapped is certainly by the newest key, so that
	// wrapping it anew would change nothing.
	Newest(wrapped []byte) bool
}

// The errors of a KeyHolder, wrapped with what happened. They must not be taken
// for one another: what is unreadable is lost to this holder, while the keys that
// are unavailable, whatever the reason, open as before when they are back.
var (
	ErrUnreadable  = errors.New("sealed data cannot be opened")
	ErrUnavailable = errors.New("the sealing key is not available now")
)

// WithOlder returns a holder that wraps by newest, and opens what older has
// wrapped too: for the time of a change from one to the other.
func WithOlder(newest, older KeyHolder) KeyHolder { return &changing{newest, older} }

type changing struct {
	KeyHolder
	older KeyHolder
}

// OpenDataKey is KeyHolder's. It is unreadable only if both say so.
func (c *changing) OpenDataKey(ctx context.Context, scope string, wrapped []byte) (*DataKey, error) {
	key, err := c.KeyHolder.OpenDataKey(ctx, scope, wrapped)
	if err == nil {
		return key, nil
	}
	key, olderErr := c.older.OpenDataKey(ctx, scope, wrapped)
	switch {
	case olderErr == nil:
		return key, nil
	case errors.Is(err, ErrUnreadable):
		return nil, olderErr
	}
	return nil, err
}
