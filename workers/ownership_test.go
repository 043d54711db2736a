package workers_test

import (
	"testing"
	"time"

	"github.com/enlacehq/enlace"
)

func TestWorker_FindsAChannelWithoutAJob(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		time.Sleep(time.Second)
		c := b.connect()
		b.waitStatus(c.ID, 3*time.Second, enlace.Active, "")
	})
}

func TestWorker_HandsOverAtOnceWhenItLeaves(t *testing.T) {
	inBubble(t, func(b *bundle) {
		first := b.worker()
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		old := b.channelOwner(c.ID)
		b.worker()
		first.leave(b.T)
		b.wait(c.ID, 5*time.Second, "active elsewhere", func(c enlace.Channel) bool { return c.Status == enlace.Active && c.Owner != old && c.Owner != "" })
		b.wantOverlaps(0)
		if workers, err := b.Workers(b.Context()); err != nil || len(workers) != 1 {
			b.Errorf("%d workers, %v: the one that left is still there", len(workers), err)
		}
	})
}

func (b *bundle) channelOwner(id string) string {
	b.Helper()
	c, err := b.Channel(b.Context(), "acme", id)
	if err != nil {
		b.Fatal(err)
	}
	return c.Owner
}

func (b *bundle) wantOverlaps(n int) {
	b.Helper()
	b.phone.read(func(p *phone) {
		if p.overlaps != n {
			b.Errorf("%d sessions began while another lived, want %d", p.overlaps, n)
		}
	})
}

func TestWorker_CutOffFromTheStoreClosesBeforeItIsBuried(t *testing.T) {
	inBubble(t, func(b *bundle) {
		first := b.worker()
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		old := b.channelOwner(c.ID)
		b.worker()
		time.Sleep(lease)
		first.cable.cut.Store(true)
		time.Sleep(lease * 65 / 100)
		b.phone.read(func(p *phone) {
			if p.live != 0 {
				b.Error("the session lives on after 0.65 of a lease without a heartbeat")
			}
		})
		got := b.wait(c.ID, lease, "active elsewhere", func(c enlace.Channel) bool { return c.Status == enlace.Active && c.Owner != old })
		b.wantOverlaps(0)
		first.cable.cut.Store(false)
		time.Sleep(lease)
		if now := b.channelOwner(c.ID); now != got.Owner {
			b.Errorf("owner %s, want %s", now, got.Owner)
		}
		if workers, err := b.Workers(b.Context()); err != nil || len(workers) != 2 {
			b.Errorf("%d workers, %v: the buried one should have started over", len(workers), err)
		}
		b.wantOverlaps(0)
	})
}

func TestWorker_AnOutageOfTheStoreBuriesNobody(t *testing.T) {
	inBubble(t, func(b *bundle) {
		first, second := b.worker(), b.worker()
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		owner := b.channelOwner(c.ID)
		for _, outage := range []time.Duration{lease / 4, lease, 3 * lease} {
			first.cable.cut.Store(true)
			second.cable.cut.Store(true)
			time.Sleep(outage)
			if outage >= lease {
				b.phone.read(func(p *phone) {
					if p.live != 0 {
						b.Errorf("after %s without the store the session still lives", outage)
					}
				})
			}
			first.cable.cut.Store(false)
			second.cable.cut.Store(false)
			b.waitStatus(c.ID, 30*time.Second, enlace.Active, "")
			time.Sleep(2 * lease)
			b.phone.read(func(p *phone) {
				if p.live != 1 {
					b.Errorf("%d sessions live after an outage of %s", p.live, outage)
				}
			})
		}
		if now := b.channelOwner(c.ID); now != owner {
			b.Errorf("owner %s, want %s", now, owner)
		}
		if buried, err := b.Buried(b.Context()); err != nil || len(buried) != 0 {
			b.Errorf("buried %v, %v", buried, err)
		}
		b.wantOverlaps(0)
	})
}

// Somebody holds up all writers of the table: everybody's heartbeat stands still,
// and everybody sees it.
func TestWorker_ATableThatNobodyCanWriteBuriesNobody(t *testing.T) {
	inBubble(t, func(b *bundle) {
		all := []*worker{b.worker(), b.worker(), b.worker()}
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		owner := b.channelOwner(c.ID)
		for n := range 20 {
			for _, w := range all {
				w.cable.locked.Store(true)
			}
			time.Sleep(lease + time.Duration(n)*lease/10)
			b.phone.read(func(p *phone) {
				if p.live != 0 {
					b.Error("a session lives on without a heartbeat")
				}
			})
			for _, w := range all {
				w.cable.locked.Store(false)
			}
			time.Sleep(2 * lease)
			b.waitStatus(c.ID, 3*lease, enlace.Active, "")
		}
		if buried, err := b.Buried(b.Context()); err != nil || len(buried) != 0 {
			b.Errorf("buried %v, %v", buried, err)
		}
		if now := b.channelOwner(c.ID); now != owner {
			b.Errorf("owner %s, want %s", now, owner)
		}
		b.wantOverlaps(0)
	})
}

func TestWorker_ManyWorkersShareWithoutOverlap(t *testing.T) {
	inBubble(t, func(b *bundle) {
		all := []*worker{b.worker(), b.worker(), b.worker()}
		c := b.connect()
		for i := range 6 {
			b.waitStatus(c.ID, 3*lease, enlace.Active, "")
			all[i%3].cable.cut.Store(true)
			time.Sleep(2 * lease)
			all[i%3].cable.cut.Store(false)
			time.Sleep(lease)
		}
		b.waitStatus(c.ID, lease, enlace.Active, "")
		b.wantOverlaps(0)
	})
}

func TestWorker_ExpectedLifeOfAHeartbeat(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		time.Sleep(time.Second)
		count := func() int64 {
			workers, err := b.Workers(b.Context())
			if err != nil || len(workers) != 1 {
				b.Fatalf("%d workers, %v", len(workers), err)
			}
			return workers[0].Counter
		}
		before := count()
		time.Sleep(10 * lease)
		if beats := count() - before; beats < 38 || beats > 42 {
			b.Errorf("%d heartbeats in ten leases, want 40", beats)
		}
	})
}
