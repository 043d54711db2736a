package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/api"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
)

func TestIfNoneMatch(t *testing.T) {
	b := setup(t)
	path := pathOf(b.connect("default")) // version 1
	for header, want := range map[string]int{
		`"1"`:                                  304,
		`W/"1"`:                                304,
		`*`:                                    304,
		` * `:                                  304,
		`"0", "1"`:                             304,
		`"0","1","2"`:                          304,
		`W/"0" , W/"1"`:                        304,
		`, "1"`:                                304,
		`"a,b", "1"`:                           304,
		`"0"`:                                  200,
		`"11"`:                                 200,
		`"0", "2"`:                             200,
		`1`:                                    200,
		`"1`:                                   200,
		`w/"1"`:                                200,
		`""`:                                   200,
		`garbage "1"`:                          200,
		strings.Repeat(`"0",`, 10_000) + `"1"`: 304,
	} {
		a := b.get(path, "If-None-Match", header).wants(want).wantsHeader("ETag", `"1"`).wantsHeader("Retry-After", "1").wantsHeader("Preference-Applied", "")
		if want == 304 && (len(a.body) > 0 || a.Header.Get("Content-Type") != "") {
			t.Errorf("%s: want no body and no type of one, got %q, %s", header, a.Header.Get("Content-Type"), a.body)
		}
	}
	b.get(path, "If-None-Match", `"0"`, "If-None-Match", `"1"`).wants(304)
}

// inBubble runs test in fake time.
func inBubble(t *testing.T, table func(store.Table) store.Table, test func(b *bundle), options ...func(*api.Config)) {
	t.Helper()
	keys := keyHolder(t)
	synctest.Test(t, func(t *testing.T) {
		test(setupOn(t, table(memory.New(memory.Options{})), keys, options...))
	})
}

// waking is a table that notices writes; polled hides that it does.
func waking(t store.Table) store.Table { return t }

func polled(t store.Table) store.Table { return struct{ store.Table }{t} }

// later starts a request and returns what its answer can be had from.
func (b *bundle) later(r request) (wait func() *answer, took func() time.Duration) {
	done, begin := make(chan *answer, 1), time.Now()
	var end time.Time
	go func() {
		a := b.do(r)
		end = time.Now()
		done <- a
	}()
	var a *answer
	wait = func() *answer {
		if a == nil {
			a = <-done
		}
		return a
	}
	return wait, func() time.Duration { wait(); return end.Sub(begin) }
}

func held(path, etag, prefer string) request {
	return request{path: path, header: headers("If-None-Match", etag, "Prefer", prefer)}
}

func (b *bundle) wantsDuration(got, want time.Duration) {
	b.Helper()
	if got != want {
		b.Errorf("want the answer after %s, got it after %s", want, got)
	}
}

func TestHold_EndsUnchangedAfterTheWait(t *testing.T) {
	for prefer, want := range map[string]struct {
		took    time.Duration
		applied string
	}{
		"wait=25":                         {25 * time.Second, "wait=25"},
		"respond-async, WAIT = \"10\"; x": {10 * time.Second, "wait=10"},
		"wait=600":                        {60 * time.Second, "wait=60"},
		"wait=3, wait=9":                  {3 * time.Second, "wait=3"},
		"wait=0":                          {0, ""},
		"wait":                            {0, ""},
		"wait=-5":                         {0, ""},
		"wait=soon":                       {0, ""},
		"wait=99999999999999999999":       {0, ""},
		"waiting=5":                       {0, ""},
	} {
		inBubble(t, waking, func(b *bundle) {
			path := pathOf(b.connect("default"))
			answer, took := b.later(held(path, `"1"`, prefer))
			answer().wants(304).wantsHeader("Preference-Applied", want.applied).wantsHeader("ETag", `"1"`)
			b.wantsDuration(took(), want.took)
		})
	}
}

func TestHold_IsCappedByTheConfiguration(t *testing.T) {
	inBubble(t, waking, func(b *bundle) {
		answer, took := b.later(held(pathOf(b.connect("default")), `"1"`, "wait=25"))
		answer().wants(304).wantsHeader("Preference-Applied", "wait=5")
		b.wantsDuration(took(), 5*time.Second)
	}, func(c *api.Config) { c.MaxHold = 5 * time.Second })
}

func TestHold_NeedsSomethingToCompareWith(t *testing.T) {
	inBubble(t, waking, func(b *bundle) {
		path := pathOf(b.connect("default"))
		for etag, status := range map[string]int{"": 200, "*": 304, `"0"`: 200} {
			r := held(path, etag, "wait=25")
			if etag == "" {
				r.header.Del("If-None-Match")
			}
			answer, took := b.later(r)
			answer().wants(status)
			b.wantsDuration(took(), 0)
		}
	})
}

func TestHold_EveryHolderHearsOfAChangeAtOnce(t *testing.T) {
	inBubble(t, waking, func(b *bundle) {
		c := b.connect("default")
		owner := b.own(c)
		first, firstTook := b.later(held(pathOf(c), `"1"`, "wait=25"))
		second, secondTook := b.later(held(pathOf(c), `"0","1"`, "wait=25"))
		time.Sleep(7 * time.Second)
		b.must(owner.ShowQR(b.Context(), freshQR()))
		for _, a := range []*answer{first(), second()} {
			a.wants(200).wantsHeader("ETag", `"2"`).wantsHeader("Preference-Applied", "wait=25")
			if a.channel().QR == nil {
				t.Errorf("want the QR code, got %s", a.body)
			}
		}
		b.wantsDuration(firstTook(), 7*time.Second)
		b.wantsDuration(secondTook(), 7*time.Second)
	})
}

func TestHold_WhatCallersCannotSeeDoesNotEndIt(t *testing.T) {
	inBubble(t, waking, func(b *bundle) {
		c := b.connect("default")
		answer, took := b.later(held(pathOf(c), `"1"`, "wait=25"))
		time.Sleep(time.Second)
		b.own(c) // the owner is bookkeeping
		answer().wants(304)
		b.wantsDuration(took(), 25*time.Second)
	})
}

func TestHold_PollsOnceASecondWhereTheTableMustBeAsked(t *testing.T) {
	inBubble(t, polled, func(b *bundle) {
		c := b.connect("default")
		owner := b.own(c)
		before, _ := b.table.counts()
		answer, took := b.later(held(pathOf(c), `"1"`, "wait=25"))
		answer().wants(304)
		b.wantsDuration(took(), 25*time.Second)
		if after, _ := b.table.counts(); after-before > 26 {
			t.Errorf("want about one read a second, got %d in 25 s", after-before)
		}
		answer, took = b.later(held(pathOf(c), `"1"`, "wait=25"))
		time.Sleep(3500 * time.Millisecond)
		b.must(owner.ShowQR(b.Context(), freshQR()))
		answer().wants(200)
		b.wantsDuration(took(), 4*time.Second)
	})
}

func TestHold_EndsWhenTheChannelIsDeleted(t *testing.T) {
	inBubble(t, waking, func(b *bundle) {
		c := b.connect("default")
		channel, channelTook := b.later(held(pathOf(c), `"1"`, "wait=25"))
		events, eventsTook := b.later(request{path: pathOf(c) + "/events?after=1", header: headers("Prefer", "wait=25")})
		time.Sleep(2 * time.Second)
		_, err := b.store.Delete(b.Context(), "acme", c.ID)
		b.must(err)
		channel().wantsProblem(http.StatusNotFound, enlace.CodeNotFound)
		events().wantsProblem(http.StatusNotFound, enlace.CodeNotFound)
		b.wantsDuration(channelTook(), 2*time.Second)
		b.wantsDuration(eventsTook(), 2*time.Second)
	})
}

func TestHold_EndsWhenTheServerDrains(t *testing.T) {
	for name, table := range map[string]func(store.Table) store.Table{"waking": waking, "polled": polled} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, table, func(b *bundle) {
				c := b.connect("default")
				channel, channelTook := b.later(held(pathOf(c), `"1"`, "wait=25"))
				events, eventsTook := b.later(request{path: pathOf(c) + "/events?after=1", header: headers("Prefer", "wait=25")})
				time.Sleep(2500 * time.Millisecond)
				b.drain()
				channel().wants(304)
				events().wants(200)
				b.wantsDuration(channelTook(), 2500*time.Millisecond)
				b.wantsDuration(eventsTook(), 2500*time.Millisecond)
				b.get(pathOf(c)).wants(200) // what does not hold goes on
			})
		})
	}
}

func TestHold_EndsWhenTheCallerGoesAway(t *testing.T) {
	inBubble(t, waking, func(b *bundle) {
		c := b.connect("default")
		ctx, leave := context.WithCancel(b.Context())
		r := held(pathOf(c), `"1"`, "wait=25")
		r.ctx = ctx
		_, took := b.later(r)
		time.Sleep(2 * time.Second)
		leave()
		b.wantsDuration(took(), 2*time.Second)
		if strings.Contains(b.log.String(), "request failed") {
			t.Errorf("want no failure in the log, got %s", b.log)
		}
	})
}
