package main

import (
	"context"
	"fmt"
)

// measureBack is how long it takes from the start of a process until all channels
// of the killed one before it are connected again.
func measureBack(ctx context.Context, l *lab, f *fleet) ([]row, error) {
	r := row{
		name: fmt.Sprintf("%d channels back after kill -9", f.size), against: "raw whatsmeow with stored devices",
		unit: "s", aim: aim{bound: 1.2},
	}
	f.product.program = l.product
	for range l.rounds {
		ours, err := f.product.back(ctx)
		f.product.kill()
		if err != nil {
			return nil, err
		}
		theirs, err := f.baseline.back(ctx)
		f.baseline.kill()
		if err != nil {
			return nil, err
		}
		r.add(ours.Seconds(), theirs.Seconds())
	}
	return []row{r}, nil
}
