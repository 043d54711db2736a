package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/internal/engines"
)

var (
	fleetChannels = flag.Int("fleet-channels", 6, "channels in the tests of several workers")
	fleetPause    = flag.Duration("fleet-pause", 500*time.Millisecond, "the mean pause between two messages of a channel, each way, in the tests of several workers")
	fleetRest     = flag.Duration("fleet-rest", time.Second, "for how long messages flow undisturbed between two disturbances")
	fleetLease    = flag.Duration("fleet-lease", 0, "the lease in the tests of several workers; 0 is a short one that each test chooses")
	takeoverSlack = flag.Duration("takeover-slack", 20*time.Second, "how long a takeover may take besides the wait for the lease")
	handoverTime  = flag.Duration("handover-time", 20*time.Second, "how long the channels of a worker that leaves may take to go on elsewhere")
)

// fleet is an installation with one API and three workers, each a process, among
// whose channels and their friends messages flow both ways.
type fleet struct {
	*field
	workers []*process
	all     []enlace.Channel
	friends []string // of each channel
	lease   time.Duration
	again   bool // what is posted and not taken is posted again
	// On engines, the way of the last worker to its table, and that of all others.
	lastWay, way *proxy

	stop     chan struct{}
	stopOnce sync.Once
	traffic  sync.WaitGroup
	in, out  [][]string // what was written to each channel, and posted to it
}

const fleetWorkers = 3

func newFleet(t *testing.T, lease time.Duration) *fleet {
	t.Helper()
	if *fleetLease > 0 {
		lease = *fleetLease
	}
	secrets.add("the text of a message", "a secret text")
	w := startWhatsApp(t)
	i := install(t, w, "ENLACE_LEASE="+lease.String(), "ENLACE_LOG_LEVEL=info")
	f := &fleet{lease: lease, stop: make(chan struct{})}
	last := slices.Clone(i.env)
	if i.shape.onAWS() {
		f.way, f.lastWay = startProxy(t, engines.DynamoDB(t)), startProxy(t, engines.DynamoDB(t))
		i.env = append(i.env, "AWS_ENDPOINT_URL_DYNAMODB="+f.way.url())
		last = append(last, "AWS_ENDPOINT_URL_DYNAMODB="+f.lastWay.url())
	}
	api := i.serveApart()
	for len(api.workers) < fleetWorkers-1 {
		api.workers = append(api.workers, i.run("worker", "worker"))
	}
	f.workers = append(api.workers, start(t, "worker", last, enlaceBin, "worker"))
	f.field = &field{installation: i, w: w, s: api}
	for _, p := range f.workers {
		p.worker() // it has begun
	}
	f.link()
	return f
}

// link connects and links all channels, some at a time, and more until each worker
// owns one.
func (f *fleet) link() {
	f.Helper()
	for len(f.all) < *fleetChannels {
		f.linkMore(min(6, *fleetChannels-len(f.all)))
	}
	for slices.Contains(f.spread(), 0) {
		if len(f.all) == *fleetChannels+6 {
			f.Fatalf("want channels with each worker, got %v", f.spread())
		}
		f.linkMore(1)
	}
}

func (f *fleet) linkMore(n int) {
	f.Helper()
	more := make([]enlace.Channel, n)
	var linking sync.WaitGroup
	for k := range more {
		linking.Go(func() { more[k] = f.now().active(f.w, fmt.Sprint("c", len(f.all)+k)) })
	}
	linking.Wait()
	if f.Failed() {
		f.FailNow()
	}
	for _, c := range more {
		f.all, f.friends = append(f.all, c), append(f.friends, newNumber())
	}
}

// begin has messages flow until end.
func (f *fleet) begin() {
	f.in, f.out = make([][]string, len(f.all)), make([][]string, len(f.all))
	f.Cleanup(f.halt)
	for n := range f.all {
		f.traffic.Go(func() {
			f.flow(func(k int) {
				text := fmt.Sprintf("a secret text, in %d", k)
				f.w.writes(f.friends[n], f.all[n].PhoneNumber, text)
				f.in[n] = append(f.in[n], text)
			})
		})
		f.traffic.Go(func() {
			f.flow(func(k int) {
				text := fmt.Sprintf("a secret text, out %d", k)
				f.post(n, text)
				f.out[n] = append(f.out[n], text)
			})
		})
	}
}

func (f *fleet) flow(step func(k int)) {
	for k := 0; ; k++ {
		step(k)
		select {
		case <-f.stop:
			return
		case <-time.After(*fleetPause/2 + rand.N(*fleetPause)):
		}
	}
}

// post posts a text, which must be taken at once whatever happens to the workers;
// while the store is away it is posted again, under the same key.
func (f *fleet) post(n int, text string) {
	body, err := json.Marshal(enlace.Outgoing{To: "+" + f.friends[n], Type: enlace.TypeText, Text: &enlace.Text{Body: text}})
	if err != nil {
		f.Error(err)
		return
	}
	for deadline := time.Now().Add(3*f.lease + 2*soon); ; time.Sleep(100 * time.Millisecond) {
		a, err := f.now().request(f.Context(), http.MethodPost, path(f.all[n])+"/messages", string(body), "Idempotency-Key", text)
		switch {
		case err == nil && a.status == http.StatusAccepted, f.Context().Err() != nil:
			return
		case f.again && (err != nil || a.status >= 500) && time.Now().Before(deadline):
			continue
		}
		f.Errorf("a message was not taken: %v %d %s", err, a.status, a.body)
		return
	}
}

// halt stops the flow.
func (f *fleet) halt() {
	f.stopOnce.Do(func() { close(f.stop) })
	f.traffic.Wait()
}

// end ends the flow, and wants everything to have arrived, once and in order.
func (f *fleet) end() {
	f.Helper()
	f.halt()
	messages := 0
	for n, c := range f.all {
		same(f, "at the phone", f.out[n], func() []string {
			var texts []string
			for _, m := range f.w.received(f.friends[n]) {
				texts = append(texts, m.Text)
			}
			return texts
		})
		same(f, "in the log", f.in[n], func() []string { return f.texts(c)[f.friends[n]] })
		f.now().untilActive(c)
		for _, e := range f.allEvents(c) {
			if e.Event == enlace.EventMessageUnavailable {
				f.Errorf("channel %s could not read a message: %s", c.Name, e.Data)
			}
		}
		messages += len(f.in[n]) + len(f.out[n])
	}
	s := f.w.stats()
	f.Logf("%d channels, %d messages; at WhatsApp: %+v", len(f.all), messages, s)
	if s.Overlaps != 0 || s.QRs != len(f.all) {
		f.Errorf("at WhatsApp %+v, want no overlaps and one series of QR codes for each of %d channels", s, len(f.all))
	}
}

// ownedBy returns the channels that a worker owns.
func (f *fleet) ownedBy(worker string) (owned []enlace.Channel) {
	f.Helper()
	for _, c := range f.all {
		if c = f.now().channel(c); c.Owner == worker {
			owned = append(owned, c)
		}
	}
	return owned
}

// untilElsewhere waits until the channels are active and not under worker, and
// returns how long the last one took.
func (f *fleet) untilElsewhere(within time.Duration, worker string, channels []enlace.Channel) time.Duration {
	f.Helper()
	begin := time.Now()
	for _, c := range channels {
		f.now().untilWithin(max(within-time.Since(begin), time.Millisecond), c, "active under another worker", func(c enlace.Channel) bool {
			return c.Status == enlace.Active && c.Owner != worker
		})
	}
	return time.Since(begin)
}

// spread tells how many channels each worker owns.
func (f *fleet) spread() []int {
	f.Helper()
	var spread []int
	for _, p := range f.workers {
		spread = append(spread, len(f.ownedBy(p.worker())))
	}
	return spread
}

// Three workers under traffic: one is killed, one is told to leave, then all are
// restarted one after the other. Each time all channels go on elsewhere: no QR
// code, no message lost or doubled, none refused, no two sessions at once.
func TestFleet_WorkersComeAndGo(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 10*time.Second)
	t.Logf("linked; channels by worker: %v", f.spread())
	f.begin()
	time.Sleep(*fleetRest)

	dead := f.workers[0].worker()
	orphans := f.ownedBy(dead)
	f.workers[0].kill()
	took := f.untilElsewhere(f.lease+*takeoverSlack, dead, orphans)
	t.Logf("killed: %d channels were active elsewhere after %s", len(orphans), took.Round(time.Millisecond))
	f.workers[0] = f.run("worker", "worker")
	time.Sleep(*fleetRest)

	for n := range f.workers {
		leaving := f.workers[n].worker()
		orphans := f.ownedBy(leaving)
		f.workers[n].signal(syscall.SIGTERM)
		took := f.untilElsewhere(*handoverTime, leaving, orphans)
		if code := f.workers[n].exit(soon); code != 0 {
			t.Errorf("a worker that was told to leave ended with exit code %d", code)
		}
		t.Logf("told to leave: %d channels were active elsewhere after %s", len(orphans), took.Round(time.Millisecond))
		f.workers[n] = f.run("worker", "worker")
		f.workers[n].worker()
		time.Sleep(*fleetRest)
	}
	t.Logf("channels by worker: %v", f.spread())
	f.end()
	if s := f.w.stats(); s.Replaced != 0 {
		t.Errorf("%d sessions were replaced by another", s.Replaced)
	}
}
