package api_test

import (
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/api"
)

func TestHealth_NeedsNoKeyAndNoStore(t *testing.T) {
	b := setup(t)
	b.table.failWith(errBroken)
	b.do(request{path: "/healthz", key: noKey}).wants(http.StatusOK)
}

func TestReady_IsWhenTheStoreAnswersAndTheServerStays(t *testing.T) {
	b := setup(t)
	ready := request{path: "/readyz", key: noKey}
	b.do(ready).wants(http.StatusOK)
	b.table.failWith(errBroken)
	a := b.do(ready).wantsProblem(http.StatusServiceUnavailable, enlace.CodeUnavailable)
	if strings.Contains(string(a.body), "hunter2") {
		t.Errorf("the cause is shown: %s", a.body)
	}
	b.table.failWith(nil)
	b.do(ready).wants(http.StatusOK)
	b.drain()
	b.do(ready).wantsProblem(http.StatusServiceUnavailable, enlace.CodeUnavailable)
}

func TestDocs_NeedNothingFromElsewhere(t *testing.T) {
	b := setup(t)
	page := b.do(request{path: "/docs", key: noKey}).wants(http.StatusOK).wantsHeader("Content-Type", "text/html; charset=utf-8")
	body := string(page.body)
	if loads := regexp.MustCompile(`<script|<link|<img|<iframe|@import|url\(`).FindString(body); loads != "" {
		t.Errorf("the page loads something: %s", loads)
	}
	for _, want := range []string{"connectChannel", "/v1/companies/{companyId}/channels/{channelId}/qr", "channel_active", "Least role: operator.", "curl", "Prefer"} {
		if !strings.Contains(body, want) {
			t.Errorf("want %q on the page", want)
		}
	}
	if strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "<no value>") {
		t.Error("the page was not filled in")
	}
}

type document struct {
	OpenAPI string
	Info    struct{ Version string }
	Paths   map[string]map[string]struct {
		OperationID string
		Summary     string
		Tags        []string
		Description string
		Security    []map[string][]string
		Parameters  []struct{ Name, Description string }
		RequestBody *struct {
			Content map[string]struct{ Schema schema }
		}
		Responses map[string]struct{ Description string }
	}
	Components struct{ Schemas map[string]schema }
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Description          string
	Properties           map[string]schema
	Items                *schema
	AdditionalProperties any
	Enum                 []string
	Examples             []json.RawMessage
}

func (b *bundle) document(path string) document {
	b.Helper()
	var d document
	b.do(request{path: path, key: noKey}).wants(http.StatusOK).wantsHeader("Content-Type", "application/json").decode(&d)
	return d
}

func TestOpenAPI_IsServedInBothVersions(t *testing.T) {
	b := setup(t)
	for path, want := range map[string]string{"/openapi.json": "3.1.0", "/openapi-3.0.json": "3.0.3"} {
		if d := b.document(path); d.OpenAPI != want || d.Info.Version != "test" {
			t.Errorf("%s: want OpenAPI %s of version test, got %s of %s", path, want, d.OpenAPI, d.Info.Version)
		}
	}
	v31, v30, err := api.OpenAPI("test")
	b.must(err)
	for path, want := range map[string][]byte{"/openapi.json": v31, "/openapi-3.0.json": v30} {
		if got := b.do(request{path: path, key: noKey}).body; string(got) != string(want) {
			t.Errorf("%s is not what OpenAPI returns", path)
		}
	}
}

func TestOpenAPI_EveryOperationIsDescribed(t *testing.T) {
	d := setup(t).document("/openapi.json")
	ids := map[string]bool{}
	for path, operations := range d.Paths {
		for method, op := range operations {
			name := method + " " + path
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || len(op.Tags) != 1 {
				t.Errorf("%s: want an id of its own, a summary and a tag, got %+v", name, op)
			}
			ids[op.OperationID] = true
			if strings.HasPrefix(path, "/v1/") {
				if len(op.Security) != 1 || op.Description == "" || op.Responses["401"].Description == "" || op.Responses["403"].Description == "" {
					t.Errorf("%s: want a description, a key and what comes without one, got %+v", name, op)
				}
			} else if len(op.Security) != 0 {
				t.Errorf("%s: want it public, got %+v", name, op.Security)
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s: parameter %s is not described", name, p.Name)
				}
			}
		}
	}
	if len(ids) != 21 {
		t.Errorf("want 21 operations, got %d", len(ids))
	}
}

func TestOpenAPI_EverySchemaIsDescribed(t *testing.T) {
	d := setup(t).document("/openapi.json")
	for _, undescribed := range []string{"PasskeyAnswer", "PasskeyAssertion", "Health", "KeyList", "WorkerList"} {
		delete(d.Components.Schemas, undescribed) // their names say it, or WebAuthn does
	}
	for name, s := range d.Components.Schemas {
		for property, p := range s.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s is not described", name, property)
			}
		}
	}
}

// TestOpenAPI_RequestsRefuseUnknownFields: answers may grow, so unknown fields
// are allowed unless a type says otherwise; every request must.
func TestOpenAPI_RequestsRefuseUnknownFields(t *testing.T) {
	d := setup(t).document("/openapi.json")
	free := []string{"PasskeyAnswer", "PasskeyAssertion"} // the browser's
	var check func(name string, s schema)
	check = func(name string, s schema) {
		if ref, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
			if !slices.Contains(free, ref) {
				check(ref, d.Components.Schemas[ref])
			}
			return
		}
		if s.Properties != nil && s.AdditionalProperties != false {
			t.Errorf("%s takes unknown fields", name)
		}
		for property, p := range s.Properties {
			check(name+"."+property, p)
		}
	}
	checked := 0
	for path, operations := range d.Paths {
		for method, op := range operations {
			if op.RequestBody != nil {
				check(method+" "+path, op.RequestBody.Content["application/json"].Schema)
				checked++
			}
		}
	}
	if checked != 5 {
		t.Errorf("want five operations with a body, got %d", checked)
	}
}

func TestOpenAPI_ExamplesOfRequestsAreAccepted(t *testing.T) {
	b := setup(t)
	schemas := b.document("/openapi.json").Components.Schemas
	b.post(acme, string(schemas["ConnectRequest"].Examples[0])).wants(http.StatusAccepted)
	b.post(acme, `{"type":"WHATSAPP_WEB","name":"coded","pairing":`+string(schemas["PairingRequest"].Examples[0])+`}`).wants(http.StatusAccepted)
	page := string(b.do(request{path: "/docs", key: noKey}).body)
	for _, body := range regexp.MustCompile(`(?s)-d &#39;(.*?)&#39;`).FindAllStringSubmatch(page, -1) {
		if text := html.UnescapeString(body[1]); strings.Contains(text, "WHATSAPP_WEB") {
			b.post(acme, text).wants(http.StatusAccepted)
		} else if strings.Contains(text, "role") {
			b.do(request{method: http.MethodPost, path: "/v1/keys", body: text, key: b.root}).wants(http.StatusCreated)
		} else {
			b.post(pathOf(b.connect("default"))+"/passkey", text).wantsProblem(http.StatusConflict, enlace.CodeNoPasskey)
		}
	}
}

func TestOpenAPI_KnowsEveryChannelType(t *testing.T) {
	d := setup(t).document("/openapi.json")
	for _, name := range []string{"ConnectRequest", "Channel"} {
		var want []string
		for _, channelType := range enlace.ChannelTypes() {
			want = append(want, string(channelType))
		}
		if got := d.Components.Schemas[name].Properties["type"].Enum; !slices.Equal(got, want) {
			t.Errorf("%s: want %v, got %v", name, want, got)
		}
	}
}

// TestOpenAPI_CodesAreTheOnesThatCome: what an operation says it answers must be
// a status that a code has.
func TestOpenAPI_ProblemsNameTheirCodes(t *testing.T) {
	d := setup(t).document("/openapi.json")
	connect := d.Paths["/v1/companies/{companyId}/channels"]["post"]
	for status, code := range map[string]string{"400": "invalid_request", "404": "not_found", "409": "channel_active", "413": "body_too_large", "415": "unsupported_media_type", "422": "type_not_available", "503": "unavailable"} {
		if got := connect.Responses[status].Description; !strings.Contains(got, "`"+code+"`") {
			t.Errorf("want %s to name %s, got %q", status, code, got)
		}
	}
}

func TestErrors_EveryCodeHasOneStatus(t *testing.T) {
	// A code without a status would be shown as internal.
	b := setup(t)
	b.table.failWith(errors.Join(enlace.Errorf("made_up", "nobody knows this")))
	a := b.get(pathOf(enlace.Channel{ID: "ch_x"})).wants(http.StatusInternalServerError)
	var p api.Problem
	b.must(json.Unmarshal(a.body, &p))
	if p.Code != enlace.CodeInternal {
		t.Errorf("want internal, got %s", p.Code)
	}
}
