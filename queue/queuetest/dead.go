package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/enlacehq/enlace/queue"
)

// dead waits for n dead jobs.
func (e *env) dead(q queue.Queue, n int) []queue.DeadJob {
	e.Helper()
	for end := time.Now().Add(soon); ; time.Sleep(10 * time.Millisecond) {
		list, err := q.Dead(e.Context(), 100)
		e.ok(err)
		if len(list) == n {
			return list
		}
		if time.Now().After(end) {
			e.Fatalf("%d dead jobs, want %d: %+v", len(list), n, list)
		}
	}
}

func tooOften(e *env) {
	q := e.queue(e.short())
	e.send(q, "a")
	for n := 1; n <= e.setup.MaxReceives; n++ {
		if d := e.receive(q, 1)[0]; d.Received != n {
			e.Fatalf("delivery %d says it is number %d", n, d.Received)
		}
	}
	time.Sleep(e.short())
	if got, err := q.Receive(e.Context(), 1, 2*e.short()); err != nil || len(got) != 0 {
		e.Fatalf("received %+v, %v once too often", got, err)
	}
	d := e.dead(q, 1)[0]
	if d.Received != e.setup.MaxReceives || d.Reason == "" || d.Body != `{"channelId":"a"}` || d.At.IsZero() {
		e.Errorf("dead job %+v", d)
	}
}

func buries(e *env) {
	q := e.queue(long)
	e.send(q, "a")
	e.ok(q.Bury(e.Context(), e.receive(q, 1)[0], "because"))
	if d := e.dead(q.Reopen(), 1)[0]; d.Reason != "because" || d.Body != `{"channelId":"a"}` {
		e.Errorf("dead job %+v", d)
	}
	e.receiveNone(q)
}

func buriesOutdated(e *env) {
	q := e.queue(long)
	e.send(q, "a")
	d := e.receive(q, 1)[0]
	e.ok(q.Done(e.Context(), d))
	if err := q.Bury(e.Context(), d, "because"); !errors.Is(err, queue.ErrNotHeld) {
		e.Errorf("bury of a job that is done: %v, want ErrNotHeld", err)
	}
	e.dead(q, 0)
}

// bury sends and buries n jobs, and returns their ids, sorted.
func (e *env) bury(q queue.Queue, n int) []string {
	e.Helper()
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprint("dead", i))
	}
	slices.Sort(ids)
	e.send(q, ids...)
	for _, d := range e.receive(q, n) {
		e.ok(q.Bury(e.Context(), d, "because"))
	}
	return ids
}

func lists(e *env) {
	q := e.queue(long)
	e.bury(q, 12)
	if some, err := q.Dead(e.Context(), 3); err != nil || len(some) != 3 {
		e.Errorf("%d dead jobs, %v, want 3", len(some), err)
	}
	e.dead(q, 12)
	e.dead(q.Reopen(), 12)
}

func redrives(e *env) {
	q := e.queue(long)
	want := e.bury(q, 12)
	e.ok(q.SendRaw(e.Context(), "nonsense"))
	e.receiveNone(q)
	e.dead(q, 13)
	if sent, left, err := q.Redrive(e.Context()); err != nil || sent != 12 || left != 1 {
		e.Errorf("redrive sent %d and left %d, %v, want 12 and 1", sent, left, err)
	}
	var got []string
	for _, d := range e.receive(q, 12) {
		if d.Received != 1 {
			e.Errorf("delivery %+v, want the first of a new job", d)
		}
		got = append(got, d.Job.ChannelID)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		e.Errorf("redriven %v, want %v", got, want)
	}
	e.receiveNone(q)
	if left := e.dead(q, 1); left[0].Body != "nonsense" || left[0].Reason == "" {
		e.Errorf("left dead %+v, want what is no job", left[0])
	}
	if sent, left, err := q.Redrive(e.Context()); err != nil || sent != 0 || left != 1 {
		e.Errorf("another redrive sent %d and left %d, %v, want 0 and 1", sent, left, err)
	}
}

func poison(e *env) {
	q := e.queue(e.short())
	bodies := []string{"", "nonsense", `{"channelId":5}`, `{}`, `[]`, "\x00\xff"}
	for _, body := range bodies {
		e.ok(q.SendRaw(e.Context(), body))
	}
	e.send(q, "a")
	d := e.receive(q, 1)[0]
	if d.Job.ChannelID != "a" {
		e.Errorf("received %+v", d)
	}
	e.ok(q.Done(e.Context(), d))
	e.receiveNone(q)
	e.dead(q, len(bodies))
	if got, err := q.Receive(e.Context(), 10, 2*e.short()); err != nil || len(got) != 0 {
		e.Errorf("received %+v, %v after all was set aside", got, err)
	}
	for _, d := range e.dead(q, len(bodies)) {
		if d.Reason == "" {
			e.Errorf("dead job without a reason: %+v", d)
		}
	}
}
