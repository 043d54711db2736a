package workers_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue/embedded"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/counted"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/workers"
)

// crowd is many channels, with a phone for each, and the workers that share them.
type crowd struct {
	*bundle
	phones *phones
	ids    []string
}

// phones is a strategy that has a phone for each channel.
type phones struct {
	mu sync.Mutex
	of map[string]*phone
}

func (p *phones) Open(ctx context.Context, owner *store.Owner) (strategies.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[owner.ChannelID()] == nil {
		p.of[owner.ChannelID()] = &phone{}
	}
	return p.of[owner.ChannelID()].Open(ctx, owner)
}

// sum adds up what f reads of each phone.
func (p *phones) sum(f func(p *phone) int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for _, one := range p.of {
		one.read(func(p *phone) { total += f(p) })
	}
	return total
}

func (p *phones) live() int     { return p.sum(func(p *phone) int { return p.live }) }
func (p *phones) sessions() int { return p.sum(func(p *phone) int { return p.sessions }) }
func (p *phones) overlaps() int { return p.sum(func(p *phone) int { return p.overlaps }) }

func inCrowd(t *testing.T, test func(c *crowd)) {
	t.Helper()
	inBubble(t, func(b *bundle) {
		c := &crowd{bundle: b, phones: &phones{of: map[string]*phone{}}}
		test(c)
		if n := c.phones.overlaps(); n != 0 {
			t.Errorf("%d sessions began while another of their channel lived", n)
		}
	})
}

// member is a worker of a crowd.
type member struct {
	*worker
	id string
}

// join starts a worker, and returns when it has shown its first heartbeat.
func (c *crowd) join(settings ...func(*workers.Config)) *member {
	c.Helper()
	before := c.heartbeats()
	m := &member{worker: c.workerWith(strategies.Registry{enlace.WhatsAppWeb: c.phones}, settings...)}
	for end := time.Now().Add(time.Second); m.id == ""; time.Sleep(time.Millisecond) {
		for id := range c.heartbeats() {
			if _, old := before[id]; !old {
				m.id = id
			}
		}
		if time.Now().After(end) {
			c.Fatal("no heartbeat of a new worker")
		}
	}
	time.Sleep(time.Second)
	return m
}

func (c *crowd) heartbeats() map[string]store.Worker {
	c.Helper()
	list, err := c.Workers(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	byID := map[string]store.Worker{}
	for _, w := range list {
		byID[w.ID] = w
	}
	return byID
}

func (c *crowd) connectMany(n int) {
	c.Helper()
	for range n {
		channel, err := c.Connect(c.Context(), store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb, Name: fmt.Sprint("c", len(c.ids))})
		if err != nil {
			c.Fatal(err)
		}
		c.ids = append(c.ids, channel.ID)
	}
}

// spread counts the active channels by owner.
func (c *crowd) spread() map[string]int {
	c.Helper()
	owners := map[string]int{}
	for _, id := range c.ids {
		channel, err := c.Channel(c.Context(), "acme", id)
		if err != nil {
			c.Fatal(err)
		}
		if channel.Status == enlace.Active {
			owners[channel.Owner]++
		}
	}
	return owners
}

// untilActive waits until all channels are active under these workers, and
// returns how they are spread and how long it took.
func (c *crowd) untilActive(within time.Duration, under ...*member) (map[string]int, time.Duration) {
	c.Helper()
	begin := time.Now()
	for {
		got := c.spread()
		sum := 0
		for _, m := range under {
			sum += got[m.id]
		}
		took := time.Since(begin)
		if sum == len(c.ids) {
			return got, took
		}
		if took > within {
			c.Fatalf("after %s %d of %d channels are active there: %v", within, sum, len(c.ids), got)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// wantBetween wants each worker's number of channels within bounds.
func (c *crowd) wantBetween(got map[string]int, least, most int, of ...*member) {
	c.Helper()
	for _, m := range of {
		if n := got[m.id]; n < least || n > most {
			c.Errorf("a worker owns %d channels, want %d to %d: %v", n, least, most, slices.Sorted(maps.Values(got)))
		}
	}
}

func TestCrowd_SharesWhatIsNew(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		all := []*member{c.join(), c.join(), c.join()}
		c.connectMany(60)
		got, _ := c.untilActive(10*time.Second, all...)
		c.wantBetween(got, 9, 27, all...)
		time.Sleep(lease)
		for id, w := range c.heartbeats() {
			if w.Channels != got[id] {
				t.Errorf("a heartbeat says %d channels, want %d", w.Channels, got[id])
			}
		}
	})
}

func TestCrowd_OneIsCutOff(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		all := []*member{c.join(), c.join(), c.join()}
		c.connectMany(60)
		before, _ := c.untilActive(10*time.Second, all...)
		time.Sleep(lease)
		all[0].cable.cut.Store(true)
		got, took := c.untilActive(lease+10*time.Second, all[1:]...)
		t.Logf("took %s", took)
		c.wantBetween(got, 25, 35, all[1:]...)
		if n, want := c.phones.sessions(), 60+before[all[0].id]; n != want {
			t.Errorf("%d sessions, want %d: one for each channel, one more for each that was taken over", n, want)
		}
	})
}

func TestCrowd_OneLeaves(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		all := []*member{c.join(), c.join(), c.join()}
		c.connectMany(60)
		before, _ := c.untilActive(10*time.Second, all...)
		time.Sleep(lease)
		left := make(chan time.Duration, 1)
		begin := time.Now()
		go func() { all[0].leave(t); left <- time.Since(begin) }()
		got, took := c.untilActive(5*time.Second, all[1:]...)
		t.Logf("took %s", took)
		c.wantBetween(got, 25, 35, all[1:]...)
		if took := <-left; took > 5*time.Second {
			t.Errorf("the worker left after %s", took)
		}
		if n, want := c.phones.sessions(), 60+before[all[0].id]; n != want {
			t.Errorf("%d sessions, want %d", n, want)
		}
	})
}

// What is released is called out in the queue: nobody has to look for it.
func TestCrowd_OneLeavesAndCallsTheOthers(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		jobs := embedded.New(c.table, embedded.Options{})
		hears := func(config *workers.Config) { config.Queue = jobs }
		all := []*member{c.join(hears), c.join(hears), c.join(hears)}
		c.connectMany(30)
		c.untilActive(10*time.Second, all...)
		for _, m := range all {
			m.cable.blind.Store(true)
		}
		time.Sleep(lease)
		all[0].leave(t)
		_, took := c.untilActive(5*time.Second, all[1:]...)
		t.Logf("took %s", took)
	})
}

// The worker that is new, and owns nothing, has what the next one gives up; nothing
// else is moved.
func TestCrowd_RollingRestart(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		rebalances := func(config *workers.Config) { config.RebalanceEvery = 5 * time.Second }
		all := []*member{c.join(rebalances), c.join(rebalances), c.join(rebalances)}
		c.connectMany(60)
		got, _ := c.untilActive(10*time.Second, all...)
		time.Sleep(lease)
		want := 60
		for i := range all {
			want += got[all[i].id]
			all[i].leave(t)
			all[i] = c.join(rebalances)
			got, _ = c.untilActive(5*time.Second, all...)
			time.Sleep(lease)
		}
		if n := c.phones.sessions(); n != want {
			t.Errorf("%d sessions, want %d", n, want)
		}
	})
}

func TestCrowd_RebalancingConvergesAndRests(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		rebalances := func(config *workers.Config) { config.RebalanceEvery = 5 * time.Second }
		all := []*member{c.join(rebalances), c.join(rebalances)}
		c.connectMany(60)
		c.untilActive(10*time.Second, all...)
		all = append(all, c.join(rebalances))
		time.Sleep(2 * lease)
		if n := c.phones.sessions(); n != 60 {
			t.Errorf("%d sessions, want 60: a worker that is new may not stay", n)
		}
		down, begin := 0, time.Now()
		for time.Since(begin) < 10*time.Minute {
			down = max(down, 60-c.phones.live())
			time.Sleep(time.Second)
		}
		if down > 4 {
			t.Errorf("%d channels were moved at a time", down)
		}
		got := c.spread()
		c.wantBetween(got, 12, 25, all...)
		moved := c.phones.sessions() - 60
		if n := got[all[2].id]; moved < n || moved > n+3 {
			t.Errorf("%d channels were moved, and the new worker has %d", moved, n)
		}
		time.Sleep(20 * time.Minute)
		if now := c.spread(); c.phones.sessions()-60 != moved {
			t.Errorf("%d channels were moved once all was well: %v, then %v", c.phones.sessions()-60-moved, got, now)
		}
	})
}

func TestCrowd_LimitsHold(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		ten := func(config *workers.Config) { config.MaxChannels = 10 }
		all := []*member{c.join(ten), c.join(ten)}
		c.connectMany(25)
		time.Sleep(time.Minute)
		c.wantBetween(c.spread(), 10, 10, all...)
		all = append(all, c.join())
		got, _ := c.untilActive(10*time.Second, all...)
		c.wantBetween(got, 5, 5, all[2])
	})
}

// All of a crowd lose the table and have it again: nobody is buried and all are
// where they were.
func TestCrowd_TheStoreIsAway(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		all := []*member{c.join(), c.join(), c.join()}
		c.connectMany(60)
		before, _ := c.untilActive(10*time.Second, all...)
		time.Sleep(lease)
		for _, m := range all {
			m.cable.cut.Store(true)
		}
		time.Sleep(lease * 65 / 100)
		if n := c.phones.live(); n != 0 {
			t.Errorf("%d sessions live after 0.65 of a lease without a heartbeat", n)
		}
		time.Sleep(3*lease - lease*65/100)
		for _, m := range all {
			m.cable.cut.Store(false)
		}
		sessions := func() bool { return c.phones.live() == 60 }
		begin := time.Now()
		for !sessions() && time.Since(begin) < 30*time.Second {
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("took %s", time.Since(begin))
		if got, _ := c.untilActive(30*time.Second-time.Since(begin), all...); !maps.Equal(got, before) {
			t.Errorf("channels by owner %v, want %v", got, before)
		}
		if buried, err := c.Buried(c.Context()); err != nil || len(buried) != 0 {
			t.Errorf("buried %v, %v", buried, err)
		}
	})
}

// An hour of many idle channels asks the table for no more than an hour of one.
func TestCrowd_IdleChannelsCostNothing(t *testing.T) {
	hour := func(n int) (uses counted.Uses) {
		inCrowd(t, func(c *crowd) {
			table, counts := counted.Wrap(c.table)
			c.table = table
			worker := c.join()
			c.connectMany(n)
			c.untilActive(10*time.Second, worker)
			time.Sleep(5 * time.Minute)
			counts.Take()
			time.Sleep(time.Hour)
			uses = counts.Take()
		})
		return uses
	}
	one, many := hour(1), hour(50)
	for _, did := range []counted.Did{counted.Read, counted.Put, counted.Delete} {
		few, lots := one.Sum(did).Items, many.Sum(did).Items
		if lots > few+few/100 {
			t.Errorf("%s: %d items in an hour of 50 channels, %d in an hour of one\n%s\n%s", did, lots, few, one, many)
		}
	}
	if puts, beats := many.Sum(counted.Put).Items, int(4*time.Hour/lease); puts < beats-5 || puts > beats+1 {
		t.Errorf("%d puts in an hour, want the %d heartbeats alone\n%s", puts, beats, many)
	}
}
