package workers

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestLease_EndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const length = 20 * time.Second
		l := newLease(length)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go l.watch(ctx)
		if l.Fresh() == nil || l.holds() {
			t.Error("a lease without a heartbeat is held")
		}
		for _, late := range []time.Duration{0, 3 * time.Second} { // between the sending of a heartbeat and its answer
			sent := time.Now()
			time.Sleep(late)
			l.renew(sent)
			held, cancel, err := l.wait(ctx)
			if err != nil {
				t.Fatal(err)
			}
			<-held.Done()
			if took := time.Since(sent); took < length*60/100 || took > length*60/100+10*time.Millisecond {
				t.Errorf("sessions had to close %s after the heartbeat was sent, want 0.6 of a lease", took)
			}
			cancel()
			time.Sleep(length*74/100 - time.Since(sent))
			if err := l.Fresh(); err != nil {
				t.Errorf("with more than a quarter left: %v", err)
			}
			time.Sleep(length*76/100 - time.Since(sent))
			if l.Fresh() == nil {
				t.Error("something may begin with less than a quarter of the lease left")
			}
		}
		l.renew(time.Now().Add(-length * 61 / 100))
		if l.holds() {
			t.Error("a heartbeat that took 0.61 of a lease holds it")
		}
	})
}
