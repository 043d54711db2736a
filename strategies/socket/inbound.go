package socket

import (
	"context"
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
	if !s.identify(&e.Info) || !s.reveal(e) {
		return false
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
	if !s.identify(&e.Info) {
		return false
	}
	m := messageObject(&e.Info)
	data := map[string]any{"id": e.Info.ID, "reason": unavailableReason(e)}
	for _, member := range []string{"from", "from_user_id", "group_id"} {
		if value, known := m[member]; known {
			data[member] = value
		}
	}
	data, _ = fit(data)
	body, err := encode(data)
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

// identify adds the other addresses of a message's sender and chat, as far as they
// are known: what the own phone sends again, and what the account itself has sent,
// bears one kind of address alone. False means that the session has ended.
func (s *session) identify(info *types.MessageInfo) bool {
	if info.IsFromMe && info.SenderAlt.IsEmpty() {
		own, account := s.notes.known()
		if info.Sender.Server == types.DefaultUserServer {
			own = types.NewJID(account.LID, types.HiddenUserServer)
		}
		info.SenderAlt = own.ToNonAD()
	}
	for jid, alt := range map[*types.JID]*types.JID{&info.Sender: &info.SenderAlt, &info.Chat: &info.RecipientAlt} {
		if !alt.IsEmpty() || alt == &info.RecipientAlt && !info.IsFromMe {
			continue
		}
		known, err := s.wa.Store.GetAltJID(s.ctx, jid.ToNonAD())
		if err != nil {
			s.fail(err)
			return false
		}
		*alt = known
	}
	return true
}

// reveal decrypts a reaction or an edit that is encrypted once more, under a
// secret of the message that it is about. One that cannot be stays as it is, and
// is told of as unsupported. False means that the session has ended.
func (s *session) reveal(e *events.Message) bool {
	switch m := e.Message; {
	case m.GetEncReactionMessage() != nil:
		reaction, err := s.wa.DecryptReaction(s.ctx, e)
		if err != nil {
			break
		}
		reaction.Key = m.EncReactionMessage.GetTargetMessageKey()
		e.Message = &waE2E.Message{ReactionMessage: reaction}
	case m.GetSecretEncryptedMessage().GetSecretEncType() == waE2E.SecretEncryptedMessage_MESSAGE_EDIT:
		edit, err := s.wa.DecryptSecretEncryptedMessage(s.ctx, e)
		if err != nil {
			break
		}
		e.Message = &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
			Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(), Key: m.SecretEncryptedMessage.GetTargetMessageKey(), EditedMessage: edit,
		}}
	}
	return !s.dead.Load()
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
	case types.BroadcastServer: // a list of recipients, of whom each sees a message to himself
		return info.Chat.IsBroadcastList()
	}
	return false
}

// inGroup reports whether a message is in a group. whatsmeow says so of what
// comes by a list of recipients too.
func inGroup(info *types.MessageInfo) bool { return info.Chat.Server == types.GroupServer }

// identityOf names a message by user ids where they are known: a resend may come
// under the other kind of address.
func identityOf(info *types.MessageInfo) store.Identity {
	sender := hidden(info.Sender, info.SenderAlt)
	chat := info.Chat.ToNonAD()
	switch {
	case inGroup(info), info.Chat.Server == types.BroadcastServer:
	case info.IsFromMe:
		chat = hidden(info.Chat, info.RecipientAlt)
	default:
		chat = sender
	}
	return store.Identity{Chat: chat.String(), Sender: sender.String(), ID: clip(info.ID, maxField)}
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
	if e.SourceWebMsg != nil {
		e.Info.ID = e.SourceWebMsg.GetKey().GetID() // it was that of the edited message
	}
	m := messageObject(&e.Info)
	for key, value := range members {
		m[key] = value
	}
	m, cut := fit(m)
	if cut {
		m["errors"] = []map[string]any{{"code": unsupportedCode, "title": "The text is too long and was cut"}}
	}
	data := map[string]any{"message": m}
	switch {
	case e.Info.IsFromMe:
		data["origin"] = "phone"
		if name == enlace.EventMessageReceived {
			name = enlace.EventMessageSent
		}
	default:
		data["contact"], _ = fit(contactObject(&e.Info))
	}
	body, err := encode(data)
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
	switch {
	case inGroup(info):
		m["group_id"] = info.Chat.ToNonAD().String()
	case info.IsFromMe && info.Chat.Server == types.BroadcastServer:
		m["to"] = info.Chat.String()
	case info.IsFromMe:
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
