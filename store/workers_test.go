package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
)

func TestHeart_MissedAndBuried(t *testing.T) {
	b := setup(t)
	rival := b.rival()
	workers, err := b.Workers(t.Context())
	b.ok(err)
	if len(workers) != 2 {
		t.Fatalf("workers %+v", workers)
	}
	b.ok(rival.heart.Beat(t.Context()))
	for _, w := range workers { // as they were before the beat
		if w.ID != rival.heart.ID() {
			continue
		}
		if buried, err := b.Bury(t.Context(), w); err != nil || buried {
			t.Errorf("a worker that has beaten since was buried: %v, %v", buried, err)
		}
	}
	rival.bury(b)
	if err := rival.heart.Beat(t.Context()); !errors.Is(err, store.ErrBuried) {
		t.Errorf("beat of a buried worker: %v", err)
	}
	if got, err := b.Buried(t.Context()); err != nil || !slices.Equal(got, []string{rival.heart.ID()}) {
		t.Errorf("buried %v, %v", got, err)
	}
	b.clock.Advance(24 * time.Hour)
	if got, err := b.Buried(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("buried after a day %v, %v", got, err)
	}
}

func TestHeart_SaysWhatTheWorkerCarries(t *testing.T) {
	b := setup(t)
	b.heart.Carry(7, 20)
	b.ok(b.heart.Beat(t.Context()))
	workers, err := b.Workers(t.Context())
	b.ok(err)
	if len(workers) != 1 || workers[0].Channels != 7 || workers[0].Limit != 20 {
		t.Errorf("workers %+v, want one with 7 channels of 20", workers)
	}
}
