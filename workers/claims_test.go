package workers_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/workers"
)

// slow is a table in which a claim takes a while to write, and which counts those
// that are being written.
type slow struct {
	store.Table
	mu        sync.Mutex
	now, most int
}

func (s *slow) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += n
	s.most = max(s.most, s.now)
}

func (s *slow) Write(ctx context.Context, ops ...store.Op) error {
	if ops[len(ops)-1].Kind == store.OpCheck {
		s.count(1)
		defer s.count(-1)
		time.Sleep(10 * time.Millisecond) // all are done before the next heartbeat
	}
	return s.Table.Write(ctx, ops...)
}

func TestClaims_AsManyAtOnceAsAllowed(t *testing.T) {
	const channels = 24
	for _, c := range []struct{ allowed, want int }{{0, 1}, {8, 8}} {
		t.Run(fmt.Sprint(c.allowed), func(t *testing.T) {
			inBubble(t, func(b *bundle) {
				var ids []string
				for i := range channels {
					channel, err := b.Connect(b.Context(), store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb, Name: fmt.Sprint("c", i)})
					if err != nil {
						b.Fatal(err)
					}
					ids = append(ids, channel.ID)
				}
				table := &slow{Table: b.table}
				s, err := store.Open(b.Context(), table, store.Options{Keys: b.keys})
				if err != nil {
					b.Fatal(err)
				}
				worker := workers.New(workers.Config{
					Store: s, Queue: noJobs{}, Strategies: strategies.Registry{enlace.WhatsAppWeb: b.phone},
					Lease: lease, ClaimsAtOnce: c.allowed, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
				})
				ctx, stop := context.WithCancel(b.Context())
				done := make(chan error, 1)
				go func() { done <- worker.Run(ctx) }()
				for _, id := range ids {
					b.wait(id, time.Second, "an owner", func(c enlace.Channel) bool { return c.Owner != "" })
				}
				stop()
				if err := <-done; err != nil {
					b.Errorf("worker: %v", err)
				}
				if table.most != c.want {
					b.Errorf("%d claims at once, want %d", table.most, c.want)
				}
			})
		})
	}
}
