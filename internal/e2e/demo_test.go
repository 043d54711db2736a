package e2e

import (
	"bytes"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enlacehq/enlace"
)

// demo is a running enlace demo: a server and the WhatsApp that it brought along.
type demo struct {
	*server
	w    *whatsApp
	data string
}

func startDemo(t *testing.T, data, addr, whatsappAddr string) *demo {
	t.Helper()
	d := &demo{data: data}
	p := start(t, "demo", nil, enlaceBin, "demo", "--addr", addr, "--data", data, "--whatsapp-addr", whatsappAddr)
	d.server = &server{process: p, url: p.after("enlace listens on ")}
	d.w = &whatsApp{process: p, control: p.after("its WhatsApp is ")}
	d.key = (&installation{TB: t, data: data}).adminKey()
	return d
}

// The lines that the demo prints are tried in a shell, as a newcomer does; then it
// is killed and started again.
func TestDemo_PrintedLines(t *testing.T) {
	t.Parallel()
	secrets.add("a phone number", "14155550123")
	data := filepath.Join(tempDir(t), "demo")
	d := startDemo(t, data, "127.0.0.1:0", "127.0.0.1:0")
	d.after("  kill -9") // the last line is there

	var script strings.Builder
	script.WriteString("set -eu\n")
	for line := range strings.Lines(d.out.String()) {
		line, printed := strings.CutPrefix(line, "  ")
		if !printed || strings.HasPrefix(line, "kill") {
			continue
		}
		if strings.HasPrefix(line, "# ") || strings.Contains(line, "/messages") || strings.Contains(line, "/events") {
			script.WriteString("sleep 1\n") // a person reads
		}
		script.WriteString(line)
	}
	shell := exec.Command("sh", "-c", script.String())
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("the printed lines fail: %v\n%s\n%s", err, script.String(), out)
	}
	for _, want := range []string{`"status":"connecting"`, `"qr":{"code":"`, "██", `"device":{`, `"status":"active","phoneNumber":"14155550123"`, `"event":"channel.ready"`, `"text":{"body":"hello"}`, `"status":"queued"`, `"text":"hello back"`, `"status":"delivered"`} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("want %s in what the printed lines give, got:\n%s", want, out)
		}
	}
	if t.Failed() {
		return
	}

	var list struct {
		Channels []enlace.Channel `json:"channels"`
	}
	d.call(http.StatusOK, http.MethodGet, channels, "").read(t, &list)
	c := list.Channels[0]
	remember(c)
	d.kill()
	d = startDemo(t, data, strings.TrimPrefix(d.url, "http://"), strings.TrimPrefix(d.w.control, "http://"))
	c = d.untilBack(c)
	if n := count(d.events(c), enlace.EventQR); n != 1 {
		t.Errorf("want the one QR code of the first time, got %d", n)
	}
	if got := d.w.stats(); got.Logins != 1 || got.Replaced != 0 || got.Overlaps != 0 {
		t.Errorf("want one login since the start and no session that met another, got %+v", got)
	}
	d.stop()
}

// The terminal's clients: enlace connect, and the shell script on curl alone.
func TestDemo_TerminalClients(t *testing.T) {
	t.Parallel()
	data := filepath.Join(tempDir(t), "demo")
	d := startDemo(t, data, "127.0.0.1:0", "127.0.0.1:0")
	keyFile := filepath.Join(data, "admin.key")
	for name, run := range map[string]func(name string) *process{
		"connect": func(name string) *process {
			return start(t, name, nil, enlaceBin, "connect", "--url", d.url, "--key-file", keyFile, "--company", "acme", "--name", name)
		},
		"script": func(name string) *process {
			return start(t, name, []string{"ENLACE_URL=" + d.url, "ENLACE_KEY_FILE=" + keyFile}, "sh", filepath.Join("..", "..", "examples", "curl", "connect.sh"), "acme", name)
		},
	} {
		p := run(name)
		edge := strings.Repeat("█", 40)
		eventually(t, name+" to draw a QR code", soon, func() bool { return strings.Count(p.out.String(), edge) >= 2 })
		c := d.untilQR(d.connect(name))
		number := newNumber()
		d.w.scan(number, c.QR.Code)
		if code := p.exit(soon); code != 0 {
			t.Errorf("%s: want exit code 0, got %d: %s%s", name, code, p.out, p.log)
		}
		if said := p.out.String(); !strings.Contains(said, "Scan with WhatsApp") || !strings.HasSuffix(said, "active: "+number+"\n") {
			t.Errorf("%s: want a drawn QR code, then active and the number, got:\n%s", name, said)
		}
		again := run(name)
		if code := again.exit(soon); code != 0 || !strings.Contains(again.out.String(), "active already") {
			t.Errorf("%s: want exit code 0 and word that it is active already, got %d: %s%s", name, code, again.out, again.log)
		}
	}

	// By pairing code.
	number := newNumber()
	p := start(t, "connect", nil, enlaceBin, "connect", "--url", d.url, "--key-file", keyFile, "--company", "acme", "--name", "code", "--pairing", "code", "--phone", "+"+number)
	d.w.link(number, p.after("In WhatsApp, Linked devices, Link with phone number, type: "))
	if code := p.exit(soon); code != 0 {
		t.Errorf("want exit code 0, got %d: %s%s", code, p.out, p.log)
	}
}

func TestKeys_OnTheMachine(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	keys := func(args ...string) string {
		p := start(t, "keys", nil, enlaceBin, append(append([]string{"keys"}, args...), "--data", i.data)...)
		if code := p.exit(soon); code != 0 {
			t.Fatalf("keys %v: want exit code 0, got %d: %s", args, code, p.log)
		}
		return strings.TrimSpace(p.out.String())
	}
	made := keys("create", "--company", "acme", "--role", "viewer", "--name", "dashboard")
	as := *s
	as.key = made
	as.call(http.StatusOK, http.MethodGet, channels, "")
	as.call(http.StatusForbidden, http.MethodPost, channels, `{"type":"WHATSAPP_WEB"}`)
	as.call(http.StatusNotFound, http.MethodGet, "/v1/companies/other/channels", "")

	id := "key_" + strings.Split(made, "_")[1]
	if list := keys("list"); !strings.Contains(list, id) || !strings.Contains(list, "dashboard") || strings.Contains(list, made) {
		t.Errorf("want the key in the list without its secret, got:\n%s", list)
	}
	keys("delete", id)
	if list := keys("list"); strings.Contains(list, id) {
		t.Errorf("want the key gone, got:\n%s", list)
	}
	p := start(t, "keys", nil, enlaceBin, "keys", "delete", id, "--data", i.data)
	p.refuses("no such key")
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w).serve()
	for flag, path := range map[string]string{"3.1": "/openapi.json", "3.0": "/openapi-3.0.json"} {
		p := start(t, "openapi", nil, enlaceBin, "openapi", "--version", flag)
		if code := p.exit(soon); code != 0 {
			t.Fatalf("want exit code 0, got %d", code)
		}
		served := s.call(http.StatusOK, http.MethodGet, path, "")
		if strings.TrimSpace(p.out.String()) != strings.TrimSpace(string(served.body)) {
			t.Errorf("want %s as openapi --version %s prints it", path, flag)
		}
	}
	p := start(t, "version", nil, enlaceBin, "version")
	if code := p.exit(soon); code != 0 || !strings.HasPrefix(p.out.String(), "enlace ") {
		t.Errorf("want the version and exit code 0, got %d: %s", code, p.out)
	}
	for _, public := range []string{"/healthz", "/readyz", "/docs"} {
		as := *s
		as.key = ""
		as.call(http.StatusOK, http.MethodGet, public, "")
	}
}
