package store_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// receive appends a received message; it reports whether that was news.
func (b *bundle) receive(o *store.Owner, id string) bool {
	b.Helper()
	appended, err := o.Received(b.Context(), store.Incoming{Event: enlace.EventMessageReceived, Identity: named(id), Data: json.RawMessage(`{}`)})
	b.ok(err)
	return appended
}

// A message whose acknowledgement was lost comes again at the next login, and is
// known then, however long the channel was away, whatever it recorded meanwhile,
// and whoever owns it by then.
func TestReceived_KnownAfterALongTimeAway(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	o := b.active("")
	b.receive(o, "last")
	for i := range 300 { // a day and more of trying
		b.ok(o.Reconnecting(ctx, enlace.ReasonNetwork, enlace.Reconnect{Attempt: i + 1, NextAt: b.clock.Now()}, nil))
		b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x"), TTL: time.Minute})
		b.ok(o.Expire(ctx, int64(i+1)))
	}
	if n := len(b.events(o.ChannelID())); n < 600 {
		t.Fatalf("%d events", n)
	}
	next := b.rival().claim(o.ChannelID(), b.heart.ID())
	if b.receive(next, "last") {
		t.Error("a message that came again was appended again")
	}
	if !b.receive(next, "new") {
		t.Error("a new message was not appended")
	}
}

// From which time on plaintexts may lack their event: as long as the newest events
// reach back, if a message among the older ones proves it.
func TestOldestSeen(t *testing.T) {
	b := setup(t)
	o := b.active("")
	oldest := func() time.Time {
		t.Helper()
		at, err := o.OldestSeen(t.Context())
		b.ok(err)
		return at
	}
	begin := b.clock.Now()
	for i := range 600 {
		b.clock.Advance(time.Minute)
		if i == 490 && !oldest().IsZero() {
			t.Errorf("a short log gives %s", oldest())
		}
		b.receive(o, fmt.Sprint("before ", i))
	}
	// Three events came before the messages: the oldest of 500 is message 100.
	if want := begin.Add(101 * time.Minute); !oldest().Equal(want) {
		t.Errorf("got %s, want %s", oldest(), want)
	}
	for i := range 550 {
		b.ok(o.Reconnecting(t.Context(), enlace.ReasonNetwork, enlace.Reconnect{Attempt: i + 1, NextAt: b.clock.Now()}, nil))
	}
	if !oldest().IsZero() {
		t.Errorf("a log of tries alone gives %s", oldest())
	}
}

// Numbers go on from where they were when all events and messages have expired,
// under the next owner too.
func TestSaveTails_NumbersGoOnAfterAllHasExpired(t *testing.T) {
	for name, save := range map[string]bool{"saved": true, "not saved": false} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			ctx := t.Context()
			o := b.active("")
			for i := range 5 {
				b.receive(o, fmt.Sprint(i))
				b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x")})
				b.ok(o.Sending(ctx, b.waiting(o), []byte("x")))
				b.ok(o.Sent(ctx, b.waiting(o), b.clock.Now()))
			}
			events := b.events(o.ChannelID())
			last := events[len(events)-1].Seq
			cursor := fmt.Sprint(last)
			b.clock.Advance(12 * time.Hour)
			if save {
				b.ok(o.SaveTails(ctx))
			}
			b.clock.Advance(31 * 24 * time.Hour)
			if n := len(b.events(o.ChannelID())); n != 0 {
				t.Fatalf("%d events have not expired", n)
			}
			next := b.rival().claim(o.ChannelID(), b.heart.ID())
			m := b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x")})
			if !save {
				// What SaveTails is for: without it numbers would be given twice.
				if b.events(o.ChannelID())[0].Seq > last || m.ID == "msg_6" {
					t.Error("numbers go on without SaveTails: this test shows nothing")
				}
				return
			}
			page, err := b.Events(ctx, "acme", o.ChannelID(), store.EventQuery{After: cursor, Limit: 10})
			b.ok(err)
			if len(page.Events) != 1 || page.Events[0].Seq != last+1 || page.Events[0].Event != enlace.EventTaken {
				t.Errorf("after %d came %+v", last, page.Events)
			}
			if m.ID != "msg_6" {
				t.Errorf("the sixth message is %s", m.ID)
			}
			if w := b.waiting(next); w.Seq != 6 {
				t.Errorf("the next owner sees message %d", w.Seq)
			}
		})
	}
}
