package main

import (
	"context"
	"time"
)

const (
	broughtUp = 100 // channels
	atATime   = 4
)

// bringUp is how long many new channels take that are linked some at a time.
var bringUp = figure{"bring up", func(ctx context.Context, l *lab) ([]row, error) {
	r := row{
		name: "100 channels brought up, 4 at a time", against: "raw whatsmeow",
		unit: "s", aim: aim{bound: 0.5},
	}
	for range (l.rounds + 2) / 3 { // the baseline alone takes minutes
		err := l.pair(ctx, func(p *product, b *baseline) error {
			began := time.Now()
			if _, err := p.link(ctx, broughtUp, atATime); err != nil {
				return err
			}
			ours := time.Since(began)
			began = time.Now()
			if _, err := b.link(ctx, broughtUp, atATime); err != nil {
				return err
			}
			r.add(ours.Seconds(), time.Since(began).Seconds())
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return []row{r}, nil
}}
