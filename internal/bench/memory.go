package main

import (
	"context"
	"fmt"
	"time"
)

// settling is how long a process is left alone before its memory is measured.
const settling = 5 * time.Second

func (p *process) settled(ctx context.Context) (usage, error) {
	select {
	case <-ctx.Done():
		return usage{}, ctx.Err()
	case <-time.After(settling):
	}
	return p.usage(ctx)
}

// memory is what a connected idle channel adds to its process.
var memory = figure{"memory", func(ctx context.Context, l *lab) ([]row, error) {
	var rows []row
	for _, n := range []int{100, 500} {
		linked, restarted := memoryRow(n, "just linked"), memoryRow(n, "after a restart")
		notes := [2][]usage{}
		err := l.fleets(ctx, n, func(p *product, b *baseline, none, grown [2]usage) error {
			ours, theirs := grown[0].minus(none[0], n), grown[1].minus(none[1], n)
			linked.add(ours.collected/1024, theirs.collected/1024)
			linked.note = alsoSeen(ours, theirs)
			for range (l.rounds + 1) / 2 {
				if _, err := p.back(ctx); err != nil {
					return err
				}
				usage, err := p.settled(ctx)
				p.kill()
				if err != nil {
					return err
				}
				notes[0] = append(notes[0], usage.minus(none[0], n))
				if _, err := b.back(ctx); err != nil {
					return err
				}
				usage, err = b.settled(ctx)
				b.kill()
				if err != nil {
					return err
				}
				notes[1] = append(notes[1], usage.minus(none[1], n))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for i := range notes[0] {
			restarted.add(notes[0][i].collected/1024, notes[1][i].collected/1024)
			restarted.note = alsoSeen(notes[0][i], notes[1][i])
		}
		rows = append(rows, linked, restarted)
	}
	return rows, nil
}}

func memoryRow(n int, when string) row {
	return row{
		name: fmt.Sprintf("memory per connected idle channel, %d %s", n, when), against: "raw whatsmeow",
		unit: "KiB", aim: aim{bound: 1},
	}
}

// alsoSeen tells the other ways to look at the same processes.
func alsoSeen(ours, theirs usage) string {
	return fmt.Sprintf("heap in use %s against %s KiB, stacks %s against %s KiB; resident before the collections %s against %s KiB",
		show(ours.heap/1024), show(theirs.heap/1024), show(ours.stack/1024), show(theirs.stack/1024),
		show(ours.resident/1024), show(theirs.resident/1024))
}
