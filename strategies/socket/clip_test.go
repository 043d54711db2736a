package socket

import (
	"encoding/json"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/whatsapptest"
)

// from is a message of a stranger's making.
func from(name, id string, m *waE2E.Message) *events.Message {
	sender := types.NewJID("123456789012345", types.HiddenUserServer)
	return &events.Message{
		Info: types.MessageInfo{
			MessageSource: types.MessageSource{Chat: sender, Sender: sender, SenderAlt: types.NewJID(friend, types.DefaultUserServer)},
			ID:            id, PushName: name,
		},
		Message: m,
	}
}

// Nothing that a stranger writes is too large for the table: it would be refused
// each time it comes again, and nothing after it would ever be received.
func TestIncoming_FitsTheTable(t *testing.T) {
	const most = 65536 // characters that WhatsApp's apps write
	for name, c := range map[string]struct {
		text string
		cut  bool
	}{
		"short":              {"hello", false},
		"plain":              {strings.Repeat("x", most), false},
		"four bytes each":    {strings.Repeat("😀", most), false},
		"quotes":             {strings.Repeat(`"`, most), false},
		"angle brackets":     {strings.Repeat("<", most), false},
		"control characters": {strings.Repeat("\x01", most), true},
		"line separators":    {strings.Repeat("\u2028", most), true},
		"no UTF-8":           {strings.Repeat("\xff", most), true},
		"five megabytes":     {strings.Repeat("x", 5<<20), true},
	} {
		t.Run(name, func(t *testing.T) {
			long := strings.Repeat("\x02", 100<<10)
			for what, e := range map[string]*events.Message{
				"text":    from("Friend", "ABC", &waE2E.Message{Conversation: proto.String(c.text)}),
				"reply":   from(long, long, &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String(c.text), ContextInfo: &waE2E.ContextInfo{StanzaID: &long, Participant: proto.String(long + "@lid")}}}),
				"edit":    from(long, long, &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(), Key: &waCommon.MessageKey{ID: &long}, EditedMessage: &waE2E.Message{Conversation: proto.String(c.text)}}}),
				"emoji":   from(long, long, &waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{Key: &waCommon.MessageKey{ID: &long}, Text: &long}}),
				"deleted": from(long, long, &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_REVOKE.Enum(), Key: &waCommon.MessageKey{ID: &long}}}),
			} {
				in, ok, err := incoming(e)
				if err != nil || !ok {
					t.Fatal(what, ok, err)
				}
				value, err := store.Encode(1, map[string]any{"data": in.Data, "identity": in.Identity.String()})
				if err != nil {
					t.Fatal(what, err)
				}
				if room := store.MaxItemBytes - len(value); room < 4096 {
					t.Errorf("%s: the event has %d bytes, which leaves %d", what, len(value), room)
				}
				if n := len(in.Identity.String()); n > 900 {
					t.Errorf("%s: an identity of %d bytes is no key", what, n)
				}
				if what != "text" {
					continue
				}
				var got struct {
					Message struct {
						Text   struct{ Body string }
						Errors []any
					}
				}
				if err := json.Unmarshal(in.Data, &got); err != nil {
					t.Fatal(err)
				}
				body := got.Message.Text.Body
				if whole := body == c.text; whole == c.cut || len(got.Message.Errors) > 0 != c.cut {
					t.Errorf("%d of %d bytes, cut said: %v, want cut: %v", len(body), len(c.text), got.Message.Errors, c.cut)
				}
				if c.cut && len(body) < 50<<10 {
					t.Errorf("only %d bytes are left", len(body))
				}
			}
		})
	}
}

// The answer to a message of any length fits the table.
func TestPrepare_LongMessagesAreQuotedInPart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		defer r.stop()
		c.owner.quoted = &store.Quoted{ID: "ABC", Sender: friend + "@s.whatsapp.net", Body: strings.Repeat("long ", 60<<10)}
		encoded, err := c.client.Prepare(t.Context(), &store.Outbound{
			Seq: 1, WhatsAppID: "3EB0", Chat: friend, Status: enlace.Queued,
			Message: enlace.Outgoing{To: friend, Type: enlace.TypeText, Text: &enlace.Text{Body: "answer"}, Context: &enlace.ReplyTo{MessageID: "ABC"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var m waE2E.Message
		if err := proto.Unmarshal(encoded, &m); err != nil {
			t.Fatal(err)
		}
		info := m.GetExtendedTextMessage().GetContextInfo()
		quoted := info.GetQuotedMessage().GetConversation()
		if m.GetExtendedTextMessage().GetText() != "answer" || info.GetStanzaID() != "ABC" || !strings.HasPrefix(quoted, "long long ") {
			t.Errorf("got %.200s", m.String())
		}
		if len(encoded) > 20<<10 {
			t.Errorf("%d bytes to be sent", len(encoded))
		}
	})
}
