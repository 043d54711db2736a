package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enlacehq/enlace"
)

// ends waits for a command to end well, and returns what it printed.
func (p *process) ends() string {
	p.Helper()
	if code := p.exit(soon); code != 0 {
		p.Fatalf("%s: want exit code 0, got %d: %s", p.name, code, p.log)
	}
	return p.out.String()
}

// The sealing key is changed while a channel is connected; afterwards the old key
// is gone and a crash costs no new QR code.
func TestSeal_RewrapWhileAChannelRuns(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	c, _ := s.linked(w, "default")

	i.run("add-key", "seal", "add-key").ends()
	s.stop() // the file is read at start
	s = i.serve()
	c = s.untilOwned(c)
	logins := w.stats().Logins
	if said := i.run("rewrap", "seal", "rewrap").ends(); !strings.Contains(said, "wrapped anew: 1,") {
		t.Errorf("rewrap said %q, want one data key wrapped anew", said)
	}
	friend := newNumber()
	s.untilMessage(c, s.post(c, text(friend, "a secret text, 1")).ID, enlace.Delivered)
	if n := w.stats().Logins; n != logins {
		t.Errorf("%d logins, want the %d of before: the session must not notice", n, logins)
	}

	dropOldKey(t, filepath.Join(i.data, "seal.key"))
	s.kill()
	s = i.serve()
	c = s.untilOwned(c)
	s.untilMessage(c, s.post(c, text(friend, "a secret text, 2")).ID, enlace.Delivered)
	if n := count(s.events(c), enlace.EventQR); n != 1 {
		t.Errorf("%d QR codes, want the one of the link", n)
	}
	if said := i.run("rewrap", "seal", "rewrap").ends(); !strings.Contains(said, "by the newest key already: 1,") {
		t.Errorf("rewrap said %q, want nothing left", said)
	}
	if said := i.run("jobs", "jobs", "list").ends(); said != "no dead jobs\n" {
		t.Errorf("dead jobs: %q", said)
	}
	w.wantsNoOverlap()
}

// untilOwned waits until a channel is active under another owner than it was.
func (s *server) untilOwned(c enlace.Channel) enlace.Channel {
	s.Helper()
	return s.until(c, "active under a new owner", func(now enlace.Channel) bool {
		return now.Status == enlace.Active && now.Owner != "" && now.Owner != c.Owner
	})
}

// dropOldKey takes the first of two keys out of a key file.
func dropOldKey(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(content), "\n")
	if len(lines) != 4 {
		t.Fatalf("the key file has %d lines, want a header and two keys", len(lines)-1)
	}
	for _, line := range lines[1:3] {
		_, key, _ := strings.Cut(strings.TrimSpace(line), " ")
		secrets.add("a sealing key", key)
	}
	if err := os.WriteFile(file, []byte(lines[0]+lines[2]), 0o600); err != nil {
		t.Fatal(err)
	}
}
