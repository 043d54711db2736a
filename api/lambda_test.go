package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/api"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
)

// anEvent is as API Gateway documents its payload format 2.0.
const anEvent = `{
  "version": "2.0", "routeKey": "$default", "rawPath": "/my/path", "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
  "cookies": ["cookie1=a", "cookie2=b"],
  "headers": {"header1": "value1", "header2": "value1,value2", "host": "api.example.com"},
  "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
  "requestContext": {
    "accountId": "123456789012", "apiId": "api-id", "domainName": "id.execute-api.us-east-1.amazonaws.com", "domainPrefix": "id",
    "http": {"method": "POST", "path": "/my/path", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "agent"},
    "requestId": "JKJaXmPLvHcESHA=", "routeKey": "$default", "stage": "$default", "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1583348638390
  },
  "body": "Hello", "isBase64Encoded": false
}`

func event(t testing.TB, change ...func(*events.APIGatewayV2HTTPRequest)) events.APIGatewayV2HTTPRequest {
	t.Helper()
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal([]byte(anEvent), &e); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// arrived has the event come to a handler and returns the request that came, with its body.
func arrived(t testing.TB, ctx context.Context, e events.APIGatewayV2HTTPRequest) (*http.Request, string) {
	t.Helper()
	var came *http.Request
	var body []byte
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		came = r
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
	})
	if _, err := api.OnLambda(handler, quiet())(ctx, e); err != nil {
		t.Fatal(err)
	}
	if came == nil {
		t.Fatal("want a request, none came")
	}
	return came, string(body)
}

func TestLambda_TheRequestIsWhole(t *testing.T) {
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"})
	r, body := arrived(t, ctx, event(t))
	got := []string{
		r.Method, r.URL.Path, r.RequestURI, strings.Join(r.URL.Query()["parameter1"], "|"), r.Host, r.RemoteAddr, body, fmt.Sprint(r.ContentLength),
		r.Header.Get("Header2"), r.Header.Get("Cookie"), r.Header.Get("X-Request-Id"), r.Header.Get("Host"),
	}
	want := []string{
		"POST", "/my/path", "/my/path?parameter1=value1&parameter1=value2&parameter2=value", "value1|value2", "api.example.com", "192.0.2.1:0", "Hello", "5",
		"value1,value2", "cookie1=a; cookie2=b", "c6af9ac6-7b61-11e6-9a41-93e8deadbeef", "",
	}
	if !slices.Equal(got, want) {
		t.Errorf("want %q\n got %q", want, got)
	}
	if cookie, err := r.Cookie("cookie2"); err != nil || cookie.Value != "b" {
		t.Errorf("want cookie2=b, got %v, %v", cookie, err)
	}
}

func TestLambda_Requests(t *testing.T) {
	type req = events.APIGatewayV2HTTPRequest
	tests := []struct {
		name   string
		change func(*req)
		got    func(*http.Request, string) string
		want   string
	}{
		{"an encoded path", func(e *req) { e.RawPath = "/v1/companies/a%2Fb" }, func(r *http.Request, _ string) string { return r.URL.Path + " " + r.URL.RawPath }, "/v1/companies/a/b /v1/companies/a%2Fb"},
		{"an encoded path that is like any", func(e *req) { e.RawPath = "/a%20b" }, func(r *http.Request, _ string) string { return r.URL.Path + "|" + r.URL.RawPath }, "/a b|"},
		{"a decoded path", func(e *req) { e.RawPath = "/a b/ñ" }, func(r *http.Request, _ string) string {
			return r.URL.Path + "|" + r.URL.RawPath + "|" + r.URL.EscapedPath()
		}, "/a b/ñ||/a%20b/%C3%B1"},
		{"a decoded path that is not to be decoded", func(e *req) { e.RawPath = "/100%" }, func(r *http.Request, _ string) string { return r.URL.Path + "|" + r.URL.RawPath }, "/100%|"},
		{"a path like a host", func(e *req) { e.RawPath = "//elsewhere/x" }, func(r *http.Request, _ string) string { return r.URL.Path + " " + r.URL.Host }, "//elsewhere/x "},
		{"no path", func(e *req) { e.RawPath = "" }, func(r *http.Request, _ string) string { return r.URL.Path }, "/"},
		{"a stage of its own", func(e *req) { e.RawPath, e.RequestContext.Stage = "/prod/v1/keys", "prod" }, func(r *http.Request, _ string) string { return r.URL.Path }, "/v1/keys"},
		{"a stage and nothing", func(e *req) { e.RawPath, e.RequestContext.Stage = "/prod", "prod" }, func(r *http.Request, _ string) string { return r.URL.Path }, "/"},
		{"not the stage", func(e *req) { e.RawPath, e.RequestContext.Stage = "/production/x", "prod" }, func(r *http.Request, _ string) string { return r.URL.Path }, "/production/x"},
		{"no query", func(e *req) { e.RawQueryString = "" }, func(r *http.Request, _ string) string { return r.RequestURI }, "/my/path"},
		{"an encoded query", func(e *req) { e.RawQueryString = "to=%2B1415&x=a%26b" }, func(r *http.Request, _ string) string { return r.URL.Query().Get("to") + " " + r.URL.Query().Get("x") }, "+1415 a&b"},
		{"a body in base64", func(e *req) {
			e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte("\x00\xff{}")), true
		}, func(r *http.Request, body string) string { return fmt.Sprintf("%q %d", body, r.ContentLength) }, `"\x00\xff{}" 4`},
		{"no body", func(e *req) { e.Body = "" }, func(r *http.Request, body string) string { return fmt.Sprintf("%q %d", body, r.ContentLength) }, `"" 0`},
		{"IPv6", func(e *req) { e.RequestContext.HTTP.SourceIP = "2001:db8::1" }, func(r *http.Request, _ string) string { return r.RemoteAddr }, "[2001:db8::1]:0"},
		{"no host", func(e *req) { delete(e.Headers, "host") }, func(r *http.Request, _ string) string { return r.Host }, "id.execute-api.us-east-1.amazonaws.com"},
		{"the caller's request id", func(e *req) { e.Headers["x-request-id"] = "mine-1" }, func(r *http.Request, _ string) string { return r.Header.Get("X-Request-Id") }, "mine-1"},
		{"a request id that is none", func(e *req) { e.Headers["x-request-id"] = "a\nb" }, func(r *http.Request, _ string) string { return r.Header.Get("X-Request-Id") }, "JKJaXmPLvHcESHA="},
		{"an empty event", func(e *req) { *e = req{} }, func(r *http.Request, _ string) string { return r.Method + r.RequestURI }, "/"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, body := arrived(t, t.Context(), event(t, test.change))
			if got := test.got(r, body); got != test.want {
				t.Errorf("want %q, got %q", test.want, got)
			}
		})
	}
}

func TestLambda_Answers(t *testing.T) {
	type res = events.APIGatewayV2HTTPResponse
	large := strings.Repeat(`"`, 4<<20)
	tests := []struct {
		name    string
		method  string
		handler http.HandlerFunc
		want    res
	}{
		{"text", "GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ñ") }, res{StatusCode: 200, Body: "ñ"}},
		{"nothing written", "GET", func(http.ResponseWriter, *http.Request) {}, res{StatusCode: 200}},
		{"binary", "GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0x89, 'P', 'N', 'G'}) }, res{StatusCode: 200, Body: "iVBORw==", IsBase64Encoded: true}},
		{"headers and cookies", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("Vary", "Accept")
			w.Header().Add("Vary", "Prefer")
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
			http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
			w.WriteHeader(http.StatusAccepted)
			w.Header().Set("Late", "too late")
			w.WriteHeader(http.StatusTeapot)
		}, res{StatusCode: 202, Headers: map[string]string{"Vary": "Accept, Prefer"}, Cookies: []string{"a=1", "b=2"}}},
		{"early hints are no answer", "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(404) }, res{StatusCode: 404}},
		{"not modified", "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304); _, _ = io.WriteString(w, "x") }, res{StatusCode: 304}},
		{"HEAD", "HEAD", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, res{StatusCode: 200}},
		{"a large text", "GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) }, res{StatusCode: 200, Body: base64.StdEncoding.EncodeToString([]byte(large)), IsBase64Encoded: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := api.OnLambda(test.handler, quiet())(t.Context(), event(t, func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.HTTP.Method = test.method }))
			if err != nil {
				t.Fatal(err)
			}
			if test.want.Headers == nil {
				test.want.Headers = map[string]string{}
			}
			if want := test.want; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("want %.300v, got %.300v", fmt.Sprint(want), fmt.Sprint(got))
			}
			sent, err := json.Marshal(got)
			if err != nil || len(sent) > 6_291_556 {
				t.Errorf("want an answer that the platform takes, got %d bytes, %v", len(sent), err)
			}
		})
	}
}

// function calls the API as the platform does.
func (b *bundle) function(r request) *answer {
	b.Helper()
	e := event(b, func(e *events.APIGatewayV2HTTPRequest) {
		e.RequestContext.HTTP.Method, e.Body, e.RawQueryString, e.Cookies = r.method, r.body, "", nil
		e.RawPath, e.RawQueryString, _ = strings.Cut(r.path, "?")
		e.Headers = map[string]string{"authorization": "Bearer " + b.keys[store.Operator], "content-type": "application/json"}
		for name := range r.header {
			e.Headers[strings.ToLower(name)] = r.header.Get(name)
		}
	})
	ctx := lambdacontext.NewContext(b.Context(), &lambdacontext.LambdaContext{AwsRequestID: "invocation-1"})
	got, err := api.NewLambda(api.Config{Store: b.store, Queue: b.jobs, Types: []enlace.ChannelType{enlace.WhatsAppWeb}, Log: quiet()})(ctx, e)
	if err != nil {
		b.Fatal(err)
	}
	a := &answer{TB: b.TB, Response: &http.Response{StatusCode: got.StatusCode, Header: http.Header{}}, body: []byte(got.Body), call: r.method + " " + r.path}
	if got.IsBase64Encoded {
		if a.body, err = base64.StdEncoding.DecodeString(got.Body); err != nil {
			b.Fatal(err)
		}
	}
	for name, value := range got.Headers {
		a.Header.Set(name, value)
	}
	return a
}

func TestLambda_ServesTheAPI(t *testing.T) {
	b := setup(t)
	c := b.function(request{method: "POST", path: acme, body: `{"type":"WHATSAPP_WEB"}`}).wants(http.StatusAccepted).wantsHeader("X-Request-Id", "invocation-1").channel()
	if sent := b.jobs.all(); len(sent) != 1 || sent[0].ChannelID != c.ID {
		t.Errorf("want one job for the channel, got %v", sent)
	}
	b.must(b.own(c).ShowQR(t.Context(), freshQR()))
	picture := b.function(request{method: "GET", path: pathOf(c) + "/qr", header: headers("Accept", "image/png")}).wants(http.StatusOK).wantsHeader("Content-Type", "image/png")
	if _, err := png.Decode(bytes.NewReader(picture.body)); err != nil {
		t.Errorf("want a picture: %v", err)
	}
	b.function(request{method: "GET", path: "/v1/companies/a%2Fb/channels"}).wantsProblem(http.StatusBadRequest, enlace.CodeInvalidRequest)
	b.function(request{method: "GET", path: acme, header: headers("Authorization", "Bearer none")}).wantsProblem(http.StatusUnauthorized, enlace.CodeUnauthorized)
}

func TestLambda_WhatStreamsIsRefused(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	for _, r := range []request{
		{path: "/v1/companies/acme/ws"},
		{path: "/v1/companies/acme/events", header: headers("Accept", "text/event-stream")},
		{path: pathOf(c) + "/events", header: headers("Accept", "text/event-stream, */*;q=0.1")},
	} {
		r.method = http.MethodGet
		a := b.function(r).wantsProblem(http.StatusNotImplemented, enlace.CodeNotOnLambda)
		if !strings.Contains(string(a.body), "Prefer: wait") {
			t.Errorf("want the way to do it, got %s", a.body)
		}
	}
	b.function(request{method: http.MethodGet, path: pathOf(c) + "/events", header: headers("Accept", "*/*")}).wants(http.StatusOK)
}

func TestLambda_AHoldIsShort(t *testing.T) {
	keys := keyHolder(t)
	synctest.Test(t, func(t *testing.T) {
		b := setupOn(t, memory.New(memory.Options{}), keys)
		c := b.connect("default")
		begin := time.Now()
		b.function(request{method: http.MethodGet, path: pathOf(c), header: headers("If-None-Match", `"1"`, "Prefer", "wait=25")}).
			wants(http.StatusNotModified).wantsHeader("Preference-Applied", "wait=5")
		if took := time.Since(begin); took != api.MaxLambdaHold {
			t.Errorf("want a hold of %v, got %v", api.MaxLambdaHold, took)
		}
	})
}

func TestLambda_APanicIsAnAnswer(t *testing.T) {
	var log syncBuffer
	panics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "half an ans")
		panic("of the handler")
	})
	got, err := api.OnLambda(panics, slog.New(slog.NewTextHandler(&log, nil)))(t.Context(), event(t))
	if err != nil || got.StatusCode != http.StatusInternalServerError || strings.Contains(got.Body, "half") || strings.Contains(got.Body, "of the handler") || !strings.Contains(got.Body, `"internal"`) {
		t.Errorf("want a problem alone, got %+v, %v", got, err)
	}
	if !strings.Contains(log.String(), "of the handler") {
		t.Errorf("want the cause in the log, got %s", log.String())
	}
}

func TestLambda_AnAnswerThatIsTooLargeIsAProblem(t *testing.T) {
	huge := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) })
	got, err := api.OnLambda(huge, quiet())(t.Context(), event(t))
	if err != nil || got.StatusCode != http.StatusInternalServerError || len(got.Body) > 1000 {
		t.Errorf("want a short problem, got %d with %d bytes, %v", got.StatusCode, len(got.Body), err)
	}
}

func TestLambda_BadBase64IsTheCallersMistake(t *testing.T) {
	got, err := api.OnLambda(http.NotFoundHandler(), quiet())(t.Context(), event(t, func(e *events.APIGatewayV2HTTPRequest) { e.Body, e.IsBase64Encoded = "§", true }))
	if err != nil || got.StatusCode != http.StatusBadRequest {
		t.Errorf("want 400, got %+v, %v", got, err)
	}
}

// FuzzLambda: whatever the event, there is an answer, and what is echoed comes back.
func FuzzLambda(f *testing.F) {
	f.Add("GET", "/v1/companies/acme/channels", "after=x", "body", false)
	f.Add("", "", "", "", false)
	f.Add("POST", "/a%2Fb%", "%zz&=&;", "AP8=", true)
	f.Add("HEAD", "//h//../\x00ñ", "a=b", "\xff", false)
	f.Fuzz(func(t *testing.T, method, path, query, body string, encoded bool) {
		echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.EscapedPath(), "/") || r.URL.Host != "" {
				t.Errorf("want a path, got %q of %q", r.URL.EscapedPath(), path)
			}
			_, _ = io.Copy(w, r.Body)
		})
		got, err := api.OnLambda(echo, quiet())(t.Context(), event(t, func(e *events.APIGatewayV2HTTPRequest) {
			e.RequestContext.HTTP.Method, e.RawPath, e.RawQueryString, e.Body, e.IsBase64Encoded = method, path, query, body, encoded
		}))
		if err != nil || got.StatusCode == 0 || !utf8.ValidString(got.Body) {
			t.Fatalf("want an answer, got %+v, %v", got, err)
		}
		if got.StatusCode == http.StatusOK && method != http.MethodHead {
			text, sent := body, got.Body
			if encoded {
				raw, _ := base64.StdEncoding.DecodeString(body)
				text = string(raw)
			}
			if got.IsBase64Encoded {
				raw, _ := base64.StdEncoding.DecodeString(got.Body)
				sent = string(raw)
			}
			if sent != text {
				t.Errorf("want %q back, got %q", text, sent)
			}
		}
	})
}
