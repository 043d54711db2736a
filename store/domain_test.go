package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
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
	b := &bundle{T: t, Store: s, table: table, clock: c, heart: s.NewHeart()}
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

func TestConnect_AbsentIsCreatedConnecting(t *testing.T) {
	b := setup(t)
	c := b.connect("sales")
	if c.Status != enlace.Connecting || c.Version != 1 || c.Name != "sales" || !enlace.HasPrefix(c.ID, enlace.ChannelPrefix) {
		t.Errorf("got %+v", c)
	}
	if got := names(b.events(c.ID)); !slices.Equal(got, []enlace.EventName{enlace.EventConnecting}) {
		t.Errorf("events %v", got)
	}
}

func TestConnect_ConnectingIsTheSameChannelUnchanged(t *testing.T) {
	b := setup(t)
	first := b.connect("")
	b.clock.Advance(time.Minute)
	if again := b.connect(enlace.DefaultName); again.ID != first.ID || again.Version != first.Version || !again.UpdatedAt.Equal(first.UpdatedAt) {
		t.Errorf("got %+v, want %+v", again, first)
	}
	if len(b.events(first.ID)) != 1 {
		t.Errorf("events %v", names(b.events(first.ID)))
	}
}

func TestConnect_HundredCallersGetOneChannel(t *testing.T) {
	b := setup(t)
	ids := make([]string, 100)
	var callers sync.WaitGroup
	for i := range ids {
		callers.Go(func() {
			c, err := b.Connect(t.Context(), store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb})
			if err != nil {
				t.Error(err)
			}
			ids[i] = c.ID
		})
	}
	callers.Wait()
	slices.Sort(ids)
	if got := slices.Compact(ids); len(got) != 1 {
		t.Errorf("%d channels: %v", len(got), got)
	}
	if got := len(b.events(ids[0])); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
}

func TestConnect_ActiveIsConflict(t *testing.T) {
	b := setup(t)
	o := b.active("")
	_, err := b.Connect(t.Context(), store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb})
	b.wantCode(err, enlace.CodeChannelActive)
	if c := b.channel(o.ChannelID()); c.Status != enlace.Active {
		t.Errorf("status %s", c.Status)
	}
}

func TestConnect_InactiveAndErrorGoBackToConnecting(t *testing.T) {
	b := setup(t)
	for name, end := range map[string]func(*store.Owner) error{
		"inactive": func(o *store.Owner) error { return o.Inactive(t.Context(), enlace.ReasonQRTimeout) },
		"error":    func(o *store.Owner) error { return o.Failed(t.Context(), enlace.ReasonBanned, nil, nil) },
	} {
		o := b.claim(b.connect(name).ID, "")
		b.ok(end(o))
		b.ok(o.Release(t.Context(), true))
		if got, _ := b.OwnedBy(t.Context(), ""); len(got) != 0 {
			t.Errorf("%s: index shows %v", name, got)
		}
		c := b.connect(name)
		if c.ID != o.ChannelID() || c.Status != enlace.Connecting || c.Reason != "" || c.LastError != nil {
			t.Errorf("%s: got %+v", name, c)
		}
		if got, _ := b.OwnedBy(t.Context(), ""); !slices.Equal(got, []string{c.ID}) {
			t.Errorf("%s: index shows %v", name, got)
		}
		b.ok(b.claim(c.ID, "").Release(t.Context(), false))
		b.ok(b.claim(c.ID, "").Inactive(t.Context(), enlace.ReasonDisconnected))
	}
}

func TestConnect_OwnedChannelTellsItsOwner(t *testing.T) {
	b := setup(t)
	o := b.claim(b.connect("").ID, "")
	b.ok(o.Inactive(t.Context(), enlace.ReasonQRTimeout))
	b.connect("") // before the owner has released it
	if err := o.Release(t.Context(), true); !errors.Is(err, store.ErrCommandWaiting) {
		t.Fatalf("release: %v, want ErrCommandWaiting", err)
	}
	commands, err := o.Commands(t.Context())
	b.ok(err)
	if len(commands) != 1 || commands[0].Kind != store.CommandConnect {
		t.Fatalf("commands %+v", commands)
	}
	b.ok(o.StillOwner(t.Context()))
	if c := o.Channel(); c.Status != enlace.Connecting {
		t.Errorf("status %s", c.Status)
	}
}

func TestOwner_QRIsShownAndNeverLogged(t *testing.T) {
	b := setup(t)
	o := b.claim(b.connect("").ID, "")
	qr := enlace.QR{Code: "secret-code", ExpiresAt: b.clock.Now().Add(time.Minute), Attempt: 1, Of: 6}
	b.ok(o.ShowQR(t.Context(), qr))
	c := b.channel(o.ChannelID())
	if c.QR == nil || *c.QR != qr || c.Version != 2 {
		t.Fatalf("channel %+v", c)
	}
	shown := func(secrets bool) any {
		t.Helper()
		page, err := b.Events(t.Context(), "acme", c.ID, store.EventQuery{After: "2", Limit: 10, Secrets: secrets})
		b.ok(err)
		var data map[string]any
		b.ok(json.Unmarshal(page.Events[0].Data, &data))
		if data["attempt"] != 1.0 || data["of"] != 6.0 {
			t.Errorf("data %v", data)
		}
		return data["code"]
	}
	if got := shown(true); got != "secret-code" {
		t.Errorf("code %v while current", got)
	}
	if got := shown(false); got != nil {
		t.Errorf("code %v for one who may not see it", got)
	}
	b.clock.Advance(time.Minute)
	if got := shown(true); got != nil {
		t.Errorf("code %v after its time", got)
	}
	b.clock.Advance(-time.Minute)
	b.ok(o.ShowQR(t.Context(), enlace.QR{Code: "next", ExpiresAt: qr.ExpiresAt, Attempt: 2, Of: 6}))
	if got := shown(true); got != nil {
		t.Errorf("code %v after the next one", got)
	}
}

func TestOwner_EveryChangeIsAnEvent(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	o := b.claim(b.connect("").ID, "")
	b.ok(o.ShowPairingCode(ctx, "ABCD1234"))
	b.ok(o.Accepted(ctx, enlace.Account{PhoneNumber: "15550100"}))
	b.ok(o.Ready(ctx, enlace.Account{PushName: "Ada"}))
	b.ok(o.Reconnecting(ctx, enlace.ReasonNetwork, enlace.Reconnect{Attempt: 1, NextAt: b.clock.Now()}, nil))
	b.ok(o.Ready(ctx, enlace.Account{}))
	b.ok(o.Failed(ctx, enlace.ReasonReplaced, nil, &enlace.LastError{Code: "replaced", Message: "m"}))
	events := b.events(o.ChannelID())
	want := []enlace.EventName{
		enlace.EventConnecting, enlace.EventTaken, enlace.EventPairingCode, enlace.EventConnecting, enlace.EventReady,
		enlace.EventReconnecting, enlace.EventReady, enlace.EventError,
	}
	if got := names(events); !slices.Equal(got, want) {
		t.Fatalf("events %v, want %v", got, want)
	}
	var ready map[string]any
	b.ok(json.Unmarshal(events[4].Data, &ready))
	if ready["status"] != "active" || ready["pushName"] != "Ada" || ready["connectedAt"] == nil || len(ready) != 3 {
		t.Errorf("ready data %v", ready)
	}
	c := b.channel(o.ChannelID())
	if c.PhoneNumber != "15550100" || c.PushName != "Ada" || c.Reason != enlace.ReasonReplaced {
		t.Errorf("channel %+v", c)
	}
}

func TestOwner_AnIllegalChangeChangesNothing(t *testing.T) {
	b := setup(t)
	o := b.claim(b.connect("").ID, "")
	b.ok(o.Inactive(t.Context(), enlace.ReasonQRTimeout))
	before := b.channel(o.ChannelID())
	if err := o.Ready(t.Context(), enlace.Account{}); err == nil {
		t.Error("an inactive channel became active")
	}
	if err := o.ShowQR(t.Context(), enlace.QR{}); err == nil {
		t.Error("an inactive channel showed a QR code")
	}
	if after := b.channel(o.ChannelID()); after.Version != before.Version || len(b.events(before.ID)) != 3 {
		t.Errorf("got %+v, want %+v", after, before)
	}
}

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

// bury has by take b for dead.
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

func TestOwner_StaleLeaseWritesNothing(t *testing.T) {
	b := setup(t)
	o := b.active("")
	before := b.channel(o.ChannelID())
	b.stale = true
	if err := o.Inactive(t.Context(), enlace.ReasonDisconnected); err == nil {
		t.Error("a stale owner wrote")
	}
	if got := b.channel(o.ChannelID()); got.Version != before.Version {
		t.Errorf("got %+v", got)
	}
}

func TestHeart_MissedAndBuried(t *testing.T) {
	b := setup(t)
	rival := b.rival()
	workers, err := b.Workers(t.Context())
	b.ok(err)
	if len(workers) != 2 {
		t.Fatalf("workers %+v", workers)
	}
	b.ok(rival.heart.Beat(t.Context()))
	for _, w := range workers { // as they were before the beat
		if w.ID != rival.heart.ID() {
			continue
		}
		if buried, err := b.Bury(t.Context(), w); err != nil || buried {
			t.Errorf("a worker that has beaten since was buried: %v, %v", buried, err)
		}
	}
	rival.bury(b)
	if err := rival.heart.Beat(t.Context()); !errors.Is(err, store.ErrBuried) {
		t.Errorf("beat of a buried worker: %v", err)
	}
	if got, err := b.Buried(t.Context()); err != nil || !slices.Equal(got, []string{rival.heart.ID()}) {
		t.Errorf("buried %v, %v", got, err)
	}
	b.clock.Advance(24 * time.Hour)
	if got, err := b.Buried(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("buried after a day %v, %v", got, err)
	}
}

func TestDisconnect_WaitsInTheOutboxOfTheOwner(t *testing.T) {
	b := setup(t)
	o := b.active("")
	c, err := b.Disconnect(t.Context(), "acme", o.ChannelID())
	b.ok(err)
	if c.Status != enlace.Active {
		t.Errorf("status %s before the owner acts", c.Status)
	}
	if got, err := b.WaitingIn(t.Context(), b.heart.ID()); err != nil || !slices.Equal(got, []string{c.ID}) {
		t.Errorf("waiting %v, %v", got, err)
	}
	commands, err := o.Commands(t.Context())
	b.ok(err)
	if len(commands) != 1 || commands[0].Kind != store.CommandDisconnect {
		t.Fatalf("commands %+v", commands)
	}
	b.ok(o.Inactive(t.Context(), enlace.ReasonDisconnected, commands...))
	if commands, _ = o.Commands(t.Context()); len(commands) != 0 {
		t.Errorf("still waiting: %+v", commands)
	}
	b.ok(o.Release(t.Context(), true))
	if _, err := b.Disconnect(t.Context(), "acme", c.ID); err != nil {
		t.Error(err)
	}
	if got, _ := b.OwnedBy(t.Context(), ""); len(got) != 0 {
		t.Errorf("disconnecting an inactive channel made work: %v", got)
	}
}

func TestLogout_OfARestingChannelFindsAnOwner(t *testing.T) {
	b := setup(t)
	o := b.active("")
	b.ok(o.Inactive(t.Context(), enlace.ReasonDisconnected))
	b.ok(o.Release(t.Context(), true))
	_, err := b.Logout(t.Context(), "acme", o.ChannelID())
	b.ok(err)
	if got, _ := b.OwnedBy(t.Context(), ""); !slices.Equal(got, []string{o.ChannelID()}) {
		t.Fatalf("index shows %v", got)
	}
	o = b.claim(o.ChannelID(), "")
	commands, err := o.Commands(t.Context())
	b.ok(err)
	b.ok(o.Inactive(t.Context(), enlace.ReasonLoggedOut, commands...))
	b.ok(o.Release(t.Context(), true))
	c := b.channel(o.ChannelID())
	if c.Status != enlace.Inactive || c.Reason != enlace.ReasonLoggedOut || c.PhoneNumber != "" || c.Owner != "" {
		t.Errorf("got %+v", c)
	}
	if got, _ := b.OwnedBy(t.Context(), ""); len(got) != 0 {
		t.Errorf("index shows %v", got)
	}
}

func TestDelete_FreesTheNameAtOnceAndLeavesNothing(t *testing.T) {
	b := setup(t)
	o := b.active("")
	id := o.ChannelID()
	b.ok(b.table.Write(t.Context(),
		store.Put(store.Item{Key: store.Key{PK: store.SignalPK(id), SK: "x"}, Value: []byte{1}}, store.Any),
		store.Put(store.Item{Key: store.Key{PK: store.BulkPK(id), SK: "x"}, Value: []byte{1}}, store.Any)))
	_, err := b.Delete(t.Context(), "acme", id)
	b.ok(err)
	_, err = b.Channel(t.Context(), "acme", id)
	b.wantCode(err, enlace.CodeNotFound)
	_, err = b.Events(t.Context(), "acme", id, store.EventQuery{Limit: 1})
	b.wantCode(err, enlace.CodeNotFound)
	_, err = b.Delete(t.Context(), "acme", id)
	b.wantCode(err, enlace.CodeNotFound)
	if next := b.connect(""); next.ID == id {
		t.Error("the name still leads to the deleted channel")
	}
	b.ok(o.StillOwner(t.Context()))
	if !o.Deleted() || o.WantsSession() {
		t.Error("the owner does not see the deletion")
	}
	b.ok(o.Wipe(t.Context()))
	for _, pk := range []string{"CH#" + id, store.SignalPK(id), store.BulkPK(id)} {
		page, err := b.table.Query(t.Context(), store.Query{PK: pk})
		b.ok(err)
		if len(page.Items) != 0 {
			t.Errorf("%s holds %d items", pk, len(page.Items))
		}
	}
	for _, pk := range []string{"OWNER#" + b.heart.ID(), "OUT#" + b.heart.ID()} {
		page, err := b.table.Query(t.Context(), store.Query{PK: pk, Index: true})
		b.ok(err)
		for _, item := range page.Items {
			if item.PK == "CH#"+id {
				t.Errorf("%s still shows the channel", pk)
			}
		}
	}
}

func TestPasskey_AnswerIsSealedAndExpires(t *testing.T) {
	b := setup(t)
	o := b.claim(b.connect("").ID, "")
	_, err := b.AnswerPasskey(t.Context(), "acme", o.ChannelID(), json.RawMessage(`{}`))
	b.wantCode(err, enlace.CodeNoPasskey)
	b.ok(o.ShowPasskey(t.Context(), enlace.Passkey{Request: json.RawMessage(`{"challenge":"c"}`), ExpiresAt: b.clock.Now().Add(time.Hour)}))
	_, err = b.ConfirmPasskey(t.Context(), "acme", o.ChannelID())
	b.wantCode(err, enlace.CodeNoPasskey)
	_, err = b.AnswerPasskey(t.Context(), "acme", o.ChannelID(), json.RawMessage(`{"answer":42}`))
	b.ok(err)
	commands, err := o.Commands(t.Context())
	b.ok(err)
	if len(commands) != 1 || commands[0].Kind != store.CommandPasskey {
		t.Fatalf("commands %+v", commands)
	}
	answer, err := o.Answer(t.Context(), commands[0])
	if err != nil || string(answer) != `{"answer":42}` {
		t.Errorf("answer %s, %v", answer, err)
	}
	b.clock.Advance(2 * time.Minute)
	if commands, _ := o.Commands(t.Context()); len(commands) != 0 {
		t.Errorf("commands after two minutes: %+v", commands)
	}
}

func TestEvents_CursorsAndTypes(t *testing.T) {
	b := setup(t)
	o := b.claim(b.connect("").ID, "")
	for i := range 5 {
		b.ok(o.Reconnecting(t.Context(), enlace.ReasonNetwork, enlace.Reconnect{Attempt: i + 1}, nil))
	}
	read := func(q store.EventQuery) (store.EventPage, error) { return b.Events(t.Context(), "acme", o.ChannelID(), q) }
	page, err := read(store.EventQuery{Limit: 3})
	b.ok(err)
	if len(page.Events) != 3 || page.Next != "1-3" {
		t.Fatalf("first page %v, next %s", names(page.Events), page.Next)
	}
	page, err = read(store.EventQuery{After: page.Next, Limit: 10})
	b.ok(err)
	if len(page.Events) != 4 || page.Events[0].Seq != 4 || page.Next != "1-7" {
		t.Errorf("second page %v, next %s", names(page.Events), page.Next)
	}
	page, err = read(store.EventQuery{After: "7", Limit: 10})
	b.ok(err)
	if len(page.Events) != 0 || page.Next != "1-7" {
		t.Errorf("at the end: %v, next %s", names(page.Events), page.Next)
	}
	page, err = read(store.EventQuery{Limit: 10, Types: []enlace.EventName{enlace.EventTaken}})
	b.ok(err)
	if len(page.Events) != 1 || page.Events[0].Event != enlace.EventTaken || page.Next != "1-7" {
		t.Errorf("one type: %v, next %s", names(page.Events), page.Next)
	}
	for after, code := range map[string]enlace.Code{
		"8": enlace.CodeCursorGone, "1-8": enlace.CodeCursorGone, "2-1": enlace.CodeCursorGone,
		"x": enlace.CodeInvalidCursor, "1-x": enlace.CodeInvalidCursor, "-1": enlace.CodeInvalidCursor, "1-": enlace.CodeInvalidCursor, "+1": enlace.CodeInvalidCursor,
		"99999999999999999999": enlace.CodeInvalidCursor,
	} {
		_, err := read(store.EventQuery{After: after, Limit: 10})
		if enlace.CodeOf(err) != code {
			t.Errorf("after %q: %v, want %s", after, err, code)
		}
	}
	_, err = b.Events(t.Context(), "other", o.ChannelID(), store.EventQuery{Limit: 1})
	b.wantCode(err, enlace.CodeNotFound)
}

func TestEvents_NumberingGoesOnAfterAllHaveExpired(t *testing.T) {
	b := setup(t)
	o := b.claim(b.connect("").ID, "")
	b.clock.Advance(store.DefaultRetention + time.Hour)
	if got := b.events(o.ChannelID()); len(got) != 0 {
		t.Fatalf("events %v", names(got))
	}
	rival := b.rival()
	o = rival.claim(o.ChannelID(), b.heart.ID())
	events := b.events(o.ChannelID())
	if len(events) != 1 || events[0].Seq != 3 {
		t.Errorf("events %+v, want one with number 3", events)
	}
	_, err := b.Events(t.Context(), "acme", o.ChannelID(), store.EventQuery{After: "1", Limit: 10})
	b.wantCode(err, enlace.CodeCursorGone)
}

func TestChannels_ListsByPages(t *testing.T) {
	b := setup(t)
	for i := range 7 {
		b.connect(fmt.Sprintf("n%d", i))
	}
	var got []string
	after := ""
	for {
		channels, next, err := b.Channels(t.Context(), "acme", after, 3)
		b.ok(err)
		for _, c := range channels {
			got = append(got, c.Name)
		}
		if after = next; next == "" {
			break
		}
	}
	if want := []string{"n0", "n1", "n2", "n3", "n4", "n5", "n6"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if others, _, err := b.Channels(t.Context(), "other", "", 3); err != nil || len(others) != 0 {
		t.Errorf("another company sees %v, %v", others, err)
	}
	_, _, err := b.Channels(t.Context(), "acme", "nonsense", 3)
	b.wantCode(err, enlace.CodeInvalidCursor)
}

func TestMoved_TellsOfEveryChannelOnceFlushed(t *testing.T) {
	b := setup(t)
	want := map[string]int64{}
	for i := range 60 {
		o := b.claim(b.connect(fmt.Sprint(i)).ID, "")
		want[o.ChannelID()] = 2
	}
	b.ok(b.moved.Flush(t.Context()))
	got, err := b.MovedChannels(t.Context(), "acme")
	b.ok(err)
	if len(got) != len(want) {
		t.Fatalf("%d channels, want %d", len(got), len(want))
	}
	for id, seq := range want {
		if got[id] != seq {
			t.Errorf("channel %s moved to %d, want %d", id, got[id], seq)
		}
	}
	page, err := b.table.Query(t.Context(), store.Query{PK: "CO#acme", Prefix: "MOVED#"})
	b.ok(err)
	if len(page.Items) != 3 {
		t.Errorf("%d items for 60 channels, want 3", len(page.Items))
	}
	b.ok(b.moved.Flush(t.Context()))
	again, err := b.table.Query(t.Context(), store.Query{PK: "CO#acme", Prefix: "MOVED#"})
	b.ok(err)
	if again.Items[0].Version != page.Items[0].Version {
		t.Error("an item was rewritten though nothing moved")
	}
}

func TestKeys(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	token := store.NewToken()
	key, err := b.PutKey(ctx, token, store.APIKey{Role: store.Operator, Companies: []string{"acme"}})
	b.ok(err)
	got, err := b.Authenticate(ctx, token)
	b.ok(err)
	if got.ID != key.ID || !got.Reaches("acme") || got.Reaches("other") || !got.Role.Includes(store.Viewer) || got.Role.Includes(store.Admin) {
		t.Errorf("got %+v", got)
	}
	for _, wrong := range []string{"", "x", token + "x", token[:len(token)-1] + "!", store.NewToken(), "enl__"} {
		_, err := b.Authenticate(ctx, wrong)
		b.wantCode(err, enlace.CodeUnauthorized)
	}
	b.ok(b.DeleteKey(ctx, key.ID))
	_, err = b.Authenticate(ctx, token)
	b.wantCode(err, enlace.CodeUnauthorized)
	b.wantCode(b.DeleteKey(ctx, key.ID), enlace.CodeNotFound)
}

func TestKeys_RevocationReachesOtherProcessesWithinAMinute(t *testing.T) {
	b := setup(t)
	token := store.NewToken()
	key, err := b.PutKey(t.Context(), token, store.APIKey{Role: store.Viewer, Companies: []string{store.AllCompanies}})
	b.ok(err)
	other, err := store.Open(t.Context(), b.table, store.Options{Now: b.clock.Now})
	b.ok(err)
	_, err = other.Authenticate(t.Context(), token)
	b.ok(err)
	b.ok(b.DeleteKey(t.Context(), key.ID))
	b.clock.Advance(time.Minute)
	_, err = other.Authenticate(t.Context(), token)
	b.wantCode(err, enlace.CodeUnauthorized)
}

func TestOpen_RefusesANewerTableAndAShortRetention(t *testing.T) {
	b := setup(t)
	if _, err := store.Open(t.Context(), b.table, store.Options{Retention: time.Hour}); err == nil {
		t.Error("a retention of an hour was accepted")
	}
	value, err := store.Encode(99, map[string]int{"generation": 1})
	b.ok(err)
	b.ok(b.table.Write(context.Background(), store.Put(store.Item{Key: store.Key{PK: "META", SK: "GENERATION"}, Value: value}, store.Any)))
	if _, err := store.Open(t.Context(), b.table, store.Options{}); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("got %v, want ErrNewerSchema", err)
	}
}
