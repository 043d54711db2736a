package store_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
)

func TestClaim_TakesOverAnActiveChannelAsReconnecting(t *testing.T) {
	b := setup(t)
	old := b.active("")
	rival := b.rival()
	before := b.channel(old.ChannelID())
	o := rival.claim(old.ChannelID(), b.heart.ID())
	c := b.channel(o.ChannelID())
	if c.Status != enlace.Connecting || c.Reason != enlace.ReasonTakeover || c.Reconnect == nil || c.Owner != rival.heart.ID() || c.Version != before.Version+1 {
		t.Errorf("got %+v", c)
	}
	if err := old.Inactive(t.Context(), enlace.ReasonDisconnected); !errors.Is(err, store.ErrNotOwner) {
		t.Errorf("the old owner's write: %v, want ErrNotOwner", err)
	}
	if err := old.Release(t.Context(), false); !errors.Is(err, store.ErrNotOwner) {
		t.Errorf("the old owner's release: %v, want ErrNotOwner", err)
	}
	if err := old.Wipe(t.Context()); !errors.Is(err, store.ErrNotOwner) {
		t.Errorf("the old owner's wipe: %v, want ErrNotOwner", err)
	}
	if got := b.channel(c.ID); got.Version != c.Version {
		t.Errorf("the old owner changed the channel: %+v", got)
	}
	b.ok(o.Ready(t.Context(), enlace.Account{}))
}

func TestClaim_OfAConnectingChannelIsNoVisibleChange(t *testing.T) {
	b := setup(t)
	c := b.connect("")
	b.claim(c.ID, "")
	if got := b.channel(c.ID); got.Version != c.Version || got.Owner != b.heart.ID() {
		t.Errorf("got %+v, want version %d", got, c.Version)
	}
}

func TestClaim_IsRefused(t *testing.T) {
	b := setup(t)
	rival := b.rival()
	o := b.active("")
	claim := func(b *bundle, id, from string) error {
		_, err := b.Claim(t.Context(), store.Claimer{Worker: b.heart.ID(), Fresh: b.fresh, Moved: b.moved}, id, from)
		return err
	}
	if err := claim(rival, o.ChannelID(), ""); !errors.Is(err, store.ErrNotClaimable) {
		t.Errorf("of an owned channel: %v", err)
	}
	if err := claim(rival, "ch_none", ""); !errors.Is(err, store.ErrNotClaimable) {
		t.Errorf("of no channel: %v", err)
	}
	b.ok(o.Inactive(t.Context(), enlace.ReasonDisconnected))
	b.ok(o.Release(t.Context(), true))
	if err := claim(rival, o.ChannelID(), ""); !errors.Is(err, store.ErrNotClaimable) {
		t.Errorf("of a resting channel: %v", err)
	}
	c := b.connect("other")
	rival.bury(b)
	if err := claim(rival, c.ID, ""); !errors.Is(err, store.ErrBuried) {
		t.Errorf("by a buried worker: %v", err)
	}
	if got := b.channel(c.ID); got.Owner != "" || len(b.events(c.ID)) != 1 {
		t.Errorf("a refused claim changed the channel: %+v", got)
	}
	b.stale = true
	if err := claim(b, c.ID, ""); err == nil {
		t.Error("by a worker whose lease is stale: no error")
	}
}

func (b *bundle) bury(by *bundle) {
	b.Helper()
	workers, err := by.Workers(b.Context())
	b.ok(err)
	for _, w := range workers {
		if w.ID == b.heart.ID() {
			buried, err := by.Bury(b.Context(), w)
			b.ok(err)
			if !buried {
				b.Fatal("not buried")
			}
			return
		}
	}
	b.Fatal("no such worker")
}

func TestClaim_RaceHasOneWinner(t *testing.T) {
	b := setup(t)
	c := b.connect("")
	var claimers sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 20 {
		rival := b.rival()
		claimers.Go(func() {
			_, err := b.Claim(t.Context(), store.Claimer{Worker: rival.heart.ID(), Fresh: b.fresh, Moved: rival.moved}, c.ID, "")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrNotClaimable) {
				t.Error(err)
			}
		})
	}
	claimers.Wait()
	if won != 1 {
		t.Errorf("%d claims succeeded", won)
	}
}

// With another sealing key the channel's data key does not open. That is said of
// credentials; where there are none, linking begins under a new key.
func TestClaim_AnotherSealingKey(t *testing.T) {
	b := setup(t)
	linked, fresh := b.active("linked"), b.claim(b.connect("fresh").ID, "")
	b.ok(linked.Release(t.Context(), false))
	b.ok(fresh.Release(t.Context(), false))
	keys, err := seal.OpenFile(filepath.Join(t.TempDir(), "another.key"))
	b.ok(err)
	b.Store, err = store.Open(t.Context(), b.table, store.Options{Keys: keys, Now: b.clock.Now})
	b.ok(err)
	o := b.claim(linked.ChannelID(), "")
	if o.DataKey() != nil {
		t.Error("got a data key for credentials that another one sealed, want none")
	}
	if o := b.claim(fresh.ChannelID(), ""); o.DataKey() == nil {
		t.Error("got no data key for a channel without credentials")
	}
	b.ok(o.Inactive(t.Context(), enlace.ReasonLoggedOut))
	b.ok(o.Release(t.Context(), true))
	b.connect("linked")
	if o := b.claim(o.ChannelID(), ""); o.DataKey() == nil {
		t.Error("got no data key for a channel whose credentials were forgotten")
	}
}
