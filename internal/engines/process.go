package engines

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// process is a running engine.
type process struct {
	name string
	port int
	cmd  *exec.Cmd
	log  *log
	done chan struct{} // closed when the process is gone
	err  error         // of Wait, when done is closed
}

// launch starts a program that ends when this process ends, however it ends.
func launch(name string, port int, argv []string) (*process, error) {
	p := &process{name: name, port: port, log: &log{}, done: make(chan struct{})}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.WaitDelay = time.Second
	dieWithParent(p.cmd)
	started := make(chan error)
	go func() {
		// To Linux the parent is the thread that started the process: keep it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("engines: start %s: %w", name, err)
	}
	return p, nil
}

func (p *process) endpoint() string {
	if p == nil {
		return ""
	}
	return "http://127.0.0.1:" + strconv.Itoa(p.port)
}

// stop ends the process: politely, and after two seconds not.
func (p *process) stop() {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = p.cmd.Process.Kill() // where there are no signals
	}
	select {
	case <-p.done:
	case <-time.After(2 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// ended says how the process ended, when it has.
func (p *process) ended() error {
	how := "with exit code 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("engines: %s ended by itself: %s; its log ends:\n%s", p.name, how, p.log.end())
}

// log keeps the end of what a program writes. It is safe for concurrent use.
type log struct {
	mu   sync.Mutex
	text []byte
}

const logBytes = 16 * 1024

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if len(l.text) > 2*logBytes {
		l.text = append(l.text[:0], l.text[len(l.text)-logBytes:]...)
	}
	return len(b), nil
}

func (l *log) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text[max(0, len(l.text)-logBytes):])
}
