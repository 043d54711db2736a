package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// linkedAtATime is how many devices of a fleet are linked at once; how long that
// takes is not measured.
const linkedAtATime = 8

// fleets runs f with a product and a baseline that each hold n linked channels,
// none of them running, and the usage of each with no channel and right after
// the linking. The product has the probe.
func (l *lab) fleets(ctx context.Context, n int, f func(p *product, b *baseline, none, linked [2]usage) error) error {
	dir, err := l.fresh()
	if err != nil {
		return err
	}
	server, err := l.startServer(ctx, dir)
	if err != nil {
		return err
	}
	defer server.kill()

	p, err := l.newProduct(server, dir)
	if err != nil {
		return err
	}
	p.program = l.probed
	b := l.newBaseline(server, dir)
	b.hasty, b.conns = true, 1

	var none, linked [2]usage
	if err := p.start(ctx); err != nil {
		return err
	}
	none[0], linked[0], err = grow(ctx, p.process, func() error { _, err := p.link(ctx, n, linkedAtATime); return err })
	p.kill()
	if err != nil {
		return fmt.Errorf("link with %s: %w", filepath.Base(p.program), err)
	}
	if err := b.start(ctx); err != nil {
		return err
	}
	none[1], linked[1], err = grow(ctx, b.process, func() error { _, err := b.link(ctx, n, linkedAtATime); return err })
	b.kill()
	if err != nil {
		return fmt.Errorf("link with the baseline: %w", err)
	}
	b.hasty = false
	return f(p, b, none, linked)
}

// grow measures a process before and after link.
func grow(ctx context.Context, p *process, link func() error) (none, linked usage, err error) {
	if none, err = p.settled(ctx); err != nil {
		return none, linked, err
	}
	if err := link(); err != nil {
		return none, linked, err
	}
	linked, err = p.settled(ctx)
	return none, linked, err
}
