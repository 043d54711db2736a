package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/enlacehq/enlace"
)

// statusChanges are stored as pairs of a status and its time in milliseconds since
// 1970: a message is written at each change, and must stay small.
type statusChanges []enlace.StatusChange

// MarshalJSON is json.Marshaler's.
func (c statusChanges) MarshalJSON() ([]byte, error) {
	pairs := make([][2]any, len(c))
	for i, change := range c {
		pairs[i] = [2]any{change.Status, change.At.UnixMilli()}
	}
	return json.Marshal(pairs)
}

// UnmarshalJSON is json.Unmarshaler's. Programs before wrote objects.
func (c *statusChanges) UnmarshalJSON(text []byte) error {
	var changes []json.RawMessage
	if err := json.Unmarshal(text, &changes); err != nil {
		return err
	}
	*c = make(statusChanges, len(changes))
	for i, raw := range changes {
		change := &(*c)[i]
		if len(raw) > 0 && raw[0] == '{' {
			if err := json.Unmarshal(raw, change); err != nil {
				return err
			}
			continue
		}
		var ms int64
		pair := []any{&change.Status, &ms}
		if err := json.Unmarshal(raw, &pair); err != nil {
			return fmt.Errorf("change of status %d: %w", i, err)
		}
		if len(pair) != 2 {
			return fmt.Errorf("change of status %d has %d parts", i, len(pair))
		}
		change.At = time.UnixMilli(ms).UTC()
	}
	return nil
}
