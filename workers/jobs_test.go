package workers_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/workers"
)

// script is a queue that delivers what it was given, once, and notes what was done.
type script struct {
	noJobs
	mu    sync.Mutex
	jobs  []enlace.Job
	done  map[string]bool // by receipt
	calls int             // of Done
}

func (s *script) Receive(ctx context.Context, max int, wait time.Duration) ([]queue.Delivery, error) {
	s.mu.Lock()
	n := min(max, len(s.jobs))
	var deliveries []queue.Delivery
	for i, job := range s.jobs[:n] {
		deliveries = append(deliveries, queue.Delivery{Job: job, Received: 1, Receipt: fmt.Sprint(len(s.jobs) - i)})
	}
	s.jobs = s.jobs[n:]
	s.mu.Unlock()
	if n > 0 {
		return deliveries, nil
	}
	return s.noJobs.Receive(ctx, max, wait)
}

func (s *script) Done(_ context.Context, deliveries ...queue.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	for _, d := range deliveries {
		s.done[d.Receipt] = true
	}
	return nil
}

// Jobs that come twice, late, for channels that are gone or want nothing, change nothing.
func TestJobs_CopiesAndStrayOnesChangeNothing(t *testing.T) {
	inBubble(t, func(b *bundle) {
		wanted := b.connect()
		resting, err := b.Connect(b.Context(), store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb, Name: "resting"})
		if err == nil {
			_, err = b.Disconnect(b.Context(), "acme", resting.ID)
		}
		if err != nil {
			b.Fatal(err)
		}
		jobs := &script{done: map[string]bool{}}
		for range 4 {
			for _, id := range []string{wanted.ID, "ch_never", wanted.ID, resting.ID} {
				jobs.jobs = append(jobs.jobs, enlace.Job{ChannelID: id})
			}
		}
		b.workerWith(strategies.Registry{enlace.WhatsAppWeb: b.phone}, func(c *workers.Config) { c.Queue = jobs })
		b.waitStatus(wanted.ID, time.Minute, enlace.Active, "")
		time.Sleep(time.Minute)

		taken := 0
		for _, name := range b.events(wanted.ID) {
			if name == enlace.EventTaken {
				taken++
			}
		}
		if taken != 1 {
			b.Errorf("the channel was taken %d times, want once", taken)
		}
		if c, err := b.Channel(b.Context(), "acme", resting.ID); err != nil || c.Status != enlace.Inactive || c.Owner != "" {
			b.Errorf("the resting channel is %+v, %v", c, err)
		}
		jobs.mu.Lock()
		defer jobs.mu.Unlock()
		if len(jobs.done) != 16 || jobs.calls != 2 {
			b.Errorf("%d of 16 jobs were ended, in %d calls, want 2", len(jobs.done), jobs.calls)
		}
	})
}
