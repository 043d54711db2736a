package e2e

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
)

// silence makes a worker fall silent, and returns how it is heard again.
type silence func(f *fleet) (of *process, heard func())

// stopped stops a worker's process.
func stopped(f *fleet) (*process, func()) {
	f.Helper()
	p := f.workers[0]
	f.stopOutside(p)
	return p, func() { p.signal(syscall.SIGCONT) }
}

// cutOff has a worker lose the way to its table and go on running. What it had on
// that way arrives when it is heard again.
func cutOff(f *fleet) (*process, func()) {
	f.lastWay.lose()
	return f.workers[fleetWorkers-1], f.lastWay.find
}

// A worker falls silent for three leases under traffic: nothing under its old id
// takes effect after another's claim, and it sends nothing.
func TestFleet_ASilentWorker(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4*time.Second)
	f.begin()
	ways := map[string]silence{"stopped": stopped}
	if f.lastWay != nil {
		ways["cut off"] = cutOff
	}
	allowed := 0
	for name, silence := range ways {
		time.Sleep(*fleetRest)
		owners := f.owners()
		p, heard := silence(f)
		first, began := p.worker(), time.Now()
		var orphans []enlace.Channel
		for _, c := range f.all {
			if owners[c.ID] == first {
				orphans = append(orphans, c)
			}
		}
		took := f.untilElsewhere(f.lease+*takeoverSlack, first, orphans)
		t.Logf("%s: %d channels were active elsewhere after %s", name, len(orphans), took.Round(time.Millisecond))
		time.Sleep(3*f.lease - time.Since(began))
		heard()
		eventually(t, "the worker that was silent begins anew", soon, func() bool { return p.worker() != first })
		f.wantTaken(first, orphans)
		if name == "stopped" {
			allowed += len(orphans) // its connections were open when their successors came
		}
	}
	time.Sleep(*fleetRest)
	f.end()
	if s := f.w.stats(); s.Replaced > allowed {
		t.Errorf("%d sessions were replaced, want at most the %d of the worker that was stopped", s.Replaced, allowed)
	}
}

// owners returns who owns each channel.
func (f *fleet) owners() map[string]string {
	f.Helper()
	owners := map[string]string{}
	for _, c := range f.all {
		owners[c.ID] = f.now().channel(c).Owner
	}
	return owners
}

// The store is away for three leases under traffic: sessions close by 0.6 of a
// lease, nobody is buried, and within 30 s of its return all channels are active
// where they were, and all messages there, once and in order. On engines calls
// hang meanwhile, and what was on its way arrives late; a file is held by a writer.
func TestFleet_TheStoreIsAway(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 6*time.Second)
	f.again = true
	f.begin()
	time.Sleep(*fleetRest)
	var ids []string
	for _, p := range f.workers {
		ids = append(ids, p.worker())
	}
	owners := f.owners()
	back := f.holdStore()
	lost := time.Now()
	eventually(t, "no session without a lease", f.lease*6/10+*takeoverSlack/4, func() bool { return f.w.stats().Connections == 0 })
	t.Logf("the last session closed after %s", time.Since(lost).Round(time.Millisecond))
	for time.Since(lost) < 3*f.lease {
		if n := f.w.stats().Connections; n != 0 {
			t.Fatalf("%d connections while the store is away", n)
		}
		time.Sleep(100 * time.Millisecond)
	}
	back()
	found := time.Now()
	eventually(t, "all sessions again", soon, func() bool { return f.w.stats().Connections == len(f.all) })
	for _, c := range f.all {
		f.now().untilWithin(max(soon-time.Since(found), time.Second), c, "active", func(c enlace.Channel) bool { return c.Status == enlace.Active })
	}
	t.Logf("all channels were active and connected %s after the store was back", time.Since(found).Round(time.Millisecond))
	time.Sleep(*fleetRest)
	f.end()
	for n, p := range f.workers {
		if id := p.worker(); id != ids[n] {
			t.Errorf("worker %s was taken for dead and is %s now", ids[n], id)
		}
	}
	if now := f.owners(); !maps.Equal(now, owners) {
		t.Errorf("channels by owner: %v, want %v", now, owners)
	}
	if s := f.w.stats(); s.Replaced != 0 {
		t.Errorf("%d sessions were replaced by another", s.Replaced)
	}
}

// holdStore keeps everybody from the store, or at least from writing to it.
func (f *fleet) holdStore() (back func()) {
	f.Helper()
	if f.way == nil {
		return f.holdWriters()
	}
	f.way.lose()
	f.lastWay.lose()
	return func() { f.way.find(); f.lastWay.find() }
}

// wantTaken wants the channels of a worker that fell silent to have been taken by
// others, and nothing of their former owners in any log after the next one's claim.
func (f *fleet) wantTaken(silent string, orphans []enlace.Channel) {
	f.Helper()
	for _, c := range f.all {
		if epochs := f.epochs(c); !slices.IsSorted(epochs) {
			f.Errorf("channel %s: an event of an owner after the next one's claim: %v", c.Name, epochs)
		}
	}
	for _, c := range orphans {
		last := ""
		for _, e := range f.allEvents(c) {
			if e.Event == enlace.EventTaken {
				last = string(e.Data)
			}
		}
		if strings.Contains(last, silent) {
			f.Errorf("channel %s: the last claim is that of worker %s", c.Name, silent)
		}
	}
}
