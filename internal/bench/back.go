package main

import (
	"context"
	"fmt"
)

// back is how long it takes from the start of a process until all channels of
// the killed one before it are connected again.
var back = figure{"back", func(ctx context.Context, l *lab) ([]row, error) {
	var rows []row
	for _, n := range []int{100, 500} {
		r := row{
			name: fmt.Sprintf("%d channels back after kill -9", n), against: "raw whatsmeow with stored devices",
			unit: "s", aim: aim{bound: 1.2},
		}
		err := l.fleets(ctx, n, func(p *product, b *baseline, _, _ [2]usage) error {
			p.program = l.product
			for range l.rounds {
				ours, err := p.back(ctx)
				p.kill()
				if err != nil {
					return err
				}
				theirs, err := b.back(ctx)
				b.kill()
				if err != nil {
					return err
				}
				r.add(ours.Seconds(), theirs.Seconds())
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}}
