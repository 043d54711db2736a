package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// serving returns chats with one channel of a product that answers each request
// for events with the next of pages.
func serving(t *testing.T, pages ...string) *chats {
	t.Helper()
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := ""
		if n > 0 {
			want = fmt.Sprintf("1-%d", n)
		}
		if got := r.URL.Query().Get("after"); got != want {
			t.Errorf("request %d is for what is after %q, want %q", n, got, want)
		}
		if n == len(pages) {
			http.Error(w, "no more", http.StatusNotFound)
			return
		}
		n++
		fmt.Fprintf(w, `{"events":[%s],"next":"1-%d"}`, pages[n-1], n)
	}))
	t.Cleanup(srv.Close)
	return &chats{
		product:  &product{addr: strings.TrimPrefix(srv.URL, "http://"), web: srv.Client()},
		channels: []*chat{{id: "ch_1"}},
	}
}

func status(id, status string) string {
	return fmt.Sprintf(`{"event":"message.status","data":{"status":{"id":%q,"status":%q}}}`, id, status)
}

func TestAwait_CountsMessagesNotEvents(t *testing.T) {
	c := serving(t, status("A", "sent"), status("A", "delivered"), status("B", "delivered")+","+status("C", "sent"))
	if err := c.await(t.Context(), 3, "message.status"); err != nil {
		t.Fatal(err)
	}
	if next := c.channels[0].next; next != "1-3" {
		t.Errorf("it has read to %q, want to the third page", next)
	}
}

func TestAwait_AFailedMessageEndsTheRun(t *testing.T) {
	c := serving(t, status("A", "sent")+","+status("B", "failed"))
	if err := c.await(t.Context(), 2, "message.status"); err == nil || !strings.Contains(err.Error(), "B failed") {
		t.Errorf("a failed message gives %v, want an error that names it", err)
	}
}

func TestTook_IsFromThePhoneToTheArrival(t *testing.T) {
	sent := time.Date(2026, 11, 24, 12, 0, 0, 1_500_000, time.UTC)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"messages":[],"sent":[{"id":"A","at":%q}]}`, sent.Format(time.RFC3339Nano))
	}))
	defer srv.Close()
	c := &chats{server: &testServer{base: srv.URL, web: srv.Client()}}
	chats := []*chat{{contact: "1555"}}
	times, err := c.took(t.Context(), chats, []wire.Arrival{{ID: "A", At: sent.Add(3 * time.Millisecond)}})
	if err != nil || len(times) != 1 || times[0] != 3*time.Millisecond {
		t.Errorf("it took %v, %v; want 3ms", times, err)
	}
	if _, err := c.took(t.Context(), chats, []wire.Arrival{{ID: "B", At: sent}}); err == nil {
		t.Error("a message that nobody has sent is taken")
	}
}

func TestQuantile_IsAValueOfTheTimes(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i)*time.Millisecond)
	}
	for part, want := range map[float64]float64{0: 1, 0.5: 51, 0.99: 99, 1: 100} {
		if got := quantile(times, part); got != want {
			t.Errorf("the part %v of 1 to 100 ms is within %v ms, want %v", part, got, want)
		}
	}
}

func TestTurns_LeaveTheFirstRoundOut(t *testing.T) {
	own := ownProcess(t)
	c := &chats{server: &testServer{process: own}, product: &product{process: own}, baseline: &baseline{process: own}, channels: make([]*chat, 2)}
	rounds := 0
	side := func(first, later time.Duration) func(context.Context) (time.Duration, error) {
		return func(context.Context) (time.Duration, error) {
			if rounds == 1 {
				return first, nil
			}
			return later, nil
		}
	}
	var r row
	before := func(context.Context) error { rounds++; return nil }
	err := c.turns(t.Context(), 2, 10, &r, before, side(time.Hour, 2*time.Second), side(time.Hour, 4*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if rounds != 3 || len(r.product) != 2 || r.product[0] != 10 || r.raw[1] != 5 {
		t.Errorf("after %d rounds the row has %v and %v, want 3 and twice 10 and 5 messages a second", rounds, r.product, r.raw)
	}
	if !strings.Contains(r.note, "CPUs enlace took") {
		t.Errorf("the note is %q", r.note)
	}
}

func TestContacts_AreNoAccounts(t *testing.T) {
	account := wire.Number(wire.ProductRow, 7)
	if contact := wire.Contact(account); contact != wire.Number(wire.ProductRow+20, 7) || contact == account {
		t.Errorf("%s writes with %s", account, contact)
	}
}
