// Package sealtest checks what a seal.KeyHolder promises. Every holder's own test
// calls Run.
package sealtest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/enlacehq/enlace/seal"
)

// Run checks every promise. holder makes a holder with a key of its own.
func Run(t *testing.T, holder func(t testing.TB) seal.KeyHolder) {
	for name, test := range map[string]func(*testing.T, func(testing.TB) seal.KeyHolder){
		"OpensWhatItWrapped":                  opens,
		"AnotherScopeDoesNotOpen":             scopes,
		"AnotherHolderDoesNotOpen":            others,
		"DamageDoesNotOpen":                   damage,
		"WrapsAKeyThatExists":                 wraps,
		"AKeyOfAnotherHolderCanBeWrappedAnew": changes,
	} {
		t.Run(name, func(t *testing.T) { test(t, holder) })
	}
}

func generate(t *testing.T, holder seal.KeyHolder, scope string) (*seal.DataKey, []byte) {
	t.Helper()
	key, wrapped, err := holder.GenerateDataKey(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	return key, wrapped
}

// same checks that wrapped opens to key.
func same(t *testing.T, holder seal.KeyHolder, scope string, wrapped []byte, key *seal.DataKey) {
	t.Helper()
	opened, err := holder.OpenDataKey(t.Context(), scope, wrapped)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if plain, err := opened.Open(key.Seal([]byte("secret"), "p", "s"), "p", "s"); err != nil || string(plain) != "secret" {
		t.Errorf("opened another key than was wrapped: %q, %v", plain, err)
	}
}

// refuse checks that wrapped is unreadable.
func refuse(t *testing.T, what string, holder seal.KeyHolder, scope string, wrapped []byte) {
	t.Helper()
	if key, err := holder.OpenDataKey(t.Context(), scope, wrapped); key != nil || !errors.Is(err, seal.ErrUnreadable) || errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("%s: %v, want ErrUnreadable", what, err)
	}
}

func opens(t *testing.T, holder func(testing.TB) seal.KeyHolder) {
	h := holder(t)
	key, wrapped := generate(t, h, "ch_1")
	same(t, h, "ch_1", wrapped, key)
	other, _ := generate(t, h, "ch_1")
	if _, err := other.Open(key.Seal([]byte("x"), "p", "s"), "p", "s"); err == nil {
		t.Error("two data keys are the same")
	}
	_, _ = key.WrapBy(func(raw []byte) ([]byte, error) {
		if bytes.Contains(wrapped, raw) {
			t.Error("the data key shows in its wrapped form")
		}
		return nil, nil
	})
}

func scopes(t *testing.T, holder func(testing.TB) seal.KeyHolder) {
	h := holder(t)
	key, wrapped := generate(t, h, "ch_1")
	refuse(t, "another scope", h, "ch_2", wrapped)
	refuse(t, "no scope", h, "", wrapped)
	again, err := h.WrapDataKey(t.Context(), "ch_2", key)
	if err != nil {
		t.Fatal(err)
	}
	refuse(t, "another scope than it was wrapped for anew", h, "ch_1", again)
}

// Whose a wrapped key is a key service need not tell those who may not use it.
func others(t *testing.T, holder func(testing.TB) seal.KeyHolder) {
	_, wrapped := generate(t, holder(t), "ch_1")
	key, err := holder(t).OpenDataKey(t.Context(), "ch_1", wrapped)
	if key != nil || !errors.Is(err, seal.ErrUnreadable) && !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("another holder: %v, want it not to open", err)
	}
}

func damage(t *testing.T, holder func(testing.TB) seal.KeyHolder) {
	h := holder(t)
	_, wrapped := generate(t, h, "ch_1")
	refuse(t, "nothing", h, "ch_1", nil)
	refuse(t, "of another format", h, "ch_1", append([]byte{0xff}, wrapped[1:]...))
	refuse(t, "the first byte alone", h, "ch_1", wrapped[:1])
	last := bytes.Clone(wrapped)
	last[len(last)-1] ^= 1
	refuse(t, "last byte flipped", h, "ch_1", last)
	for at := 1; at < len(wrapped); at += max(1, len(wrapped)/16) {
		damaged := bytes.Clone(wrapped)
		damaged[at] ^= 1
		if key, err := h.OpenDataKey(t.Context(), "ch_1", damaged); err == nil || key != nil {
			t.Errorf("byte %d flipped: opened", at)
		}
	}
	for _, short := range []int{len(wrapped) / 2, len(wrapped) - 1} {
		refuse(t, fmt.Sprintf("cut to %d bytes", short), h, "ch_1", wrapped[:short])
	}
}

func wraps(t *testing.T, holder func(testing.TB) seal.KeyHolder) {
	h := holder(t)
	key, wrapped := generate(t, h, "ch_1")
	again, err := h.WrapDataKey(t.Context(), "ch_1", key)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(again, wrapped) {
		t.Error("wrapped into the same bytes twice")
	}
	same(t, h, "ch_1", again, key)
	same(t, h, "ch_1", wrapped, key)
}

func changes(t *testing.T, holder func(testing.TB) seal.KeyHolder) {
	older, newer := holder(t), holder(t)
	both := seal.WithOlder(newer, older)
	key, wrapped := generate(t, older, "ch_1")
	if newer.Newest(wrapped) || both.Newest(wrapped) {
		t.Error("what another holder wrapped passes for the newest key's")
	}
	same(t, both, "ch_1", wrapped, key)
	again, err := both.WrapDataKey(t.Context(), "ch_1", key)
	if err != nil {
		t.Fatal(err)
	}
	same(t, newer, "ch_1", again, key)
	if _, err := both.OpenDataKey(t.Context(), "ch_2", wrapped); err == nil {
		t.Error("another scope opened")
	}
}
