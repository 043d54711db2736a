package enlace

import (
	"strings"
	"testing"
)

func TestValidID(t *testing.T) {
	for _, id := range []string{"a", "Z9_-", "ch_2x7c9k4m0q8v5t1w3z6y", strings.Repeat("a", 64), NewID(ChannelPrefix)} {
		if !ValidID(id) {
			t.Errorf("want %q valid", id)
		}
	}
	for _, id := range []string{"", " ", "a b", "a.b", "a/b", "é", "a\n", "a\x00", "#", "*", strings.Repeat("a", 65)} {
		if ValidID(id) {
			t.Errorf("want %q refused", id)
		}
	}
}

func TestNewID_IsValidAndNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewID(WorkerPrefix)
		if !HasPrefix(id, WorkerPrefix) || len(id) != len(WorkerPrefix)+20 || seen[id] {
			t.Fatalf("want a fresh id of 20 characters, got %q", id)
		}
		seen[id] = true
	}
}
