package store_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func TestDisconnect_WaitsInTheOutboxOfTheOwner(t *testing.T) {
	b := setup(t)
	o := b.active("")
	c, err := b.Disconnect(t.Context(), "acme", o.ChannelID())
	b.ok(err)
	if c.Status != enlace.Active {
		t.Errorf("status %s before the owner acts", c.Status)
	}
	if got, err := b.WaitingIn(t.Context(), b.heart.ID()); err != nil || !slices.Equal(got, []store.EntryRef{{ChannelID: c.ID, Seq: 1}}) {
		t.Errorf("waiting %v, %v", got, err)
	}
	commands := b.commands(o)
	if len(commands) != 1 || commands[0].Kind != store.CommandDisconnect {
		t.Fatalf("commands %+v", commands)
	}
	b.ok(o.Inactive(t.Context(), enlace.ReasonDisconnected, commands...))
	if commands = b.commands(o); len(commands) != 0 {
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
	commands := b.commands(o)
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
	commands := b.commands(o)
	if len(commands) != 1 || commands[0].Kind != store.CommandPasskey {
		t.Fatalf("commands %+v", commands)
	}
	answer, err := o.Answer(t.Context(), commands[0])
	if err != nil || string(answer) != `{"answer":42}` {
		t.Errorf("answer %s, %v", answer, err)
	}
	b.clock.Advance(2 * time.Minute)
	if commands := b.commands(o); len(commands) != 0 {
		t.Errorf("commands after two minutes: %+v", commands)
	}
}
