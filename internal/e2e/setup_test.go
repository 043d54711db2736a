package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Setup makes everything and prints the key once; again it changes nothing and
// says so. What it made serves.
func TestSetup_TwiceChangesNothing(t *testing.T) {
	t.Parallel()
	i := install(t, startWhatsApp(t))
	first := i.run("setup", "setup")
	if code := first.exit(soon); code != 0 || strings.Count(first.log.String(), ": made") != 3 {
		t.Fatalf("want database, sealing key and API key made, got %d: %s", code, first.log)
	}
	key := strings.TrimSpace(first.out.String())
	rememberKey(key)
	if strings.Contains(first.log.String(), key) {
		t.Error("want the key on standard output alone")
	}
	seal, err := os.ReadFile(filepath.Join(i.data, "seal.key"))
	if err != nil {
		t.Fatal(err)
	}

	again := i.run("setup", "setup")
	if code := again.exit(soon); code != 0 || again.out.String() != "" {
		t.Errorf("want exit code 0 and no key, got %d: %s", code, again.out)
	}
	if said := again.log.String(); strings.Contains(said, ": made") || strings.Count(said, "was ") != 3 {
		t.Errorf("want to hear that all three were there, got %s", said)
	}
	if now, err := os.ReadFile(filepath.Join(i.data, "seal.key")); err != nil || string(now) != string(seal) {
		t.Errorf("want the sealing key as it was, %v", err)
	}
	api := i.run("api", "api", "--addr", "127.0.0.1:0")
	s := &server{process: api, url: api.after("enlace listens on "), key: key}
	s.call(http.StatusOK, http.MethodGet, "/v1/workers", "")
}

// API and workers on an empty folder make no key, so that nobody is let in until
// somebody makes one; enlace keys create does on any store.
func TestRoles_MakeNoKey(t *testing.T) {
	t.Parallel()
	i := install(t, startWhatsApp(t))
	worker := i.run("worker", "worker")
	api := i.run("api", "api", "--addr", "127.0.0.1:0")
	s := &server{process: api, workers: []*process{worker}, url: api.after("enlace listens on "), key: "enl_none"}
	s.call(http.StatusUnauthorized, http.MethodGet, channels, "")
	if !strings.Contains(api.log.String(), "there is no API key") {
		t.Errorf("want the log to say why nobody is let in, got %s", api.log)
	}
	if _, err := os.Stat(filepath.Join(i.data, "admin.key")); err == nil {
		t.Error("want no admin.key")
	}
	list := i.run("keys", "keys", "list")
	if code, said := list.exit(soon), list.out.String(); code != 0 || strings.Count(said, "\n") != 1 {
		t.Errorf("want no key listed, got %d: %s", code, said)
	}
	create := i.run("keys", "keys", "create", "--role", "admin", "--company", "*")
	if code := create.exit(soon); code != 0 {
		t.Fatalf("keys create: want exit code 0, got %d: %s", code, create.log)
	}
	s.key = strings.TrimSpace(create.out.String())
	rememberKey(s.key)
	var shown struct{ Workers []struct{ ID, State string } }
	s.call(http.StatusOK, http.MethodGet, "/v1/workers", "").read(t, &shown)
	if len(shown.Workers) != 1 || shown.Workers[0].State != "live" {
		t.Errorf("want the worker in the list, got %+v", shown)
	}
	s.stop()
}

// The health check of a container, against a worker and an API.
func TestHealth_OfEachRole(t *testing.T) {
	t.Parallel()
	i := install(t, startWhatsApp(t))
	addr := freeAddr(t)
	worker := i.run("worker", "worker", "--health-addr", addr)
	asks := func(args ...string) (code int) {
		p := i.run("health", append([]string{"health"}, args...)...)
		code = p.exit(soon)
		if (code == 0) != (p.out.String() == "ok\n") {
			t.Errorf("health %v: got %d and %q", args, code, p.out)
		}
		return code
	}
	eventually(t, "the worker to be well", soon, func() bool { return asks("--health-addr", addr) == 0 })
	_, port, _ := strings.Cut(addr, ":")
	if asks("--health-addr", "0.0.0.0:"+port) != 0 {
		t.Error("want an address of all interfaces asked on this machine")
	}
	worker.stop()
	if asks("--health-addr", addr) != 1 {
		t.Error("want nobody well where nobody is")
	}
	api := i.run("api", "api", "--addr", "127.0.0.1:0")
	if asks("--addr", strings.TrimPrefix(api.after("enlace listens on "), "http://")) != 0 {
		t.Error("want the API well")
	}
}
