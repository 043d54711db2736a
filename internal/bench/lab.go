package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// lab is where measurements run: the built programs and a folder for what they write.
type lab struct {
	dir    string
	rounds int
	// The programs.
	server, product, probed, raw string
	made                         int // folders made by fresh
}

// openLab makes the folder bench in parent anew and builds the programs into it.
// It must run in the module.
func openLab(ctx context.Context, parent string, rounds int) (*lab, error) {
	dir, err := filepath.Abs(filepath.Join(parent, "bench"))
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &lab{dir: dir, rounds: rounds}
	overlay, err := l.overlay()
	if err != nil {
		return nil, err
	}
	for _, b := range []struct {
		to            *string
		name, program string
		flags         []string
	}{
		{&l.server, "whatsapptest", "./cmd/whatsapptest", nil},
		{&l.raw, "raw", "./internal/bench/raw", nil},
		{&l.product, "enlace", "./cmd/enlace", nil},
		{&l.probed, "enlace-probed", "./cmd/enlace", []string{"-overlay", overlay}},
	} {
		*b.to = filepath.Join(dir, b.name)
		args := append([]string{"build", "-o", *b.to}, b.flags...)
		build := exec.CommandContext(ctx, "go", append(args, b.program)...)
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", b.program, err, out)
		}
	}
	return l, nil
}

// overlay makes a build overlay that adds the probe to the product: the one
// difference between the program that is measured for memory and the product.
func (l *lab) overlay() (string, error) {
	const added = `package main

import "github.com/enlacehq/enlace/internal/bench/probe"

func init() { probe.Start() }
`
	source := filepath.Join(l.dir, "probe.go")
	if err := os.WriteFile(source, []byte(added), 0o600); err != nil {
		return "", err
	}
	inPackage, err := filepath.Abs("cmd/enlace/bench_probe.go")
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{inPackage: source}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(l.dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}

// fresh makes an empty folder.
func (l *lab) fresh() (string, error) {
	l.made++
	dir := filepath.Join(l.dir, fmt.Sprintf("run%02d", l.made))
	return dir, os.Mkdir(dir, 0o700)
}

// freeAddr is a loopback address that nobody listens at.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
