package main

import (
	"context"
	"fmt"
	"time"
)

const (
	takenOver     = 60    // channels of two workers
	takeoverLease = "10s" // of these workers
)

// takeovers is how long a worker's channels take to be active elsewhere after it was
// killed. On one machine the others know at once that it is gone; elsewhere a lease
// comes on top.
var takeovers = figure{"takeover", func(ctx context.Context, l *lab) ([]row, error) {
	r := row{
		name: "takeover after kill -9, for each channel", against: "all channels back after kill -9 of all workers, for each",
		unit: "ms", aim: aim{bound: 3},
	}
	for range l.rounds {
		err := l.running(ctx, 2, takeoverLease, func(p *product) error {
			if _, err := p.link(ctx, takenOver, linkedAtATime); err != nil {
				return err
			}
			moved, took, err := p.lose(ctx, 1)
			if err != nil {
				return err
			}
			all, back, err := p.lose(ctx, 0)
			if err != nil {
				return err
			}
			r.add(took.Seconds()*1000/float64(moved), back.Seconds()*1000/float64(all))
			r.note = fmt.Sprintf("%d of %d channels moved in %s s", moved, takenOver, show(took.Seconds()))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return []row{r}, nil
}}

// lose kills a worker, and returns how many channels it had and how long it took
// until all channels were connected and active again. When it was the last one,
// another is started at once.
func (p *product) lose(ctx context.Context, left int) (had int, took time.Duration, err error) {
	before, err := p.server.stats(ctx)
	if err != nil {
		return 0, 0, err
	}
	last := len(p.workers) - 1
	lost := p.workers[last]
	p.workers = p.workers[:last]
	began := time.Now()
	lost.kill()
	if left == 0 {
		if err := p.startWorker(ctx); err != nil {
			return 0, 0, err
		}
	}
	var after stats
	err = eventually(ctx, func() (bool, error) {
		all, err := p.channels(ctx)
		if err != nil {
			return false, err
		}
		for _, c := range all {
			if !isActive(c) {
				return false, nil
			}
		}
		after, err = p.server.stats(ctx)
		return after.Connections == takenOver && after.Logins > before.Logins, err
	})
	took = time.Since(began)
	had = after.Logins - before.Logins
	if err != nil {
		err = fmt.Errorf("%d of the channels have come back: %w", had, err)
	}
	return had, took, err
}
