package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

type eventPage struct {
	Events []enlace.Event
	Next   string
}

func (b *bundle) events(path string) eventPage {
	b.Helper()
	var page eventPage
	b.get(path).wants(http.StatusOK).wantsHeader("Cache-Control", "private, no-store").decode(&page)
	return page
}

func namesOf(page eventPage) string {
	var names []string
	for _, e := range page.Events {
		names = append(names, string(e.Event))
	}
	return strings.Join(names, " ")
}

func TestEvents_AreReadOnceInOrderByCursor(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	owner := b.own(c)
	b.must(owner.ShowQR(t.Context(), freshQR()))
	path := pathOf(c) + "/events"
	first := b.events(path + "?limit=2")
	if got := namesOf(first); got != "channel.connecting channel.taken" || first.Next != "1-2" {
		t.Errorf("want the first two and the cursor 1-2, got %q, %s", got, first.Next)
	}
	for i, e := range first.Events {
		if e.Seq != int64(i+1) || e.CompanyID != "acme" || e.ChannelID != c.ID || e.At.IsZero() {
			t.Errorf("event %d is not whole: %+v", i+1, e)
		}
	}
	rest := b.events(path + "?after=" + first.Next)
	if got := namesOf(rest); got != "channel.qr" || rest.Next != "1-3" {
		t.Errorf("want the third and the cursor 1-3, got %q, %s", got, rest.Next)
	}
	if last := b.events(path + "?after=" + rest.Next); len(last.Events) != 0 || last.Next != "1-3" {
		t.Errorf("want nothing and the same cursor, got %+v", last)
	}
	if same := b.events(path + "?after=2"); namesOf(same) != "channel.qr" {
		t.Errorf("want a bare number to be a cursor, got %+v", same)
	}
	if all := b.events(path + "?after="); len(all.Events) != 3 {
		t.Errorf("want an empty cursor to be the beginning, got %+v", all)
	}
}

func TestEvents_OfSomeTypes(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	owner := b.own(c)
	b.must(owner.ShowQR(t.Context(), freshQR()))
	b.must(owner.Ready(t.Context(), enlace.Account{PhoneNumber: "14155550123"}))
	for query, want := range map[string]string{
		"type=channel.qr":                            "channel.qr",
		"type=channel.qr,channel.ready":              "channel.qr channel.ready",
		"type=channel.ready&type=channel.connecting": "channel.connecting channel.ready",
		"type=message.received":                      "",
		"type=channel.qr&limit=1":                    "channel.qr",
		"limit=1&type=channel.ready&after=1-1":       "channel.ready",
	} {
		page := b.events(pathOf(c) + "/events?" + query)
		if got := namesOf(page); got != want {
			t.Errorf("%s: want %q, got %q", query, want, got)
		}
		if want == "" && page.Next != "1-4" {
			t.Errorf("%s: want the cursor to move on to 1-4, got %s", query, page.Next)
		}
	}
}

func TestEvents_CodesAreShownWhileCurrentAndNotToViewers(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	owner := b.own(c)
	b.must(owner.ShowQR(t.Context(), freshQR()))
	b.must(owner.ShowQR(t.Context(), freshQR()))
	for role, want := range map[store.Role]string{store.Viewer: "", store.Operator: theQR.Code} {
		var page eventPage
		b.do(request{path: pathOf(c) + "/events?type=channel.qr", key: b.keys[role]}).wants(http.StatusOK).decode(&page)
		for i, want := range []string{"", want} { // the older code is gone for everybody
			var data struct {
				Code    string
				Attempt int
			}
			b.must(json.Unmarshal(page.Events[i].Data, &data))
			if data.Code != want || data.Attempt != theQR.Attempt {
				t.Errorf("%s, event %d: want code %q, got %s", role, i+1, want, page.Events[i].Data)
			}
		}
	}
}

func TestEvents_HoldUntilThereIsOne(t *testing.T) {
	for name, test := range map[string]struct {
		table func(store.Table) store.Table
		took  time.Duration
	}{"waking": {waking, 3500 * time.Millisecond}, "polled": {polled, 4 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, test.table, func(b *bundle) {
				c := b.connect("default")
				owner := b.own(c)
				answer, took := b.later(request{path: pathOf(c) + "/events?after=1-2", header: headers("Prefer", "wait=25")})
				time.Sleep(3500 * time.Millisecond)
				b.must(owner.ShowQR(b.Context(), freshQR()))
				var page eventPage
				answer().wants(200).wantsHeader("Preference-Applied", "wait=25").decode(&page)
				if namesOf(page) != "channel.qr" || page.Next != "1-3" {
					t.Errorf("want the QR event, got %+v", page)
				}
				b.wantsDuration(took(), test.took)
			})
		})
	}
}

func TestEvents_HoldWaitsForTheWantedType(t *testing.T) {
	inBubble(t, waking, func(b *bundle) {
		c := b.connect("default")
		owner := b.own(c)
		answer, took := b.later(request{path: pathOf(c) + "/events?type=channel.ready", header: headers("Prefer", "wait=25")})
		time.Sleep(time.Second)
		b.must(owner.ShowQR(b.Context(), freshQR()))
		time.Sleep(time.Second)
		b.must(owner.Ready(b.Context(), enlace.Account{PhoneNumber: "14155550123"}))
		var page eventPage
		answer().wants(200).decode(&page)
		if namesOf(page) != "channel.ready" || page.Next != "1-4" {
			t.Errorf("want channel.ready alone, got %+v", page)
		}
		b.wantsDuration(took(), 2*time.Second)
	})
}

func TestEvents_HoldLooksThroughALongLogAtOnce(t *testing.T) {
	inBubble(t, waking, func(b *bundle) {
		c := b.connect("default")
		owner := b.own(c)
		for range 2500 {
			b.must(owner.ShowPairingCode(b.Context(), "ABCD-EFGH"))
		}
		b.must(owner.ShowQR(b.Context(), freshQR()))
		answer, took := b.later(request{path: pathOf(c) + "/events?type=channel.qr", header: headers("Prefer", "wait=25")})
		var page eventPage
		answer().wants(200).decode(&page)
		if namesOf(page) != "channel.qr" {
			t.Errorf("want the QR event, got %+v", page)
		}
		b.wantsDuration(took(), 0)
	})
}

func TestEvents_HoldEndsEmptyWithACursor(t *testing.T) {
	inBubble(t, polled, func(b *bundle) {
		c := b.connect("default")
		before, _ := b.table.counts()
		answer, took := b.later(request{path: pathOf(c) + "/events?after=1", header: headers("Prefer", "wait=25")})
		var page eventPage
		answer().wants(200).wantsHeader("Preference-Applied", "wait=25").decode(&page)
		if page.Events == nil || len(page.Events) != 0 || page.Next != "1-1" {
			t.Errorf("want an empty list and the cursor 1-1, got %s", answer().body)
		}
		b.wantsDuration(took(), 25*time.Second)
		if after, _ := b.table.counts(); after-before > 32 {
			t.Errorf("want about one read a second, got %d in 25 s", after-before)
		}
	})
}

func TestEvents_ExpiredCursorIsGone(t *testing.T) {
	inBubble(t, waking, func(b *bundle) {
		c := b.connect("default")
		owner := b.own(c)
		time.Sleep(store.DefaultRetention + time.Hour)
		b.must(owner.ShowQR(b.Context(), freshQR()))
		path := pathOf(c) + "/events"
		b.get(path+"?after=1-1").wantsProblem(http.StatusGone, enlace.CodeCursorGone)
		if page := b.events(path); namesOf(page) != "channel.qr" || page.Events[0].Seq != 3 {
			t.Errorf("want the log from its oldest event, got %+v", page)
		}
	})
}
