package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/enlacehq/enlace"
)

// Bad input is refused with a problem and a stable code, and changes nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w).serve()
	c := s.untilQR(s.connect("default"))
	makeKey := func(role, company string) string {
		var made struct {
			Key string `json:"key"`
		}
		s.call(http.StatusCreated, http.MethodPost, "/v1/keys", fmt.Sprintf(`{"role":%q,"companies":[%q]}`, role, company)).read(t, &made)
		secrets.add("an API key", made.Key)
		secrets.add("the secret of an API key", made.Key[strings.LastIndex(made.Key, "_")+1:])
		return made.Key
	}
	viewer, other := makeKey("viewer", "acme"), makeKey("admin", "other")
	stranger := strings.Replace(path(c), "/acme/", "/other/", 1)
	before, events := s.channel(c), len(s.events(c))

	get, post, del := http.MethodGet, http.MethodPost, http.MethodDelete
	web := `{"type":"WHATSAPP_WEB","name":"new"}`
	for name, refused := range map[string]struct {
		key, method, path, body string
		status                  int
		code                    enlace.Code
	}{
		"no key":                           {"-", post, channels, web, 401, enlace.CodeUnauthorized},
		"wrong key":                        {s.key[:len(s.key)-4] + "aaaa", post, channels, web, 401, enlace.CodeUnauthorized},
		"another company's channels":       {other, post, channels, web, 404, enlace.CodeNotFound},
		"another company's channel":        {other, get, path(c), "", 404, enlace.CodeNotFound},
		"another company's in one's own":   {other, get, stranger, "", 404, enlace.CodeNotFound},
		"another company's, to be deleted": {other, del, stranger, "", 404, enlace.CodeNotFound},
		"too small a role to connect":      {viewer, post, channels, web, 403, enlace.CodeForbidden},
		"too small a role for the QR code": {viewer, get, path(c) + "/qr", "", 403, enlace.CodeForbidden},
		"too small a role to delete":       {viewer, del, path(c), "", 403, enlace.CodeForbidden},
		"unknown type":                     {"", post, channels, `{"type":"TELEGRAM"}`, 400, enlace.CodeInvalidRequest},
		"type without a strategy":          {"", post, channels, `{"type":"WHATSAPP_CLOUD"}`, 422, enlace.CodeTypeNotAvailable},
		"unknown field":                    {"", post, channels, `{"type":"WHATSAPP_WEB","nmae":"x"}`, 400, enlace.CodeInvalidRequest},
		"bad JSON":                         {"", post, channels, `{"type":`, 400, enlace.CodeInvalidRequest},
		"a body of 20 MiB":                 {"", post, channels, `{"type":"` + strings.Repeat("a", 20<<20) + `"}`, 413, enlace.CodeBodyTooLarge},
		"bad company":                      {"", get, "/v1/companies/a.b/channels", "", 400, enlace.CodeInvalidRequest},
		"bad channel":                      {"", get, channels + "/ch%00", "", 400, enlace.CodeInvalidRequest},
		"unknown channel":                  {"", get, channels + "/ch_0", "", 404, enlace.CodeNotFound},
		"bad cursor":                       {"", get, path(c) + "/events?after=x", "", 400, enlace.CodeInvalidCursor},
		"cursor of another generation":     {"", get, path(c) + "/events?after=9-1", "", 410, enlace.CodeCursorGone},
		"cursor past the end":              {"", get, path(c) + "/events?after=1-999", "", 410, enlace.CodeCursorGone},
		"wrong method":                     {"", http.MethodPut, path(c), web, 405, enlace.CodeMethodNotAllowed},
		"unknown path":                     {"", get, "/v2", "", 404, enlace.CodeNotFound},
		"passkey that nobody asked for":    {"", post, path(c) + "/passkey/confirm", "", 409, enlace.CodeNoPasskey},
	} {
		as := *s
		switch refused.key {
		case "-":
			as.key = ""
		case "":
		default:
			as.key = refused.key
		}
		a, err := as.request(t.Context(), refused.method, refused.path, refused.body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.status != refused.status {
			t.Errorf("%s: want status %d, got %d: %s", name, refused.status, a.status, a.body)
			continue
		}
		if got := a.problem(t); got.Code != refused.code || got.Detail == "" {
			t.Errorf("%s: want code %s and what was wrong, got %s: %q", name, refused.code, got.Code, got.Detail)
		}
	}
	if after := s.channel(c); after.Version != before.Version || len(s.events(c)) != events {
		t.Errorf("want nothing changed, got version %d after %d and %d events after %d", after.Version, before.Version, len(s.events(c)), events)
	}
	var list struct {
		Channels []enlace.Channel `json:"channels"`
	}
	s.call(http.StatusOK, get, channels, "").read(t, &list)
	if len(list.Channels) != 1 {
		t.Errorf("want one channel, got %d", len(list.Channels))
	}
}
