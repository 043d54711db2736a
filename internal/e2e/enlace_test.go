package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
)

// installation is a data folder with the settings of the processes that serve it.
type installation struct {
	testing.TB
	shape   shape
	data    string
	env     []string
	isSetUp bool   // by enlace setup
	name    string // of the table, on engines
}

// install makes the data folder of an installation whose WhatsApp is w. It comes
// back from failures quickly; its lease is the product's own, so that a machine
// that is busy with other tests makes no worker miss it.
func install(t testing.TB, w *whatsApp, settings ...string) *installation {
	t.Helper()
	env := append(w.env(), "ENLACE_RECONNECT_DELAY=100ms", "ENLACE_LOG_LEVEL=debug")
	i := &installation{TB: t, shape: shapeOf(t), data: filepath.Join(tempDir(t), "data")}
	i.env = append(env, "ENLACE_DATA="+i.data)
	if i.shape.onAWS() {
		i.env = append(i.env, i.onEngines()...)
	}
	i.env = append(i.env, settings...)
	return i
}

// server serves an installation.
type server struct {
	*process            // the one that has the API
	workers  []*process // those that own the channels, if that one does not
	url      string
	key      string // the admin's
}

// kill ends all processes as a crash of the machine does.
func (s *server) kill() {
	s.process.kill()
	for _, worker := range s.workers {
		worker.kill()
	}
}

// stop asks all processes to end, which they must do well and in time.
func (s *server) stop() {
	s.Helper()
	s.process.stop()
	for _, worker := range s.workers {
		worker.stop()
	}
}

// serve starts what serves the installation and returns when it listens.
func (i *installation) serve() *server {
	i.Helper()
	if i.shape != together {
		return i.serveApart()
	}
	s := &server{process: i.start()}
	s.url = s.after("enlace listens on ")
	s.key = i.adminKey()
	return s
}

func (i *installation) start() *process {
	i.Helper()
	return i.run("serve", "serve", "--addr", "127.0.0.1:0")
}

func (i *installation) adminKey() string {
	i.Helper()
	content, err := os.ReadFile(filepath.Join(i.data, "admin.key"))
	if err != nil {
		i.Fatal(err)
	}
	key := strings.TrimSpace(string(content))
	rememberKey(key)
	return key
}

func rememberKey(key string) {
	secrets.add("the admin key", key)
	secrets.add("the secret of the admin key", key[strings.LastIndex(key, "_")+1:])
}

// answer is what the API answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request makes one call; it returns the error of a call that was not answered.
func (s *server) request(ctx context.Context, method, path, body string, header ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, got}, err
}

// call makes one call that must be answered with the status.
func (s *server) call(status int, method, path, body string, header ...string) answer {
	s.Helper()
	a, err := s.request(s.Context(), method, path, body, header...)
	if err != nil {
		s.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != status {
		s.Fatalf("%s %s: want status %d, got %d: %s", method, path, status, a.status, a.body)
	}
	return a
}

func (a answer) read(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

func (a answer) channel(t testing.TB) enlace.Channel {
	t.Helper()
	var c enlace.Channel
	a.read(t, &c)
	remember(c)
	return c
}

// remember makes secrets of what links an account.
func remember(c enlace.Channel) {
	if c.QR != nil {
		_, keys, _ := strings.Cut(c.QR.Code, "#")
		for _, part := range strings.Split(keys, ",") {
			secrets.add("a part of a QR code", part)
		}
	}
	secrets.add("a pairing code", c.PairingCode)
	secrets.add("a phone number", c.PhoneNumber)
	secrets.add("an account's LID", c.LID)
}

const channels = "/v1/companies/acme/channels"

func path(c enlace.Channel) string { return "/v1/companies/" + c.CompanyID + "/channels/" + c.ID }

// connect asks for a channel of company acme, to be linked by QR code.
func (s *server) connect(name string) enlace.Channel {
	s.Helper()
	return s.call(http.StatusAccepted, http.MethodPost, channels, fmt.Sprintf(`{"type":"WHATSAPP_WEB","name":%q}`, name)).channel(s)
}

func (s *server) channel(c enlace.Channel) enlace.Channel {
	s.Helper()
	return s.call(http.StatusOK, http.MethodGet, path(c), "").channel(s)
}

// until polls a channel until it is as wanted.
func (s *server) until(c enlace.Channel, what string, wanted func(enlace.Channel) bool) enlace.Channel {
	s.Helper()
	return s.untilWithin(soon, c, what, wanted)
}

func (s *server) untilWithin(within time.Duration, c enlace.Channel, what string, wanted func(enlace.Channel) bool) enlace.Channel {
	s.Helper()
	deadline := time.Now().Add(within)
	for c = s.channel(c); !wanted(c); {
		left := time.Until(deadline)
		if left <= 0 {
			shown, _ := json.Marshal(c)
			s.Fatalf("want channel %s %s within %v, got %s", c.Name, what, within, shown)
		}
		wait := fmt.Sprintf("wait=%d", 1+int(min(left, 20*time.Second).Seconds()))
		a, err := s.request(s.Context(), http.MethodGet, path(c), "", "If-None-Match", fmt.Sprintf(`"%d"`, c.Version), "Prefer", wait)
		switch {
		case err != nil:
			s.Fatalf("poll channel %s: %v", c.Name, err)
		case a.status == http.StatusOK:
			c = a.channel(s)
		case a.status != http.StatusNotModified:
			s.Fatalf("poll channel %s: %d %s", c.Name, a.status, a.body)
		}
	}
	return c
}

func (s *server) untilQR(c enlace.Channel) enlace.Channel {
	s.Helper()
	return s.until(c, "with a QR code", func(c enlace.Channel) bool { return c.QR != nil })
}

func (s *server) untilActive(c enlace.Channel) enlace.Channel {
	s.Helper()
	return s.until(c, "active", func(c enlace.Channel) bool { return c.Status == enlace.Active })
}

// untilBack waits until a channel that was active under one owner is so under another.
func (s *server) untilBack(c enlace.Channel) enlace.Channel {
	s.Helper()
	return s.until(c, "active under a new owner", func(now enlace.Channel) bool {
		return now.Status == enlace.Active && now.Owner != c.Owner
	})
}

// untilEnds waits for a status that lasts, with its reason.
func (s *server) untilEnds(c enlace.Channel, status enlace.Status, reason enlace.Reason) enlace.Channel {
	s.Helper()
	return s.untilWithin(2*soon, c, fmt.Sprintf("%s (%s)", status, reason), func(c enlace.Channel) bool {
		return c.Status == status && c.Reason == reason
	})
}

// linked connects a channel and links it to a new phone.
func (s *server) linked(w *whatsApp, name string) (c enlace.Channel, number string) {
	s.Helper()
	number = newNumber()
	c = s.untilQR(s.connect(name))
	w.scan(number, c.QR.Code)
	c = s.untilActive(c)
	if c.PhoneNumber != number {
		s.Fatalf("channel %s: want the number of the phone that scanned, got %q", name, c.PhoneNumber)
	}
	return c, number
}

// events returns the channel's whole log, which must have no gap.
func (s *server) events(c enlace.Channel) []enlace.Event {
	s.Helper()
	var page struct {
		Events []enlace.Event `json:"events"`
	}
	s.call(http.StatusOK, http.MethodGet, path(c)+"/events?limit=1000", "").read(s, &page)
	for i, e := range page.Events {
		if e.Seq != int64(i+1) {
			s.Fatalf("channel %s: want event %d, got %d", c.Name, i+1, e.Seq)
		}
	}
	return page.Events
}

// count counts the events of a name.
func count(events []enlace.Event, name enlace.EventName) int {
	n := 0
	for _, e := range events {
		if e.Event == name {
			n++
		}
	}
	return n
}

// problem is the body of a refusal.
type problem struct {
	Status int         `json:"status"`
	Code   enlace.Code `json:"code"`
	Detail string      `json:"detail"`
}

func (a answer) problem(t testing.TB) problem {
	t.Helper()
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Fatalf("want problem+json, got %q: %s", kind, bytes.TrimSpace(a.body))
	}
	var p problem
	a.read(t, &p)
	if p.Status != a.status {
		t.Errorf("want the status %d in the problem too, got %d", a.status, p.Status)
	}
	return p
}
