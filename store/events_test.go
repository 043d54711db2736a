package store_test

import (
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func TestEvents_CursorsAndTypes(t *testing.T) {
	b := setup(t)
	o := b.claim(b.connect("").ID, "")
	for i := range 5 {
		b.ok(o.Reconnecting(t.Context(), enlace.ReasonNetwork, enlace.Reconnect{Attempt: i + 1}, nil))
	}
	read := func(q store.EventQuery) (store.EventPage, error) {
		return b.Events(t.Context(), "acme", o.ChannelID(), q)
	}
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
