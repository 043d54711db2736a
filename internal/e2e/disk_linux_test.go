package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/enlacehq/enlace"
)

// onMount starts enlace serve in a namespace of its own, in which mount has made
// the data folder a file system of its own; $1 is the folder.
func (i *installation) onMount(mount string) *process {
	i.Helper()
	cmd := exec.Command("/bin/sh", "-c", mount+` && exec "$2" serve --addr 127.0.0.1:0 --data "$1"`, "sh", i.data, enlaceBin)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	return startCommand(i.TB, "serve", i.env, cmd)
}

func TestDisk_ReadOnly(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	i.serve().stop()
	p := i.onMount(`mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"`)
	p.refuses(i.data, "read-only")

	empty := install(t, w)
	if err := os.Mkdir(empty.data, 0o700); err != nil {
		t.Fatal(err)
	}
	empty.onMount(`mount -t tmpfs -o ro none "$1"`).refuses(empty.data, "read-only")
}

func TestDisk_FullAtStart(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	for _, size := range []string{"4k", "16k", "48k"} {
		i := install(t, w)
		if err := os.Mkdir(i.data, 0o700); err != nil {
			t.Fatal(err)
		}
		p := i.onMount(`mount -t tmpfs -o mode=700,size=` + size + ` none "$1"`)
		p.exit(soon)
		if said := p.log.String(); !strings.Contains(said, "disk full") && !strings.Contains(said, "no space left") {
			t.Errorf("on %s: want a line that says that the disk is full, got %q", size, said)
		}
		p.refuses()
	}
}

// The disk fills up while the process runs: callers are told to try again, the
// log says why, and when there is room again all goes on.
func TestDisk_FullWhileRunning(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	if err := os.Mkdir(i.data, 0o700); err != nil {
		t.Fatal(err)
	}
	s := &server{process: i.onMount(`mount -t tmpfs -o mode=700,size=3m none "$1"`)}
	s.url = s.after("enlace listens on ")
	// The test sees the folder through the process that has it.
	i.data = filepath.Join("/proc", fmt.Sprint(s.cmd.Process.Pid), "root", i.data)
	s.key = i.adminKey()
	c, _ := s.linked(w, "default")

	filler := filepath.Join(i.data, "filler")
	file, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = file.Write(bytes.Repeat([]byte("x"), 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	file.Close()

	var refused answer
	eventually(t, "a write refused", 2*soon, func() bool {
		refused, err = s.request(t.Context(), http.MethodPost, channels, fmt.Sprintf(`{"type":"WHATSAPP_WEB","name":%q}`, enlace.NewID("c")))
		return err == nil && refused.status != http.StatusAccepted
	})
	if got := refused.problem(t); refused.status != http.StatusServiceUnavailable || got.Code != enlace.CodeUnavailable {
		t.Errorf("want 503 unavailable, got %d: %+v", refused.status, got)
	}
	eventually(t, "the log to say why", soon, func() bool { return strings.Contains(s.log.String(), "disk full") })

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a write accepted", 2*soon, func() bool {
		a, err := s.request(t.Context(), http.MethodPost, channels, `{"type":"WHATSAPP_WEB","name":"after"}`)
		return err == nil && a.status == http.StatusAccepted
	})
	c = s.untilActive(c)
	if n := count(s.events(c), enlace.EventQR); n != 1 {
		t.Errorf("want the one QR code of the first time, got %d", n)
	}
	s.stop()
}
