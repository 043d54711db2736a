package e2e

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
	"github.com/enlacehq/enlace/workers"
)

// cuttable is a table that nobody can reach while it is cut.
type cuttable struct {
	store.Table
	cut atomic.Bool
}

func (c *cuttable) down() error {
	if c.cut.Load() {
		return store.ErrUnavailable
	}
	return nil
}

func (c *cuttable) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := c.down(); err != nil {
		return store.Item{}, err
	}
	return c.Table.Get(ctx, key)
}

func (c *cuttable) GetMany(ctx context.Context, keys []store.Key) (map[store.Key]store.Item, error) {
	if err := c.down(); err != nil {
		return nil, err
	}
	return c.Table.GetMany(ctx, keys)
}

func (c *cuttable) Query(ctx context.Context, q store.Query) (store.Page, error) {
	if err := c.down(); err != nil {
		return store.Page{}, err
	}
	return c.Table.Query(ctx, q)
}

func (c *cuttable) Write(ctx context.Context, ops ...store.Op) error {
	if err := c.down(); err != nil {
		return err
	}
	return c.Table.Write(ctx, ops...)
}

// The store is away for three leases while friends write: sessions close before
// the lease runs out, nothing is acknowledged that was not stored, nobody is
// buried, and all is there, once and in order, soon after the store is back.
func TestAway_TheStore(t *testing.T) {
	t.Parallel()
	const lease = workers.DefaultLease
	synctest.Test(t, func(t *testing.T) {
		table := &cuttable{Table: memory.New(memory.Options{})}
		p := startInProcess(t, table)
		in, out := []string{"in before"}, []string{"out before"}
		p.friendWrites("in before")
		p.untilMessage(p.post("out before").ID, "delivered")
		p.until("the first text", func() bool { return len(p.textsIn()) == 1 })
		before, err := p.callers.Workers(p.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			time.Sleep(2*lease + time.Duration(round)*lease/12) // at another moment between two heartbeats
			waiting := fmt.Sprint("out ", round)
			table.cut.Store(true)
			if _, err := p.tryPost("lost", ""); err == nil {
				t.Fatal("a message was taken that could not be stored")
			}
			const writes = 6 // while the session lives, and after
			for n := range writes {
				text := fmt.Sprintf("in %d %d", round, n)
				p.friendWrites(text)
				in = append(in, text)
				time.Sleep(lease / 10)
			}
			time.Sleep(lease * 5 / 100)
			if stats := p.phones.Stats(); stats.Connections != 0 || stats.Unacknowledged < writes {
				t.Errorf("0.65 of a lease after the store went: %d connections, %d messages not acknowledged, want none and at least %d", stats.Connections, stats.Unacknowledged, writes)
			}
			time.Sleep(3*lease - lease*65/100)
			if n := p.phones.Stats().Connections; n != 0 {
				t.Errorf("%d connections while the store is away", n)
			}
			table.cut.Store(false)
			back := time.Now()
			p.post(waiting)
			out = append(out, waiting)
			p.until("all texts", func() bool { return len(p.textsIn()) >= len(in) && len(p.textsAt()) >= len(out) })
			p.untilActive()
			if took := time.Since(back); took > 30*time.Second {
				t.Errorf("all was well %s after the store came back, want 30s", took)
			} else {
				t.Logf("all was well %s after the store came back", took)
			}
		}
		time.Sleep(time.Minute)
		p.wantTexts(in, out)
		after, err := p.callers.Workers(p.ctx)
		if err != nil || len(after) != 1 || after[0].ID != before[0].ID {
			t.Errorf("workers %+v, %v, want the one of before", after, err)
		}
		if buried, err := p.callers.Buried(p.ctx); err != nil || len(buried) != 0 {
			t.Errorf("buried %v, %v", buried, err)
		}
		if stats := p.phones.Stats(); stats.Overlaps != 0 || stats.Replaced != 0 || stats.QRs != 1 || stats.Unacknowledged != 0 {
			t.Errorf("at WhatsApp: %+v", stats)
		}
	})
}
