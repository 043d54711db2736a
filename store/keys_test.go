package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func TestKeys(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	token := store.NewToken()
	key, err := b.PutKey(ctx, token, store.APIKey{Role: store.Operator, Companies: []string{"acme"}})
	b.ok(err)
	got, err := b.Authenticate(ctx, token)
	b.ok(err)
	if got.ID != key.ID || !got.Reaches("acme") || got.Reaches("other") || !got.Role.Includes(store.Viewer) || got.Role.Includes(store.Admin) {
		t.Errorf("got %+v", got)
	}
	for _, wrong := range []string{"", "x", token + "x", token[:len(token)-1] + "!", store.NewToken(), "enl__"} {
		_, err := b.Authenticate(ctx, wrong)
		b.wantCode(err, enlace.CodeUnauthorized)
	}
	b.ok(b.DeleteKey(ctx, key.ID))
	_, err = b.Authenticate(ctx, token)
	b.wantCode(err, enlace.CodeUnauthorized)
	b.wantCode(b.DeleteKey(ctx, key.ID), enlace.CodeNotFound)
}

func TestKeys_RevocationReachesOtherProcessesWithinAMinute(t *testing.T) {
	b := setup(t)
	token := store.NewToken()
	key, err := b.PutKey(t.Context(), token, store.APIKey{Role: store.Viewer, Companies: []string{store.AllCompanies}})
	b.ok(err)
	other, err := store.Open(t.Context(), b.table, store.Options{Now: b.clock.Now})
	b.ok(err)
	_, err = other.Authenticate(t.Context(), token)
	b.ok(err)
	b.ok(b.DeleteKey(t.Context(), key.ID))
	b.clock.Advance(time.Minute)
	_, err = other.Authenticate(t.Context(), token)
	b.wantCode(err, enlace.CodeUnauthorized)
}

// Many set the table up at once: it gets one first key, and after that none by
// that way, whatever becomes of the key.
func TestKeys_TheFirstIsMadeOnce(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	admin := store.APIKey{Role: store.Admin, Companies: []string{store.AllCompanies}}
	tokens := make([]string, 8)
	made := make([]bool, len(tokens))
	var all sync.WaitGroup
	for n := range tokens {
		tokens[n] = store.NewToken()
		all.Go(func() {
			var err error
			made[n], err = b.FirstKey(ctx, tokens[n], admin)
			b.ok(err)
		})
	}
	all.Wait()
	keys, err := b.Keys(ctx)
	b.ok(err)
	if len(keys) != 1 {
		t.Fatalf("want one key, got %+v", keys)
	}
	for n, token := range tokens {
		key, err := b.Authenticate(ctx, token)
		if valid := err == nil && key.Role == store.Admin; valid != made[n] {
			t.Errorf("want the key valid that was reported made, and no other, got %t for %t", valid, made[n])
		}
	}
	b.ok(b.DeleteKey(ctx, keys[0].ID))
	if again, err := b.FirstKey(ctx, store.NewToken(), admin); again || err != nil {
		t.Errorf("want no second first key, got %t, %v", again, err)
	}
}

func TestKeys_ATableThatHasSomeGetsNoFirst(t *testing.T) {
	b := setup(t)
	_, err := b.PutKey(t.Context(), store.NewToken(), store.APIKey{Role: store.Viewer, Companies: []string{"acme"}})
	b.ok(err)
	if made, err := b.FirstKey(t.Context(), store.NewToken(), store.APIKey{Role: store.Admin, Companies: []string{store.AllCompanies}}); made || err != nil {
		t.Errorf("want none made, got %t, %v", made, err)
	}
}
