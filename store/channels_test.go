package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

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
	if err := o.Release(t.Context(), true); !errors.Is(err, store.ErrWaiting) {
		t.Fatalf("release: %v, want ErrWaiting", err)
	}
	commands := b.commands(o)
	if len(commands) != 1 || commands[0].Kind != store.CommandConnect {
		t.Fatalf("commands %+v", commands)
	}
	b.ok(o.StillOwner(t.Context()))
	if c := o.Channel(); c.Status != enlace.Connecting {
		t.Errorf("status %s", c.Status)
	}
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
