package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// baseline is raw whatsmeow in a process of its own, on one database.
type baseline struct {
	lab    *lab
	dir    string
	server *testServer
	// hasty leaves out the syncing to disk, where only memory is measured and
	// linking hundreds of devices would take many minutes.
	hasty bool
	// eager leaves whatsmeow's settings as they are, with which it acknowledges a
	// message before anybody has stored it; else it acknowledges as the product does.
	eager bool
	// conns is how many connections it has to its database, unlimited when 0. For
	// linking devices many are best for it: less waiting. For all else one is:
	// SQLite's writers wait for each other asleep, and each connection has a cache.
	conns  int
	linked int
	*process
}

func (l *lab) newBaseline(server *testServer, dir string) *baseline {
	return &baseline{lab: l, dir: dir, server: server}
}

// start starts the process, on the database of the one before if there was one.
func (b *baseline) start(ctx context.Context) (err error) {
	args := []string{"-whatsapp", b.server.url, "-root", b.server.root, "-db", filepath.Join(b.dir, "raw.db"), "-conns", strconv.Itoa(b.conns)}
	if b.hasty {
		args = append(args, "-hasty")
	}
	if b.eager {
		args = append(args, "-eager")
	}
	b.process, err = start(ctx, b.dir, b.lab.raw, nil, args)
	return err
}

func (b *baseline) do(c wire.Command) (wire.Answer, error) {
	var answer wire.Answer
	if err := json.NewEncoder(b.in).Encode(c); err != nil {
		return answer, err
	}
	line, err := b.out.ReadBytes('\n')
	if err != nil {
		return answer, fmt.Errorf("raw ended: %w", err)
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return answer, err
	}
	if answer.Error != "" {
		return answer, errors.New("raw: " + answer.Error)
	}
	return answer, nil
}

func (b *baseline) link(_ context.Context, count, parallel int) ([]wire.Times, error) {
	answer, err := b.do(wire.Command{Do: wire.Link, Count: count, Parallel: parallel, First: b.linked})
	b.linked += count
	return answer.Links, err
}

// back starts the process after a kill and returns how long it took until all
// devices were connected.
func (b *baseline) back(ctx context.Context) (time.Duration, error) {
	if _, err := b.server.alone(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := b.start(ctx); err != nil {
		return 0, err
	}
	answer, err := b.do(wire.Command{Do: wire.Restore})
	if err == nil && answer.Count != b.linked {
		err = fmt.Errorf("raw restored %d devices of %d", answer.Count, b.linked)
	}
	return time.Since(began), err
}
