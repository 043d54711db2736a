package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func testKey(t *testing.T) *DataKey {
	t.Helper()
	key, err := NewDataKey(newRawKey())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestDataKey_OpensWhatItSealed(t *testing.T) {
	key := testKey(t)
	for _, plaintext := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("secret"), 1000)} {
		sealed := key.Seal(plaintext, "SIG#ch_1", "DEVICE")
		if len(plaintext) > 5 && bytes.Contains(sealed, plaintext[:6]) {
			t.Error("the plaintext shows in what was sealed")
		}
		if len(sealed) != len(plaintext)+29 {
			t.Errorf("sealed %d bytes into %d, want 29 more", len(plaintext), len(sealed))
		}
		opened, err := key.Open(sealed, "SIG#ch_1", "DEVICE")
		if err != nil || !bytes.Equal(opened, plaintext) {
			t.Errorf("opened %q, %v; want %q", opened, err, plaintext)
		}
	}
}

func TestDataKey_NeverSealsAlike(t *testing.T) {
	key := testKey(t)
	if bytes.Equal(key.Seal([]byte("a"), "p", "s"), key.Seal([]byte("a"), "p", "s")) {
		t.Error("the same value was sealed into the same bytes twice")
	}
}

func TestDataKey_AnotherPlaceOrKeyDoesNotOpen(t *testing.T) {
	key := testKey(t)
	sealed := key.Seal([]byte("secret"), "SIG#ch_1", "A#1")
	for _, place := range [][2]string{{"SIG#ch_2", "A#1"}, {"SIG#ch_1", "A#2"}, {"SIG#ch_1A", "#1"}, {"SIG#ch_1A#1", ""}, {"", "SIG#ch_1A#1"}} {
		if _, err := key.Open(sealed, place[0], place[1]); !errors.Is(err, ErrUnreadable) {
			t.Errorf("opened at %q, %q: %v, want ErrUnreadable", place[0], place[1], err)
		}
	}
	if _, err := testKey(t).Open(sealed, "SIG#ch_1", "A#1"); !errors.Is(err, ErrUnreadable) {
		t.Errorf("opened under another key: %v, want ErrUnreadable", err)
	}
}

func TestDataKey_DamageDoesNotOpen(t *testing.T) {
	key := testKey(t)
	sealed := key.Seal([]byte("secret"), "p", "s")
	for i := range sealed {
		for bit := range 8 {
			damaged := bytes.Clone(sealed)
			damaged[i] ^= 1 << bit
			if _, err := key.Open(damaged, "p", "s"); !errors.Is(err, ErrUnreadable) {
				t.Fatalf("byte %d, bit %d flipped: %v, want ErrUnreadable", i, bit, err)
			}
		}
		if _, err := key.Open(sealed[:i], "p", "s"); !errors.Is(err, ErrUnreadable) {
			t.Fatalf("cut to %d bytes: %v, want ErrUnreadable", i, err)
		}
	}
}

func TestDataKey_NeverPrintsItself(t *testing.T) {
	raw := bytes.Repeat([]byte("K"), KeyBytes)
	key, err := NewDataKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		fmt.Fprintf(&out, verb+"\n", key)
		fmt.Fprintf(&out, verb+"\n", *key)
		fmt.Fprintf(&out, verb+"\n", struct{ Key *DataKey }{key})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", key)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", key, "in", struct{ Key *DataKey }{key})
	if err := json.NewEncoder(&out).Encode(map[string]any{"key": key, "value": *key}); err != nil {
		t.Fatal(err)
	}
	printed := out.String()
	for _, trace := range []string{"KKKK", "4b4b", "4B4B", "75 75 75", "aes", "gcm"} {
		if strings.Contains(printed, trace) {
			t.Errorf("%q shows in:\n%s", trace, printed)
		}
	}
	if !strings.Contains(printed, redacted) {
		t.Errorf("want %q in:\n%s", redacted, printed)
	}
}

func TestNewDataKey_RefusesAnotherLength(t *testing.T) {
	for _, length := range []int{0, 16, 24, 31, 33} {
		if _, err := NewDataKey(make([]byte, length)); err == nil {
			t.Errorf("a key of %d bytes was taken", length)
		}
	}
}
