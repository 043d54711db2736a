package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// shortPages gives a few items a page, as tables do where items are large.
type shortPages struct{ store.Table }

func (t shortPages) Query(ctx context.Context, q store.Query) (store.Page, error) {
	q.Limit = min(q.PageLimit(), 3)
	return t.Table.Query(ctx, q)
}

func TestQuoted_SentAndReceived(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	var err error
	b.Store, err = store.Open(ctx, shortPages{b.table}, store.Options{Keys: b.keys, Now: b.clock.Now})
	b.ok(err)
	o := b.active("")
	receive := func(id, body string) {
		t.Helper()
		_, err := o.Received(ctx, store.Incoming{
			Event: enlace.EventMessageReceived, Identity: named(id), Data: json.RawMessage(`{"message":{"text":{"body":"` + body + `"}}}`),
		})
		b.ok(err)
	}
	sent := b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "answer")})
	receive("1@lid/1@lid/ABC", "question")
	for i := range 10 {
		receive(fmt.Sprintf("1@lid/1@lid/LATER%d", i), "later")
	}
	for id, want := range map[string]store.Quoted{
		"ABC":           {ID: "ABC", Sender: named("1@lid/1@lid/ABC").Sender, Body: "question"},
		sent.ID:         {ID: sent.WhatsAppID, Body: "answer"},
		sent.WhatsAppID: {ID: sent.WhatsAppID, Body: "answer"},
	} {
		if got, err := o.Quoted(ctx, id); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", id, got, err)
		}
	}
	for _, id := range []string{"XYZ", "msg_zz", "3EB0CCF8AB0CF3D6EA6098"} {
		if got, err := o.Quoted(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got %+v, %v", id, got, err)
		}
	}
}
