// Package queue is the seam of the connect queue: API processes send jobs into
// it, workers receive them. Package queuetest checks what every queue promises.
package queue

import (
	"context"
	"errors"
	"time"

	"github.com/enlacehq/enlace"
)

// Queue delivers each job at least once, in no promised order. A job that was
// received is hidden from other receivers for the queue's visibility time; if it
// is not done by then, it is delivered again with a higher count. One that was
// received too often is set aside as dead, with a reason.
type Queue interface {
	// Send stores job durably before it returns.
	Send(ctx context.Context, job enlace.Job) error
	// Receive waits up to wait for jobs and returns at most max of them, none
	// when there were none. What cannot be read as a job is set aside as dead
	// with the reason and never returned.
	Receive(ctx context.Context, max int, wait time.Duration) ([]Delivery, error)
	// Extend hides a received job for d from now. ErrNotHeld: it was delivered again, or is done.
	Extend(ctx context.Context, delivery Delivery, d time.Duration) error
	// Done removes received jobs. Done again, or by an outdated delivery, is no
	// error. After an error some may be left, and come again.
	Done(ctx context.Context, deliveries ...Delivery) error
	// Bury sets a received job aside as dead.
	Bury(ctx context.Context, delivery Delivery, reason string) error
	// Dead lists jobs that were set aside, oldest first, at most max.
	Dead(ctx context.Context, max int) ([]DeadJob, error)
	// Redrive sends all dead jobs again, as new ones, and returns how many. Those
	// that are no jobs are left dead and counted, too.
	Redrive(ctx context.Context) (sent, left int, err error)
}

// Delivery is one receipt of a job.
type Delivery struct {
	Job      enlace.Job
	Received int    // how often it was received, this time included
	Receipt  string // names this receipt to the queue
}

// DeadJob is a job that was set aside.
type DeadJob struct {
	Body     string // as it was sent; of a job its JSON
	Received int
	Reason   string
	At       time.Time // when it was set aside or, where the queue does not tell, sent
}

// ErrNotHeld is the use of a delivery whose time ran out.
var ErrNotHeld = errors.New("job is no longer held by this delivery")
