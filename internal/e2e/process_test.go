package e2e

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// soon is how long a test waits for what should come at once: long, because the
// machine may be busy with other tests.
const soon = 30 * time.Second

// process is a program under test. What it writes is kept in logDir.
type process struct {
	testing.TB
	name string
	cmd  *exec.Cmd
	out  *output // standard output
	log  *output // standard error
	done chan struct{}
	err  error // of Wait, when done is closed
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	file *os.File
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	return o.file.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// end returns the last lines.
func (o *output) end() string {
	lines := strings.SplitAfter(o.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "")
}

// start starts a program, which is killed at the end of the test if it still runs.
func start(t testing.TB, name string, env []string, bin string, args ...string) *process {
	t.Helper()
	return startCommand(t, name, env, exec.Command(bin, args...))
}

func startCommand(t testing.TB, name string, env []string, cmd *exec.Cmd) *process {
	t.Helper()
	if err := lookAtSources(); err != nil {
		t.Fatal(err)
	}
	p := &process{TB: t, name: name, cmd: cmd, done: make(chan struct{})}
	p.out, p.log = p.newOutput("out"), p.newOutput("log")
	cmd.Stdout, cmd.Stderr = p.out, p.log
	cmd.Env = append(cleanEnviron(), env...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		_, _ = p.out.file.Close(), p.log.file.Close()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("end of the log of %s (%d):\n%s", name, cmd.Process.Pid, p.log.end())
		}
	})
	return p
}

func (p *process) newOutput(kind string) *output {
	p.Helper()
	test := strings.NewReplacer("/", "_", " ", "_").Replace(p.Name())
	file, err := os.CreateTemp(logDir, test+"."+p.name+".*."+kind)
	if err != nil {
		p.Fatal(err)
	}
	return &output{file: file}
}

// cleanEnviron is the environment without settings of enlace.
func cleanEnviron() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "ENLACE_") {
			env = append(env, entry)
		}
	}
	return env
}

// kill ends the process as a crash does, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // if it is stopped
	<-p.done
}

func (p *process) signal(sig os.Signal) {
	p.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.Fatalf("signal %v to %s: %v", sig, p.name, err)
	}
}

// exit waits for the process to end by itself and returns its exit code.
func (p *process) exit(within time.Duration) int {
	p.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.Fatalf("%s: want its end within %v, but it runs; its output:\n%s", p.name, within, p.out)
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		p.Fatalf("%s: %v", p.name, p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop asks the process to end, which it must do well and in time.
func (p *process) stop() {
	p.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.exit(soon); code != 0 {
		p.Fatalf("%s: want exit code 0 after SIGTERM, got %d", p.name, code)
	}
}

// after returns what follows prefix in the first line of standard output that begins with it.
func (p *process) after(prefix string) string {
	p.Helper()
	var found string
	eventually(p, "a line of "+p.name+" that begins with "+prefix, soon, func() bool {
		for line := range strings.Lines(p.out.String()) {
			if rest, ok := strings.CutPrefix(line, prefix); ok && strings.HasSuffix(line, "\n") {
				found = strings.TrimSpace(rest)
				return true
			}
		}
		select {
		case <-p.done:
			p.Fatalf("%s ended: %v", p.name, p.err)
		default:
		}
		return false
	})
	return found
}

// eventually polls until ok, or fails the test.
func eventually(t testing.TB, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("want %s within %v", what, within)
		}
	}
}

// tempDir is the folder of a test's data. Unlike t.TempDir it holds no name of a
// test, which would make paths too long for some.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(logDir), "data-")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// freeAddr is an address on which nobody listens now.
func freeAddr(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
