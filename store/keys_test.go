package store_test

import (
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
