package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// live makes an active channel and returns its owner.
func (b *bundle) live() (enlace.Channel, *store.Owner) {
	b.Helper()
	c := b.connect("default")
	owner := b.own(c)
	b.must(owner.Ready(b.Context(), enlace.Account{PhoneNumber: "14155550123"}))
	return c, owner
}

func (a *answer) message() enlace.Message {
	a.Helper()
	var m enlace.Message
	a.decode(&m)
	return m
}

const hello = `{"to":"+1 415 555 0100","type":"text","text":{"body":"hello"}}`

func TestSend_IsStoredAndWaitsForTheOwner(t *testing.T) {
	b := setup(t)
	c, owner := b.live()
	a := b.post(pathOf(c)+"/messages", `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+1 415 555 0100","type":"text","text":{"body":"hello"},"context":{"message_id":"ABC"},"ttl":60}`)
	m := a.wants(http.StatusAccepted).wantsHeader("Cache-Control", "private, no-store").wantsHeader("Retry-After", "1").message()
	a.wantsHeader("Location", pathOf(c)+"/messages/"+m.ID)
	if m.Status != enlace.Queued || m.Message.Text.Body != "hello" || m.Message.Context.MessageID != "ABC" || m.ExpiresAt.Sub(m.CreatedAt) != time.Minute {
		t.Errorf("got %s", a.body)
	}
	waiting, err := owner.Waiting(t.Context())
	b.must(err)
	if len(waiting.Messages) != 1 || waiting.Messages[0].Chat != "14155550100" {
		t.Errorf("the owner sees %+v", waiting)
	}
	for _, id := range []string{m.ID, m.WhatsAppID} {
		if got := b.get(pathOf(c) + "/messages/" + id).wants(http.StatusOK).message(); got.ID != m.ID {
			t.Errorf("by %s: %+v", id, got)
		}
	}
}

func TestSend_Refusals(t *testing.T) {
	b := setup(t)
	c, owner := b.live()
	path := pathOf(c) + "/messages"
	for name, test := range map[string]struct {
		body   string
		status int
		code   enlace.Code
	}{
		"empty text":        {`{"to":"14155550100","type":"text","text":{"body":""}}`, 400, enlace.CodeInvalidRequest},
		"no text":           {`{"to":"14155550100","type":"text"}`, 400, enlace.CodeInvalidRequest},
		"65 KB text":        {`{"to":"14155550100","type":"text","text":{"body":"` + strings.Repeat("a", 65<<10) + `"}}`, 400, enlace.CodeInvalidRequest},
		"4097 characters":   {`{"to":"14155550100","type":"text","text":{"body":"` + strings.Repeat("é", 4097) + `"}}`, 400, enlace.CodeInvalidRequest},
		"no recipient":      {`{"type":"text","text":{"body":"x"}}`, 400, enlace.CodeInvalidRequest},
		"no number":         {`{"to":"nobody","type":"text","text":{"body":"x"}}`, 400, enlace.CodeInvalidRequest},
		"a group alone":     {`{"to":"123456789@g.us","type":"text","text":{"body":"x"}}`, 400, enlace.CodeInvalidRequest},
		"own number":        {`{"to":"+14155550123","type":"text","text":{"body":"x"}}`, 422, enlace.CodeRecipientIsSender},
		"an image":          {`{"to":"14155550100","type":"image","image":{"link":"https://example.com/a.png"}}`, 422, enlace.CodeUnsupportedByType},
		"a template":        {`{"to":"14155550100","type":"template","template":{"name":"x"}}`, 422, enlace.CodeUnsupportedByType},
		"an unknown type":   {`{"to":"14155550100","type":"song"}`, 400, enlace.CodeInvalidRequest},
		"an unknown field":  {`{"to":"14155550100","type":"text","text":{"body":"x"},"txt":1}`, 400, enlace.CodeInvalidRequest},
		"a field too deep":  {`{"to":"14155550100","type":"text","text":{"body":"x","bdy":1}}`, 400, enlace.CodeInvalidRequest},
		"a negative ttl":    {`{"to":"14155550100","type":"text","text":{"body":"x"},"ttl":-1}`, 400, enlace.CodeInvalidRequest},
		"a ttl of 15 days":  {`{"to":"14155550100","type":"text","text":{"body":"x"},"ttl":1296000}`, 400, enlace.CodeInvalidRequest},
		"another product":   {`{"messaging_product":"signal","to":"14155550100","type":"text","text":{"body":"x"}}`, 400, enlace.CodeInvalidRequest},
		"no JSON":           {`{"to":`, 400, enlace.CodeInvalidRequest},
		"no UTF-8":          {"{\"to\":\"14155550100\",\"type\":\"text\",\"text\":{\"body\":\"caf\xe9\"}}", 400, enlace.CodeInvalidRequest},
		"two contents":      {`{"to":"14155550100","type":"text","text":{"body":"x"},"image":{"link":"https://example.com/a.png"}}`, 400, enlace.CodeInvalidRequest},
		"a text of numbers": {`{"to":"14155550100","type":"text","text":5}`, 400, enlace.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			b.do(request{method: http.MethodPost, path: path, body: test.body}).wantsProblem(test.status, test.code)
		})
	}
	b.do(request{method: http.MethodPost, path: path, body: hello, key: b.keys[store.Viewer]}).wantsProblem(403, enlace.CodeForbidden)
	b.do(request{method: http.MethodPost, path: path, body: hello, key: b.other}).wantsProblem(404, enlace.CodeNotFound)
	waiting, err := owner.Waiting(t.Context())
	b.must(err)
	if len(waiting.Messages) != 0 {
		t.Errorf("%d messages were stored", len(waiting.Messages))
	}
	b.must(owner.Inactive(t.Context(), enlace.ReasonDisconnected))
	b.post(path, hello).wantsProblem(409, enlace.CodeChannelNotActive)
}

func TestSend_GroupsAndLongTexts(t *testing.T) {
	b := setup(t)
	c, _ := b.live()
	b.post(pathOf(c)+"/messages", `{"recipient_type":"group","to":"120363041234567890@g.us","type":"text","text":{"body":"x"}}`).wants(http.StatusAccepted)
	b.post(pathOf(c)+"/messages", `{"to":"123456789012345@lid","type":"text","text":{"body":"`+strings.Repeat("é", 4096)+`"}}`).wants(http.StatusAccepted)
}

func TestSend_IdempotencyKey(t *testing.T) {
	b := setup(t)
	c, _ := b.live()
	send := func(key, body string) *answer {
		return b.do(request{method: http.MethodPost, path: pathOf(c) + "/messages", body: body, header: headers("Content-Type", "application/json", "Idempotency-Key", key)})
	}
	first := send("k1", hello).wants(http.StatusAccepted).message()
	if again := send("k1", hello).wants(http.StatusAccepted).message(); again.ID != first.ID {
		t.Errorf("the same key made %s and %s", first.ID, again.ID)
	}
	send("k1", strings.Replace(hello, "hello", "bye", 1)).wantsProblem(422, enlace.CodeIdempotencyKeyReused)
	if other := send("k2", hello).wants(http.StatusAccepted).message(); other.ID == first.ID {
		t.Error("another key made the same message")
	}
}

func TestGetMessage_HoldsUntilItMovesOn(t *testing.T) {
	b := setup(t)
	c, owner := b.live()
	posted := b.post(pathOf(c)+"/messages", hello)
	path := pathOf(c) + "/messages/" + posted.message().ID
	tag := posted.Header.Get("ETag")
	b.get(path).wants(http.StatusOK).wantsHeader("ETag", tag)
	b.get(path, "If-None-Match", tag).wants(http.StatusNotModified)
	b.get(path, "If-None-Match", tag, "Prefer", "wait=1").wants(http.StatusNotModified).wantsHeader("Preference-Applied", "wait=1")
	held := make(chan *answer)
	go func() { held <- b.get(path, "If-None-Match", tag, "Prefer", "wait=30") }()
	waiting, err := owner.Waiting(t.Context())
	b.must(err)
	b.must(owner.Sending(t.Context(), waiting.Messages[0], []byte("x")))
	if got := (<-held).wants(http.StatusOK).message(); got.Status != enlace.Sending {
		t.Errorf("got %+v", got)
	}
	b.get(pathOf(c)+"/messages/msg_zz").wantsProblem(404, enlace.CodeMessageNotFound)
	b.do(request{path: path, key: b.other}).wantsProblem(404, enlace.CodeNotFound)
}

func TestCancelMessage(t *testing.T) {
	b := setup(t)
	c, owner := b.live()
	m := b.post(pathOf(c)+"/messages", hello).message()
	path := pathOf(c) + "/messages/" + m.ID
	cancel := request{method: http.MethodDelete, path: path}
	if got := b.do(cancel).wants(http.StatusOK).message(); got.Status != enlace.MessageFailed || got.Error.Code != enlace.CodeCancelled {
		t.Errorf("got %+v", got)
	}
	b.do(cancel).wantsProblem(409, enlace.CodeNotCancellable)
	n := b.post(pathOf(c)+"/messages", hello).message()
	waiting, err := owner.Waiting(t.Context())
	b.must(err)
	b.must(owner.Sending(t.Context(), waiting.Messages[0], []byte("x")))
	cancel.path = pathOf(c) + "/messages/" + n.ID
	b.do(cancel).wantsProblem(409, enlace.CodeNotCancellable)
}

func TestListMessages_ByPages(t *testing.T) {
	b := setup(t)
	c, _ := b.live()
	for i := range 5 {
		b.post(pathOf(c)+"/messages", fmt.Sprintf(`{"to":"1415555010%d","type":"text","text":{"body":"x"}}`, i%2)).wants(http.StatusAccepted)
	}
	var list struct {
		Messages []enlace.Message
		Next     string
	}
	count := 0
	for after := ""; ; after = list.Next {
		list.Next = ""
		b.get(pathOf(c) + "/messages?limit=2&after=" + after).wants(http.StatusOK).decode(&list)
		if count += len(list.Messages); list.Next == "" {
			break
		}
	}
	if count != 5 {
		t.Errorf("%d messages, want 5", count)
	}
	b.get(pathOf(c) + "/messages?to=%2B1+415-555-0100").wants(http.StatusOK).decode(&list)
	if len(list.Messages) != 3 {
		t.Errorf("%d messages to one recipient, want 3", len(list.Messages))
	}
	b.get(pathOf(c)+"/messages?after=elsewhere").wantsProblem(400, enlace.CodeInvalidCursor)
	b.get(pathOf(c)+"/messages?to=nobody").wantsProblem(400, enlace.CodeInvalidRequest)
}

func TestMarkRead(t *testing.T) {
	b := setup(t)
	c, owner := b.live()
	in := store.Incoming{Event: enlace.EventMessageReceived, Identity: store.Identity{Chat: "1@lid", Sender: "1@lid", ID: "ABC"}, Data: json.RawMessage(`{}`)}
	_, err := owner.Received(t.Context(), in)
	b.must(err)
	path := pathOf(c) + "/messages/ABC/read"
	b.post(path, `{"seq":4,"typing":true}`).wants(http.StatusAccepted)
	b.post(path, "").wants(http.StatusAccepted)
	b.post(path, `{"seq":1}`).wantsProblem(404, enlace.CodeMessageNotFound)
	b.post(path, `{"sq":1}`).wantsProblem(400, enlace.CodeInvalidRequest)
	b.post(pathOf(c)+"/messages/XYZ/read", "").wantsProblem(404, enlace.CodeMessageNotFound)
	waiting, err := owner.Waiting(t.Context())
	b.must(err)
	if len(waiting.Commands) != 2 || !waiting.Commands[0].Mark.Typing || waiting.Commands[1].Mark.Typing {
		t.Errorf("the owner sees %+v", waiting.Commands)
	}
}
