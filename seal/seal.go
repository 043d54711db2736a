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
}

// ErrUnreadable is sealed data that cannot be opened with the keys held here.
var ErrUnreadable = errors.New("sealed data cannot be opened")
