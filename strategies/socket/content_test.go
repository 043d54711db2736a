package socket

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"github.com/enlacehq/enlace"
)

var (
	friendID = types.NewJID("100000000000199", types.HiddenUserServer)
	friendNo = types.NewJID(friend, types.DefaultUserServer)
	theGroup = types.NewJID("120363000000000001", types.GroupServer)
)

func says(body string) *waE2E.Message { return &waE2E.Message{Conversation: proto.String(body)} }

func wrapped(m *waE2E.Message) *waE2E.FutureProofMessage {
	return &waE2E.FutureProofMessage{Message: m}
}

func keyOf(id string) *waCommon.MessageKey { return &waCommon.MessageKey{ID: proto.String(id)} }

func edit(id, body string) *waE2E.Message {
	return &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(), Key: keyOf(id), EditedMessage: says(body),
	}}
}

func answering(id string, participant types.JID) *waE2E.ContextInfo {
	return &waE2E.ContextInfo{StanzaID: proto.String(id), Participant: proto.String(participant.String()), QuotedMessage: says("quoted")}
}

func unsupported(kind string) string {
	return `{"type":"unsupported","unsupported":{"type":"` + kind + `"},"errors":[{"code":131051,"title":"Message type is not supported"}]}`
}

// What each kind of message becomes: the event, and what its message object says.
func TestContent(t *testing.T) {
	const none = enlace.EventName("")
	key := &waE2E.SenderKeyDistributionMessage{GroupID: proto.String("g")}
	for name, test := range map[string]struct {
		m     *waE2E.Message
		event enlace.EventName
		want  string // the members that the content adds
	}{
		"text":          {says("hello"), enlace.EventMessageReceived, `{"type":"text","text":{"body":"hello"}}`},
		"text of 65 KB": {says(string(make([]byte, 65<<10))), enlace.EventMessageReceived, ""},
		"empty text":    {says(""), enlace.EventMessageReceived, `{"type":"text","text":{"body":""}}`},
		"text with a preview": {
			&waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("see https://example.com"), MatchedText: proto.String("https://example.com")}},
			enlace.EventMessageReceived, `{"type":"text","text":{"body":"see https://example.com"}}`,
		},
		"answer": {
			&waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("yes"), ContextInfo: answering("ABC", friendNo)}},
			enlace.EventMessageReceived, `{"type":"text","text":{"body":"yes"},"context":{"id":"ABC","from":"` + friend + `"}}`,
		},
		"answer to somebody known by user id": {
			&waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("yes"), ContextInfo: answering("ABC", friendID)}},
			enlace.EventMessageReceived, `{"type":"text","text":{"body":"yes"},"context":{"id":"ABC","from":"` + friendID.String() + `"}}`,
		},
		"disappearing text": {&waE2E.Message{EphemeralMessage: wrapped(says("soon gone"))}, enlace.EventMessageReceived, `{"type":"text","text":{"body":"soon gone"}}`},
		"text that names groups": {
			&waE2E.Message{GroupMentionedMessage: wrapped(says("@all"))}, enlace.EventMessageReceived, `{"type":"text","text":{"body":"@all"}}`,
		},
		"text with a group's key": {
			&waE2E.Message{Conversation: proto.String("again"), SenderKeyDistributionMessage: key}, enlace.EventMessageReceived, `{"type":"text","text":{"body":"again"}}`,
		},
		"reaction": {
			&waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{Key: keyOf("ABC"), Text: proto.String("👍")}},
			enlace.EventMessageReaction, `{"type":"reaction","reaction":{"message_id":"ABC","emoji":"👍"}}`,
		},
		"reaction taken back": {
			&waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{Key: keyOf("ABC"), Text: proto.String("")}},
			enlace.EventMessageReaction, `{"type":"reaction","reaction":{"message_id":"ABC"}}`,
		},
		"edit": {
			&waE2E.Message{EditedMessage: wrapped(edit("ABC", "better"))}, enlace.EventMessageEdited,
			`{"type":"edit","edit":{"original_message_id":"ABC","message":{"type":"text","text":{"body":"better"}}}}`,
		},
		"edit without a wrap": {
			edit("ABC", "better"), enlace.EventMessageEdited,
			`{"type":"edit","edit":{"original_message_id":"ABC","message":{"type":"text","text":{"body":"better"}}}}`,
		},
		"edit of a disappearing text": {
			&waE2E.Message{EphemeralMessage: wrapped(&waE2E.Message{EditedMessage: wrapped(edit("ABC", "better"))})}, enlace.EventMessageEdited,
			`{"type":"edit","edit":{"original_message_id":"ABC","message":{"type":"text","text":{"body":"better"}}}}`,
		},
		"revoke": {
			&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_REVOKE.Enum(), Key: keyOf("ABC")}},
			enlace.EventMessageRevoked, `{"type":"revoke","revoke":{"original_message_id":"ABC"}}`,
		},

		"picture":    {&waE2E.Message{ImageMessage: &waE2E.ImageMessage{Caption: proto.String("us")}}, enlace.EventMessageReceived, unsupported("image")},
		"video":      {&waE2E.Message{VideoMessage: &waE2E.VideoMessage{}}, enlace.EventMessageReceived, unsupported("video")},
		"video note": {&waE2E.Message{PtvMessage: &waE2E.VideoMessage{}}, enlace.EventMessageReceived, unsupported("video")},
		"voice note": {&waE2E.Message{AudioMessage: &waE2E.AudioMessage{PTT: proto.Bool(true)}}, enlace.EventMessageReceived, unsupported("audio")},
		"document with a caption": {
			&waE2E.Message{DocumentWithCaptionMessage: wrapped(&waE2E.Message{DocumentMessage: &waE2E.DocumentMessage{}})}, enlace.EventMessageReceived, unsupported("document"),
		},
		"sticker":       {&waE2E.Message{StickerMessage: &waE2E.StickerMessage{}}, enlace.EventMessageReceived, unsupported("sticker")},
		"place":         {&waE2E.Message{LocationMessage: &waE2E.LocationMessage{}}, enlace.EventMessageReceived, unsupported("location")},
		"live place":    {&waE2E.Message{LiveLocationMessage: &waE2E.LiveLocationMessage{}}, enlace.EventMessageReceived, unsupported("location")},
		"contact":       {&waE2E.Message{ContactMessage: &waE2E.ContactMessage{}}, enlace.EventMessageReceived, unsupported("contacts")},
		"buttons":       {&waE2E.Message{ButtonsMessage: &waE2E.ButtonsMessage{}}, enlace.EventMessageReceived, unsupported("interactive")},
		"poll":          {&waE2E.Message{PollCreationMessageV3: &waE2E.PollCreationMessage{}}, enlace.EventMessageReceived, unsupported("poll")},
		"poll, wrapped": {&waE2E.Message{PollCreationMessageV4: wrapped(&waE2E.Message{PollCreationMessage: &waE2E.PollCreationMessage{}})}, enlace.EventMessageReceived, unsupported("poll")},
		"order":         {&waE2E.Message{OrderMessage: &waE2E.OrderMessage{}}, enlace.EventMessageReceived, unsupported("order")},
		"event":         {&waE2E.Message{EventMessage: &waE2E.EventMessage{}}, enlace.EventMessageReceived, unsupported("event")},
		"invitation":    {&waE2E.Message{GroupInviteMessage: &waE2E.GroupInviteMessage{}}, enlace.EventMessageReceived, unsupported("group_invite")},
		"picture seen once": {
			&waE2E.Message{ViewOnceMessageV2: wrapped(&waE2E.Message{ImageMessage: &waE2E.ImageMessage{}})}, enlace.EventMessageReceived, unsupported("image"),
		},
		"picture that answers": {
			&waE2E.Message{ImageMessage: &waE2E.ImageMessage{ContextInfo: answering("ABC", friendNo)}}, enlace.EventMessageReceived,
			`{"type":"unsupported","unsupported":{"type":"image"},"errors":[{"code":131051,"title":"Message type is not supported"}],"context":{"id":"ABC","from":"` + friend + `"}}`,
		},
		"a kind without a name here": {&waE2E.Message{StickerPackMessage: &waE2E.StickerPackMessage{}}, enlace.EventMessageReceived, unsupported("sticker_pack")},
		"edit of a caption": {
			&waE2E.Message{EditedMessage: wrapped(&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
				Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(), Key: keyOf("ABC"), EditedMessage: &waE2E.Message{ImageMessage: &waE2E.ImageMessage{}},
			}})},
			enlace.EventMessageEdited, `{"type":"edit","edit":{"original_message_id":"ABC","message":` + unsupported("image") + `}}`,
		},

		"nothing":                   {nil, none, ""},
		"an empty message":          {&waE2E.Message{MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: make([]byte, 32)}}, none, ""},
		"a group's key":             {&waE2E.Message{SenderKeyDistributionMessage: key}, none, ""},
		"a group's key, and others": {&waE2E.Message{SenderKeyDistributionMessage: key, StickerPackMessage: &waE2E.StickerPackMessage{}}, none, ""},
		"a vote":                    {&waE2E.Message{PollUpdateMessage: &waE2E.PollUpdateMessage{}}, none, ""},
		"a pin":                     {&waE2E.Message{PinInChatMessage: &waE2E.PinInChatMessage{}}, none, ""},
		"an album's frame":          {&waE2E.Message{AlbumMessage: &waE2E.AlbumMessage{}}, none, ""},
		"a status to a group":       {&waE2E.Message{GroupStatusMessageV2: wrapped(says("to all"))}, none, ""},
		"a timer for a chat": {
			&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_EPHEMERAL_SETTING.Enum()}}, none, "",
		},
		"protocol without a type": {&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{}}, none, ""},
		"a key share":             {&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE.Enum()}}, none, ""},
		"history":                 {&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION.Enum()}}, none, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := (&events.Message{Info: types.MessageInfo{ID: "OTHER"}, RawMessage: test.m}).UnwrapRaw()
			event, members := content(e)
			if event != test.event {
				t.Fatalf("event %q (%v), want %q", event, members, test.event)
			}
			if test.want == "" {
				return
			}
			raw, err := json.Marshal(members)
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if json.Unmarshal(raw, &got) != nil || json.Unmarshal([]byte(test.want), &want) != nil {
				t.Fatalf("no JSON: %s, %s", raw, test.want)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %s, want %s", raw, test.want)
			}
		})
	}
}

// Whose messages become events, and where they say that they come from.
func TestIncoming_BySource(t *testing.T) {
	own := types.NewJID(number, types.DefaultUserServer)
	list := types.NewJID("1719000000", types.BroadcastServer)
	source := func(chat, sender, alt types.JID, fromMe bool) types.MessageInfo {
		return types.MessageInfo{
			MessageSource: types.MessageSource{
				Chat: chat, Sender: sender, SenderAlt: alt, IsFromMe: fromMe,
				IsGroup: chat.Server == types.GroupServer || chat.Server == types.BroadcastServer,
			},
			ID: "ABC", Timestamp: time.Unix(1_700_000_000, 0), PushName: "Friend",
		}
	}
	peer := source(own, own, types.EmptyJID, true)
	peer.Category = "peer"
	toFriend := source(friendID, own, types.EmptyJID, true)
	toFriend.RecipientAlt = friendNo
	const contact = `"contact":{"profile":{"name":"Friend"},"wa_id":"` + friend + `","user_id":"100000000000199@lid"}`
	const message = `"id":"ABC","timestamp":"1700000000","type":"text","text":{"body":"hello"}`
	for name, test := range map[string]struct {
		info  types.MessageInfo
		event enlace.EventName
		want  string
	}{
		"direct": {
			source(friendID, friendID, friendNo, false), enlace.EventMessageReceived,
			`{"message":{"from":"` + friend + `","from_user_id":"100000000000199@lid",` + message + `},` + contact + `}`,
		},
		"direct, by number": {
			source(friendNo, friendNo, friendID, false), enlace.EventMessageReceived,
			`{"message":{"from":"` + friend + `","from_user_id":"100000000000199@lid",` + message + `},` + contact + `}`,
		},
		"group": {
			source(theGroup, friendID, friendNo, false), enlace.EventMessageReceived,
			`{"message":{"from":"` + friend + `","from_user_id":"100000000000199@lid","group_id":"120363000000000001@g.us",` + message + `},` + contact + `}`,
		},
		"to a list of recipients": {
			source(list, friendID, friendNo, false), enlace.EventMessageReceived,
			`{"message":{"from":"` + friend + `","from_user_id":"100000000000199@lid",` + message + `},` + contact + `}`,
		},
		"own phone, direct": {
			toFriend, enlace.EventMessageSent,
			`{"message":{"from":"` + number + `","to":"` + friend + `","to_user_id":"100000000000199@lid",` + message + `},"origin":"phone"}`,
		},
		"own phone, group": {
			source(theGroup, own, types.EmptyJID, true), enlace.EventMessageSent,
			`{"message":{"from":"` + number + `","group_id":"120363000000000001@g.us",` + message + `},"origin":"phone"}`,
		},
		"own phone, to a list": {
			source(list, own, types.EmptyJID, true), enlace.EventMessageSent,
			`{"message":{"from":"` + number + `","to":"1719000000@broadcast",` + message + `},"origin":"phone"}`,
		},
		"a status":                      {source(types.StatusBroadcastJID, friendID, friendNo, false), "", ""},
		"an own status":                 {source(types.StatusBroadcastJID, own, types.EmptyJID, true), "", ""},
		"a channel that is followed":    {source(types.NewJID("1", types.NewsletterServer), types.NewJID("1", types.NewsletterServer), types.EmptyJID, false), "", ""},
		"between the account's devices": {peer, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if kept(&test.info) != (test.event != "") {
				t.Fatalf("kept %v", kept(&test.info))
			}
			if test.event == "" {
				return
			}
			in, ok, err := incoming((&events.Message{Info: test.info, RawMessage: says("hello")}).UnwrapRaw())
			if err != nil || !ok || in.Event != test.event {
				t.Fatalf("event %q, %v, %v", in.Event, ok, err)
			}
			var got, want any
			if json.Unmarshal(in.Data, &got) != nil || json.Unmarshal([]byte(test.want), &want) != nil {
				t.Fatalf("no JSON: %s, %s", in.Data, test.want)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %s, want %s", in.Data, test.want)
			}
		})
	}
}

// An edit that the own phone sends again is an edit, under its own id.
func TestIncoming_EditThatThePhoneSendsAgain(t *testing.T) {
	web := &waWeb.WebMessageInfo{Key: keyOf("EDIT"), Message: edit("ABC", "better")}
	// This is what whatsmeow makes of it.
	e := &events.Message{
		Info:         types.MessageInfo{ID: "ABC", MessageSource: types.MessageSource{Chat: friendID, Sender: friendID}},
		RawMessage:   web.Message,
		Message:      web.Message.ProtocolMessage.EditedMessage,
		SourceWebMsg: web,
	}
	in, ok, err := incoming(e)
	if err != nil || !ok || in.Event != enlace.EventMessageEdited || in.Identity.ID != "EDIT" {
		t.Errorf("%s %+v, %v, %v", in.Event, in.Identity, ok, err)
	}
}
