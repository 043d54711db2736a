package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// An answer has a few megabytes at most, however much is asked for and however
// long the texts are that strangers wrote, and nothing is missed.
func TestAnswers_AreBounded(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	o := b.active("")
	const n, most = 20, 5 << 20
	long := strings.Repeat("x", 300<<10)
	for i := range n {
		_, err := o.Received(ctx, store.Incoming{
			Event: enlace.EventMessageReceived, Identity: named(fmt.Sprintf("1@lid/1@lid/%d", i)), Data: json.RawMessage(`{"text":"` + long + `"}`),
		})
		b.ok(err)
		b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", long)})
	}
	check := func(what string, pages, got, largest int) {
		t.Helper()
		if got != n || pages < 2 || largest > most {
			t.Errorf("%s: %d of %d in %d pages, the largest of %d bytes", what, got, n, pages, largest)
		}
	}
	for _, types := range [][]enlace.EventName{nil, {enlace.EventMessageReceived}} {
		pages, got, largest := 0, 0, 0
		for after := ""; ; pages++ {
			page, err := b.Events(ctx, "acme", o.ChannelID(), store.EventQuery{After: after, Limit: 1000, Types: types})
			b.ok(err)
			if after = page.Next; len(page.Events) == 0 {
				break
			}
			size := 0
			for _, e := range page.Events {
				if size += len(e.Data); e.Event == enlace.EventMessageReceived {
					got++
				}
			}
			largest = max(largest, size)
		}
		check(fmt.Sprint("events ", types), pages, got, largest)
	}
	pages, got, largest := 0, 0, 0
	for after := ""; ; {
		page, next, err := b.Messages(ctx, "acme", o.ChannelID(), "", after, 1000)
		b.ok(err)
		pages, got, largest = pages+1, got+len(page), max(largest, len(page)*len(long))
		if after = next; next == "" {
			break
		}
	}
	check("messages", pages, got, largest)
}
