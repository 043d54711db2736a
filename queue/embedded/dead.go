package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/store"
)

type deadJob struct {
	Body     string    `json:"body"`
	Received int       `json:"received"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
}

// Bury sets a job aside.
func (q *Queue) Bury(ctx context.Context, d queue.Delivery, reason string) error {
	item, j, err := q.find(ctx, d)
	if err != nil {
		return err
	}
	return q.bury(ctx, item, j, reason)
}

// bury moves a job to the dead; one that somebody else took meanwhile is left to them.
func (q *Queue) bury(ctx context.Context, item store.Item, j job, reason string) error {
	now := q.options.Now()
	value, err := store.Encode(schema, deadJob{Body: j.Body, Received: j.Received, Reason: reason, At: now})
	if err != nil {
		return err
	}
	dead := store.Item{Key: store.Key{PK: deadPK, SK: item.SK}, Value: value, Expires: now.Add(deadLife)}
	err = held(q.table.Write(ctx, store.Delete(item.Key, store.VersionIs(item.Version)), store.Put(dead, store.Any)))
	if err != nil && !errors.Is(err, queue.ErrNotHeld) {
		return fmt.Errorf("set job aside: %w", err)
	}
	return nil
}

// Dead lists the jobs that were set aside within two weeks.
func (q *Queue) Dead(ctx context.Context, max int) ([]queue.DeadJob, error) {
	var list []queue.DeadJob
	err := q.eachDead(ctx, func(_ store.Item, d deadJob) error {
		list = append(list, queue.DeadJob(d))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list dead jobs: %w", err)
	}
	slices.SortStableFunc(list, func(a, b queue.DeadJob) int { return a.At.Compare(b.At) })
	return list[:min(max, len(list))], nil
}

// Redrive sends the dead jobs again. Two that do so at once send each job once.
func (q *Queue) Redrive(ctx context.Context) (sent, left int, err error) {
	err = q.eachDead(ctx, func(item store.Item, d deadJob) error {
		if _, ok := parse(d.Body); !ok {
			left++
			return nil
		}
		now := q.options.Now()
		again, err := encode(key(now), job{Body: d.Body, VisibleAt: now})
		if err != nil {
			return err
		}
		err = held(q.table.Write(ctx, store.Delete(item.Key, store.VersionIs(item.Version)), store.Put(again, store.Absent)))
		if errors.Is(err, queue.ErrNotHeld) {
			return nil
		}
		if err == nil {
			sent++
		}
		return err
	})
	if err != nil {
		return sent, left, fmt.Errorf("redrive: %w", err)
	}
	return sent, left, nil
}

// eachDead shows do the jobs that were set aside.
func (q *Queue) eachDead(ctx context.Context, do func(store.Item, deadJob) error) error {
	query := store.Query{PK: deadPK}
	for {
		page, err := q.table.Query(ctx, query)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			var d deadJob
			if err := store.Decode(item.Value, schema, &d); err != nil {
				return fmt.Errorf("dead job %s: %w", item.SK, err)
			}
			if err := do(item, d); err != nil {
				return err
			}
		}
		if query.Cursor = page.Cursor; query.Cursor == "" {
			return nil
		}
	}
}
