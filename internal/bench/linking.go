package main

import (
	"context"
	"time"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// linksPerRound is how many channels a round links, one after the other.
const linksPerRound = 10

// linking is how long the two parts of linking take that a person waits for.
var linking = figure{"linking", func(ctx context.Context, l *lab) ([]row, error) {
	qr := row{
		name: "POST to QR readable, p50", against: "raw whatsmeow, dial to QR event",
		unit: "ms", aim: aim{bound: 3},
		reason: "Three writes wait for the disk before a code is shown (the channel, its owner's claim, the code), where the baseline writes nothing: the slower or busier the disk, the more they weigh.",
	}
	scan := row{
		name: "scan to `active`, p50", against: "raw whatsmeow, scan to connected with the prekeys uploaded",
		unit: "ms", aim: aim{bound: 0.25},
	}
	err := l.pair(ctx, func(p *product, b *baseline) error {
		for i := range l.rounds + 1 {
			ours, err := p.link(ctx, linksPerRound, 1)
			if err != nil {
				return err
			}
			theirs, err := b.link(ctx, linksPerRound, 1)
			if err != nil {
				return err
			}
			if i == 0 {
				continue // the first round only warms both up
			}
			qr.add(p50(ours, timeOfQR), p50(theirs, timeOfQR))
			scan.add(p50(ours, timeOfScan), p50(theirs, timeOfScan))
		}
		return nil
	})
	return []row{qr, scan}, err
}}

func timeOfQR(t wire.Times) time.Duration   { return t.QR }
func timeOfScan(t wire.Times) time.Duration { return t.Scan }

// p50 is the median of one of the times, in milliseconds.
func p50(times []wire.Times, of func(wire.Times) time.Duration) float64 {
	values := make([]float64, len(times))
	for i, t := range times {
		values[i] = of(t).Seconds() * 1000
	}
	return median(values)
}

// pair starts a test server, the product and the baseline, each in an empty
// folder, runs f and ends them.
func (l *lab) pair(ctx context.Context, f func(p *product, b *baseline) error) error {
	p, err := l.stage(ctx)
	if err != nil {
		return err
	}
	defer p.server.kill()
	if err := p.start(ctx); err != nil {
		return err
	}
	defer p.stop()
	b := l.newBaseline(p.server, p.dir)
	if err := b.start(ctx); err != nil {
		return err
	}
	defer b.stop()
	return f(p, b)
}
