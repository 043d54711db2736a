package socket

import (
	"bytes"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"google.golang.org/protobuf/proto"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/whatsapptest"
)

// A message that cannot be read is asked for at its sender and at the own phone,
// and both bring it: under one identity, which is that of the unreadable one,
// whatever kind of address it came under.
func TestResend_SenderAndPhoneBringOneIdentity(t *testing.T) {
	for name, change := range map[string]func(w *world, m *whatsapptest.Outgoing){
		"by user id": func(*world, *whatsapptest.Outgoing) {},
		"by number":  func(_ *world, m *whatsapptest.Outgoing) { m.Addressing = "pn" },
		"in a group": func(w *world, m *whatsapptest.Outgoing) {
			group, err := w.srv.CreateGroup("friends", friend, number)
			if err != nil {
				w.t.Fatal(err)
			}
			m.To, m.Group = "", group
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				_, r := w.connected("ch_1", number)
				w.srv.SetOnline("15550188", false) // no receipts in between
				w.send(number, whatsapptest.Outgoing{To: "15550188", Text: "the device and its phone know each other"})
				r.next("received")
				w.send(friend, whatsapptest.Outgoing{To: number, Text: "first"})
				r.next("received")
				m := whatsapptest.Outgoing{To: number, Text: "spoiled", Corrupt: true}
				change(w, &m)
				id := w.send(friend, m)
				identities := []store.Identity{r.next("unavailable").in.Identity}
				for range 2 {
					n := r.next("received")
					if d := n.data(t); d.Message.ID != id || d.Message.Text.Body != "spoiled" || d.Message.From != friend || d.Message.FromUserID == "" {
						t.Errorf("got %s", n.in.Data)
					}
					identities = append(identities, n.in.Identity)
				}
				if identities[1] != identities[0] || identities[2] != identities[0] {
					t.Errorf("one message has the identities %+v", identities)
				}
				r.quiet()
			})
		})
	}
}

// What the account's own phone wrote and the device could not read at first is
// told of once it can be read, under one identity.
func TestResend_OfWhatTheOwnPhoneWrote(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		w.srv.SetOnline(friend, false)
		w.send(number, whatsapptest.Outgoing{To: friend, Text: "first"})
		first := r.next("received")
		id := w.send(number, whatsapptest.Outgoing{To: friend, Text: "spoiled", Corrupt: true})
		var identities []store.Identity
		for range 2 { // both ways again
			n := r.next("received")
			if d := n.data(t); n.in.Event != enlace.EventMessageSent || d.Message.ID != id || d.Message.Text.Body != "spoiled" || d.Message.To != friend || d.Origin != "phone" {
				t.Errorf("got %s %s", n.in.Event, n.in.Data)
			}
			identities = append(identities, n.in.Identity)
		}
		if identities[0] != identities[1] || identities[0].Sender != first.in.Identity.Sender || identities[0].Chat != first.in.Identity.Chat {
			t.Errorf("identities %+v, of another message %+v", identities, first.in.Identity)
		}
		r.quiet()
	})
}

// What was decrypted long before the oldest event by which messages are recognised
// has its event: when it comes again it is acknowledged and not told.
func TestResend_OfWhatIsOlderThanTheOldestEvent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		r.stop()
		r = c.start(func(o *observer) {
			o.refuse = func(what string) error {
				if what == "received" {
					return errTest
				}
				return nil
			}
		})
		r.next("connected")
		w.send(friend, whatsapptest.Outgoing{To: number, Text: "hello"})
		r.end(strategies.CauseStore)
		c.owner.oldest = time.Now().Add(2 * time.Hour)
		next := w.open(c.owner)
		r = next.start()
		r.next("connected")
		eventually(t, "acknowledged", func() bool { return w.srv.Stats().Unacknowledged == 0 })
		r.quiet()
	})
}

// sendContent has a phone send a message of any kind.
func (w *world) sendContent(from string, m whatsapptest.Outgoing, content *waE2E.Message) string {
	w.t.Helper()
	raw, err := proto.Marshal(content)
	if err != nil {
		w.t.Fatal(err)
	}
	m.Content = raw
	return w.send(from, m)
}

// What is encrypted under a secret of the message that it is about, as reactions
// in announcement groups, is read; about a message that is not known it is told of
// all the same.
func TestReceived_UnderASecretOfAnotherMessage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		group, err := w.srv.CreateGroup("friends", friend, number)
		if err != nil {
			t.Fatal(err)
		}
		secret := bytes.Repeat([]byte{7}, 32)
		to := whatsapptest.Outgoing{Group: group}
		id := w.sendContent(friend, to, &waE2E.Message{
			Conversation: proto.String("news"), MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: secret},
		})
		sender := r.next("received").in.Identity.Sender
		key := &waCommon.MessageKey{RemoteJID: proto.String(group), ID: proto.String(id), Participant: proto.String(sender)}

		payload, iv := underSecret(t, secret, id, sender, whatsmeow.EncSecretReaction, &waE2E.ReactionMessage{Text: proto.String("👍")})
		reaction := &waE2E.EncReactionMessage{TargetMessageKey: key, EncPayload: payload, EncIV: iv}
		w.sendContent(friend, to, &waE2E.Message{EncReactionMessage: reaction})
		n := r.next("received")
		if d := n.data(t); n.in.Event != enlace.EventMessageReaction || d.Message.Reaction.MessageID != id || d.Message.Reaction.Emoji != "👍" {
			t.Errorf("got %s %s", n.in.Event, n.in.Data)
		}

		payload, iv = underSecret(t, secret, id, sender, whatsmeow.EncSecretMessageEdit, says("better news"))
		w.sendContent(friend, to, &waE2E.Message{SecretEncryptedMessage: &waE2E.SecretEncryptedMessage{
			SecretEncType: waE2E.SecretEncryptedMessage_MESSAGE_EDIT.Enum(), TargetMessageKey: key, EncPayload: payload, EncIV: iv,
		}})
		n = r.next("received")
		if d := n.data(t); n.in.Event != enlace.EventMessageEdited || d.Message.Edit.OriginalMessageID != id || d.Message.Edit.Message.Text.Body != "better news" {
			t.Errorf("got %s %s", n.in.Event, n.in.Data)
		}

		reaction.TargetMessageKey.ID = proto.String("UNKNOWN")
		w.sendContent(friend, to, &waE2E.Message{EncReactionMessage: reaction})
		if n := r.next("received"); n.in.Event != enlace.EventMessageReceived || n.data(t).Message.Unsupported.Type != "reaction" {
			t.Errorf("got %s %s", n.in.Event, n.in.Data)
		}
		eventually(t, "acknowledged", func() bool { return w.srv.Stats().Unacknowledged == 0 })
	})
}

// underSecret encrypts what sender says of his own message id, as his app does.
func underSecret(t *testing.T, secret []byte, id, sender string, kind whatsmeow.MsgSecretType, m proto.Message) (payload, iv []byte) {
	t.Helper()
	plain, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	iv = make([]byte, 12)
	payload, err = gcmutil.Encrypt(hkdfutil.SHA256(secret, nil, []byte(id+sender+sender+string(kind)), 32), iv, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	return payload, iv
}
