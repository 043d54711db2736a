//go:build unix

package sqlite

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Some tests need a process that can be killed, stopped, limited or without
// rights: the test binary itself, started again with childEnv naming what it
// is to do with the file childPath.
const (
	childEnv  = "ENLACE_SQLITE_TEST_CHILD"
	childPath = "ENLACE_SQLITE_TEST_PATH"
)

func TestMain(m *testing.M) {
	children := map[string]func(path string) error{
		"append": childAppend,
		"hold":   childHold,
		"put":    childPut,
		"open":   childOpen,
		"limit":  childLimit,
	}
	if work := children[os.Getenv(childEnv)]; work != nil {
		if err := work(os.Getenv(childPath)); err != nil {
			os.Stdout.WriteString("error: " + err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type child struct {
	*testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// startChild starts work on path in another process, which is gone at the end of the test.
func startChild(t *testing.T, work, path string, attr *syscall.SysProcAttr) *child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	if _, err := os.Stat(cmd.Path); err != nil {
		if cmd.Path, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Env = append(os.Environ(), childEnv+"="+work, childPath+"="+path)
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{T: t, cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}
	t.Cleanup(c.kill)
	return c
}

// line returns the next line that the child says; empty at its end.
func (c *child) line() string {
	line, err := c.stdout.ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(line, "\n")
}

func (c *child) want(line string) {
	c.Helper()
	if got := c.line(); got != line {
		c.Fatalf("the child says %q, want %q", got, line)
	}
}

func (c *child) tell(line string) {
	c.Helper()
	if _, err := io.WriteString(c.stdin, line+"\n"); err != nil {
		c.Fatal(err)
	}
}

func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// within fails the test unless f returns within d.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s: not within %v", what, d)
	}
}
