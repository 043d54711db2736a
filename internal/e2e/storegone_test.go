package e2e

import (
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/internal/engines"
)

// The way to DynamoDB is lost for three leases under traffic: calls hang, and what
// was on its way arrives late. Sessions close by 0.6 of a lease, nobody is buried,
// and within 30 s of the way being found all channels are active where they were,
// and all messages there, once and in order.
func TestEngines_TheStoreIsAway(t *testing.T) {
	t.Parallel()
	const lease = 6 * time.Second
	way := startProxy(t, engines.DynamoDB(t))
	f := newFleetWith(t, lease, []string{"AWS_ENDPOINT_URL_DYNAMODB=" + way.url()}, nil)
	f.again = true
	f.begin()
	time.Sleep(*fleetRest)
	var ids []string
	for _, p := range f.workers {
		ids = append(ids, p.worker())
	}
	owners := map[string]string{}
	for _, c := range f.all {
		owners[c.ID] = f.now().channel(c).Owner
	}

	way.lose()
	lost := time.Now()
	eventually(t, "no session without a lease", lease*6/10+*takeoverSlack/4, func() bool { return f.w.stats().Connections == 0 })
	t.Logf("the last session closed after %s", time.Since(lost).Round(time.Millisecond))
	for time.Since(lost) < 3*lease {
		if n := f.w.stats().Connections; n != 0 {
			t.Fatalf("%d connections while the store is away", n)
		}
		time.Sleep(100 * time.Millisecond)
	}
	way.find()
	found := time.Now()
	eventually(t, "all sessions again", soon, func() bool { return f.w.stats().Connections == len(f.all) })
	for _, c := range f.all {
		f.now().untilWithin(max(soon-time.Since(found), time.Second), c, "active", func(c enlace.Channel) bool { return c.Status == enlace.Active })
	}
	t.Logf("all channels were active and connected %s after the way was found", time.Since(found).Round(time.Millisecond))
	time.Sleep(*fleetRest)
	f.end()
	for n, p := range f.workers {
		if id := p.worker(); id != ids[n] {
			t.Errorf("worker %s was taken for dead and is %s now", ids[n], id)
		}
	}
	for _, c := range f.all {
		if owner := f.now().channel(c).Owner; owner != owners[c.ID] {
			t.Errorf("channel %s went from %s to %s", c.Name, owners[c.ID], owner)
		}
	}
	if s := f.w.stats(); s.Replaced != 0 {
		t.Errorf("%d sessions were replaced by another", s.Replaced)
	}
}

// One worker alone loses the way to DynamoDB for three leases under traffic, and
// goes on running: it closes its sessions before the others take its channels, and
// what it had on its way arrives when it owns nothing any more.
func TestEngines_OneWorkerIsCutOff(t *testing.T) {
	t.Parallel()
	const lease = 6 * time.Second
	way := startProxy(t, engines.DynamoDB(t))
	f := newFleetWith(t, lease, nil, []string{"AWS_ENDPOINT_URL_DYNAMODB=" + way.url()})
	f.begin()
	time.Sleep(*fleetRest)
	lonely := f.workers[fleetWorkers-1]
	first := lonely.worker()
	orphans := f.ownedBy(first)
	way.lose()
	lost := time.Now()
	took := f.untilElsewhere(lease+*takeoverSlack, first, orphans)
	t.Logf("cut off: %d channels were active elsewhere after %s", len(orphans), took.Round(time.Millisecond))
	time.Sleep(3*lease - time.Since(lost))
	way.find()
	eventually(t, "the worker begins anew", soon, func() bool { return lonely.worker() != first })
	time.Sleep(*fleetRest)
	f.end()
	f.wantTaken(first, orphans)
	if s := f.w.stats(); s.Replaced != 0 {
		t.Errorf("%d sessions were replaced by another", s.Replaced)
	}
}
