package whatsapptest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/enlacehq/enlace/whatsapptest"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
)

const (
	alice = "15550001111"
	bob   = "15550002222"
	carol = "15550003333"
)

// say has a phone send and returns the id.
func say(t *testing.T, srv *whatsapptest.Server, from string, out whatsapptest.Outgoing) string {
	t.Helper()
	id, err := srv.Send(from, out)
	if err != nil {
		t.Fatalf("Send: %v", err)
	}
	return id
}

// hears returns the next message that a client hears, which must have the text.
func (c *client) hears(words string) *events.Message {
	c.t.Helper()
	m := await[*events.Message](c)
	for m.Message.GetConversation() == "" && m.Message.GetExtendedTextMessage() == nil {
		m = await[*events.Message](c)
	}
	if got := m.Message.GetConversation() + m.Message.GetExtendedTextMessage().GetText(); got != words {
		c.t.Fatalf("the client hears %q, want %q", got, words)
	}
	return m
}

// says has a client send and returns the id.
func (c *client) says(to, words string) string {
	c.t.Helper()
	id, err := c.trySay(to, words)
	if err != nil {
		c.t.Fatalf("SendMessage: %v", err)
	}
	return id
}

// receipt waits for a receipt of a type.
func (c *client) receipt(id string, kind types.ReceiptType) *events.Receipt {
	c.t.Helper()
	for {
		if r := await[*events.Receipt](c); r.Type == kind && r.MessageIDs[0] == id {
			return r
		}
	}
}

func (c *client) trySay(to, words string) (string, error) {
	jid := types.NewJID(to, types.DefaultUserServer)
	if parsed, err := types.ParseJID(to); err == nil && parsed.User != "" {
		jid = parsed
	}
	sent, err := c.SendMessage(c.t.Context(), jid, &waE2E.Message{Conversation: proto.String(words)},
		whatsmeow.SendRequestExtra{Timeout: 5 * time.Second})
	return sent.ID, err
}

// shows waits until a phone shows the texts that it has received, in order.
func shows(t *testing.T, srv *whatsapptest.Server, number string, words ...string) []whatsapptest.Message {
	t.Helper()
	var got []whatsapptest.Message
	poll(t, fmt.Sprintf("%d messages at the phone", len(words)), func() bool {
		list, err := srv.Messages(number)
		if err != nil {
			t.Fatal(err)
		}
		got = list.Messages
		return len(got) >= len(words)
	})
	for i, m := range got {
		if i >= len(words) || m.Text != words[i] || m.Copies != 1 {
			t.Fatalf("the phone shows %+v, want %q", got, words)
		}
	}
	return got
}

// idle waits until no stanza waits for a client.
func idle(t *testing.T, srv *whatsapptest.Server) {
	t.Helper()
	poll(t, "all acknowledgements", func() bool { return srv.Stats().Unacknowledged == 0 })
}

// heard waits until a phone has a receipt of a type from a device.
func heard(t *testing.T, srv *whatsapptest.Server, number, id, kind, from string, device int) {
	t.Helper()
	poll(t, "a receipt of type "+kind, func() bool {
		list, err := srv.Receipts(number)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.ID == id && r.Type == kind && r.From == from && r.Device == device {
				return true
			}
		}
		return false
	})
}

func TestMessages_FromPhoneToClient(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	c.SetForceActiveDeliveryReceipts(true)
	for i := range 3 {
		words := fmt.Sprint("hello ", i)
		id := say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: words})
		m := c.hears(words)
		if m.Info.ID != id || m.Info.Sender.Server != types.HiddenUserServer || m.Info.SenderAlt.User != bob || m.Info.PushName == "" {
			t.Errorf("the client hears %+v", m.Info)
		}
		if len(m.Message.GetMessageContextInfo().GetMessageSecret()) != 32 {
			t.Error("the message has no secret")
		}
		heard(t, srv, bob, id, "delivered", alice, 1)
		heard(t, srv, bob, id, "delivered", alice, 0)
	}
	if got := shows(t, srv, alice, "hello 0", "hello 1", "hello 2"); got[0].From != bob || got[0].To != alice || got[0].Type != "text" {
		t.Errorf("the own phone shows %+v", got[0])
	}
	idle(t, srv)
}

func TestMessages_TellToTheMicrosecondWhenTheyWereEncrypted(t *testing.T) {
	srv, err := whatsapptest.New(whatsapptest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	say(t, srv, alice, whatsapptest.Outgoing{To: bob, Text: "now", Hold: true})
	after := time.Now()
	sent, err := srv.Messages(alice)
	if err != nil || len(sent.Sent) != 1 {
		t.Fatalf("alice has sent %+v, %v", sent.Sent, err)
	}
	if at := sent.Sent[0].At; at.Before(before) || at.After(after) {
		t.Errorf("the message is of %v, want between %v and %v", at, before, after)
	}
}

func TestMessages_FromClientToPhone(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	id := c.says(bob, "good morning")
	got := shows(t, srv, bob, "good morning")
	if got[0].ID != id || got[0].From != alice || got[0].Device != 1 {
		t.Errorf("the phone shows %+v", got[0])
	}
	c.receipt(id, types.ReceiptTypeDelivered)
	c.receipt(id, types.ReceiptTypeSender)
	if err := srv.MarkRead(bob, id); err != nil {
		t.Fatal(err)
	}
	c.receipt(id, types.ReceiptTypeRead)
	own, err := srv.Messages(alice)
	if err != nil || len(own.Messages) != 0 || len(own.Sent) != 1 || own.Sent[0].To != bob || own.Sent[0].Text != "good morning" {
		t.Errorf("the own phone has %+v, %v", own, err)
	}
	idle(t, srv)
}

func TestMessages_BackAndForth(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	var all []string
	for i := range 20 {
		words := fmt.Sprint("question ", i)
		c.says(bob, words)
		all = append(all, words)
		say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: fmt.Sprint("answer ", i)})
		c.hears(fmt.Sprint("answer ", i))
	}
	shows(t, srv, bob, all...)
	never[*events.UndecryptableMessage](c)
	idle(t, srv)
}

func TestMessages_BetweenClientsOfTwoAccounts(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	a, b, second := linked(t, srv, alice), linked(t, srv, bob), linked(t, srv, alice)
	a.says(bob, "from a")
	b.hears("from a")
	if m := second.hears("from a"); !m.Info.IsFromMe || m.Info.Chat.User == "" || m.Info.Chat == m.Info.Sender.ToNonAD() {
		t.Errorf("the second device hears %+v", m.Info)
	}
	b.says(alice, "from b")
	a.hears("from b")
	second.hears("from b")
	shows(t, srv, bob, "from a")
	shows(t, srv, alice, "from b")
	say(t, srv, alice, whatsapptest.Outgoing{To: bob, Text: "from the phone"})
	if m := a.hears("from the phone"); !m.Info.IsFromMe {
		t.Errorf("the device hears its phone as %+v", m.Info)
	}
	b.hears("from the phone")
	idle(t, srv)
}

func TestMessages_ByPhoneNumber(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "old", Addressing: "pn"})
	if m := c.hears("old"); m.Info.Sender.Server != types.DefaultUserServer || m.Info.SenderAlt.Server != types.HiddenUserServer {
		t.Errorf("the client hears %+v", m.Info)
	}
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "new"})
	c.hears("new")
	idle(t, srv)
}

func TestMessages_ReplyNamesWhatItAnswers(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	id := c.says(bob, "how are you?")
	shows(t, srv, bob, "how are you?")
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "well", ReplyTo: id})
	m := c.hears("well")
	if info := m.Message.GetExtendedTextMessage().GetContextInfo(); info.GetStanzaID() != id || info.GetParticipant() != alice+"@s.whatsapp.net" {
		t.Errorf("the reply's context is %v", info)
	}
}

func TestMessages_OfAnyKind(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	content, err := proto.Marshal(&waE2E.Message{ImageMessage: &waE2E.ImageMessage{Caption: proto.String("us")}})
	if err != nil {
		t.Fatal(err)
	}
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Content: content})
	m := await[*events.Message](c)
	if m.Message.GetImageMessage().GetCaption() != "us" || len(m.Message.GetMessageContextInfo().GetMessageSecret()) != 32 {
		t.Errorf("the client hears %v", m.Message)
	}
	if got, err := srv.Messages(alice); err != nil || len(got.Messages) != 1 || got.Messages[0].Type != "image" || got.Messages[0].Text != "us" {
		t.Errorf("the own phone shows %+v, %v", got, err)
	}
	idle(t, srv)
}

func TestGroups_BothWays(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	group, err := srv.CreateGroup("friends", bob, alice, carol)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		words := fmt.Sprint("to all ", i)
		id := say(t, srv, bob, whatsapptest.Outgoing{Group: group, Text: words})
		if m := c.hears(words); !m.Info.IsGroup || m.Info.Chat.String() != group || m.Info.SenderAlt.User != bob || m.Info.ID != id {
			t.Errorf("the client hears %+v", m.Info)
		}
	}
	shows(t, srv, carol, "to all 0", "to all 1", "to all 2")
	id := c.says(group, "to all 3")
	for _, number := range []string{bob, carol} {
		poll(t, "the client's message", func() bool {
			list, err := srv.Messages(number)
			if err != nil {
				t.Fatal(err)
			}
			last := list.Messages[max(len(list.Messages)-1, 0):]
			return len(last) == 1 && last[0].ID == id && last[0].Group == group && last[0].From == alice
		})
	}
	if err := srv.MarkRead(carol, id); err != nil {
		t.Fatal(err)
	}
	if r := c.receipt(id, types.ReceiptTypeRead); r.Chat.String() != group {
		t.Errorf("the client hears %+v", r)
	}
	never[*events.UndecryptableMessage](c)
	idle(t, srv)
}

func TestGroups_MadeByName(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Group: "team", Text: "one"})
	first := c.hears("one")
	say(t, srv, bob, whatsapptest.Outgoing{To: carol, Group: "team", Text: "two"})
	if second := c.hears("two"); second.Info.Chat != first.Info.Chat || !second.Info.IsGroup {
		t.Errorf("the second message is in %s, the first in %s", second.Info.Chat, first.Info.Chat)
	}
	shows(t, srv, carol, "two")
}

func TestGroups_CorruptMessageIsAskedForAgain(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	group, err := srv.CreateGroup("friends", bob, alice)
	if err != nil {
		t.Fatal(err)
	}
	say(t, srv, bob, whatsapptest.Outgoing{Group: group, Text: "broken", Corrupt: true})
	c.hears("broken")
	say(t, srv, bob, whatsapptest.Outgoing{Group: group, Text: "whole"})
	c.hears("whole")
	idle(t, srv)
}

func TestPhone_ThatIsOffGetsItLater(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	if err := srv.SetOnline(bob, false); err != nil {
		t.Fatal(err)
	}
	id := c.says(bob, "later")
	if list, _ := srv.Messages(bob); len(list.Messages) != 0 {
		t.Fatalf("a phone that is off shows %+v", list.Messages)
	}
	var e *whatsapptest.Error
	if _, err := srv.Send(bob, whatsapptest.Outgoing{To: alice, Text: "no"}); !errors.As(err, &e) || e.Code != "phone_off" {
		t.Errorf("a phone that is off sent: %v", err)
	}
	c.receipt(id, types.ReceiptTypeSender)
	never[*events.Receipt](c)
	if err := srv.SetOnline(bob, true); err != nil {
		t.Fatal(err)
	}
	shows(t, srv, bob, "later")
	c.receipt(id, types.ReceiptTypeDelivered)
}

func TestQueue_WaitsForTheNextLogin(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "before"})
	c.hears("before")
	idle(t, srv)
	c.Disconnect()
	for i := range 5 {
		say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: fmt.Sprint("away ", i)})
	}
	if n := srv.Stats().Unacknowledged; n != 5 {
		t.Errorf("%d stanzas wait, want 5", n)
	}
	c = c.again()
	c.connect()
	if p := await[*events.OfflineSyncPreview](c); p.Messages != 5 {
		t.Errorf("the preview is %+v", p)
	}
	for i := range 5 {
		c.hears(fmt.Sprint("away ", i))
	}
	if done := await[*events.OfflineSyncCompleted](c); done.Count != 5 {
		t.Errorf("it ended with %+v", done)
	}
	idle(t, srv)
}

func TestQueue_GivesAgainWhatWasNotAcknowledged(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	refuse := true
	c.AddEventHandlerWithSuccessStatus(func(event any) bool {
		m, ok := event.(*events.Message)
		return !ok || !refuse || m.Message.GetConversation() == ""
	})
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "one"})
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "two"})
	c.hears("one")
	c.hears("two")
	c.Disconnect()
	if n := srv.Stats().Unacknowledged; n != 2 {
		t.Errorf("%d stanzas wait, want 2", n)
	}
	c = c.again()
	c.connect()
	c.hears("one")
	c.hears("two")
	idle(t, srv)
}

func TestWithholdAck_LeavesTheSenderUnsure(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.WithholdAck, Number: alice})
	_, err := c.SendMessage(t.Context(), types.NewJID(bob, types.DefaultUserServer),
		&waE2E.Message{Conversation: proto.String("sure?")}, whatsmeow.SendRequestExtra{ID: "3EB0AA", Timeout: time.Second})
	if !errors.Is(err, whatsmeow.ErrMessageTimedOut) {
		t.Fatalf("SendMessage: %v, want a time-out", err)
	}
	shows(t, srv, bob, "sure?")
	// The client cannot know, and sends it again.
	if _, err := c.SendMessage(t.Context(), types.NewJID(bob, types.DefaultUserServer),
		&waE2E.Message{Conversation: proto.String("sure?")}, whatsmeow.SendRequestExtra{ID: "3EB0AA"}); err != nil {
		t.Fatal(err)
	}
	poll(t, "the second copy", func() bool {
		list, err := srv.Messages(bob)
		return err == nil && len(list.Messages) == 1 && list.Messages[0].Copies == 2
	})
}

func TestDuplicate_IsDeliveredTwiceAndHeardOnce(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Duplicate, Number: alice})
	before := srv.Stats().Stanzas
	id := say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "once"})
	c.hears("once")
	idle(t, srv)
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "next"})
	c.hears("next")
	idle(t, srv)
	if n := srv.Stats().Stanzas - before; n != 3 {
		t.Errorf("the client sent %d stanzas, want 3 receipts for the 2 copies of %s and the next", n, id)
	}
}

func TestNoBundle_DevicesCannotBeWrittenTo(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.NoBundle, Number: bob})
	c.says(bob, "lost")
	c.says(bob, "found")
	shows(t, srv, bob, "found")
}

func TestRetry_TheClientAsksAndThePhoneSendsAgain(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	silent := true
	if _, err := srv.SetPhone(alice, whatsapptest.PhoneSettings{Silent: &silent}); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		words := fmt.Sprint("broken ", i)
		id := say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: words, Corrupt: true})
		await[*events.UndecryptableMessage](c)
		m := c.hears(words)
		if m.Info.ID != id || m.RetryCount == 0 {
			t.Errorf("the client hears %s after %d retries, want %s", m.Info.ID, m.RetryCount, id)
		}
		heard(t, srv, bob, id, "retry", alice, 1)
	}
	idle(t, srv)
}

func TestRetry_ThePhoneAsksAndTheClientSendsAgain(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	c.says(bob, "one")
	shows(t, srv, bob, "one")
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "answer"})
	c.hears("answer")
	srv.ForgetSessions(bob)
	c.says(bob, "two")
	shows(t, srv, bob, "one", "two")
	if p, err := srv.Phone(bob); err != nil || p.Undecryptable == 0 {
		t.Errorf("the phone could decrypt all: %+v, %v", p, err)
	}
	c.says(bob, "three")
	shows(t, srv, bob, "one", "two", "three")
	idle(t, srv)
}

func TestResend_TheOwnPhoneAnswersForASilentSender(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	silent := true
	if _, err := srv.SetPhone(bob, whatsapptest.PhoneSettings{Silent: &silent}); err != nil {
		t.Fatal(err)
	}
	c.says(bob, "this also begins a session with the own phone")
	id := say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "broken", Corrupt: true})
	m := c.hears("broken")
	if m.UnavailableRequestID == "" || m.Info.ID != id {
		t.Errorf("the client hears %+v", m.Info)
	}
	idle(t, srv)
}

func TestSessions_NewPreviousAndLate(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "first"})
	c.hears("first")
	c.says(bob, "answer")
	shows(t, srv, bob, "answer")
	var ids []string
	for i := range 50 {
		ids = append(ids, say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: fmt.Sprint("late ", i), Hold: true}))
	}
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "soon"})
	c.hears("soon")
	for i := len(ids) - 1; i >= 0; i-- {
		if err := srv.Release(bob, ids[i]); err != nil {
			t.Fatal(err)
		}
		c.hears(fmt.Sprint("late ", i))
	}
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "anew", Session: "new"})
	c.hears("anew")
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "as before", Session: "previous"})
	c.hears("as before")
	never[*events.UndecryptableMessage](c)
	idle(t, srv)
}

func TestPhone_ReadsLateMessagesOfAnArchivedSession(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	// Bob's held message is on a session that alice's phone archives when bob begins another.
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "one"})
	say(t, srv, alice, whatsapptest.Outgoing{To: bob, Text: "two"})
	held := say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "late", Hold: true})
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "three", Session: "new"})
	say(t, srv, alice, whatsapptest.Outgoing{To: bob, Text: "four"})
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "five"})
	if err := srv.Release(bob, held); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{bob, alice, bob, alice} {
		to := map[string]string{alice: bob, bob: alice}[from]
		say(t, srv, from, whatsapptest.Outgoing{To: to, Text: "on"})
	}
	shows(t, srv, alice, "one", "three", "five", "late", "on", "on")
	shows(t, srv, bob, "two", "four", "on", "on")
	for _, number := range []string{alice, bob} {
		if p, err := srv.Phone(number); err != nil || p.Undecryptable != 0 {
			t.Errorf("%s could not decrypt all: %+v, %v", number, p, err)
		}
	}
}

func TestReinstall_ChangesTheContactsIdentity(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	c.says(bob, "one")
	shows(t, srv, bob, "one")
	if err := srv.Reinstall(bob); err != nil {
		t.Fatal(err)
	}
	await[*events.IdentityChange](c)
	c.says(bob, "two")
	shows(t, srv, bob, "one", "two")
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "three"})
	c.hears("three")
	idle(t, srv)
}

func TestDevices_ThatAreNewAreToldToContacts(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	a, b := linked(t, srv, alice), linked(t, srv, bob)
	a.says(bob, "one")
	b.hears("one")
	again := linked(t, srv, bob)
	third := linked(t, srv, alice)
	idle(t, srv)
	a.says(bob, "two")
	b.hears("two")
	again.hears("two")
	third.hears("two")
	if err := srv.Unlink(bob, 2); err != nil {
		t.Fatal(err)
	}
	await[*events.LoggedOut](again)
	a.says(bob, "three")
	b.hears("three")
	idle(t, srv)
}

func TestUsync_KnowsWhoIsOnWhatsApp(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	absent := true
	if _, err := srv.SetPhone(carol, whatsapptest.PhoneSettings{Absent: &absent}); err != nil {
		t.Fatal(err)
	}
	got, err := c.IsOnWhatsApp(t.Context(), []string{"+" + bob, "+" + carol, "+99912345678"})
	if err != nil || len(got) != 3 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if !got[0].IsIn || got[0].JID.Server != types.HiddenUserServer || got[0].PhoneNumber.User != bob || got[1].IsIn || got[2].IsIn {
		t.Errorf("got %+v, want the first alone", got)
	}
	if _, err := c.trySay(carol, "nobody"); err == nil {
		t.Error("a message to nobody was sent")
	}
}

func TestPreKeys_AreAskedForWhenFewAreLeft(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	linked(t, srv, alice)
	if err := srv.TakePreKeys(alice, 1, 4); err != nil {
		t.Fatal(err)
	}
	poll(t, "new prekeys", func() bool {
		list, err := srv.Devices(alice)
		return err == nil && list[0].PreKeys == 54
	})
	idle(t, srv)
}

func TestChatState_IsSeenByThePhone(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	c.says(bob, "hello")
	if err := c.SendChatPresence(t.Context(), types.NewJID(bob, types.DefaultUserServer), types.ChatPresenceComposing, types.ChatPresenceMediaText); err != nil {
		t.Fatal(err)
	}
	poll(t, "the chat state", func() bool {
		list, err := srv.ChatStates(bob)
		return err == nil && len(list) > 0 && list[len(list)-1].State == "composing" && list[len(list)-1].From == alice
	})
}

func TestHistory_IsOfferedToANewDevice(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{History: 120})
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "long ago"})
	c := linked(t, srv, alice)
	history := await[*events.HistorySync](c)
	var n int
	for _, chat := range history.Data.GetConversations() {
		n += len(chat.GetMessages())
	}
	if n != 121 {
		t.Errorf("the history has %d messages, want 121", n)
	}
	c.Disconnect()
	c = c.again()
	c.connect()
	await[*events.Connected](c)
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "now"})
	if m := await[*events.Message](c); m.Message.GetConversation() != "now" {
		t.Errorf("at its second login the client first hears %v", m.Message)
	}
}

func TestHistory_OlderMessagesOnDemand(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	var last *events.Message
	for i := range 5 {
		say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: fmt.Sprint("message ", i)})
		last = c.hears(fmt.Sprint("message ", i))
	}
	c.says(bob, "this also begins a session with the own phone")
	if _, err := c.SendPeerMessage(t.Context(), c.BuildHistorySyncRequest(&last.Info, 3)); err != nil {
		t.Fatal(err)
	}
	got := await[*events.HistorySync](c).Data.GetConversations()
	if len(got) != 1 || len(got[0].GetMessages()) != 3 || got[0].GetMessages()[2].GetMessage().GetMessage().GetConversation() != "message 3" {
		t.Errorf("got %v", got)
	}
	idle(t, srv)
}

func TestMedia_GoesUpAndDown(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	content := bytes.Repeat([]byte("a picture "), 1000)
	up, err := c.Upload(t.Context(), content, whatsmeow.MediaImage)
	if err != nil {
		t.Fatal(err)
	}
	down, err := c.Download(t.Context(), &waE2E.ImageMessage{
		DirectPath: &up.DirectPath, MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256, FileSHA256: up.FileSHA256, FileLength: &up.FileLength,
	})
	if err != nil || !bytes.Equal(down, content) {
		t.Errorf("%d bytes came back, %v", len(down), err)
	}
}

func TestState_KeepsMessagesAndSessions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	srv, stop := startUntil(t, whatsapptest.Options{StateFile: file})
	c := linked(t, srv, alice)
	c.says(bob, "one")
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "two"})
	c.hears("two")
	group, err := srv.CreateGroup("friends", bob, alice)
	if err != nil {
		t.Fatal(err)
	}
	say(t, srv, bob, whatsapptest.Outgoing{Group: group, Text: "three"})
	c.hears("three")
	idle(t, srv)
	c.Disconnect()
	say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "four"})
	say(t, srv, bob, whatsapptest.Outgoing{Group: group, Text: "five"})
	stop()

	srv = start(t, whatsapptest.Options{StateFile: file})
	c.web = webTo(t, srv)
	c = c.again()
	c.connect()
	c.hears("four")
	c.hears("five")
	say(t, srv, bob, whatsapptest.Outgoing{Group: group, Text: "six"})
	c.hears("six")
	c.says(bob, "seven")
	shows(t, srv, bob, "one", "seven")
	if p, err := srv.Phone(bob); err != nil || p.Undecryptable != 0 {
		t.Errorf("the phone could not decrypt all: %+v, %v", p, err)
	}
	never[*events.UndecryptableMessage](c)
	idle(t, srv)
}

func TestLibrary_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	srv, err := whatsapptest.New(whatsapptest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- srv.Run(ctx) }()
	poll(t, "the server", func() bool { return srv.URL() != "" })
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestRead_FromClientToPhone(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c, second := linked(t, srv, alice), linked(t, srv, alice)
	first := say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "one"})
	last := say(t, srv, bob, whatsapptest.Outgoing{To: alice, Text: "two"})
	c.hears("one")
	chat := c.hears("two").Info.Chat
	if err := c.MarkRead(t.Context(), []string{first, last}, time.Now(), chat, chat); err != nil {
		t.Fatal(err)
	}
	heard(t, srv, bob, first, "read", alice, 1)
	heard(t, srv, bob, last, "read", alice, 1)
	if r := second.receipt(first, types.ReceiptTypeRead); !r.IsFromMe || r.Chat != chat {
		t.Errorf("the other device hears %+v", r)
	}
	if err := c.MarkRead(t.Context(), []string{last}, time.Now(), chat, chat, types.ReceiptTypePlayed); err != nil {
		t.Fatal(err)
	}
	heard(t, srv, bob, last, "played", alice, 1)
	idle(t, srv)
}

func TestPhone_SurvivesWhatIsNoCiphertext(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	c.says(bob, "one")
	lid, err := c.Store.LIDs.GetLIDForPN(t.Context(), types.NewJID(bob, types.DefaultUserServer))
	if err != nil {
		t.Fatal(err)
	}
	for i, content := range [][]byte{nil, {0}, {0x33}, {0x33, 1, 2, 3}, make([]byte, 200)} {
		for _, kind := range []string{"msg", "pkmsg", "skmsg", "other"} {
			//lint:ignore SA1019 no other way sends what is no message
			err := c.DangerousInternals().SendNode(t.Context(), waBinary.Node{
				Tag: "message", Attrs: waBinary.Attrs{"to": lid, "id": fmt.Sprint("BAD", i, kind), "type": "text"},
				Content: []waBinary.Node{{Tag: "enc", Attrs: waBinary.Attrs{"v": "2", "type": kind}, Content: content}},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	c.says(bob, "two")
	shows(t, srv, bob, "one", "two")
}

func TestControl_MessagesOverHTTP(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	status, got := call(t, c, "POST", "/phones/"+bob+"/messages", `{"to":"`+alice+`","text":"hello"}`)
	id, _ := got["id"].(string)
	if status != 201 || id == "" {
		t.Fatalf("send: %d %v", status, got)
	}
	c.hears("hello")
	status, got = call(t, c, "GET", "/phones/"+alice+"/messages", "")
	list, _ := got["messages"].([]any)
	if status != 200 || len(list) != 1 {
		t.Fatalf("messages: %d %v", status, got)
	}
	m, _ := list[0].(map[string]any)
	if m["id"] != id || m["from"] != bob || m["to"] != alice || m["type"] != "text" || m["text"] != "hello" || m["at"] == "" {
		t.Errorf("the message is %v", m)
	}
	if status, got := call(t, c, "POST", "/phones/"+alice+"/read", `{"ids":["`+id+`"]}`); status != 204 {
		t.Errorf("read: %d %v", status, got)
	}
	status, got = call(t, c, "GET", "/phones/"+bob+"/receipts", "")
	if list, _ := got["receipts"].([]any); status != 200 || len(list) < 2 {
		t.Errorf("receipts: %d %v", status, got)
	}
	if status, got := call(t, c, "POST", "/phones/"+bob+"/online", `{"online":false}`); status != 204 {
		t.Errorf("online: %d %v", status, got)
	}
	status, got = call(t, c, "POST", "/groups", `{"members":["`+alice+`","`+carol+`"]}`)
	group, _ := got["id"].(string)
	if status != 201 || group == "" {
		t.Fatalf("group: %d %v", status, got)
	}
	if status, got := call(t, c, "POST", "/phones/"+carol+"/messages", `{"group":"`+group+`","text":"all"}`); status != 201 {
		t.Errorf("send to the group: %d %v", status, got)
	}
	c.hears("all")
	for _, tc := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"/phones/" + alice + "/messages", `{"to":"` + carol + `","text":""}`, 400, "no_text"},
		{"/phones/" + alice + "/messages", `{"to":"` + carol + `","content":"/w=="}`, 400, "bad_content"},
		{"/phones/" + alice + "/messages", `{"text":"x"}`, 400, "bad_number"},
		{"/phones/" + alice + "/messages", `{"to":"99900000000","text":"x"}`, 409, "not_on_whatsapp"},
		{"/phones/" + alice + "/messages", `{"group":"1@g.us","text":"x"}`, 404, "no_group"},
		{"/phones/15550009999/messages", `{"group":"` + group + `","text":"x"}`, 409, "no_member"},
		{"/phones/" + bob + "/messages", `{"to":"` + carol + `","text":"x"}`, 409, "phone_off"},
		{"/phones/" + alice + "/messages", `{"to":"` + carol + `","text":"x","session":"old"}`, 400, "bad_session"},
		{"/phones/" + alice + "/messages", `{"to":"` + carol + `","text":"x","addressing":"x"}`, 400, "bad_addressing"},
		{"/phones/" + alice + "/messages", `{"to":"` + carol + `","text":"x","replyTo":"nothing"}`, 404, "no_message"},
		{"/phones/" + alice + "/read", `{"ids":["nothing"]}`, 404, "no_message"},
		{"/phones/" + alice + "/read", `{"ids":[]}`, 400, "no_ids"},
		{"/phones/" + alice + "/release", `{"ids":["nothing"]}`, 404, "no_message"},
		{"/groups", `{"members":[]}`, 400, "no_members"},
	} {
		status, got := call(t, c, "POST", tc.path, tc.body)
		if status != tc.status || got["code"] != tc.code {
			t.Errorf("POST %s %s: got %d %v, want %d %s", tc.path, tc.body, status, got, tc.status, tc.code)
		}
	}
}
