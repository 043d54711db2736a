package socket

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
)

// received records a message. False means that it is not to be acknowledged; the
// session has then ended, so that nothing of whatsmeow's can acknowledge it either.
func (s *session) received(e *events.Message) bool {
	if !kept(&e.Info) {
		return true
	}
	in, ok, err := incoming(e)
	if err != nil {
		s.fail(err)
		return false
	}
	if !ok {
		return true
	}
	return s.tell(func(ctx context.Context) error { return s.observer.Received(ctx, in) })
}

// unavailable records that there is a message which cannot be read, until its
// sender or the own phone has sent it again.
func (s *session) unavailable(e *events.UndecryptableMessage) bool {
	if !kept(&e.Info) || e.Info.IsFromMe || e.DecryptFailMode == events.DecryptFailHide {
		return true
	}
	m := messageObject(&e.Info)
	data := map[string]any{"id": e.Info.ID, "reason": unavailableReason(e)}
	for _, member := range []string{"from", "from_user_id", "group_id"} {
		if value, known := m[member]; known {
			data[member] = value
		}
	}
	body, err := json.Marshal(data)
	if err != nil {
		s.fail(err)
		return false
	}
	in := store.Incoming{Event: enlace.EventMessageUnavailable, Identity: identityOf(&e.Info), Data: body}
	return s.tell(func(ctx context.Context) error { return s.observer.Unavailable(ctx, in) })
}

func unavailableReason(e *events.UndecryptableMessage) string {
	switch {
	case !e.IsUnavailable:
		return "undecryptable"
	case e.UnavailableType != events.UnavailableTypeUnknown:
		return string(e.UnavailableType)
	default:
		return "unavailable"
	}
}

// receiptStatuses are the receipts that say how far a message has come.
// "inactive" is a delivery to a device whose user is away.
var receiptStatuses = map[types.ReceiptType]enlace.MessageStatus{
	types.ReceiptTypeDelivered: enlace.Delivered,
	types.ReceiptTypeInactive:  enlace.Delivered,
	types.ReceiptTypeRead:      enlace.Read,
	types.ReceiptTypePlayed:    enlace.Played,
}

// receipt records what a recipient's devices say of sent messages.
func (s *session) receipt(e *events.Receipt) bool {
	status, ok := receiptStatuses[e.Type]
	if !ok || e.IsFromMe {
		return true
	}
	for _, id := range e.MessageIDs {
		r := strategies.Receipt{WhatsAppID: id, Status: status, At: e.Timestamp.UTC(), Recipient: phoneOf(e.Sender, e.SenderAlt)}
		if !s.tell(func(ctx context.Context) error { return s.observer.Receipt(ctx, r) }) {
			return false
		}
	}
	return true
}

// kept reports whether messages of this kind become events: those of people, not
// status updates and channels that the account follows, nor what the account's
// devices say to each other about themselves.
func kept(info *types.MessageInfo) bool {
	if info.Category == "peer" {
		return false
	}
	switch info.Chat.Server {
	case types.DefaultUserServer, types.HiddenUserServer, types.GroupServer:
		return true
	}
	return false
}

// identityOf names a message by user ids where they are known: a resend may come
// under the other kind of address.
func identityOf(info *types.MessageInfo) store.Identity {
	sender := hidden(info.Sender, info.SenderAlt)
	chat := info.Chat.ToNonAD()
	switch {
	case info.IsGroup:
	case info.IsFromMe:
		chat = hidden(info.Chat, info.RecipientAlt)
	default:
		chat = sender
	}
	return store.Identity{Chat: chat.String(), Sender: sender.String(), ID: info.ID}
}

// hidden returns the user id of a pair of addresses, if there is one, without the device.
func hidden(jid, alt types.JID) types.JID {
	if jid.Server != types.HiddenUserServer && alt.Server == types.HiddenUserServer {
		jid = alt
	}
	return jid.ToNonAD()
}

// phoneOf returns the phone number in a pair of addresses, or nothing.
func phoneOf(jid, alt types.JID) string {
	for _, j := range []types.JID{jid, alt} {
		if j.Server == types.DefaultUserServer {
			return j.User
		}
	}
	return ""
}

// userIDOf returns the user id in a pair of addresses, as messages can be sent to it, or nothing.
func userIDOf(jid, alt types.JID) string {
	for _, j := range []types.JID{jid, alt} {
		if j.Server == types.HiddenUserServer {
			return j.ToNonAD().String()
		}
	}
	return ""
}

// incoming is the event that a message makes; ok is false for one that makes none.
func incoming(e *events.Message) (in store.Incoming, ok bool, err error) {
	name, members := content(e)
	if name == "" {
		return store.Incoming{}, false, nil
	}
	m := messageObject(&e.Info)
	for key, value := range members {
		m[key] = value
	}
	data := map[string]any{"message": m}
	switch {
	case e.Info.IsFromMe:
		data["origin"] = "phone"
		if name == enlace.EventMessageReceived {
			name = enlace.EventMessageSent
		}
	default:
		data["contact"] = contactObject(&e.Info)
	}
	body, err := json.Marshal(data)
	if err != nil {
		return store.Incoming{}, false, fmt.Errorf("encode a message: %w", err)
	}
	return store.Incoming{Event: name, Identity: identityOf(&e.Info), Data: body}, true, nil
}

// messageObject has what the Cloud API's message object says of every message.
func messageObject(info *types.MessageInfo) map[string]any {
	m := map[string]any{"id": info.ID, "timestamp": strconv.FormatInt(info.Timestamp.Unix(), 10)}
	set(m, "from", phoneOf(info.Sender, info.SenderAlt))
	set(m, "from_user_id", userIDOf(info.Sender, info.SenderAlt))
	if info.IsGroup {
		m["group_id"] = info.Chat.ToNonAD().String()
	} else if info.IsFromMe {
		set(m, "to", phoneOf(info.Chat, info.RecipientAlt))
		set(m, "to_user_id", userIDOf(info.Chat, info.RecipientAlt))
	}
	return m
}

func contactObject(info *types.MessageInfo) map[string]any {
	c := map[string]any{"profile": map[string]any{"name": info.PushName}}
	set(c, "wa_id", phoneOf(info.Sender, info.SenderAlt))
	set(c, "user_id", userIDOf(info.Sender, info.SenderAlt))
	return c
}

func set(m map[string]any, key, value string) {
	if value != "" {
		m[key] = value
	}
}

// content returns the event that a message's content makes, and the members that
// it adds to the message object. No event: a part that is for the protocol alone,
// such as a group's key, which comes before the message under the same id.
func content(e *events.Message) (enlace.EventName, map[string]any) {
	m := e.Message
	switch {
	case m == nil:
		return "", nil
	case e.IsEdit:
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
	switch p.GetType() {
	case waE2E.ProtocolMessage_REVOKE:
		return enlace.EventMessageRevoked, map[string]any{
			"type": "revoke", "revoke": map[string]any{"original_message_id": p.GetKey().GetID()},
		}
	case waE2E.ProtocolMessage_MESSAGE_EDIT:
		return edited(p.GetKey().GetID(), p.GetEditedMessage())
	}
	return "", nil
}

func edited(original string, m *waE2E.Message) (enlace.EventName, map[string]any) {
	if p := m.GetProtocolMessage(); p.GetType() == waE2E.ProtocolMessage_MESSAGE_EDIT && p.GetEditedMessage() != nil {
		original, m = p.GetKey().GetID(), p.GetEditedMessage()
	}
	members, ok := body(m)
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
		return text(m.GetConversation(), nil), true
	case m.ExtendedTextMessage != nil:
		return text(m.ExtendedTextMessage.GetText(), m.ExtendedTextMessage.GetContextInfo()), true
	}
	kind := kindOf(m)
	if kind == "" {
		return nil, false
	}
	return map[string]any{
		"type":        "unsupported",
		"unsupported": map[string]any{"type": kind},
		"errors":      []map[string]any{{"code": unsupportedCode, "title": "Message type is not supported"}},
	}, true
}

// unsupportedCode is the Cloud API's, for a message of a type that it does not pass on.
const unsupportedCode = 131051

func text(text string, info *waE2E.ContextInfo) map[string]any {
	members := map[string]any{"type": enlace.TypeText, "text": map[string]any{"body": text}}
	if info.GetStanzaID() != "" {
		context := map[string]any{"id": info.GetStanzaID()}
		if sender, err := types.ParseJID(info.GetParticipant()); err == nil && !sender.IsEmpty() {
			if set(context, "from", phoneOf(sender, types.EmptyJID)); context["from"] == nil {
				context["from"] = sender.ToNonAD().String()
			}
		}
		members["context"] = context
	}
	return members
}

// kinds are the messages that show something which is no text, by the names that
// the Cloud API uses for them where it has one.
func kindOf(m *waE2E.Message) string {
	for _, kind := range []struct {
		is   bool
		name string
	}{
		{m.ImageMessage != nil, "image"},
		{m.VideoMessage != nil || m.PtvMessage != nil, "video"},
		{m.AudioMessage != nil, "audio"},
		{m.DocumentMessage != nil, "document"},
		{m.StickerMessage != nil, "sticker"},
		{m.LocationMessage != nil || m.LiveLocationMessage != nil, "location"},
		{m.ContactMessage != nil || m.ContactsArrayMessage != nil, "contacts"},
		{m.ButtonsResponseMessage != nil || m.ListResponseMessage != nil || m.InteractiveResponseMessage != nil || m.InteractiveMessage != nil, "interactive"},
		{m.TemplateButtonReplyMessage != nil || m.TemplateMessage != nil, "button"},
		{m.PollCreationMessage != nil || m.PollCreationMessageV2 != nil || m.PollCreationMessageV3 != nil, "poll"},
		{m.OrderMessage != nil || m.ProductMessage != nil, "order"},
		{m.GroupInviteMessage != nil, "group_invite"},
		{m.EventMessage != nil, "event"},
	} {
		if kind.is {
			return kind.name
		}
	}
	return ""
}
