package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/enlacehq/enlace/internal/bench/probe"
)

// process is a program that runs beside the bench.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	probe string // the probe's socket
}

// start starts a program; what it logs goes to a file in dir. It ends with ctx at the latest.
func start(ctx context.Context, dir, program string, env, args []string) (*process, error) {
	name := filepath.Base(program)
	// The path of a unix socket may have about a hundred bytes.
	p := &process{probe: filepath.Join(os.TempDir(), fmt.Sprintf("bench-%d-%s.sock", os.Getpid(), name))}
	logs, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer logs.Close() // the process has its own
	p.cmd = exec.CommandContext(ctx, program, args...)
	p.cmd.Env = append(append(os.Environ(), probe.Env+"="+p.probe), env...)
	p.cmd.Stderr = logs
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// kill ends the process as kill -9 does and waits until it is gone.
func (p *process) kill() {
	if p == nil || p.cmd.Process == nil {
		return // it never started
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = os.Remove(p.probe)
}

// stop asks the process to end and waits until it is gone.
func (p *process) stop() {
	_ = p.in.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	dead := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer dead.Stop()
	_ = p.cmd.Wait()
	_ = os.Remove(p.probe)
}

// usage is what a process holds, in bytes.
type usage struct {
	resident  float64 // what is not a file's: the code does not count, nor do shared mappings
	collected float64 // the same after a garbage collection that gave back what it could
	heap      float64 // in use after that collection
	stack     float64 // of goroutines, likewise
}

// minus is what came in addition to before, for each of n.
func (u usage) minus(before usage, n int) usage {
	each := func(now, then float64) float64 { return (now - then) / float64(n) }
	return usage{
		resident:  each(u.resident, before.resident),
		collected: each(u.collected, before.collected),
		heap:      each(u.heap, before.heap),
		stack:     each(u.stack, before.stack),
	}
}

func (p *process) usage(ctx context.Context) (u usage, err error) {
	if u.resident, err = p.anonymous(); err != nil {
		return u, err
	}
	var m probe.Memory
	if err := p.ask(ctx, "/memory", &m); err != nil {
		return u, err
	}
	u.heap, u.stack = float64(m.Heap), float64(m.Stack)
	u.collected, err = p.anonymous()
	return u, err
}

// anonymous is the process's resident memory that no file stands behind, in bytes.
func (p *process) anonymous() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Anonymous:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("smaps_rollup tells no anonymous memory")
}

// ask gets something of the process's probe.
func (p *process) ask(ctx context.Context, path string, answer any) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", p.probe)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://probe"+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(answer)
}
