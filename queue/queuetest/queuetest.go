// Package queuetest checks what a queue.Queue promises. Every queue's own test
// calls Run.
package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue"
)

// Setup makes a queue for one test.
type Setup struct {
	// New returns an empty queue with the given visibility time, whose jobs are
	// dead after MaxReceives.
	New func(t testing.TB, visibility time.Duration) Subject
	// MaxReceives is how often those queues deliver a job.
	MaxReceives int
	// Shortest is the shortest visibility time that the queues have, where it is
	// longer than 300 ms.
	Shortest time.Duration
}

// Subject is a queue under test.
type Subject struct {
	queue.Queue
	// Reopen returns another handle on the same queue, as after a restart or in another process.
	Reopen func() queue.Queue
	// SendRaw puts a body into the queue that Send would not.
	SendRaw func(ctx context.Context, body string) error
}

const (
	long  = time.Minute            // a visibility time that does not run out in a test
	short = 300 * time.Millisecond // and one that does, where the queue has it
	soon  = 15 * time.Second       // how long what must come may take on a busy machine
	never = 50 * time.Millisecond  // how long to wait for what must not come
)

// Run checks every promise.
func Run(t *testing.T, setup Setup) {
	for name, test := range map[string]func(*env){
		"DeliversWhatWasSent":               delivers,
		"WaitsForJobs":                      waits,
		"ReturnsNothingWhenThereIsNothing":  nothing,
		"EndsWithTheContext":                cancelled,
		"HidesAReceivedJob":                 hides,
		"DeliversAgainWhenNotDone":          again,
		"ExtendKeepsAJobHidden":             extends,
		"AnOutdatedDeliveryHoldsNothing":    outdated,
		"DoneTwiceIsNoError":                doneTwice,
		"DoneOfMany":                        doneMany,
		"AJobReceivedTooOftenIsDead":        tooOften,
		"BurySetsAside":                     buries,
		"BuryByAnOutdatedDelivery":          buriesOutdated,
		"ListingTheDeadLosesNone":           lists,
		"RedriveSendsTheDeadAgain":          redrives,
		"WhatIsNoJobIsDead":                 poison,
		"SurvivesItsHandle":                 survives,
		"ManyReceiversShareWithoutDoubling": share,
		"MaxIsKept":                         most,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&env{T: t, setup: setup})
		})
	}
}

type env struct {
	*testing.T
	setup Setup
}

func (e *env) short() time.Duration { return max(short, e.setup.Shortest) }

func (e *env) queue(visibility time.Duration) Subject {
	e.Helper()
	return e.setup.New(e.T, visibility)
}

func (e *env) send(q queue.Queue, ids ...string) {
	e.Helper()
	for _, id := range ids {
		if err := q.Send(e.Context(), enlace.Job{ChannelID: id}); err != nil {
			e.Fatal(err)
		}
	}
}

// receive returns the next n deliveries.
func (e *env) receive(q queue.Queue, n int) []queue.Delivery {
	e.Helper()
	var got []queue.Delivery
	for end := time.Now().Add(soon); len(got) < n; {
		if time.Now().After(end) {
			e.Fatalf("%d deliveries within %s, want %d", len(got), soon, n)
		}
		some, err := q.Receive(e.Context(), n-len(got), time.Second)
		if err != nil {
			e.Fatal(err)
		}
		got = append(got, some...)
	}
	return got
}

func (e *env) receiveNone(q queue.Queue) {
	e.Helper()
	got, err := q.Receive(e.Context(), 10, never)
	if err != nil || len(got) != 0 {
		e.Fatalf("received %+v, %v, want nothing", got, err)
	}
}

func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func delivers(e *env) {
	q := e.queue(long)
	e.send(q, "a", "b", "c")
	var ids []string
	for _, d := range e.receive(q, 3) {
		if d.Received != 1 || d.Receipt == "" {
			e.Errorf("delivery %+v, want one that was received once", d)
		}
		ids = append(ids, d.Job.ChannelID)
		e.ok(q.Done(e.Context(), d))
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"a", "b", "c"}) {
		e.Errorf("received %v", ids)
	}
	e.receiveNone(q)
	if list := e.dead(q, 0); len(list) != 0 {
		e.Errorf("dead %+v", list)
	}
}

func waits(e *env) {
	q := e.queue(long)
	got := make(chan []queue.Delivery)
	go func() {
		d, err := q.Receive(e.Context(), 1, soon)
		if err != nil {
			e.Error(err)
		}
		got <- d
	}()
	e.send(q, "a")
	if d := <-got; len(d) != 1 || d[0].Job.ChannelID != "a" {
		e.Errorf("received %+v", d)
	}
}

func nothing(e *env) { e.receiveNone(e.queue(long)) }

func cancelled(e *env) {
	q := e.queue(long)
	ctx, cancel := context.WithCancel(e.Context())
	ended := make(chan error)
	go func() {
		_, err := q.Receive(ctx, 1, time.Hour)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		e.Errorf("got %v, want the context's error", err)
	}
}

func hides(e *env) {
	q := e.queue(long)
	e.send(q, "a")
	e.receive(q, 1)
	e.receiveNone(q)
	e.receiveNone(q.Reopen())
}

func again(e *env) {
	q := e.queue(e.short())
	e.send(q, "a")
	first := e.receive(q, 1)[0]
	second := e.receive(q.Reopen(), 1)[0]
	if second.Job != first.Job || second.Received != 2 || second.Receipt == first.Receipt {
		e.Errorf("delivered again as %+v after %+v", second, first)
	}
}

func extends(e *env) {
	q := e.queue(e.short())
	e.send(q, "a")
	d := e.receive(q, 1)[0]
	e.ok(q.Extend(e.Context(), d, long))
	got, err := q.Receive(e.Context(), 1, 3*e.short())
	if err != nil || len(got) != 0 {
		e.Errorf("received %+v, %v though it was extended", got, err)
	}
	e.ok(q.Extend(e.Context(), d, 0)) // let go
	if next := e.receive(q, 1)[0]; next.Received != 2 {
		e.Errorf("got %+v", next)
	}
}

func outdated(e *env) {
	q := e.queue(e.short())
	e.send(q, "a")
	old := e.receive(q, 1)[0]
	current := e.receive(q, 1)[0]
	if err := q.Extend(e.Context(), old, long); !errors.Is(err, queue.ErrNotHeld) {
		e.Errorf("extend by an outdated delivery: %v, want ErrNotHeld", err)
	}
	e.ok(q.Done(e.Context(), old))
	if err := q.Extend(e.Context(), current, long); err != nil {
		e.Errorf("the outdated delivery ended the job: %v", err)
	}
	e.ok(q.Done(e.Context(), current))
	if err := q.Extend(e.Context(), current, long); !errors.Is(err, queue.ErrNotHeld) {
		e.Errorf("extend of a job that is done: %v, want ErrNotHeld", err)
	}
}

func doneTwice(e *env) {
	q := e.queue(long)
	e.send(q, "a")
	d := e.receive(q, 1)[0]
	e.ok(q.Done(e.Context(), d))
	e.ok(q.Done(e.Context(), d))
}

func doneMany(e *env) {
	q := e.queue(long)
	const jobs = 23
	for i := range jobs {
		e.send(q, fmt.Sprint(i))
	}
	got := e.receive(q, jobs)
	e.ok(q.Done(e.Context()))
	e.ok(q.Done(e.Context(), got[0]))
	e.ok(q.Done(e.Context(), got...)) // one of them is done already
	for _, d := range got {
		if err := q.Extend(e.Context(), d, 0); !errors.Is(err, queue.ErrNotHeld) {
			e.Errorf("extend of job %s: %v, want ErrNotHeld", d.Job.ChannelID, err)
		}
	}
	e.receiveNone(q)
}

func survives(e *env) {
	q := e.queue(e.short())
	e.send(q, "a", "b")
	e.receive(q, 1)
	reopened := q.Reopen()
	var ids []string
	for _, d := range e.receive(reopened, 2) {
		ids = append(ids, d.Job.ChannelID)
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"a", "b"}) {
		e.Errorf("after a restart received %v", ids)
	}
}

func share(e *env) {
	q := e.queue(long)
	const jobs, receivers = 100, 8
	for i := range jobs {
		e.send(q, fmt.Sprint(i))
	}
	var mu sync.Mutex
	seen := map[string]int{}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(seen)
	}
	var done sync.WaitGroup
	end := time.Now().Add(soon)
	for i := range receivers {
		handle := queue.Queue(q)
		if i%2 == 1 {
			handle = q.Reopen()
		}
		done.Go(func() {
			for count() < jobs && time.Now().Before(end) {
				got, err := handle.Receive(e.Context(), 3, never)
				if err != nil {
					e.Error(err)
					return
				}
				for _, d := range got {
					mu.Lock()
					seen[d.Job.ChannelID]++
					mu.Unlock()
					if err := handle.Done(e.Context(), d); err != nil {
						e.Error(err)
					}
				}
			}
		})
	}
	done.Wait()
	if len(seen) != jobs {
		e.Errorf("%d jobs received, want %d", len(seen), jobs)
	}
	for id, n := range seen {
		if n != 1 {
			e.Errorf("job %s was received %d times while it was hidden", id, n)
		}
	}
}

func most(e *env) {
	q := e.queue(long)
	e.send(q, "a", "b", "c")
	got, err := q.Receive(e.Context(), 2, soon)
	if err != nil || len(got) != 2 {
		e.Errorf("received %d, %v, want 2", len(got), err)
	}
}
