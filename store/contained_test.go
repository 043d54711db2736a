package store_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/faulty"
)

// A table that panics may have written what it was given: a message is not
// appended twice then, and what moved is not forgotten.
func TestPanicOfTheTable_IsAnUnknownOutcome(t *testing.T) {
	for name, when := range map[string]faulty.When{"before its effect": faulty.Before, "after it": faulty.After} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id := b.active("").ChannelID()
			table, faults := faulty.Wrap(b.table, 1)
			s, err := store.Open(t.Context(), table, store.Options{Keys: b.keys, Now: b.clock.Now, Log: slog.New(slog.DiscardHandler)})
			b.ok(err)
			heart := s.NewHeart()
			b.ok(heart.Beat(t.Context()))
			moved := s.NewMoved(heart.ID())
			o, err := s.Claim(t.Context(), store.Claimer{Worker: heart.ID(), Fresh: b.fresh, Moved: moved}, id, b.heart.ID())
			b.ok(err)

			faults.Add(faulty.Rule{Call: faulty.Write, SK: "EV#*", When: when, Nth: 1, Panic: "made for the test"})
			in := store.Incoming{Event: enlace.EventMessageReceived, Identity: named("x"), Data: json.RawMessage(`{}`)}
			if _, err := o.Received(t.Context(), in); !errors.Is(err, store.ErrUnknown) {
				t.Errorf("Received: %v, want %v", err, store.ErrUnknown)
			}
			_, err = o.Received(t.Context(), in)
			b.ok(err)
			events, n := b.events(id), 0
			for _, e := range events {
				if e.Event == enlace.EventMessageReceived {
					n++
				}
			}
			if n != 1 {
				t.Errorf("the message was appended %d times", n)
			}

			faults.Add(faulty.Rule{Call: faulty.Write, SK: "MOVED#*", When: when, Nth: 1, Panic: "made for the test"})
			if err := moved.Flush(t.Context()); !errors.Is(err, store.ErrUnknown) {
				t.Errorf("Flush: %v, want %v", err, store.ErrUnknown)
			}
			b.ok(moved.Flush(t.Context()))
			seqs, err := b.MovedChannels(t.Context(), "acme")
			b.ok(err)
			if last := events[len(events)-1].Seq; seqs[id] != last {
				t.Errorf("moved to %d, want %d", seqs[id], last)
			}

			faults.Add(faulty.Rule{Call: faulty.Get, Nth: 1, Panic: "made for the test"})
			if _, err := s.Channel(t.Context(), "acme", id); err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) {
				t.Errorf("Channel: %v, want an error that says nothing of the channel", err)
			}
		})
	}
}
