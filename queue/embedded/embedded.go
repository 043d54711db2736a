// Package embedded is a queue.Queue that keeps its jobs as items of a
// store.Table: on one machine they lie in the same file as everything else, and
// nothing more has to run.
package embedded

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/store"
)

// The defaults of Options.
const (
	DefaultVisibility  = 30 * time.Second
	DefaultMaxReceives = 5
	deadLife           = 14 * 24 * time.Hour // dead jobs are kept so long
)

// Options may be left zero.
type Options struct {
	Visibility  time.Duration // how long a received job is hidden from others
	MaxReceives int           // received more often than that, a job is dead
	Now         func() time.Time
}

// Queue is a queue in a table. It is safe for concurrent use, also by several
// processes on one table whose clocks agree: those of one machine.
type Queue struct {
	table   store.Table
	options Options
}

var _ queue.Queue = (*Queue)(nil)

// New returns the queue in table.
func New(table store.Table, options Options) *Queue {
	if options.Visibility == 0 {
		options.Visibility = DefaultVisibility
	}
	if options.MaxReceives == 0 {
		options.MaxReceives = DefaultMaxReceives
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Queue{table: table, options: options}
}

const (
	partition = "QUEUE"
	jobPrefix = "JOB#"
	deadPK    = "QUEUE-DEAD"
	schema    = 1
)

// job is a job as it is stored.
type job struct {
	Body      string    `json:"body"`
	Received  int       `json:"received"`
	VisibleAt time.Time `json:"visibleAt"`
}

// Send stores a job.
func (q *Queue) Send(ctx context.Context, j enlace.Job) error {
	body, err := json.Marshal(j)
	if err != nil {
		return err
	}
	now := q.options.Now()
	item, err := encode(key(now), job{Body: string(body), VisibleAt: now})
	if err != nil {
		return err
	}
	if err := q.table.Write(ctx, store.Put(item, store.Absent)); err != nil {
		return fmt.Errorf("send job: %w", err)
	}
	return nil
}

// key orders jobs by the time they were sent.
func key(at time.Time) store.Key {
	return store.Key{PK: partition, SK: fmt.Sprintf("%s%020d#%s", jobPrefix, at.UnixNano(), rand.Text())}
}

func encode(k store.Key, j job) (store.Item, error) {
	value, err := store.Encode(schema, j)
	return store.Item{Key: k, Value: value}, err
}

// pollEvery is how often a receiver looks where the table does not wake it.
const pollEvery = time.Second

// Receive waits for jobs. While nothing comes it only reads.
func (q *Queue) Receive(ctx context.Context, max int, wait time.Duration) ([]queue.Delivery, error) {
	var wake <-chan struct{}
	poll := pollEvery
	if waker, ok := q.table.(store.Waker); ok {
		woken, stop := waker.Wake(partition)
		if woken != nil {
			defer stop()
			wake, poll = woken, 10*pollEvery
		}
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		deliveries, next, err := q.take(ctx, max)
		if err != nil || len(deliveries) > 0 {
			return deliveries, err
		}
		pause := poll
		if !next.IsZero() {
			pause = min(pause, next.Sub(q.options.Now())+time.Millisecond)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-deadline.C:
			timer.Stop()
			return nil, nil
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take receives what is visible now; next is when the first hidden job becomes visible.
func (q *Queue) take(ctx context.Context, max int) (deliveries []queue.Delivery, next time.Time, err error) {
	query := store.Query{PK: partition, Prefix: jobPrefix}
	for {
		page, err := q.table.Query(ctx, query)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("receive jobs: %w", err)
		}
		for _, item := range page.Items {
			delivery, visibleAt, err := q.takeOne(ctx, item)
			if err != nil {
				return deliveries, time.Time{}, err
			}
			if delivery != nil {
				if deliveries = append(deliveries, *delivery); len(deliveries) == max {
					return deliveries, time.Time{}, nil
				}
			}
			if !visibleAt.IsZero() && (next.IsZero() || visibleAt.Before(next)) {
				next = visibleAt
			}
		}
		if query.Cursor = page.Cursor; query.Cursor == "" {
			return deliveries, next, nil
		}
	}
}

// takeOne receives one job, unless it is hidden (then until when), dead, or taken
// by somebody else meanwhile.
func (q *Queue) takeOne(ctx context.Context, item store.Item) (*queue.Delivery, time.Time, error) {
	var j job
	if err := store.Decode(item.Value, schema, &j); err != nil {
		return nil, time.Time{}, q.bury(ctx, item, job{Body: string(item.Value)}, "not readable: "+err.Error())
	}
	now := q.options.Now()
	if now.Before(j.VisibleAt) {
		return nil, j.VisibleAt, nil
	}
	body, ok := parse(j.Body)
	if !ok {
		return nil, time.Time{}, q.bury(ctx, item, j, "not a job")
	}
	if j.Received >= q.options.MaxReceives {
		return nil, time.Time{}, q.bury(ctx, item, j, fmt.Sprintf("received %d times and never done", j.Received))
	}
	j.Received++
	j.VisibleAt = now.Add(q.options.Visibility)
	err := q.replace(ctx, item.Key, j, item.Version)
	if errors.Is(err, queue.ErrNotHeld) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("receive job: %w", err)
	}
	return &queue.Delivery{Job: body, Received: j.Received, Receipt: receipt(item.SK, item.Version+1)}, time.Time{}, nil
}

// parse reads a body; ok is false if it is no job.
func parse(body string) (j enlace.Job, ok bool) {
	err := json.Unmarshal([]byte(body), &j)
	return j, err == nil && j.ChannelID != ""
}

func (q *Queue) replace(ctx context.Context, k store.Key, j job, version int64) error {
	item, err := encode(k, j)
	if err != nil {
		return err
	}
	return held(q.table.Write(ctx, store.Put(item, store.VersionIs(version))))
}

// held turns a failed condition into ErrNotHeld.
func held(err error) error {
	var condition *store.ConditionError
	if errors.As(err, &condition) {
		return queue.ErrNotHeld
	}
	return err
}

// receipt names one receipt of a job: its item at one version.
func receipt(sk string, version int64) string { return fmt.Sprintf("%d %s", version, sk) }

func parseReceipt(r string) (k store.Key, version int64, err error) {
	if _, err := fmt.Sscanf(r, "%d %s", &version, &k.SK); err != nil {
		return store.Key{}, 0, fmt.Errorf("not a receipt of this queue: %w", err)
	}
	k.PK = partition
	return k, version, nil
}

// Extend hides a job for longer. The delivery stays the one that holds it.
func (q *Queue) Extend(ctx context.Context, d queue.Delivery, by time.Duration) error {
	item, j, err := q.find(ctx, d)
	if err != nil {
		return err
	}
	j.VisibleAt = q.options.Now().Add(by)
	return q.replace(ctx, item.Key, j, item.Version)
}

// find returns the job that d holds. ErrNotHeld: it was delivered again, or is done.
func (q *Queue) find(ctx context.Context, d queue.Delivery) (store.Item, job, error) {
	k, version, err := parseReceipt(d.Receipt)
	if err != nil {
		return store.Item{}, job{}, err
	}
	item, err := q.table.Get(ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		return store.Item{}, job{}, queue.ErrNotHeld
	}
	if err != nil {
		return store.Item{}, job{}, err
	}
	var j job
	if err := store.Decode(item.Value, schema, &j); err != nil {
		return store.Item{}, job{}, err
	}
	if item.Version < version || j.Received != d.Received {
		return store.Item{}, job{}, queue.ErrNotHeld
	}
	return item, j, nil
}

// Done removes jobs.
func (q *Queue) Done(ctx context.Context, deliveries ...queue.Delivery) error {
	for _, d := range deliveries {
		if err := q.done(ctx, d); err != nil && !errors.Is(err, queue.ErrNotHeld) {
			return fmt.Errorf("end job: %w", err)
		}
	}
	return nil
}

func (q *Queue) done(ctx context.Context, d queue.Delivery) error {
	item, _, err := q.find(ctx, d)
	if err != nil {
		return err
	}
	return held(q.table.Write(ctx, store.Delete(item.Key, store.VersionIs(item.Version))))
}
