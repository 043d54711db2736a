package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

type newKey struct {
	store.APIKey
	Key string
}

func (b *bundle) makeKey(by, body string) newKey {
	b.Helper()
	a := b.do(request{method: http.MethodPost, path: "/v1/keys", body: body, key: by}).wants(http.StatusCreated).wantsHeader("Cache-Control", "private, no-store")
	var key newKey
	a.decode(&key)
	return key
}

func (b *bundle) listKeys(by string) []string {
	b.Helper()
	a := b.do(request{path: "/v1/keys", key: by}).wants(http.StatusOK)
	if strings.Contains(string(a.body), "enl_") || strings.Contains(string(a.body), "hash") {
		b.Errorf("want no secret in the list, got %s", a.body)
	}
	var list struct{ Keys []store.APIKey }
	a.decode(&list)
	var ids []string
	for _, key := range list.Keys {
		ids = append(ids, key.ID)
	}
	return ids
}

func TestKeys_AreMadeUsedAndRevoked(t *testing.T) {
	b := setup(t)
	key := b.makeKey(b.root, `{"name":"dashboard","role":"viewer","companies":["acme","beta"]}`)
	if key.Name != "dashboard" || key.Role != store.Viewer || !slices.Equal(key.Companies, []string{"acme", "beta"}) || !strings.HasPrefix(key.ID, "key_") || key.CreatedAt.IsZero() || !strings.HasPrefix(key.Key, "enl_") {
		t.Errorf("want the key as asked for, got %+v", key)
	}
	for path, status := range map[string]int{acme: 200, "/v1/companies/beta/channels": 200, "/v1/companies/other/channels": 404} {
		b.do(request{path: path, key: key.Key}).wants(status)
	}
	if !slices.Contains(b.listKeys(b.root), key.ID) {
		t.Error("want the key in the list")
	}
	b.do(request{method: http.MethodDelete, path: "/v1/keys/" + key.ID, key: b.root}).wants(http.StatusNoContent)
	b.do(request{path: acme, key: key.Key}).wantsProblem(http.StatusUnauthorized, enlace.CodeUnauthorized)
	b.do(request{method: http.MethodDelete, path: "/v1/keys/" + key.ID, key: b.root}).wantsProblem(http.StatusNotFound, enlace.CodeNotFound)
}

func TestKeys_OfSomeCompaniesManageTheirOwnOnly(t *testing.T) {
	b := setup(t)
	admin := b.keys[store.Admin] // of acme
	for _, companies := range []string{`["other"]`, `["acme","other"]`, `["*"]`} {
		b.do(request{method: http.MethodPost, path: "/v1/keys", body: `{"role":"viewer","companies":` + companies + `}`, key: admin}).wantsProblem(http.StatusForbidden, enlace.CodeForbidden)
	}
	own := b.makeKey(admin, `{"role":"admin","companies":["acme"]}`)
	both := b.makeKey(b.root, `{"role":"viewer","companies":["acme","other"]}`)
	all := b.makeKey(b.root, `{"role":"viewer","companies":["*"]}`)
	seen := b.listKeys(admin)
	if len(seen) != 4 || !slices.Contains(seen, own.ID) {
		t.Errorf("want acme's three keys and %s, got %v", own.ID, seen)
	}
	for _, hidden := range []newKey{both, all} {
		if slices.Contains(seen, hidden.ID) {
			t.Errorf("want %v hidden", hidden.APIKey)
		}
		b.do(request{method: http.MethodDelete, path: "/v1/keys/" + hidden.ID, key: admin}).wantsProblem(http.StatusNotFound, enlace.CodeNotFound)
		b.do(request{path: acme, key: hidden.Key}).wants(http.StatusOK)
	}
	if got := len(b.listKeys(b.root)); got != 8 {
		t.Errorf("want all eight keys for an admin of all companies, got %d", got)
	}
	b.do(request{method: http.MethodDelete, path: "/v1/keys/" + own.ID, key: own.Key}).wants(http.StatusNoContent) // itself
	b.do(request{path: acme, key: own.Key}).wants(http.StatusUnauthorized)
}
