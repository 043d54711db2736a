package workers_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/workers"
)

// partial is a table on which some writes do not go as they should.
type partial struct {
	store.Table
	releasesFail atomic.Bool
	claimsSlow   atomic.Bool  // they are done, and their answers take a second
	claimsLost   atomic.Int64 // so many claims are done, and their answers lost
}

func (p *partial) Write(ctx context.Context, ops ...store.Op) error {
	claim := ops[len(ops)-1].Kind == store.OpCheck
	release := len(ops) == 1 && ops[0].Item.SK == "CHANNEL"
	if release && p.releasesFail.Load() {
		return store.ErrUnavailable
	}
	err := p.Table.Write(ctx, ops...)
	if claim && p.claimsSlow.Load() {
		select {
		case <-ctx.Done():
			return store.ErrUnknown
		case <-time.After(time.Second):
		}
	}
	if err == nil && claim && p.claimsLost.Add(-1) >= 0 {
		return store.ErrUnknown
	}
	return err
}

// onPartial is a crowd whose next workers write to the table that it returns.
func (c *crowd) onPartial() *partial {
	p := &partial{Table: c.table}
	c.table = p
	return p
}

func TestDoubts_ClaimsWhoseAnswersAreLost(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		table := c.onPartial()
		worker := c.join()
		table.claimsLost.Store(5)
		c.connectMany(3)
		c.untilActive(lease, worker)
	})
}

// A worker that could not release its channels does not go as if it had: it is
// buried, and they are taken over.
func TestDoubts_AReleaseThatFails(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		table := c.onPartial()
		first := c.join()
		c.table = table.Table
		c.connectMany(5)
		c.untilActive(10*time.Second, first)
		second := c.join()
		table.releasesFail.Store(true)
		first.stop()
		if err := <-first.done; err == nil {
			t.Error("the worker left as if it had released its channels")
		}
		first.done <- nil
		c.untilActive(lease+10*time.Second, second)
	})
}

// A worker is told to leave while it claims: it finishes that, and releases the channel.
func TestDoubts_LeavingInAClaim(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		table := c.onPartial()
		worker := c.join()
		table.claimsSlow.Store(true)
		c.connectMany(1)
		for c.channelOwner(c.ids[0]) != worker.id {
			time.Sleep(100 * time.Millisecond)
		}
		worker.leave(t)
		if owner := c.channelOwner(c.ids[0]); owner != "" {
			t.Errorf("the channel is still that of worker %s, who left", owner)
		}
	})
}

// A channel that a worker could not give away comes back to it.
func TestDoubts_AChannelThatCannotBeGivenAway(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		table := c.onPartial()
		rebalances := func(config *workers.Config) { config.RebalanceEvery = time.Minute }
		first := c.join(rebalances)
		c.table = table.Table
		c.connectMany(12)
		c.untilActive(10*time.Second, first)
		time.Sleep(2 * time.Minute) // past the late look at the outbox
		second := c.join()
		table.releasesFail.Store(true)
		for end := time.Now().Add(5 * time.Minute); c.phones.live() == 12; time.Sleep(time.Second) {
			if time.Now().After(end) {
				t.Fatal("nothing was given away")
			}
		}
		for end := time.Now().Add(20 * time.Second); c.phones.live() < 12; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) { // what a release is tried for, and the next look at what is in doubt
				t.Fatalf("%d channels are connected", c.phones.live())
			}
		}
		table.releasesFail.Store(false)
		for end := time.Now().Add(10 * time.Minute); c.spread()[second.id] == 0; time.Sleep(time.Second) {
			if time.Now().After(end) {
				t.Fatal("nothing was given away after all")
			}
		}
	})
}
