package workers

import (
	"context"
	"errors"
	"time"
)

const (
	jobsAtOnce = 10
	jobWait    = 20 * time.Second
)

// receiveJobs turns jobs into candidates. A job is a wake-up: once the channel is
// a candidate the job is done, since the channel itself says what it wants.
func (l *life) receiveJobs(ctx context.Context) {
	for ctx.Err() == nil {
		deliveries, err := l.Queue.Receive(ctx, jobsAtOnce, jobWait)
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			l.log.Warn("no jobs to be had", "error", err)
			sleep(ctx, time.Second)
		}
		for _, delivery := range deliveries {
			l.candidates.add(candidate{channelID: delivery.Job.ChannelID})
			if err := l.Queue.Done(ctx, delivery); err != nil && ctx.Err() == nil {
				l.log.Warn("a job will come again", "channel", delivery.Job.ChannelID, "error", err)
			}
		}
	}
}
