package socket

import (
	"strings"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/enlacehq/enlace"
)

// content returns the event that a message's content makes, and the members that
// it adds to the message object. No event: a part that is for the protocol alone,
// such as a group's key, which comes before the message under the same id.
func content(e *events.Message) (enlace.EventName, map[string]any) {
	m := innermost(e.Message)
	switch {
	case m == nil:
		return "", nil
	case e.IsEdit, e.SourceWebMsg != nil && e.SourceWebMsg.GetKey().GetID() != e.Info.ID:
		// Of an edit that the own phone sends again whatsmeow tells the text alone,
		// and the id of the message that was edited.
		return edited(e.Info.ID, m)
	case m.ReactionMessage != nil:
		reaction := map[string]any{"message_id": m.ReactionMessage.GetKey().GetID()}
		set(reaction, "emoji", m.ReactionMessage.GetText())
		return enlace.EventMessageReaction, map[string]any{"type": "reaction", "reaction": reaction}
	case m.ProtocolMessage != nil:
		return protocol(m.ProtocolMessage)
	}
	members, ok := body(m)
	if !ok {
		return "", nil
	}
	return enlace.EventMessageReceived, members
}

func protocol(p *waE2E.ProtocolMessage) (enlace.EventName, map[string]any) {
	original := p.GetKey().GetID()
	switch p.GetType() {
	case waE2E.ProtocolMessage_REVOKE: // also the value of a message that has no type
		if original == "" {
			return "", nil
		}
		return enlace.EventMessageRevoked, map[string]any{
			"type": "revoke", "revoke": map[string]any{"original_message_id": original},
		}
	case waE2E.ProtocolMessage_MESSAGE_EDIT:
		return edited(original, p.GetEditedMessage())
	}
	return "", nil
}

func edited(original string, m *waE2E.Message) (enlace.EventName, map[string]any) {
	if p := m.GetProtocolMessage(); p.GetType() == waE2E.ProtocolMessage_MESSAGE_EDIT && p.GetEditedMessage() != nil {
		original, m = p.GetKey().GetID(), p.GetEditedMessage()
	}
	members, ok := body(innermost(m))
	if !ok {
		return "", nil
	}
	return enlace.EventMessageEdited, map[string]any{
		"type": "edit", "edit": map[string]any{"original_message_id": original, "message": members},
	}
}

// body returns the members for what a message shows; ok is false if it shows nothing.
func body(m *waE2E.Message) (members map[string]any, ok bool) {
	switch {
	case m == nil:
		return nil, false
	case m.Conversation != nil:
		members = map[string]any{"type": enlace.TypeText, "text": map[string]any{"body": m.GetConversation()}}
	case m.ExtendedTextMessage != nil:
		members = map[string]any{"type": enlace.TypeText, "text": map[string]any{"body": m.ExtendedTextMessage.GetText()}}
	default:
		kind := kindOf(m)
		if kind == "" {
			return nil, false
		}
		members = map[string]any{
			"type":        "unsupported",
			"unsupported": map[string]any{"type": kind},
			"errors":      []map[string]any{{"code": unsupportedCode, "title": "Message type is not supported"}},
		}
	}
	if info := contextOf(m); info.GetStanzaID() != "" {
		members["context"] = quotedObject(info)
	}
	return members, true
}

// unsupportedCode is the Cloud API's, for a message of a type that it does not pass on.
const unsupportedCode = 131051

// quotedObject names the message that is answered.
func quotedObject(info *waE2E.ContextInfo) map[string]any {
	object := map[string]any{"id": info.GetStanzaID()}
	if sender, err := types.ParseJID(info.GetParticipant()); err == nil && !sender.IsEmpty() {
		if set(object, "from", phoneOf(sender, types.EmptyJID)); object["from"] == nil {
			object["from"] = sender.ToNonAD().String()
		}
	}
	return object
}

// wraps are the messages that only say how to show the one inside. whatsmeow takes
// away some of them.
var wraps = map[string]bool{
	"associatedChildMessage":     true,
	"botForwardedMessage":        true,
	"botInvokeMessage":           true,
	"documentWithCaptionMessage": true,
	"ephemeralMessage":           true,
	"groupMentionedMessage":      true,
	"lottieStickerMessage":       true,
	"pollCreationMessageV4":      true,
	"questionMessage":            true,
	"questionReplyMessage":       true,
	"spoilerMessage":             true,
	"viewOnceMessage":            true,
	"viewOnceMessageV2":          true,
	"viewOnceMessageV2Extension": true,
}

// maxWraps is how deep they lie in each other.
const maxWraps = 4

func innermost(m *waE2E.Message) *waE2E.Message {
	for range maxWraps {
		var inner *waE2E.Message
		eachField(m, func(name string, value protoreflect.Message) {
			if wrap, ok := value.Interface().(*waE2E.FutureProofMessage); ok && wraps[name] {
				inner = wrap.GetMessage()
			}
		})
		if inner == nil {
			break
		}
		m = inner
	}
	return m
}

// contextOf returns what a message of any kind says of the one that it answers.
func contextOf(m *waE2E.Message) (info *waE2E.ContextInfo) {
	eachField(m, func(_ string, value protoreflect.Message) {
		if shown, ok := value.Interface().(interface{ GetContextInfo() *waE2E.ContextInfo }); ok && info == nil {
			info = shown.GetContextInfo()
		}
	})
	return info
}

// eachField calls f for each message that m holds, with its field's name.
func eachField(m *waE2E.Message, f func(name string, value protoreflect.Message)) {
	if m == nil {
		return
	}
	m.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Kind() == protoreflect.MessageKind {
			f(string(field.Name()), value.Message())
		}
		return true
	})
}

// kinds are the Cloud API's names for what is no text, where it has one.
var kinds = map[string]string{
	"imageMessage":               "image",
	"videoMessage":               "video",
	"ptvMessage":                 "video",
	"audioMessage":               "audio",
	"documentMessage":            "document",
	"stickerMessage":             "sticker",
	"locationMessage":            "location",
	"liveLocationMessage":        "location",
	"contactMessage":             "contacts",
	"contactsArrayMessage":       "contacts",
	"buttonsMessage":             "interactive",
	"buttonsResponseMessage":     "interactive",
	"listMessage":                "interactive",
	"listResponseMessage":        "interactive",
	"interactiveMessage":         "interactive",
	"interactiveResponseMessage": "interactive",
	"templateMessage":            "button",
	"templateButtonReplyMessage": "button",
	"pollCreationMessage":        "poll",
	"pollCreationMessageV2":      "poll",
	"pollCreationMessageV3":      "poll",
	"pollCreationMessageV5":      "poll",
	"pollCreationMessageV6":      "poll",
	"orderMessage":               "order",
	"productMessage":             "order",
	"encReactionMessage":         "reaction",
	"secretEncryptedMessage":     "edit",
	"eventInviteMessage":         "event",
}

// silent is what shows nothing of its own: keys, what devices tell each other,
// and what only changes how an earlier message is shown.
var silent = map[string]bool{
	"senderKeyDistributionMessage":               true,
	"fastRatchetKeySenderKeyDistributionMessage": true,
	"messageContextInfo":                         true,
	"deviceSentMessage":                          true,
	"protocolMessage":                            true,
	"reactionMessage":                            true,
	"stickerSyncRmrMessage":                      true,
	"messageHistoryBundle":                       true,
	"messageHistoryNotice":                       true,
	"groupRootKeyShare":                          true,
	"rootSecretDistributeMessage":                true,
	"statusLinkPreviewMetadata":                  true,
	"albumMessage":                               true, // its pictures follow
	"keepInChatMessage":                          true,
	"pinInChatMessage":                           true,
	"pollUpdateMessage":                          true,
	"pollAddOptionMessage":                       true,
	"encEventResponseMessage":                    true,
	"scheduledCallEditMessage":                   true,
	"limitSharingMessage":                        true,
	"eventCoverImage":                            true,
	"pollCreationOptionImageMessage":             true,
	"groupStatusMessage":                         true, // a status update, to a group
	"groupStatusMessageV2":                       true,
}

// kindOf names what a message shows that is no text; "" if it shows nothing. What
// has no name here gets that of WhatsApp's own, so that no message goes unseen
// because it is of a new kind.
func kindOf(m *waE2E.Message) string {
	var known, other string
	eachField(m, func(name string, _ protoreflect.Message) {
		switch {
		case kinds[name] != "":
			known = kinds[name]
		case !silent[name]:
			other = plainName(name)
		}
	})
	if known != "" || m.SenderKeyDistributionMessage != nil {
		// Beside a group's key there may be what is for the protocol too. An event
		// of it would take the place of the message that follows under the same id.
		return known
	}
	return other
}

// plainName writes a field's name as the Cloud API writes types.
func plainName(field string) string {
	field = strings.TrimSuffix(strings.TrimSuffix(field, "Message"), "Messsage")
	var name strings.Builder
	for i, r := range field {
		if 'A' <= r && r <= 'Z' {
			if i > 0 {
				name.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		name.WriteRune(r)
	}
	return name.String()
}
