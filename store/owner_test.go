package store_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func TestOwner_QRIsShownAndNeverLogged(t *testing.T) {
	b := setup(t)
	o := b.claim(b.connect("").ID, "")
	qr := enlace.QR{Code: "secret-code", ExpiresAt: b.clock.Now().Add(time.Minute), Attempt: 1, Of: 6}
	elsewhere := qr
	elsewhere.ExpiresAt = qr.ExpiresAt.In(time.FixedZone("", 7200)).Add(time.Microsecond) // as another clock says it
	b.ok(o.ShowQR(t.Context(), elsewhere))
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

func TestOwner_ReadyAgainTellsOnlyWhatIsNew(t *testing.T) {
	b := setup(t)
	o := b.active("")
	before := b.channel(o.ChannelID())
	b.ok(o.Ready(t.Context(), enlace.Account{PhoneNumber: before.PhoneNumber}))
	if got := b.channel(o.ChannelID()); got.Version != before.Version || len(b.events(before.ID)) != 3 {
		t.Errorf("nothing new made version %d of %d", got.Version, before.Version)
	}
	b.clock.Advance(time.Minute)
	b.ok(o.Ready(t.Context(), enlace.Account{PushName: "Ada"}))
	if got := b.channel(o.ChannelID()); got.PushName != "Ada" || !got.ConnectedAt.Equal(*before.ConnectedAt) {
		t.Errorf("got %+v", got)
	}
}
