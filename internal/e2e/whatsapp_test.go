package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// whatsApp is the server in WhatsApp's place, a process of its own.
type whatsApp struct {
	*process
	control string // base URL of what the phones do
	url     string // for enlace
	rootKey string

	state string
	args  []string
}

func startWhatsApp(t testing.TB, args ...string) *whatsApp {
	t.Helper()
	w := &whatsApp{state: filepath.Join(tempDir(t), "phones.json"), args: args}
	w.process = start(t, "whatsapptest", nil, whatsappBin, append([]string{"--addr", "127.0.0.1:0", "--state", w.state}, args...)...)
	w.url = w.after("WhatsApp server")
	w.rootKey = w.after("root key")
	w.control = "http://" + strings.TrimSuffix(strings.TrimPrefix(w.url, "ws://"), "/ws/chat")
	return w
}

// restart kills the server and starts it again at the same place.
func (w *whatsApp) restart() {
	w.Helper()
	w.kill()
	addr := strings.TrimPrefix(w.control, "http://")
	w.process = start(w.TB, "whatsapptest", nil, whatsappBin, append([]string{"--addr", addr, "--state", w.state}, w.args...)...)
	w.after("root key")
}

// env are the variables that bring enlace here.
func (w *whatsApp) env() []string {
	return []string{"ENLACE_WHATSAPP_URL=" + w.url, "ENLACE_WHATSAPP_ROOT_KEY=" + w.rootKey}
}

var numbers atomic.Int64

// newNumber is the number of a phone that no other test uses.
func newNumber() string {
	number := fmt.Sprintf("1415%07d", 5550100+numbers.Add(1))
	secrets.add("a phone number", number)
	return number
}

// call makes a control call that must succeed.
func (w *whatsApp) call(method, path string, body, answer any) {
	w.Helper()
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			w.Fatal(err)
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(w.Context(), method, w.control+path, content)
	if err != nil {
		w.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		w.Fatalf("%s %s of the WhatsApp server: %d %s, %v", method, path, response.StatusCode, raw, err)
	}
	if answer != nil {
		if err := json.Unmarshal(raw, answer); err != nil {
			w.Fatalf("%s %s of the WhatsApp server: %v: %s", method, path, err, raw)
		}
	}
}

// scan has a phone scan a QR code.
func (w *whatsApp) scan(number, code string) {
	w.Helper()
	w.call(http.MethodPost, "/phones/"+number+"/scan", map[string]string{"qr": code}, nil)
}

// link has a phone's user type a pairing code.
func (w *whatsApp) link(number, code string) {
	w.Helper()
	w.call(http.MethodPost, "/phones/"+number+"/link", map[string]string{"code": code}, nil)
}

type device struct {
	ID        int  `json:"id"`
	Connected bool `json:"connected"`
	PreKeys   int  `json:"preKeys"`
}

func (w *whatsApp) devices(number string) []device {
	w.Helper()
	var answer struct {
		Devices []device `json:"devices"`
	}
	w.call(http.MethodGet, "/phones/"+number+"/devices", nil, &answer)
	return answer.Devices
}

type fault struct {
	Kind   string `json:"kind"`
	Number string `json:"number,omitempty"`
	Code   int    `json:"code,omitempty"`
	Times  int    `json:"times,omitempty"`
	ForMs  int    `json:"forMs,omitempty"`
	Expire int    `json:"expire,omitempty"`
}

// fault makes the server fail and returns how to end that.
func (w *whatsApp) fault(f fault) (end func()) {
	w.Helper()
	var answer struct {
		ID string `json:"id"`
	}
	w.call(http.MethodPost, "/faults", f, &answer)
	return func() {
		w.Helper()
		w.call(http.MethodDelete, "/faults/"+answer.ID, nil, nil)
	}
}

type stats struct {
	Connections int `json:"connections"`
	Logins      int `json:"logins"`
	Replaced    int `json:"replaced"`
	Overlaps    int `json:"overlaps"`
	QRs         int `json:"qrs"`
}

func (w *whatsApp) stats() stats {
	w.Helper()
	var s stats
	w.call(http.MethodGet, "/stats", nil, &s)
	return s
}

// wantsNoOverlap fails the test if two sessions of one device ever met.
func (w *whatsApp) wantsNoOverlap() {
	w.Helper()
	if s := w.stats(); s.Overlaps != 0 || s.Replaced != 0 {
		w.Errorf("want no session that met another of its device, got %d replaced, %d overlaps", s.Replaced, s.Overlaps)
	}
}
