package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"

	"github.com/enlacehq/enlace"
)

// messageData is what the tests look at in the data of a message's event.
type messageData struct {
	Message struct {
		From, To, ID, Type string
		GroupID            string `json:"group_id"`
		Text               struct{ Body string }
		Context            struct{ ID, From string }
		Reaction           struct {
			MessageID string `json:"message_id"`
			Emoji     string
		}
		Edit struct {
			OriginalMessageID string `json:"original_message_id"`
			Message           struct{ Text struct{ Body string } }
		}
		Revoke struct {
			OriginalMessageID string `json:"original_message_id"`
		}
		Unsupported struct{ Type string }
	}
	ID, From, Reason, Origin string
}

// messageEvents returns the channel's events of messages that were received, or
// that the own phone sent, as "event" with their data.
func (f *field) messageEvents(c enlace.Channel) (names []string, all []messageData) {
	f.Helper()
	for _, e := range f.allEvents(c) {
		if !strings.HasPrefix(string(e.Event), "message.") || e.Event == enlace.EventMessageStatus {
			continue
		}
		var data messageData
		if err := json.Unmarshal(e.Data, &data); err != nil {
			f.Fatal(err)
		}
		names, all = append(names, string(e.Event)), append(all, data)
	}
	return names, all
}

// wantEvents waits until the log has just these message events, and returns their data.
func (f *field) wantEvents(c enlace.Channel, want ...string) []messageData {
	f.Helper()
	same(f, "events of messages", want, func() []string { names, _ := f.messageEvents(c); return names })
	names, all := f.messageEvents(c)
	if !slices.Equal(names, want) {
		f.Fatalf("got %q, want %q", names, want)
	}
	return all
}

func (w *whatsApp) phoneSendsContent(from, to string, m *waE2E.Message) string {
	w.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		w.Fatal(err)
	}
	return w.phoneSends(from, map[string]any{"to": to, "content": base64.StdEncoding.EncodeToString(raw)})
}

// Answers, reactions, edits, revocations, pictures and what is nothing to show:
// each is the event that it should be, once, in order, over a crash.
func TestMessages_OfEachKind(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	friend := newNumber()
	id := f.w.writes(friend, c.PhoneNumber, "a secret text, question")
	f.wantEvents(c, "message.received")
	answer := s.post(c, fmt.Sprintf(`{"to":"+%s","type":"text","text":{"body":"a secret text, answer"},"context":{"message_id":%q}}`, friend, id))
	s.untilMessage(c, answer.ID, enlace.Delivered)
	var shown struct {
		Messages []struct {
			ID, Text string
			Context  struct{ ID, From string }
		}
	}
	f.w.call(http.MethodGet, "/phones/"+friend+"/messages", nil, &shown)
	if m := shown.Messages; len(m) != 1 || m[0].Text != "a secret text, answer" || m[0].Context.ID != id || m[0].Context.From == "" {
		t.Errorf("the friend's phone shows %+v", m)
	}

	key := &waCommon.MessageKey{ID: proto.String(answer.WhatsAppID), FromMe: proto.Bool(false)}
	original := &waCommon.MessageKey{ID: proto.String(id), FromMe: proto.Bool(true)}
	for _, m := range []*waE2E.Message{
		{ReactionMessage: &waE2E.ReactionMessage{Key: key, Text: proto.String("👍")}},
		{EditedMessage: &waE2E.FutureProofMessage{Message: &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
			Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(), Key: original, EditedMessage: &waE2E.Message{Conversation: proto.String("a secret text, better")},
		}}}},
		{PollUpdateMessage: &waE2E.PollUpdateMessage{PollCreationMessageKey: key}},
		{ImageMessage: &waE2E.ImageMessage{Caption: proto.String("a secret text, caption")}},
		{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_REVOKE.Enum(), Key: original}},
	} {
		f.w.phoneSendsContent(friend, c.PhoneNumber, m)
	}
	f.crash()
	f.w.phoneSends(friend, map[string]any{"to": c.PhoneNumber, "text": "a secret text, reply", "replyTo": answer.WhatsAppID})
	got := f.wantEvents(c, "message.received", "message.reaction", "message.edited", "message.received", "message.revoked", "message.received")
	if m := got[1].Message; m.Type != "reaction" || m.Reaction.MessageID != answer.WhatsAppID || m.Reaction.Emoji != "👍" || m.From != friend {
		t.Errorf("the reaction is %+v", m)
	}
	if m := got[2].Message; m.Type != "edit" || m.Edit.OriginalMessageID != id || m.Edit.Message.Text.Body != "a secret text, better" {
		t.Errorf("the edit is %+v", m)
	}
	if m := got[3].Message; m.Type != "unsupported" || m.Unsupported.Type != "image" {
		t.Errorf("the picture is %+v", m)
	}
	if m := got[4].Message; m.Type != "revoke" || m.Revoke.OriginalMessageID != id {
		t.Errorf("the revocation is %+v", m)
	}
	if m := got[5].Message; m.Text.Body != "a secret text, reply" || m.Context.ID != answer.WhatsAppID || m.Context.From != c.PhoneNumber {
		t.Errorf("the reply is %+v", m)
	}
}

// A message that cannot be read is told of at once. Its sender and the own phone,
// both off then, both bring it later, after a crash: it is told once.
func TestMessages_SenderAndPhoneBothBringIt(t *testing.T) {
	t.Parallel()
	for _, addressing := range []string{"lid", "pn"} {
		t.Run(addressing, func(t *testing.T) {
			t.Parallel()
			f := newField(t)
			c := f.now().active(f.w, "default")
			friend := newNumber()
			f.w.writes(c.PhoneNumber, friend, "a secret text, from the phone")
			f.w.writes(friend, c.PhoneNumber, "a secret text, 1")
			f.wantEvents(c, "message.sent", "message.received")
			id := f.w.phoneSends(friend, map[string]any{"to": c.PhoneNumber, "text": "a secret text, 2", "corrupt": true, "hold": true, "addressing": addressing})
			f.w.online(friend, false)
			f.w.online(c.PhoneNumber, false)
			f.w.call(http.MethodPost, "/phones/"+friend+"/release", map[string]any{}, nil)
			got := f.wantEvents(c, "message.sent", "message.received", "message.unavailable")[2]
			if got.ID != id || got.From != friend || got.Reason != "undecryptable" {
				t.Errorf("told of as %+v", got)
			}
			f.crash()
			f.now().untilActive(c)
			f.w.online(c.PhoneNumber, true)
			f.w.online(friend, true)
			f.w.writes(friend, c.PhoneNumber, "a secret text, 3")
			events := f.wantEvents(c, "message.sent", "message.received", "message.unavailable", "message.received", "message.received")
			if m := events[3].Message; m.ID != id || m.Text.Body != "a secret text, 2" {
				t.Errorf("then came %+v", m)
			}
			f.inLog(c, friend, "a secret text, 1", "a secret text, 2", "a secret text, 3")
		})
	}
}

// A message that was held back on a session that has been replaced meanwhile is
// read, and so is all that follows on the newer one, both ways, over a crash.
func TestMessages_ForAnArchivedSession(t *testing.T) {
	t.Parallel()
	f := newField(t)
	c := f.now().active(f.w, "default")
	friend := newNumber()
	answer := func(n int) {
		t.Helper()
		f.now().untilMessage(c, f.now().post(c, text(friend, fmt.Sprint("a secret text, back ", n))).ID, enlace.Delivered)
	}
	f.w.writes(friend, c.PhoneNumber, "a secret text, 1")
	f.inLog(c, friend, "a secret text, 1")
	answer(1)
	f.w.phoneSends(friend, map[string]any{"to": c.PhoneNumber, "text": "a secret text, late", "hold": true})
	f.w.phoneSends(friend, map[string]any{"to": c.PhoneNumber, "text": "a secret text, 2", "session": "new"})
	f.inLog(c, friend, "a secret text, 1", "a secret text, 2")
	answer(2)
	f.crash()
	f.now().untilActive(c)
	f.w.call(http.MethodPost, "/phones/"+friend+"/release", map[string]any{}, nil)
	f.inLog(c, friend, "a secret text, 1", "a secret text, 2", "a secret text, late")
	answer(3)
	f.w.phoneSends(friend, map[string]any{"to": c.PhoneNumber, "text": "a secret text, 3", "session": "previous"})
	f.w.writes(friend, c.PhoneNumber, "a secret text, 4")
	answer(4)
	f.inLog(c, friend, "a secret text, 1", "a secret text, 2", "a secret text, late", "a secret text, 3", "a secret text, 4")
	f.atPhone(friend, "a secret text, back 1", "a secret text, back 2", "a secret text, back 3", "a secret text, back 4")
	f.wantLog(c)
	var phone struct{ Undecryptable int }
	f.w.call(http.MethodGet, "/phones/"+friend, nil, &phone)
	if phone.Undecryptable != 0 {
		t.Errorf("the friend's phone could not read %d ciphertexts", phone.Undecryptable)
	}
}

// What the account's own phone writes is told once, in direct chats and groups,
// and what the channel itself sends is not told as if the phone had.
func TestMessages_TheOwnPhoneWritesEverywhere(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	friend := newNumber()
	var group struct{ ID string }
	f.w.call(http.MethodPost, "/groups", map[string]any{"members": []string{c.PhoneNumber, friend}}, &group)
	f.w.fault(fault{Kind: "duplicate", Number: c.PhoneNumber, Times: 2})
	direct := f.w.writes(c.PhoneNumber, friend, "a secret text, direct")
	inGroup := f.w.phoneSends(c.PhoneNumber, map[string]any{"group": group.ID, "text": "a secret text, to all"})
	f.crash()
	f.now().untilMessage(c, f.now().post(c, text(friend, "a secret text, from the channel")).ID, enlace.Delivered)
	got := f.wantEvents(c, "message.sent", "message.sent")
	if m := got[0].Message; m.ID != direct || m.To != friend || m.From != c.PhoneNumber || m.GroupID != "" || m.Text.Body != "a secret text, direct" || got[0].Origin != "phone" {
		t.Errorf("in a direct chat %+v", got[0])
	}
	if m := got[1].Message; m.ID != inGroup || m.To != "" || m.From != c.PhoneNumber || m.GroupID != group.ID || m.Text.Body != "a secret text, to all" || got[1].Origin != "phone" {
		t.Errorf("in a group %+v", got[1])
	}
	f.atPhone(friend, "a secret text, direct", "a secret text, to all", "a secret text, from the channel")
}

// Marks that messages were read, and that an answer is being written, reach the
// phones that sent them, in direct chats and groups.
func TestMessages_ReadMarksAndTyping(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	friend := newNumber()
	var group struct{ ID string }
	f.w.call(http.MethodPost, "/groups", map[string]any{"members": []string{c.PhoneNumber, friend}}, &group)
	direct := f.w.writes(friend, c.PhoneNumber, "a secret text, direct")
	unread := f.w.writes(friend, c.PhoneNumber, "a secret text, not read")
	inGroup := f.w.phoneSends(friend, map[string]any{"group": group.ID, "text": "a secret text, to all"})
	f.wantEvents(c, "message.received", "message.received", "message.received")
	seq := 0
	for _, e := range f.allEvents(c) {
		if e.Event == enlace.EventMessageReceived {
			seq = int(e.Seq) // of the last
		}
	}
	read := path(c) + "/messages/%s/read"
	s.call(http.StatusAccepted, http.MethodPost, fmt.Sprintf(read, direct), `{"typing":true}`)
	s.call(http.StatusAccepted, http.MethodPost, fmt.Sprintf(read, inGroup), fmt.Sprintf(`{"seq":%d}`, seq))
	if p := s.call(http.StatusNotFound, http.MethodPost, fmt.Sprintf(read, "NOTHING"), "").problem(t); p.Code != enlace.CodeMessageNotFound {
		t.Errorf("of no message: %s", p.Code)
	}
	type receipt struct {
		ID, From, Group, Type string
		Device                int
	}
	eventually(t, "the marks at the friend's phone", soon, func() bool {
		var list struct{ Receipts []receipt }
		f.w.call(http.MethodGet, "/phones/"+friend+"/receipts", nil, &list)
		var marks []receipt
		for _, r := range list.Receipts {
			if r.Type == "read" {
				marks = append(marks, r)
			}
			if r.Type == "read" && r.ID == unread {
				t.Fatalf("a message that was not marked is read: %+v", r)
			}
		}
		return slices.Equal(marks, []receipt{
			{ID: direct, From: c.PhoneNumber, Type: "read", Device: 1},
			{ID: inGroup, From: c.PhoneNumber, Group: group.ID, Type: "read", Device: 1},
		})
	})
	eventually(t, "the typing at the friend's phone", soon, func() bool {
		var list struct {
			ChatStates []struct{ From, Group, State string }
		}
		f.w.call(http.MethodGet, "/phones/"+friend+"/chatstates", nil, &list)
		return len(list.ChatStates) == 1 && list.ChatStates[0].From == c.PhoneNumber && list.ChatStates[0].State == "composing" && list.ChatStates[0].Group == ""
	})
}

// What is refused is refused clearly, and nothing of it is sent; what comes before
// and after arrives.
func TestSend_EachRefusalHasItsCode(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	other := s.untilQR(s.connect("other")) // not linked
	friend := newNumber()
	s.untilMessage(c, s.post(c, text(friend, "a secret text, before")).ID, enlace.Delivered)
	messages := path(c) + "/messages"
	for name, refused := range map[string]struct {
		method, path, body string
		status             int
		code               enlace.Code
	}{
		"own number":           {http.MethodPost, messages, text(c.PhoneNumber, "x"), 422, enlace.CodeRecipientIsSender},
		"own user id":          {http.MethodPost, messages, fmt.Sprintf(`{"to":"%s@lid","type":"text","text":{"body":"x"}}`, c.LID), 422, enlace.CodeRecipientIsSender},
		"empty text":           {http.MethodPost, messages, text(friend, ""), 400, enlace.CodeInvalidRequest},
		"text of 65 KB":        {http.MethodPost, messages, text(friend, strings.Repeat("x", 65<<10)), 400, enlace.CodeInvalidRequest},
		"a type of others":     {http.MethodPost, messages, fmt.Sprintf(`{"to":"+%s","type":"template","template":{"name":"x"}}`, friend), 422, enlace.CodeUnsupportedByType},
		"not linked":           {http.MethodPost, path(other) + "/messages", text(friend, "x"), 409, enlace.CodeChannelNotActive},
		"no cursor":            {http.MethodGet, messages + "?after=elsewhere", "", 400, enlace.CodeInvalidCursor},
		"a later cursor":       {http.MethodGet, path(other) + "/events?after=1-500", "", 410, enlace.CodeCursorGone},
		"another generation":   {http.MethodGet, path(c) + "/events?after=7-1", "", 410, enlace.CodeCursorGone},
		"another channel's":    {http.MethodGet, path(other) + "/messages/msg_1", "", 404, enlace.CodeMessageNotFound},
		"too late to cancel":   {http.MethodDelete, messages + "/msg_1", "", 409, enlace.CodeNotCancellable},
		"cancel of no message": {http.MethodDelete, messages + "/msg_99", "", 404, enlace.CodeMessageNotFound},
	} {
		if p := s.call(refused.status, refused.method, refused.path, refused.body).problem(t); p.Code != refused.code || p.Detail == "" {
			t.Errorf("%s: want code %s and a detail, got %+v", name, refused.code, p)
		}
	}
	nobody := s.post(c, text("999"+newNumber()[3:], "x"))
	if m := s.untilMessage(c, nobody.ID, enlace.MessageFailed); m.Error.Code != enlace.CodeNotOnWhatsApp || m.Error.Message == "" {
		t.Errorf("to a number without an account: %+v", m.Error)
	}
	s.untilMessage(c, s.post(c, text(friend, strings.Repeat("é", 4096))).ID, enlace.Delivered)
	f.atPhone(friend, "a secret text, before", strings.Repeat("é", 4096))
	if got := s.list(c); len(got) != 3 {
		t.Errorf("the channel has %d messages, want the three that were taken", len(got))
	}
}

func (s *server) list(c enlace.Channel) []enlace.Message {
	s.Helper()
	var page struct{ Messages []enlace.Message }
	s.call(http.StatusOK, http.MethodGet, path(c)+"/messages", "").read(s, &page)
	return page.Messages
}

// The shell script sends a text and follows it to its end, good or bad.
func TestExample_SendScript(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	friend, away := newNumber(), newNumber()
	script := func(to, text string) *process {
		return start(t, "send", []string{"ENLACE_URL=" + s.url, "ENLACE_KEY_FILE=" + filepath.Join(f.data, "admin.key")},
			"sh", filepath.Join("..", "..", "examples", "curl", "send.sh"), "acme", c.ID, to, text)
	}
	words := "a secret text, with \"quotes\" \\ and\ttabs,\nlines, 100 % $HOME and ü"
	p := script("+"+friend, words)
	if code := p.exit(soon); code != 0 || !strings.HasSuffix(p.out.String(), "delivered\n") {
		t.Errorf("want exit code 0 and delivered at the end, got %d: %s%s", code, p.out, p.log)
	}
	f.atPhone(friend, words)

	f.w.online(away, false)
	p = script("+"+away, "a secret text, later")
	p.after("sent")
	f.w.online(away, true)
	if code := p.exit(soon); code != 0 || !strings.HasSuffix(p.out.String(), "delivered\n") {
		t.Errorf("to a phone that was off: want exit code 0 and delivered, got %d: %s%s", code, p.out, p.log)
	}
	f.atPhone(away, "a secret text, later")

	p = script("+999"+newNumber()[3:], "x")
	if code := p.exit(soon); code != 1 || !strings.Contains(p.log.String(), string(enlace.CodeNotOnWhatsApp)) {
		t.Errorf("to nobody: want exit code 1 and why, got %d: %s%s", code, p.out, p.log)
	}
	p = script("+"+c.PhoneNumber, "x")
	if code := p.exit(soon); code != 1 || !strings.Contains(p.log.String(), string(enlace.CodeRecipientIsSender)) {
		t.Errorf("to itself: want exit code 1 and why, got %d: %s%s", code, p.out, p.log)
	}
}
