package whatsapptest_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/enlacehq/enlace/whatsapptest"
	"go.mau.fi/whatsmeow/types/events"
)

// call does a control call and returns the status and the body.
func call(t *testing.T, c *client, method, path, body string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://control"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.web.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if len(raw) > 0 {
		if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&out); err != nil {
			t.Fatalf("%s %s: %s is no JSON: %v", method, path, raw, err)
		}
	}
	return resp.StatusCode, out
}

func TestControl_TellsTheStoryOverHTTP(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	c.connect()
	code, err := json.Marshal(map[string]string{"qr": await[*events.QR](c).Codes[0]})
	if err != nil {
		t.Fatal(err)
	}
	if status, got := call(t, c, "POST", "/phones/+15550001111/scan", string(code)); status != 200 {
		t.Fatalf("scan: %d %v", status, got)
	}
	await[*events.Connected](c)
	status, got := call(t, c, "GET", "/phones/15550001111/devices", "")
	if list, _ := got["devices"].([]any); status != 200 || len(list) != 1 {
		t.Errorf("devices: %d %v", status, got)
	}
	status, got = call(t, c, "GET", "/stats", "")
	root := srv.RootKey()
	if status != 200 || got["logins"] != 1.0 || got["connections"] != 1.0 || got["rootKey"] != hex.EncodeToString(root[:]) {
		t.Errorf("stats: %d %v", status, got)
	}
	if status, got := call(t, c, "DELETE", "/phones/15550001111/devices/1", ""); status != 204 {
		t.Errorf("unlink: %d %v", status, got)
	}
	await[*events.LoggedOut](c)
}

func TestControl_FaultsOverHTTP(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	status, got := call(t, c, "POST", "/faults", `{"kind":"refuse","times":1}`)
	id, _ := got["id"].(string)
	if status != 201 || id == "" {
		t.Fatalf("add: %d %v", status, got)
	}
	status, got = call(t, c, "GET", "/faults", "")
	if list, _ := got["faults"].([]any); status != 200 || len(list) != 1 {
		t.Errorf("list: %d %v", status, got)
	}
	if err := c.Connect(); err == nil {
		t.Error("the connection was not refused")
	}
	if status, got := call(t, c, "DELETE", "/faults/"+id, ""); status != 204 {
		t.Errorf("removing a fault that is used up: %d %v", status, got)
	}
}

func TestControl_BadInputIsAnError(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	for _, tc := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/phones/15550001111/scan", `{"qr":"x"}`, 400, "bad_qr"},
		{"POST", "/phones/15550001111/scan", `{"qr":`, 400, "bad_body"},
		{"POST", "/phones/15550001111/scan", `{"code":"x"}`, 400, "bad_body"},
		{"POST", "/phones/15550001111/scan", `{"qr":"x"}{}`, 400, "bad_body"},
		{"POST", "/phones/15550001111/scan", `{"qr":"` + strings.Repeat("x", 2<<20) + `"}`, 413, "body_too_long"},
		{"POST", "/phones/abc/scan", `{"qr":"a,AAAA,b,c"}`, 400, "bad_qr"},
		{"POST", "/phones/15550001111/link", `{"code":"12345678"}`, 404, "no_code"},
		{"POST", "/phones/15550001111/link", `{"code":"1"}`, 400, "bad_code"},
		{"POST", "/phones/15550001111/passkey", `{}`, 404, "no_passkey"},
		{"POST", "/phones/15550001111/passkey", `no`, 400, "bad_options"},
		{"GET", "/phones/01234567/devices", ``, 400, "bad_number"},
		{"DELETE", "/phones/15550001111/devices/7", ``, 404, "no_device"},
		{"DELETE", "/phones/15550001111/devices/0", ``, 404, "no_device"},
		{"DELETE", "/phones/15550001111/devices/x", ``, 400, "bad_device"},
		{"POST", "/phones/15550001111/online", `{}`, 400, "bad_body"},
		{"POST", "/faults", `{"kind":"flood"}`, 400, "bad_fault"},
		{"POST", "/faults", `{"kind":"drop","times":-1}`, 400, "bad_fault"},
		{"POST", "/faults", `{"kind":"refuse","code":200}`, 400, "bad_fault"},
		{"POST", "/faults", `{"kind":"drop","number":"x1234567"}`, 400, "bad_number"},
		{"DELETE", "/faults/f9", ``, 404, "no_fault"},
		{"DELETE", "/faults/9", ``, 404, "no_fault"},
		{"PUT", "/version", `{}`, 400, "bad_version"},
		{"GET", "/nothing", ``, 404, "no_route"},
	} {
		status, got := call(t, c, tc.method, tc.path, tc.body)
		if status != tc.status || got["code"] != tc.code || got["message"] == "" {
			t.Errorf("%s %s %.40s: got %d %v, want %d %s", tc.method, tc.path, tc.body, status, got, tc.status, tc.code)
		}
	}
	if _, err := srv.AddFault(whatsapptest.Fault{Kind: "drop", Number: "+15550001111"}); err != nil {
		t.Errorf("a number with a plus sign: %v", err)
	}
}
