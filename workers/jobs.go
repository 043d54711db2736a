package workers

import (
	"context"
	"errors"
	"time"

	"github.com/enlacehq/enlace"
)

const (
	jobsAtOnce = 10
	jobWait    = 20 * time.Second
)

// callOthers tells the workers of a channel that was released, where the table
// does not: they would find it by their next scan.
func (l *life) callOthers(ctx context.Context, channelID string) {
	watch := l.Store.WatchUnowned()
	defer watch.Stop()
	if !watch.Polls() {
		return
	}
	if err := l.Queue.Send(ctx, enlace.Job{ChannelID: channelID}); err != nil {
		l.log.Warn("the others do not hear of a channel that was released", "channel", channelID, "error", err)
	}
}

// receiveJobs turns jobs into candidates. A job is a wake-up: once the channel is
// a candidate the job is done, since the channel itself says what it wants.
func (l *life) receiveJobs(ctx context.Context) {
	for ctx.Err() == nil {
		deliveries, err := l.Queue.Receive(ctx, jobsAtOnce, jobWait)
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			l.log.Warn("no jobs to be had", "error", err)
			sleep(ctx, time.Second)
		}
		if len(deliveries) == 0 {
			continue
		}
		for _, delivery := range deliveries {
			l.candidates.add(candidate{channelID: delivery.Job.ChannelID})
		}
		if err := l.Queue.Done(ctx, deliveries...); err != nil && ctx.Err() == nil {
			l.log.Warn("some jobs will come again", "error", err)
		}
	}
}
