package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/api"
	"github.com/enlacehq/enlace/handlers"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
)

func TestBadInput_IsAProblemAndChangesNothing(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	channel, foreign := pathOf(c), strings.Replace(pathOf(c), "/acme/", "/other/", 1)
	post, del := http.MethodPost, http.MethodDelete
	web := `{"type":"WHATSAPP_WEB","name":"new"}`
	admin := b.keys[store.Admin]
	goodPasskey := `{"id":"a","rawId":"YQ","type":"public-key","response":{"clientDataJSON":"YQ","authenticatorData":"YQ","signature":"YQ"}}`
	for _, test := range []struct {
		name   string
		r      request
		status int
		code   enlace.Code
	}{
		{"no key", request{method: post, path: acme, body: web, key: noKey}, 401, enlace.CodeUnauthorized},
		{"wrong key", request{method: post, path: acme, body: web, key: store.NewToken()}, 401, enlace.CodeUnauthorized},
		{"right id, wrong secret", request{method: post, path: acme, body: web, key: b.root[:len(b.root)-1] + "#"}, 401, enlace.CodeUnauthorized},
		{"not a key", request{method: post, path: acme, body: web, key: "secret"}, 401, enlace.CodeUnauthorized},
		{"other scheme", request{method: post, path: acme, body: web, key: noKey, header: headers("Authorization", "Basic "+b.root)}, 401, enlace.CodeUnauthorized},
		{"no key, bad id", request{path: "/v1/companies/a.b/channels", key: noKey}, 401, enlace.CodeUnauthorized},

		{"other company's key: connect", request{method: post, path: acme, body: web, key: b.other}, 404, enlace.CodeNotFound},
		{"other company's key: list", request{path: acme, key: b.other}, 404, enlace.CodeNotFound},
		{"other company's key: channel", request{path: channel, key: b.other}, 404, enlace.CodeNotFound},
		{"own company, other's channel", request{path: foreign, key: b.other}, 404, enlace.CodeNotFound},
		{"own company, other's channel: delete", request{method: del, path: foreign, key: b.other}, 404, enlace.CodeNotFound},
		{"own company, other's channel: events", request{path: foreign + "/events", key: b.other}, 404, enlace.CodeNotFound},
		{"own company, other's channel: qr", request{path: foreign + "/qr", key: b.other}, 404, enlace.CodeNotFound},
		{"own company, other's channel: disconnect", request{method: post, path: foreign + "/disconnect", key: b.other}, 404, enlace.CodeNotFound},
		{"no such channel", request{path: acme + "/ch_none"}, 404, enlace.CodeNotFound},

		{"type left out", request{method: post, path: acme, body: `{"name":"new"}`}, 400, enlace.CodeInvalidRequest},
		{"unknown type", request{method: post, path: acme, body: `{"type":"TELEGRAM"}`}, 400, enlace.CodeInvalidRequest},
		{"type of another type", request{method: post, path: acme, body: `{"type":7}`}, 400, enlace.CodeInvalidRequest},
		{"null type", request{method: post, path: acme, body: `{"type":null}`}, 400, enlace.CodeInvalidRequest},
		{"type without a strategy", request{method: post, path: acme, body: `{"type":"WHATSAPP_CLOUD","cloud":{"token":"t"}}`}, 422, enlace.CodeTypeNotAvailable},
		{"cloud of another type", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","cloud":{}}`}, 400, enlace.CodeInvalidRequest},
		{"unknown field", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","nmae":"new"}`}, 400, enlace.CodeInvalidRequest},
		{"field in another case", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","Name":"new"}`}, 400, enlace.CodeInvalidRequest},
		{"unknown field inside", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","pairing":{"method":"qr","x":1}}`}, 400, enlace.CodeInvalidRequest},
		{"empty name", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","name":""}`}, 400, enlace.CodeInvalidRequest},
		{"bad name", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","name":"a b"}`}, 400, enlace.CodeInvalidRequest},
		{"name with a line break", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","name":"new\n"}`}, 400, enlace.CodeInvalidRequest},
		{"long name", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","name":"` + strings.Repeat("a", 65) + `"}`}, 400, enlace.CodeInvalidRequest},
		{"pairing without method", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","pairing":{}}`}, 400, enlace.CodeInvalidRequest},
		{"unknown method", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","pairing":{"method":"nfc"}}`}, 400, enlace.CodeInvalidRequest},
		{"code without a number", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","pairing":{"method":"code"}}`}, 400, enlace.CodeInvalidRequest},
		{"qr with a number", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","pairing":{"method":"qr","phoneNumber":"14155550123"}}`}, 400, enlace.CodeInvalidRequest},
		{"number too short", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","pairing":{"method":"code","phoneNumber":"123456"}}`}, 400, enlace.CodeInvalidRequest},
		{"number too long", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","pairing":{"method":"code","phoneNumber":"1234567890123456"}}`}, 400, enlace.CodeInvalidRequest},
		{"number not international", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","pairing":{"method":"code","phoneNumber":"0171234567"}}`}, 400, enlace.CodeInvalidRequest},
		{"number with letters", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","pairing":{"method":"code","phoneNumber":"+1 415 555"}}`}, 400, enlace.CodeInvalidRequest},

		{"bad JSON", request{method: post, path: acme, body: `{"type":`}, 400, enlace.CodeInvalidRequest},
		{"two JSON values", request{method: post, path: acme, body: web + web}, 400, enlace.CodeInvalidRequest},
		{"not an object", request{method: post, path: acme, body: `["WHATSAPP_WEB"]`}, 400, enlace.CodeInvalidRequest},
		{"null", request{method: post, path: acme, body: `null`}, 400, enlace.CodeInvalidRequest},
		{"no body", request{method: post, path: acme}, 400, enlace.CodeInvalidRequest},
		{"a form", request{method: post, path: acme, body: web, header: headers("Content-Type", "application/x-www-form-urlencoded")}, 415, enlace.CodeUnsupportedMedia},
		{"strange content type", request{method: post, path: acme, body: web, header: headers("Content-Type", ";+")}, 415, enlace.CodeUnsupportedMedia},
		{"20 MiB", request{method: post, path: acme, body: `{"type":"WHATSAPP_WEB","name":"` + strings.Repeat("a", 20<<20) + `"}`}, 413, enlace.CodeBodyTooLarge},
		{"20 MiB where no body belongs", request{method: post, path: channel + "/disconnect", body: strings.Repeat(" ", 20<<20)}, 413, enlace.CodeBodyTooLarge},

		{"bad company id", request{path: "/v1/companies/a.b/channels", key: b.root}, 400, enlace.CodeInvalidRequest},
		{"escaped company id", request{path: "/v1/companies/a%2Fb/channels", key: b.root}, 400, enlace.CodeInvalidRequest},
		{"long company id", request{path: "/v1/companies/" + strings.Repeat("a", 65) + "/channels", key: b.root}, 400, enlace.CodeInvalidRequest},
		{"bad channel id", request{path: acme + "/ch_é"}, 400, enlace.CodeInvalidRequest},
		{"bad channel id: delete", request{method: del, path: acme + "/ch%00", key: admin}, 400, enlace.CodeInvalidRequest},
		{"bad key id", request{method: del, path: "/v1/keys/a.b", key: b.root}, 400, enlace.CodeInvalidRequest},

		{"bad cursor of a list", request{path: acme + "?after=xyz"}, 400, enlace.CodeInvalidCursor},
		{"bad cursor of events", request{path: channel + "/events?after=xyz"}, 400, enlace.CodeInvalidCursor},
		{"negative cursor", request{path: channel + "/events?after=-3"}, 400, enlace.CodeInvalidCursor},
		{"cursor of another generation", request{path: channel + "/events?after=7-1"}, 410, enlace.CodeCursorGone},
		{"cursor past the end", request{path: channel + "/events?after=1-99"}, 410, enlace.CodeCursorGone},
		{"limit 0", request{path: channel + "/events?limit=0"}, 400, enlace.CodeInvalidRequest},
		{"limit 1001", request{path: channel + "/events?limit=1001"}, 400, enlace.CodeInvalidRequest},
		{"limit of letters", request{path: acme + "?limit=ten"}, 400, enlace.CodeInvalidRequest},
		{"bad type", request{path: channel + "/events?type=Nothing"}, 400, enlace.CodeInvalidRequest},
		{"empty type", request{path: channel + "/events?type=channel.qr,"}, 400, enlace.CodeInvalidRequest},
		{"unknown query parameter", request{path: channel + "/events?wait=5"}, 400, enlace.CodeInvalidRequest},

		{"no such path", request{path: "/v1/companis"}, 404, enlace.CodeNotFound},
		{"path that goes on", request{path: channel + "/qr/x"}, 404, enlace.CodeNotFound},
		{"the root", request{path: "/"}, 404, enlace.CodeNotFound},
		{"wrong method", request{method: http.MethodPut, path: channel, body: web}, 405, enlace.CodeMethodNotAllowed},
		{"unheard method", request{method: "BREW", path: channel}, 405, enlace.CodeMethodNotAllowed},

		{"no qr now", request{path: channel + "/qr"}, 404, enlace.CodeNoQR},
		{"qr as something else", request{path: channel + "/qr", header: headers("Accept", "text/html")}, 406, enlace.CodeNotAcceptable},
		{"passkey that nobody asked for", request{method: post, path: channel + "/passkey", body: goodPasskey}, 409, enlace.CodeNoPasskey},
		{"confirmation that nobody asked for", request{method: post, path: channel + "/passkey/confirm"}, 409, enlace.CodeNoPasskey},
		{"passkey without a signature", request{method: post, path: channel + "/passkey", body: strings.Replace(goodPasskey, `"signature":"YQ"`, `"x":1`, 1)}, 400, enlace.CodeInvalidRequest},
		{"passkey not in base64url", request{method: post, path: channel + "/passkey", body: strings.Replace(goodPasskey, `"YQ"`, `"=="`, 1)}, 400, enlace.CodeInvalidRequest},
		{"passkey of 100 KB", request{method: post, path: channel + "/passkey", body: strings.Replace(goodPasskey, `"YQ"`, `"`+strings.Repeat("a", 100_000)+`"`, 1)}, 400, enlace.CodeInvalidRequest},

		{"key without a role", request{method: post, path: "/v1/keys", body: `{"companies":["acme"]}`, key: admin}, 400, enlace.CodeInvalidRequest},
		{"key of an unknown role", request{method: post, path: "/v1/keys", body: `{"role":"king","companies":["acme"]}`, key: admin}, 400, enlace.CodeInvalidRequest},
		{"key without companies", request{method: post, path: "/v1/keys", body: `{"role":"viewer"}`, key: admin}, 400, enlace.CodeInvalidRequest},
		{"key of no company", request{method: post, path: "/v1/keys", body: `{"role":"viewer","companies":[]}`, key: admin}, 400, enlace.CodeInvalidRequest},
		{"key of null companies", request{method: post, path: "/v1/keys", body: `{"role":"viewer","companies":null}`, key: admin}, 400, enlace.CodeInvalidRequest},
		{"key of a bad company", request{method: post, path: "/v1/keys", body: `{"role":"viewer","companies":["a b"]}`, key: b.root}, 400, enlace.CodeInvalidRequest},
		{"key of all and one", request{method: post, path: "/v1/keys", body: `{"role":"viewer","companies":["*","acme"]}`, key: b.root}, 400, enlace.CodeInvalidRequest},
		{"no such key", request{method: del, path: "/v1/keys/key_none", key: b.root}, 404, enlace.CodeNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := *b
			b.TB = t
			_, before := b.table.counts()
			jobs := len(b.jobs.all())
			b.do(test.r).wantsProblem(test.status, test.code)
			if _, after := b.table.counts(); after != before {
				t.Errorf("want nothing written, got %d writes", after-before)
			}
			if got := len(b.jobs.all()); got != jobs {
				t.Errorf("want no job, got %d", got-jobs)
			}
		})
	}
	if got := b.get(channel).wants(http.StatusOK).channel(); got.Version != c.Version {
		t.Errorf("want the channel untouched at version %d, got %+v", c.Version, got)
	}
}

func TestBadInput_DetailNamesTheFieldAndShowsNoValue(t *testing.T) {
	b := setup(t)
	a := b.post(acme, `{"type":"WHATSAPP_WEB","password":"hunter2"}`).wantsProblem(http.StatusBadRequest, enlace.CodeInvalidRequest)
	if body := string(a.body); !strings.Contains(body, "body.password") || strings.Contains(body, "hunter2") {
		t.Errorf("want the field's name and not its value, got %s", body)
	}
	a = b.post(acme, `{"password":"hunter2`).wantsProblem(http.StatusBadRequest, enlace.CodeInvalidRequest)
	if strings.Contains(string(a.body)+b.log.String(), "hunter2") {
		t.Errorf("want no part of the body in the problem or the log, got %s and %s", a.body, b.log)
	}
}

func TestBody_OfOneMiBIsTaken(t *testing.T) {
	b := setup(t)
	body := `{"type":"WHATSAPP_WEB"`
	body += strings.Repeat(" ", handlers.MaxBody-len(body)-1) + "}"
	b.post(acme, body).wants(http.StatusAccepted)
	b.post(acme, " "+body).wantsProblem(http.StatusRequestEntityTooLarge, enlace.CodeBodyTooLarge)
}

// endless is a body that counts how much of it was read.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func TestBody_WithoutALengthIsNotReadToItsEnd(t *testing.T) {
	b := setup(t)
	body := &endless{}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, acme, body)
	r.ContentLength = -1
	r.Header.Set("Authorization", "Bearer "+b.keys[store.Operator])
	recorder := httptest.NewRecorder()
	b.handler.ServeHTTP(recorder, r)
	(&answer{TB: t, Response: recorder.Result(), body: recorder.Body.Bytes()}).wantsProblem(http.StatusRequestEntityTooLarge, enlace.CodeBodyTooLarge)
	if body.read > 2<<20 {
		t.Errorf("want at most about a MiB read, got %d bytes", body.read)
	}
}

func TestBody_TooLargeOverTheWireIsAnsweredAtOnce(t *testing.T) {
	b := setup(t)
	server := b.serve()
	body := &endless{}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+acme, body)
	b.must(err)
	r.ContentLength = 20 << 20
	r.Header.Set("Authorization", "Bearer "+b.keys[store.Operator])
	r.Header.Set("Expect", "100-continue")
	transport := &http.Transport{ExpectContinueTimeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(r)
	b.must(err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge || body.read > 0 {
		t.Errorf("want 413 before anything is sent, got %s after %d bytes", response.Status, body.read)
	}
}

func TestWrongMethod_TellsTheMethodsThereAre(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	for path, want := range map[string]string{
		acme:                           "GET, HEAD, POST",
		pathOf(c):                      "GET, HEAD, DELETE",
		pathOf(c) + "/logout":          "POST",
		"/v1/keys/key_x":               "DELETE",
		"/healthz":                     "GET, HEAD",
		"/v1/companies/a%2Fb/channels": "GET, HEAD, POST",
	} {
		b.do(request{method: http.MethodPatch, path: path}).wantsProblem(http.StatusMethodNotAllowed, enlace.CodeMethodNotAllowed).wantsHeader("Allow", want)
	}
}

func TestUnauthorized_SaysHow(t *testing.T) {
	b := setup(t)
	b.do(request{path: acme, key: noKey}).wantsProblem(http.StatusUnauthorized, enlace.CodeUnauthorized).wantsHeader("WWW-Authenticate", "Bearer")
}

// TestRoles_EachOperationHasItsLeast calls every operation with every role: too
// small a one is 403, a large enough one is let through to whatever comes.
func TestRoles_EachOperationHasItsLeast(t *testing.T) {
	shared := setup(t)
	for _, op := range []struct {
		method, path, body string
		least              store.Role
	}{
		{http.MethodPost, "", `{"type":"WHATSAPP_WEB"}`, store.Operator},
		{http.MethodGet, "", "", store.Viewer},
		{http.MethodGet, "/{id}", "", store.Viewer},
		{http.MethodGet, "/{id}/qr", "", store.Operator},
		{http.MethodGet, "/{id}/events", "", store.Viewer},
		{http.MethodPost, "/{id}/passkey", "{}", store.Operator},
		{http.MethodPost, "/{id}/passkey/confirm", "", store.Operator},
		{http.MethodPost, "/{id}/disconnect", "", store.Operator},
		{http.MethodPost, "/{id}/logout", "", store.Admin},
		{http.MethodDelete, "/{id}", "", store.Admin},
		{http.MethodPost, "keys", "{}", store.Admin},
		{http.MethodGet, "keys", "", store.Admin},
		{http.MethodDelete, "keys/key_none", "", store.Admin},
	} {
		for _, role := range []store.Role{store.Viewer, store.Operator, store.Admin} {
			t.Run(fmt.Sprintf("%s %s by %s", op.method, op.path, role), func(t *testing.T) {
				b := *shared
				b.TB = t
				path := acme + strings.Replace(op.path, "{id}", b.connect(enlace.NewID("")).ID, 1)
				if strings.HasPrefix(op.path, "keys") {
					path = "/v1/" + op.path
				}
				_, before := b.table.counts()
				a := b.do(request{method: op.method, path: path, body: op.body, key: b.keys[role]})
				if role.Includes(op.least) {
					if a.StatusCode == http.StatusForbidden || a.StatusCode == http.StatusUnauthorized || a.StatusCode >= 500 {
						t.Errorf("want it let through, got %d: %s", a.StatusCode, a.body)
					}
					return
				}
				a.wantsProblem(http.StatusForbidden, enlace.CodeForbidden)
				if _, after := b.table.counts(); after != before {
					t.Error("want nothing written")
				}
			})
		}
	}
}

func TestStoreFailures_AreTheirOwnProblemsAndNeverShown(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		code   enlace.Code
	}{
		"unknown to us": {errBroken, http.StatusInternalServerError, enlace.CodeInternal},
		"unavailable":   {fmt.Errorf("%w: hunter2", store.ErrUnavailable), http.StatusServiceUnavailable, enlace.CodeUnavailable},
		"undecided":     {fmt.Errorf("%w: hunter2", store.ErrUnknown), http.StatusServiceUnavailable, enlace.CodeUnavailable},
		"no key now":    {fmt.Errorf("%w: hunter2", seal.ErrUnavailable), http.StatusServiceUnavailable, enlace.CodeUnavailable},
		"too slow":      {context.DeadlineExceeded, http.StatusServiceUnavailable, enlace.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			c := b.connect("default") // and the key is cached
			b.table.failWith(test.err)
			a := b.do(request{path: pathOf(c), header: headers("X-Request-Id", "trace-1")}).wantsProblem(test.status, test.code)
			a.wantsHeader("X-Request-Id", "trace-1").wantsHeader("Cache-Control", "no-store")
			if strings.Contains(string(a.body), "hunter2") {
				t.Errorf("the cause is shown: %s", a.body)
			}
			if test.status == http.StatusServiceUnavailable {
				a.wantsHeader("Retry-After", "2")
			}
			if log := b.log.String(); test.code == enlace.CodeInternal && !(strings.Contains(log, "hunter2") && strings.Contains(log, "request=trace-1")) {
				t.Errorf("want the cause in the log under the request's id, got %s", log)
			}
		})
	}
}

func TestPanic_IsAnInternalProblem(t *testing.T) {
	b := setup(t, func(c *api.Config) { c.Queue = panicking{} })
	a := b.post(acme, `{"type":"WHATSAPP_WEB"}`).wantsProblem(http.StatusInternalServerError, enlace.CodeInternal)
	if log := b.log.String(); !strings.Contains(log, "hunter2") || strings.Contains(string(a.body), "hunter2") {
		t.Errorf("want the panic in the log alone, got %s and %s", log, a.body)
	}
}

type panicking struct{ queue.Queue }

func (panicking) Send(context.Context, enlace.Job) error { panic("hunter2") }

func TestRequestID_IsTheCallersIfItCanBeOne(t *testing.T) {
	b := setup(t)
	b.get("/healthz", "X-Request-Id", "abc_1").wantsHeader("X-Request-Id", "abc_1")
	first := b.get("/healthz", "X-Request-Id", "a\nb").Header.Get("X-Request-Id")
	second := b.get("/healthz").Header.Get("X-Request-Id")
	if first == "" || first == second || !enlace.ValidID(first) {
		t.Errorf("want two ids of our own, got %q and %q", first, second)
	}
}
