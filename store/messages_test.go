package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func text(to, body string) enlace.Outgoing {
	return enlace.Outgoing{To: to, Type: enlace.TypeText, Text: &enlace.Text{Body: body}}
}

func (b *bundle) post(id string, request store.PostRequest) enlace.Message {
	b.Helper()
	m, err := b.PostMessage(b.Context(), "acme", id, request)
	b.ok(err)
	return m
}

func (b *bundle) message(channelID, id string) enlace.Message {
	b.Helper()
	m, err := b.Message(b.Context(), "acme", channelID, id)
	b.ok(err)
	return m
}

// waiting returns the one message that waits.
func (b *bundle) waiting(o *store.Owner) *store.Outbound {
	b.Helper()
	w, err := o.Waiting(b.Context())
	b.ok(err)
	if len(w.Messages) != 1 {
		b.Fatalf("%d messages wait, want 1", len(w.Messages))
	}
	return w.Messages[0]
}

func TestPostMessage_WaitsForTheOwnerAndIsFoundByBothIDs(t *testing.T) {
	b := setup(t)
	o := b.active("")
	m := b.post(o.ChannelID(), store.PostRequest{Message: text("+1 (555) 01-01", "hello")})
	if m.Status != enlace.Queued || !strings.HasPrefix(m.ID, "msg_") || !strings.HasPrefix(m.WhatsAppID, "3EB0") || len(m.WhatsAppID) != 22 {
		t.Errorf("got %+v", m)
	}
	if !m.ExpiresAt.Equal(m.CreatedAt.Add(24 * time.Hour)) {
		t.Errorf("expires %s, created %s", m.ExpiresAt, m.CreatedAt)
	}
	for _, id := range []string{m.ID, m.WhatsAppID} {
		if got := b.message(o.ChannelID(), id); got.ID != m.ID || got.Message.Text.Body != "hello" {
			t.Errorf("by %s: %+v", id, got)
		}
	}
	refs, err := b.WaitingIn(t.Context(), b.heart.ID())
	b.ok(err)
	if !slices.Equal(refs, []store.EntryRef{{ChannelID: o.ChannelID(), Seq: 1}}) {
		t.Errorf("index shows %v", refs)
	}
	if out := b.waiting(o); out.Chat != "15550101" || out.Status != enlace.Queued || out.WhatsAppID != m.WhatsAppID {
		t.Errorf("owner sees %+v", out)
	}
	for _, id := range []string{"msg_2", "msg_", "msg_01", "3EB0000000000000000000", "x"} {
		_, err := b.Message(t.Context(), "acme", o.ChannelID(), id)
		b.wantCode(err, enlace.CodeMessageNotFound)
	}
}

func TestPostMessage_OnlyWhereItWillBeSent(t *testing.T) {
	b := setup(t)
	post := func(id string) error {
		_, err := b.PostMessage(t.Context(), "acme", id, store.PostRequest{Message: text("15550101", "x")})
		return err
	}
	o := b.claim(b.connect("").ID, "")
	b.wantCode(post(o.ChannelID()), enlace.CodeChannelNotActive)
	b.ok(o.Ready(t.Context(), enlace.Account{}))
	b.ok(post(o.ChannelID()))
	b.ok(o.Reconnecting(t.Context(), enlace.ReasonNetwork, enlace.Reconnect{}, nil))
	b.ok(post(o.ChannelID()))
	b.ok(o.Inactive(t.Context(), enlace.ReasonDisconnected))
	b.wantCode(post(o.ChannelID()), enlace.CodeChannelNotActive)
	_, err := b.Delete(t.Context(), "acme", o.ChannelID())
	b.ok(err)
	b.wantCode(post(o.ChannelID()), enlace.CodeNotFound)
	_, err = b.PostMessage(t.Context(), "acme", o.ChannelID(), store.PostRequest{Message: text("nobody", "x")})
	b.wantCode(err, enlace.CodeInvalidRequest)
}

func TestPostMessage_ManyCallersGetNumbersWithoutGaps(t *testing.T) {
	b := setup(t)
	o := b.active("")
	var callers sync.WaitGroup
	for i := range 50 {
		callers.Go(func() {
			if _, err := b.PostMessage(t.Context(), "acme", o.ChannelID(), store.PostRequest{Message: text("15550101", fmt.Sprint(i))}); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	w, err := o.Waiting(t.Context())
	b.ok(err)
	for i, m := range w.Messages {
		if m.Seq != int64(i)+1 {
			t.Fatalf("message %d has number %d", i, m.Seq)
		}
	}
	if len(w.Messages) != 50 {
		t.Errorf("%d messages wait", len(w.Messages))
	}
}

func TestPostMessage_IdempotencyKey(t *testing.T) {
	b := setup(t)
	o := b.active("")
	request := store.PostRequest{Message: text("15550101", "x"), IdempotencyKey: "k", Body: []byte("1")}
	ids := make([]string, 20)
	var callers sync.WaitGroup
	for i := range ids {
		callers.Go(func() {
			m, err := b.PostMessage(t.Context(), "acme", o.ChannelID(), request)
			if err != nil {
				t.Error(err)
			}
			ids[i] = m.ID
		})
	}
	callers.Wait()
	if got := slices.Compact(ids); len(got) != 1 {
		t.Errorf("one key, %d messages: %v", len(got), got)
	}
	request.Body = []byte("2")
	_, err := b.PostMessage(t.Context(), "acme", o.ChannelID(), request)
	b.wantCode(err, enlace.CodeIdempotencyKeyReused)
	b.clock.Advance(24 * time.Hour)
	if m := b.post(o.ChannelID(), request); m.ID == ids[0] {
		t.Error("the key was remembered for longer than a day")
	}
}

func TestMessage_MovesForwardOnly(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	o := b.active("")
	m := b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x")})
	out := b.waiting(o)
	b.ok(o.Sending(ctx, out, []byte("content")))
	if got := b.message(o.ChannelID(), m.ID); got.Status != enlace.Sending {
		t.Errorf("status %s", got.Status)
	}
	if again := b.waiting(o); again.Status != enlace.Sending || string(again.Content) != "content" {
		t.Errorf("after a crash the owner sees %+v", again)
	}
	b.ok(o.Sent(ctx, out, b.clock.Now().Add(-time.Second))) // WhatsApp's clock
	if w, _ := o.Waiting(ctx); len(w.Messages) != 0 {
		t.Error("a sent message still waits")
	}
	if refs, _ := b.WaitingIn(ctx, b.heart.ID()); len(refs) != 0 {
		t.Errorf("the index still shows %v", refs)
	}
	b.ok(o.Receipt(ctx, m.WhatsAppID, enlace.Read, b.clock.Now(), ""))
	b.ok(o.Receipt(ctx, m.WhatsAppID, enlace.Delivered, b.clock.Now(), "")) // late
	b.ok(o.Receipt(ctx, m.WhatsAppID, enlace.Read, b.clock.Now(), ""))      // again
	b.ok(o.Receipt(ctx, "3EB0FFFFFFFFFFFFFFFFFF", enlace.Read, b.clock.Now(), ""))
	b.ok(o.FailMessage(ctx, out.Seq, enlace.CodeRefused, "late"))
	got := b.message(o.ChannelID(), m.ID)
	var steps []enlace.MessageStatus
	for i, s := range got.Statuses {
		steps = append(steps, s.Status)
		if i > 0 && s.At.Before(got.Statuses[i-1].At) {
			t.Errorf("%s was before %s", s.Status, steps[i-1])
		}
	}
	if want := []enlace.MessageStatus{enlace.Queued, enlace.Sending, enlace.Sent, enlace.Read}; !slices.Equal(steps, want) || got.Status != enlace.Read {
		t.Errorf("steps %v, want %v", steps, want)
	}
	var statuses []string
	for _, e := range b.events(o.ChannelID()) {
		if e.Event != enlace.EventMessageStatus {
			continue
		}
		var data struct {
			MessageID string
			Status    struct{ ID, Status, Timestamp string }
		}
		b.ok(json.Unmarshal(e.Data, &data))
		if data.MessageID != m.ID || data.Status.ID != m.WhatsAppID || data.Status.Timestamp == "" {
			t.Errorf("event data %s", e.Data)
		}
		statuses = append(statuses, data.Status.Status)
	}
	if !slices.Equal(statuses, []string{"sent", "read"}) {
		t.Errorf("events %v", statuses)
	}
	content, err := o.SentContent(ctx, m.WhatsAppID)
	if err != nil || string(content) != "content" {
		t.Errorf("content %q, %v", content, err)
	}
	b.clock.Advance(14*24*time.Hour + time.Second)
	if _, err := o.SentContent(ctx, m.WhatsAppID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("content after 14 days: %v", err)
	}
}

func TestCancel_OnlyWhatIsQueued(t *testing.T) {
	b := setup(t)
	o := b.active("")
	m := b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x")})
	out := b.waiting(o)
	got, err := b.Cancel(t.Context(), "acme", o.ChannelID(), m.ID)
	b.ok(err)
	if got.Status != enlace.MessageFailed || got.Error == nil || got.Error.Code != enlace.CodeCancelled {
		t.Errorf("got %+v", got)
	}
	var condition *store.ConditionError
	if err := o.Sending(t.Context(), out, nil); !errors.As(err, &condition) {
		t.Errorf("sending a cancelled message: %v", err)
	}
	_, err = b.Cancel(t.Context(), "acme", o.ChannelID(), m.ID)
	b.wantCode(err, enlace.CodeNotCancellable)
	b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "y")})
	out = b.waiting(o)
	b.ok(o.Sending(t.Context(), out, nil))
	_, err = b.Cancel(t.Context(), "acme", o.ChannelID(), "msg_2")
	b.wantCode(err, enlace.CodeNotCancellable)
	events := b.events(o.ChannelID())
	if last := events[len(events)-1]; last.Event != enlace.EventMessageStatus {
		t.Errorf("last event %s", last.Event)
	}
}

func TestExpire_EndsOnlyWhatIsQueued(t *testing.T) {
	b := setup(t)
	o := b.active("")
	b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x"), TTL: time.Minute})
	out := b.waiting(o)
	b.ok(o.Expire(t.Context(), out.Seq))
	if got := b.message(o.ChannelID(), "msg_1"); got.Error == nil || got.Error.Code != enlace.CodeExpired {
		t.Errorf("got %+v", got)
	}
	b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "y"), TTL: time.Minute})
	out = b.waiting(o)
	b.ok(o.Sending(t.Context(), out, nil))
	b.ok(o.Expire(t.Context(), out.Seq))
	if got := b.message(o.ChannelID(), "msg_2"); got.Status != enlace.Sending {
		t.Errorf("got %+v", got)
	}
}

func TestMessages_ListsByPagesAndRecipient(t *testing.T) {
	b := setup(t)
	o := b.active("")
	for i := range 6 {
		b.post(o.ChannelID(), store.PostRequest{Message: text([]string{"15550101", "15550102"}[i%2], fmt.Sprint(i))})
	}
	_, err := b.Disconnect(t.Context(), "acme", o.ChannelID()) // an entry that is no message
	b.ok(err)
	var bodies []string
	for after := ""; ; {
		page, next, err := b.Messages(t.Context(), "acme", o.ChannelID(), "", after, 4)
		b.ok(err)
		for _, m := range page {
			bodies = append(bodies, m.Message.Text.Body)
		}
		if after = next; next == "" {
			break
		}
	}
	if !slices.Equal(bodies, []string{"0", "1", "2", "3", "4", "5"}) {
		t.Errorf("bodies %v", bodies)
	}
	page, _, err := b.Messages(t.Context(), "acme", o.ChannelID(), "15550102", "", 10)
	b.ok(err)
	if len(page) != 3 {
		t.Errorf("%d messages to one recipient", len(page))
	}
	for name, after := range map[string]string{
		"no id":                   "nonsense",
		"WhatsApp's id":           page[0].WhatsAppID,
		"of a longer outbox":      "msg_zz",
		"of a longer outbox, hex": "3EB0CCF8AB0CF3D6EA6098",
	} {
		if _, _, err := b.Messages(t.Context(), "acme", o.ChannelID(), "", after, 10); enlace.CodeOf(err) != enlace.CodeInvalidCursor {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The end of the list stays a cursor, whatever is there no more.
	for _, command := range b.commands(o) {
		b.ok(o.Done(t.Context(), command))
	}
	if page, next, err := b.Messages(t.Context(), "acme", o.ChannelID(), "", "msg_7", 10); err != nil || next != "" || len(page) != 0 {
		t.Errorf("after the end: %v %q %v", page, next, err)
	}
}

func TestPostMessage_ToAChannelThatJustChangedHands(t *testing.T) {
	b := setup(t)
	o := b.active("")
	rival := b.rival()
	b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x")})
	next := rival.claim(o.ChannelID(), b.heart.ID())
	if out := b.waiting(next); out.Seq != 1 {
		t.Errorf("the next owner sees %+v", out)
	}
	refs, err := b.WaitingIn(t.Context(), b.heart.ID())
	b.ok(err)
	for _, ref := range refs {
		b.ok(b.Readdress(t.Context(), ref))
	}
	if refs, _ := b.WaitingIn(t.Context(), rival.heart.ID()); len(refs) != 1 {
		t.Errorf("the next owner's index shows %v", refs)
	}
	if err := o.Sent(t.Context(), b.waiting(next), b.clock.Now()); !errors.Is(err, store.ErrNotOwner) {
		t.Errorf("the old owner's write: %v, want ErrNotOwner", err)
	}
}

func TestRelease_WaitsForWhatIsQueued(t *testing.T) {
	b := setup(t)
	o := b.active("")
	b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x")})
	b.ok(o.Inactive(t.Context(), enlace.ReasonDisconnected))
	if err := o.Release(t.Context(), true); !errors.Is(err, store.ErrWaiting) {
		t.Fatalf("release: %v", err)
	}
	b.ok(o.FailMessage(t.Context(), 1, enlace.CodeChannelNotActive, "gone"))
	b.ok(o.Release(t.Context(), true))
	if got, _ := b.OwnedBy(t.Context(), ""); len(got) != 0 {
		t.Errorf("index shows %v", got)
	}
}

func TestOutbox_IsReadFromWhereNothingWaitsBefore(t *testing.T) {
	b := setup(t)
	o := b.active("")
	for range 20 {
		b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x")})
	}
	w, err := o.Waiting(t.Context())
	b.ok(err)
	for _, m := range w.Messages {
		if m.Seq == 15 {
			continue
		}
		b.ok(o.Sending(t.Context(), m, nil))
		b.ok(o.Sent(t.Context(), m, b.clock.Now()))
	}
	b.ok(o.SaveTails(t.Context()))
	rival := b.rival()
	counted := &counting{Table: b.table}
	s, err := store.Open(t.Context(), counted, store.Options{Keys: b.keys, Now: b.clock.Now})
	b.ok(err)
	next, err := s.Claim(t.Context(), store.Claimer{Worker: rival.heart.ID(), Fresh: b.fresh, Moved: rival.moved}, o.ChannelID(), b.heart.ID())
	b.ok(err)
	counted.items = 0
	if out := b.waiting(next); out.Seq != 15 {
		t.Errorf("the next owner sees %d", out.Seq)
	}
	if counted.items > 6 {
		t.Errorf("%d entries were read for the one that waits", counted.items)
	}
}

// named makes an identity of "chat/sender/id", or of an id alone.
func named(s string) store.Identity {
	parts := strings.Split("chat/sender/"+s, "/")
	return store.Identity{Chat: parts[len(parts)-3], Sender: parts[len(parts)-2], ID: parts[len(parts)-1]}
}

func TestReceived_OnceAndAfterARestartToo(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	o := b.active("")
	receive := func(o *store.Owner, identity string) bool {
		t.Helper()
		appended, err := o.Received(ctx, store.Incoming{Event: enlace.EventMessageReceived, Identity: named(identity), Data: json.RawMessage(`{}`)})
		b.ok(err)
		return appended
	}
	if !receive(o, "chat/sender/1") || receive(o, "chat/sender/1") || !receive(o, "chat/sender/2") || !receive(o, "chat/other/1") {
		t.Error("an identity is appended once, and no other for it")
	}
	rival := b.rival()
	next := rival.claim(o.ChannelID(), b.heart.ID())
	if receive(next, "chat/sender/2") || !receive(next, "chat/sender/3") {
		t.Error("the next owner does not know what was seen")
	}
	if _, err := o.Received(ctx, store.Incoming{Event: enlace.EventMessageReceived, Identity: named("x"), Data: json.RawMessage(`{}`)}); !errors.Is(err, store.ErrNotOwner) {
		t.Errorf("the old owner's append: %v, want ErrNotOwner", err)
	}
	if n := len(b.events(o.ChannelID())); n != 3+3+1+1 {
		t.Errorf("%d events", n)
	}
}

func TestReceived_ForgetsWhatIsOlderThanFiveHundred(t *testing.T) {
	b := setup(t)
	o := b.active("")
	for i := range 501 {
		if ok, err := o.Received(t.Context(), store.Incoming{Event: enlace.EventMessageReceived, Identity: named(fmt.Sprint(i)), Data: json.RawMessage(`{}`)}); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	for _, check := range []struct {
		identity string
		again    bool
	}{{"1", false}, {"500", false}, {"0", true}} { // the last takes the place of the oldest
		if ok, err := o.Received(t.Context(), store.Incoming{Event: enlace.EventMessageReceived, Identity: named(check.identity), Data: json.RawMessage(`{}`)}); err != nil || ok != check.again {
			t.Errorf("message %s appended again: %v, %v, want %v", check.identity, ok, err, check.again)
		}
	}
}

func TestUnavailable_IsResolvedByWhicheverComesFirst(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	o := b.active("")
	in := store.Incoming{Event: enlace.EventMessageUnavailable, Identity: named("chat/sender/1"), Data: json.RawMessage(`{}`)}
	b.ok(o.Unavailable(ctx, in))
	b.ok(o.Unavailable(ctx, in))
	rival := b.rival()
	o = rival.claim(o.ChannelID(), b.heart.ID())
	in.Event = enlace.EventMessageReceived
	if ok, err := o.Received(ctx, in); err != nil || !ok {
		t.Fatalf("the resend: %v, %v", ok, err)
	}
	for i := range 600 { // until it is no longer among the newest events
		_, err := o.Received(ctx, store.Incoming{Event: enlace.EventMessageReceived, Identity: named(fmt.Sprint("later", i)), Data: json.RawMessage(`{}`)})
		b.ok(err)
	}
	if ok, err := o.Received(ctx, in); err != nil || ok {
		t.Errorf("the phone's answer to what was resolved: %v, %v", ok, err)
	}
	count := map[enlace.EventName]int{}
	for _, e := range b.events(o.ChannelID()) {
		count[e.Event]++
	}
	if count[enlace.EventMessageUnavailable] != 1 || count[enlace.EventMessageReceived] != 601 {
		t.Errorf("events %v", count)
	}
}

func TestMarkRead_FindsTheMessage(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	o := b.active("")
	_, err := o.Received(ctx, store.Incoming{Event: enlace.EventMessageReceived, Identity: named("g@g.us/s@lid/ABC"), Data: json.RawMessage(`{}`)})
	b.ok(err)
	seq := b.events(o.ChannelID())[3].Seq
	for _, given := range []int64{0, seq} {
		b.ok(b.MarkRead(ctx, "acme", o.ChannelID(), "ABC", given, true))
		commands := b.commands(o)
		if want := (store.MarkRead{Identity: named("g@g.us/s@lid/ABC"), Typing: true}); len(commands) != 1 || *commands[0].Mark != want {
			t.Fatalf("commands %+v", commands)
		}
		b.ok(o.Done(ctx, commands[0]))
	}
	b.wantCode(b.MarkRead(ctx, "acme", o.ChannelID(), "XYZ", 0, false), enlace.CodeMessageNotFound)
	b.wantCode(b.MarkRead(ctx, "acme", o.ChannelID(), "ABC", 1, false), enlace.CodeMessageNotFound)
	b.ok(o.Inactive(ctx, enlace.ReasonDisconnected))
	b.wantCode(b.MarkRead(ctx, "acme", o.ChannelID(), "ABC", 0, false), enlace.CodeChannelNotActive)
}

func TestPostMessage_NotToItself(t *testing.T) {
	b := setup(t)
	o := b.active("")
	_, err := b.PostMessage(t.Context(), "acme", o.ChannelID(), store.PostRequest{Message: text("+1 555 0100", "x")})
	b.wantCode(err, enlace.CodeRecipientIsSender)
}
