package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
)

// bundle is a store on a table in memory, with a clock of its own and a worker.

type bundle struct {
	*testing.T
	*store.Store
	table store.Table
	keys  seal.KeyHolder
	clock *clock
	heart *store.Heart
	moved *store.Moved
	stale bool // the worker's lease
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func setup(t *testing.T) *bundle {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)}
	table := memory.New(memory.Options{Now: c.Now})
	keys, err := seal.OpenFile(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), table, store.Options{Keys: keys, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{T: t, Store: s, table: table, keys: keys, clock: c, heart: s.NewHeart()}
	b.moved = s.NewMoved(b.heart.ID())
	if err := b.heart.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bundle) fresh() error {
	if b.stale {
		return errors.New("stale")
	}
	return nil
}

func (b *bundle) connect(name string) enlace.Channel {
	b.Helper()
	c, err := b.Connect(b.Context(), store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb, Name: name})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func (b *bundle) claim(id, from string) *store.Owner {
	b.Helper()
	o, err := b.Claim(b.Context(), store.Claimer{Worker: b.heart.ID(), Fresh: b.fresh, Moved: b.moved}, id, from)
	if err != nil {
		b.Fatalf("claim: %v", err)
	}
	return o
}

// rival is another worker on the same table.

func (b *bundle) rival() *bundle {
	b.Helper()
	r := *b
	r.heart = b.NewHeart()
	r.moved = b.NewMoved(r.heart.ID())
	if err := r.heart.Beat(b.Context()); err != nil {
		b.Fatal(err)
	}
	return &r
}

func (b *bundle) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bundle) channel(id string) enlace.Channel {
	b.Helper()
	c, err := b.Channel(b.Context(), "acme", id)
	b.ok(err)
	return c
}

func (b *bundle) events(id string) []enlace.Event {
	b.Helper()
	page, err := b.Events(b.Context(), "acme", id, store.EventQuery{Limit: 1000})
	b.ok(err)
	for i, e := range page.Events {
		if i > 0 && e.Seq != page.Events[i-1].Seq+1 {
			b.Fatalf("event %d follows %d", e.Seq, page.Events[i-1].Seq)
		}
	}
	return page.Events
}

func names(events []enlace.Event) []enlace.EventName {
	out := make([]enlace.EventName, len(events))
	for i, e := range events {
		out[i] = e.Event
	}
	return out
}

func (b *bundle) wantCode(err error, code enlace.Code) {
	b.Helper()
	if enlace.CodeOf(err) != code || err == nil {
		b.Errorf("got error %v, want code %s", err, code)
	}
}

// active brings a channel of the given name to active.

func (b *bundle) active(name string) *store.Owner {
	b.Helper()
	o := b.claim(b.connect(name).ID, "")
	b.ok(o.Ready(b.Context(), enlace.Account{PhoneNumber: "15550100"}))
	return o
}

// bury has by take b for dead.

func (b *bundle) commands(o *store.Owner) []store.Command {
	b.Helper()
	waiting, err := o.Waiting(b.Context())
	b.ok(err)
	return waiting.Commands
}

// counting counts the items that queries return.
type counting struct {
	store.Table
	items int
}

func (c *counting) Query(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := c.Table.Query(ctx, q)
	c.items += len(page.Items)
	return page, err
}
