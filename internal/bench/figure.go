package main

import (
	"context"
	"fmt"
	"slices"
)

// figure is something to measure; it may fill several rows of the table.
type figure struct {
	name    string
	measure func(ctx context.Context, l *lab) ([]row, error)
}

// aim bounds a ratio of the product to its yardstick.
type aim struct {
	bound   float64
	atLeast bool // the ratio is to be the bound or more; else the bound or less
}

func (a aim) String() string {
	if a.atLeast {
		return fmt.Sprintf("≥ %g×", a.bound)
	}
	return fmt.Sprintf("≤ %g×", a.bound)
}

func (a aim) met(ratio float64) bool {
	if a.atLeast {
		return ratio >= a.bound
	}
	return ratio <= a.bound
}

// row is one line of the table: the same quantity of the product and of its
// yardstick, once a round.
type row struct {
	name string
	// against is what the product is compared with.
	against string
	unit    string
	aim     aim
	product []float64
	raw     []float64
	// reason says why the aim is missed, where it is known to be.
	reason string
	// note stands below the table whether the aim is met or not.
	note string
}

// add adds a round.
func (r *row) add(product, raw float64) {
	r.product = append(r.product, product)
	r.raw = append(r.raw, raw)
}

// ratio is the median of the rounds' ratios.
func (r *row) ratio() float64 {
	ratios := make([]float64, len(r.product))
	for i := range r.product {
		ratios[i] = r.product[i] / r.raw[i]
	}
	return median(ratios)
}

func (r *row) met() bool { return r.aim.met(r.ratio()) }

// missedBy is the part by which the ratio is off its aim: 0.1 is a tenth too much, or too little.
func (r *row) missedBy() float64 {
	off := r.ratio()/r.aim.bound - 1
	if r.aim.atLeast {
		off = -off
	}
	return max(off, 0)
}

func (r *row) String() string {
	return fmt.Sprintf("%s: %s against %s %s, %.2f× (aim %s)", r.name,
		show(median(r.product)), show(median(r.raw)), r.unit, r.ratio(), r.aim)
}

// show writes a number with as many digits as say something.
func show(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// median of an even number of values is the mean of the middle two; of none it is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
