package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// Two processes serve one folder: they share the channels and answer for all of
// them; when one is killed the other has its channels at once.
func TestWorkers_KilledOneIsTakenOverAtOnce(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w, "ENLACE_LEASE=60s") // so long that waiting for it would show
	one, two := i.serve(), i.serve()

	all := make([]enlace.Channel, 8)
	var linking sync.WaitGroup
	for n := range all {
		server := one
		if n%2 == 1 {
			server = two
		}
		linking.Go(func() { all[n], _ = server.linked(w, fmt.Sprintf("channel-%d", n)) })
	}
	linking.Wait()
	if t.Failed() {
		return
	}
	owners := map[string]int{}
	for _, c := range all {
		owners[two.channel(c).Owner]++
	}
	if len(owners) > 2 {
		t.Fatalf("want at most two owners, got %v", owners)
	}

	dead := one.worker()
	one.kill()
	began := time.Now()
	for _, c := range all {
		two.until(c, "active under the living worker", func(c enlace.Channel) bool {
			return c.Status == enlace.Active && c.Owner == two.worker()
		})
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("want the channels at once, it took %v", took)
	}
	for _, c := range all {
		if n := count(two.events(c), enlace.EventQR); n != 1 {
			t.Errorf("channel %s: want the one QR code of the first time, got %d", c.Name, n)
		}
	}
	if got, want := w.stats().Logins, len(all)+owners[dead]; got != want {
		t.Errorf("want %d logins: one for each channel and one more for each of the dead worker's, got %d", want, got)
	}
	w.wantsNoOverlap()
}

// worker returns the id of the worker in the process, its newest.
func (p *process) worker() string {
	p.Helper()
	const mark = `msg="worker begins" worker=`
	var id string
	eventually(p, "a worker in the log", soon, func() bool {
		log := p.log.String()
		if i := strings.LastIndex(log, mark); i >= 0 {
			id, _, _ = strings.Cut(log[i+len(mark):], "\n")
		}
		return id != ""
	})
	return strings.TrimSpace(id)
}

// A process is stopped for longer than its lease and goes on. Meanwhile another
// has taken its channel: nothing that the first still does takes effect.
func TestWorkers_StoppedPastItsLease(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w, "ENLACE_LEASE=3s")
	one := i.serve()
	c, _ := one.linked(w, "default")
	first := one.worker()
	two := i.serve()
	beforeStop := len(two.events(c))

	i.stopOutside(one.process)
	c = two.untilWithin(2*soon, c, "active under the other worker", func(c enlace.Channel) bool {
		return c.Status == enlace.Active && c.Owner == two.worker()
	})
	logins := w.stats().Logins
	eventually(t, "WhatsApp to drop the connection that was replaced", soon, func() bool { return w.stats().Connections == 1 })
	one.signal(syscall.SIGCONT)
	eventually(t, "the stopped worker begins anew", soon, func() bool { return one.worker() != first })

	// It lives on as another worker: it serves, and can have channels.
	one.untilActive(c)
	next, _ := one.linked(w, "next")
	one.untilActive(next)

	events, epochs := two.events(c), i.epochs(c)
	if len(epochs) != len(events) {
		t.Fatalf("want %d events in the table, got %d", len(events), len(epochs))
	}
	for n := range epochs {
		if n > 0 && epochs[n] < epochs[n-1] {
			t.Errorf("event %d was written by owner number %d after owner number %d had taken over", n+1, epochs[n], epochs[n-1])
		}
	}
	if last := epochs[len(epochs)-1]; last != 2 {
		t.Errorf("want two claims, got %d", last)
	}
	for _, e := range events[beforeStop:] {
		if e.Event == enlace.EventQR || strings.Contains(string(e.Data), first) {
			t.Errorf("want nothing of worker %s and no QR code, got event %d: %s %s", first, e.Seq, e.Event, e.Data)
		}
	}
	if got := w.stats(); got.Overlaps != 0 || got.Logins != logins+1 { // that of next
		t.Errorf("want no overlap and no login of the worker that was stopped, got %+v after %d logins", got, logins)
	}
	if two.channel(c).Owner != two.worker() {
		t.Error("want the channel with its new owner")
	}
}

// stopOutside stops the server's process while it is in no transaction: in one it
// would hold up everybody who writes to the folder, which is another test.
func (i *installation) stopOutside(p *process) {
	i.Helper()
	for range 20 {
		p.signal(syscall.SIGSTOP)
		if i.writable() {
			return
		}
		p.signal(syscall.SIGCONT)
		time.Sleep(20 * time.Millisecond)
	}
	i.Fatal("want the process stopped outside a transaction")
}

// writable tries to write to the folder, and reports whether that was possible within a moment.
func (i *installation) writable() (ok bool) {
	i.Helper()
	i.onTable(func(ctx context.Context, table store.Table) error {
		ctx, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
		defer cancel()
		key := store.Key{PK: "TEST", SK: "WRITABLE"}
		value, err := store.Encode(1, "a test was here")
		if err != nil {
			return err
		}
		ok = table.Write(ctx, store.Put(store.Item{Key: key, Value: value}, store.Any)) == nil
		return nil
	})
	return ok
}

// Somebody holds a transaction open for longer than a lease, as a process that is
// stopped in one would: nobody can write. The workers close their sessions, bury
// nobody, and come back when it ends.
func TestWorkers_NobodyCanWriteForALease(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w, "ENLACE_LEASE=3s")
	one, two := i.serve(), i.serve()
	c, _ := one.linked(w, "default")
	seen := len(one.events(c))
	ids := []string{one.worker(), two.worker()}

	release := i.holdWriters()
	eventually(t, "no session without a lease", soon, func() bool { return w.stats().Connections == 0 })
	time.Sleep(3 * time.Second) // past the lease
	release()
	eventually(t, "the channel active again", soon, func() bool { return count(one.events(c)[seen:], enlace.EventReady) > 0 })
	one.untilActive(c)
	if now := []string{one.worker(), two.worker()}; !slices.Equal(now, ids) {
		t.Errorf("want nobody buried and the workers %v, got %v", ids, now)
	}
	w.wantsNoOverlap()
}

// holdWriters opens a transaction, so that nobody can write to the folder until release.
func (i *installation) holdWriters() (release func()) {
	i.Helper()
	db, err := sql.Open("sqlite", filepath.Join(i.data, "enlace.db"))
	if err != nil {
		i.Fatal(err)
	}
	conn, err := db.Conn(i.Context())
	if err != nil {
		i.Fatal(err)
	}
	for _, statement := range []string{"PRAGMA busy_timeout = 5000", "BEGIN IMMEDIATE"} {
		if _, err := conn.ExecContext(i.Context(), statement); err != nil {
			i.Fatal(err)
		}
	}
	release = sync.OnceFunc(func() {
		if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			i.Errorf("release the folder's writers: %v", err)
		}
		_, _ = conn.Close(), db.Close()
	})
	i.Cleanup(release)
	return release
}

// Two processes that start at once on an empty folder agree on one admin key and
// one sealing key.
func TestWorkers_StartTogether(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	for range 3 {
		i := install(t, w)
		processes := []*process{i.start(), i.start(), i.start(), i.start()}
		servers := make([]*server, len(processes))
		for n, p := range processes {
			servers[n] = &server{process: p, url: p.after("enlace listens on ")}
			servers[n].key = i.adminKey()
		}
		for _, s := range servers {
			s.call(http.StatusOK, http.MethodGet, channels, "")
		}
		var list struct {
			Keys []struct{ ID string }
		}
		servers[0].call(http.StatusOK, http.MethodGet, "/v1/keys", "").read(t, &list)
		if len(list.Keys) != 1 {
			t.Errorf("want one admin key, got %d", len(list.Keys))
		}
		c := servers[1].untilQR(servers[0].connect("default"))
		number := newNumber()
		w.scan(number, c.QR.Code)
		servers[2].untilActive(c)
		for _, p := range processes {
			p.kill()
		}
	}
}
