package main

import (
	"context"
	"fmt"
	"math"
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

// measureMemory is what a connected idle channel adds to its process, right after
// its linking and in a new process.
func measureMemory(ctx context.Context, l *lab, f *fleet) ([]row, error) {
	linked, restarted := memoryRow(f.size, "just linked"), memoryRow(f.size, "after a restart")
	addUsage(&linked, f.productLinked.minus(f.productNone, f.size), f.baselineLinked.minus(f.baselineNone, f.size))
	f.product.program = l.probed
	for range (l.rounds + 1) / 2 {
		if _, err := f.product.back(ctx); err != nil {
			return nil, err
		}
		ours, err := f.product.settled(ctx)
		f.product.kill()
		if err != nil {
			return nil, err
		}
		if _, err := f.baseline.back(ctx); err != nil {
			return nil, err
		}
		theirs, err := f.baseline.settled(ctx)
		f.baseline.kill()
		if err != nil {
			return nil, err
		}
		addUsage(&restarted, ours.minus(f.productNone, f.size), theirs.minus(f.baselineNone, f.size))
		// Resident before collections: what a worker needs while it lives.
		room := (2<<30 - f.productNone.resident) / ours.minus(f.productNone, f.size).resident
		restarted.note += fmt.Sprintf("; in 2 GiB there is room for about %.0f such channels, if all are idle", math.Floor(room/1000)*1000)
	}
	return []row{linked, restarted}, nil
}

func memoryRow(n int, when string) row {
	return row{
		name: fmt.Sprintf("memory per connected idle channel, %d %s", n, when), against: "raw whatsmeow",
		unit: "KiB", aim: aim{bound: 1},
	}
}

// addUsage adds a round, and notes the other ways to look at the same processes.
func addUsage(r *row, ours, theirs usage) {
	r.add(ours.collected/1024, theirs.collected/1024)
	r.note = fmt.Sprintf("heap in use %s against %s KiB, stacks %s against %s KiB; resident before the collections %s against %s KiB",
		show(ours.heap/1024), show(theirs.heap/1024), show(ours.stack/1024), show(theirs.stack/1024),
		show(ours.resident/1024), show(theirs.resident/1024))
}
