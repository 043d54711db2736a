package main

import (
	"context"
	"fmt"
)

// fleets is what is measured of many connected channels: their memory, and how
// long they take to come back.
var fleets = figure{"memory and back", func(ctx context.Context, l *lab) ([]row, error) {
	var memories, backs []row
	for _, size := range []int{100, 500} {
		err := l.fleet(ctx, size, func(f *fleet) error {
			rows, err := measureMemory(ctx, l, f)
			if err != nil {
				return err
			}
			memories = append(memories, rows...)
			rows, err = measureBack(ctx, l, f)
			backs = append(backs, rows...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return append(memories, backs...), nil
}}

// fleet is a product and a baseline with as many linked channels each, neither of
// them running, and what they used without a channel and right after the linking.
type fleet struct {
	size                         int
	product                      *product
	baseline                     *baseline
	productNone, productLinked   usage
	baselineNone, baselineLinked usage
}

// linkedAtATime is how many channels are linked at once where how long that
// takes is not measured.
const linkedAtATime = 8

// fleet runs f with a fleet.
func (l *lab) fleet(ctx context.Context, size int, f func(*fleet) error) error {
	p, err := l.stage(ctx)
	if err != nil {
		return err
	}
	defer p.server.kill()
	p.program = l.probed
	b := l.newBaseline(p.server, p.dir)
	b.hasty, b.conns = true, 1
	made := &fleet{size: size, product: p, baseline: b}

	err = p.start(ctx)
	if err == nil {
		made.productNone, made.productLinked, err = grow(ctx, p.process, func() error { _, err := p.link(ctx, size, linkedAtATime); return err })
	}
	p.kill()
	if err != nil {
		return fmt.Errorf("link the product's channels: %w", err)
	}
	err = b.start(ctx)
	if err == nil {
		made.baselineNone, made.baselineLinked, err = grow(ctx, b.process, func() error { _, err := b.link(ctx, size, linkedAtATime); return err })
	}
	b.kill()
	if err != nil {
		return fmt.Errorf("link the baseline's devices: %w", err)
	}
	b.hasty = false
	return f(made)
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
