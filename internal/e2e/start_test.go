package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// refuses wants the process to end with exit code 1 and to say why in one line.
func (p *process) refuses(why ...string) {
	p.Helper()
	if code := p.exit(soon); code != 1 {
		p.Errorf("%s: want exit code 1, got %d", p.name, code)
	}
	var last string
	lines := 0
	for line := range strings.Lines(p.log.String()) {
		if !strings.HasPrefix(line, "time=") { // the log's
			last = line
			lines++
		}
	}
	if lines != 1 || !strings.HasPrefix(last, "enlace: ") {
		p.Errorf("%s: want one line that begins with enlace:, got %q", p.name, p.log)
	}
	for _, word := range why {
		if !strings.Contains(last, word) {
			p.Errorf("%s: want %q in the line, got %q", p.name, word, last)
		}
	}
}

func TestStart_BadSettings(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("ab", 32)
	for why, args := range map[string][]string{
		"--lease":                   {"serve", "--lease", "soon"},
		"--lease: at least":         {"serve", "--lease", "10ms"},
		"--max-reconnect-attempts":  {"serve", "--max-reconnect-attempts", "0"},
		"--reconnect-delay":         {"serve", "--reconnect-delay", "0s"},
		"--retention":               {"serve", "--retention", "1h"},
		"--signal-cache":            {"serve", "--signal-cache", "much"},
		"--seal":                    {"serve", "--seal", "vault"},
		"--store":                   {"api", "--addr", "127.0.0.1:0", "--store", "postgres:x"},
		"--queue":                   {"worker", "--queue", "sqs"},
		"is a folder":               {"worker", "--store", "sqlite:/"},
		"ENLACE_QUEUE: sqs goes":    {"serve", "--queue", "sqs:http://127.0.0.1:1/1/jobs"},
		"ENLACE_SEAL: with a table": {"worker", "--store", "dynamodb:none"},
		"seal key file":             {"worker", "--store", "dynamodb:none", "--seal", "file:no.key"},
		"127.0.0.1:1/healthz":       {"health", "--health-addr", "127.0.0.1:1"},
		"--log-format":              {"serve", "--log-format", "xml"},
		"--log-level":               {"serve", "--log-level", "loud"},
		"--data":                    {"serve", "--data", ""},
		"missing port":              {"serve", "--addr", "localhost"},
		"no such host":              {"serve", "--addr", "no.such.host.invalid:80"},
		"go together":               {"serve", "--whatsapp-url", "ws://127.0.0.1:1/ws/chat"},
		"ws://host":                 {"serve", "--whatsapp-url", "http://127.0.0.1:1", "--whatsapp-root-key", key},
		"32 bytes in hex":           {"serve", "--whatsapp-url", "ws://127.0.0.1:1/ws/chat", "--whatsapp-root-key", key + "00"},
		"unknown flag --adr":        {"serve", "--adr", "x"},
		"is no data folder":         {"keys", "list", "--data", "no/such/folder"},
		`"a b" is not a company`:    {"keys", "create", "--company", "a b"},
		"needs --phone":             {"connect", "--company", "acme", "--key", "x", "--pairing", "code"},
		"an API key is needed":      {"connect", "--company", "acme"},
		"connection refused":        {"connect", "--company", "acme", "--key", "x", "--url", "http://127.0.0.1:1"},
		"unexpected argument sevre": {"sevre"},
		`must be one of "3.1","3.0`: {"openapi", "--version", "2"},
	} {
		cwd := tempDir(t)
		p := startIn(t, cwd, args...)
		p.refuses(why)
		if left, err := os.ReadDir(cwd); err != nil || len(left) != 0 {
			t.Errorf("%v: want nothing made, got %v, %v", args, left, err)
		}
	}
}

func startIn(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(enlaceBin, args...)
	cmd.Dir = dir
	return startCommand(t, args[0], nil, cmd)
}

func TestStart_AddressTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	startIn(t, tempDir(t), "serve", "--addr", addr).refuses(addr, "in use")
	startIn(t, tempDir(t), "demo", "--addr", "127.0.0.1:0", "--whatsapp-addr", addr).refuses(addr, "in use")
	startIn(t, tempDir(t), "demo", "--addr", addr, "--whatsapp-addr", "127.0.0.1:0").refuses(addr, "in use")
}

func TestStart_BadDataFolder(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	for name, test := range map[string]struct {
		spoil func(data string) error
		why   []string
	}{
		"it is a file": {func(data string) error {
			if err := os.RemoveAll(data); err != nil {
				return err
			}
			return os.WriteFile(data, []byte("hello"), 0o600)
		}, []string{"not a directory"}},
		"the database is something else": {func(data string) error {
			return os.WriteFile(filepath.Join(data, "enlace.db"), []byte(strings.Repeat("no database ", 1000)), 0o600)
		}, []string{"enlace.db", "not a database"}},
		"the database is damaged": {func(data string) error {
			file, err := os.OpenFile(filepath.Join(data, "enlace.db"), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = file.WriteAt([]byte(strings.Repeat("damage", 700)), 100) // the first page, after its header
			return err
		}, []string{"enlace.db", "corrupt"}},
		"the database is a folder": {func(data string) error {
			if err := os.Remove(filepath.Join(data, "enlace.db")); err != nil {
				return err
			}
			return os.Mkdir(filepath.Join(data, "enlace.db"), 0o700)
		}, []string{"enlace.db", "folder"}},
		"the sealing key is cut short": {func(data string) error {
			return os.Truncate(filepath.Join(data, "seal.key"), 40)
		}, []string{"seal.key", "cut short"}},
		"the sealing key can be read by others": {func(data string) error {
			return os.Chmod(filepath.Join(data, "seal.key"), 0o644)
		}, []string{"seal.key", "chmod 600"}},
		"no key in the table, and none in admin.key": {func(data string) error {
			if err := os.Remove(filepath.Join(data, "enlace.db")); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(data, "admin.key"), []byte("secret"), 0o600)
		}, []string{"admin.key", "not an API key"}},
	} {
		i := install(t, w)
		i.serve().stop()
		if err := test.spoil(i.data); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p := i.start()
		p.refuses(test.why...)
		if t.Failed() {
			t.Fatalf("%s", name)
		}
	}
}

// The first start was interrupted after it had made the key's file: the next one
// takes the key that lies there.
func TestStart_AdminKeyOfAnInterruptedStart(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	s.stop()
	for _, file := range []string{"enlace.db", "enlace.db-wal", "enlace.db-shm"} {
		_ = os.Remove(filepath.Join(i.data, file))
	}
	again := i.serve()
	if again.key != s.key {
		t.Error("want the key that lies in the folder, got another")
	}
	again.call(200, "GET", channels, "")
	info, err := os.Stat(filepath.Join(i.data, "admin.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("want admin.key for its owner alone, got %v, %v", info.Mode(), err)
	}
	if strings.Contains(again.out.String()+again.log.String(), again.key) {
		t.Error("want the key printed nowhere")
	}
	if place := again.after("admin API key in "); place != filepath.Join(i.data, "admin.key") {
		t.Errorf("want the key's place printed, got %q", place)
	}
}

// SIGTERM that comes while the process starts ends it well too.
func TestStart_StoppedAtOnce(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	for n := range 10 {
		p := install(t, w).start()
		p.after("enlace listens on ")
		time.Sleep(time.Duration(n) * 5 * time.Millisecond)
		p.stop()
	}
}
