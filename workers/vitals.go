package workers

import (
	"context"
	"time"
)

// vitalsEvery is how often a worker says in its log that it is well: metrics and
// alarms are made from that line, and from that of a burial.
const vitalsEvery = time.Minute

// vitals says so until ctx ends, while the worker's heartbeats arrive.
func (l *life) vitals(ctx context.Context) {
	for ctx.Err() == nil {
		if l.lease.holds() {
			l.log.Info("worker is well", "channels", l.owned())
		}
		sleep(ctx, vitalsEvery)
	}
}
