package socket

import (
	"context"
	"errors"
	"fmt"
	"time"

	signalsession "go.mau.fi/libsignal/session"
	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/signal"
	"github.com/enlacehq/enlace/strategies"
)

// answerWait is how long WhatsApp's answer to a message is waited for.
const answerWait = 15 * time.Second

// conflictTries is how often a send is run again because a message that came in
// meanwhile moved the recipient's ratchet on.
const conflictTries = 5

// Prepare makes sure that the recipient can be reached. whatsmeow itself sends
// to those devices that it can encrypt for, and reports success when that is none.
func (c *client) Prepare(ctx context.Context, m *store.Outbound) ([]byte, error) {
	s := c.running()
	if s == nil {
		return nil, errNotRunning
	}
	return s.during(ctx, func(ctx context.Context) ([]byte, error) {
		to, err := recipient(m.Chat)
		if err != nil {
			return nil, &strategies.SendError{Code: enlace.CodeInvalidRequest, Message: "the recipient is no address", Final: true}
		}
		if err := s.reachable(ctx, m, to); err != nil {
			return nil, err
		}
		if m.Content != nil {
			return m.Content, nil
		}
		return c.compose(ctx, m, to)
	})
}

// Send sends a prepared message.
func (c *client) Send(ctx context.Context, m *store.Outbound) (time.Time, error) {
	s := c.running()
	if s == nil {
		return time.Time{}, errNotRunning
	}
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	// whatsmeow closes the channel of a message that is given up, into which it may
	// be writing the answer: that would end the program. The end of ctx ends the
	// session, which stops listening before it gives up what is unanswered.
	return during(s, context.WithoutCancel(ctx), func(ctx context.Context) (time.Time, error) {
		to, err := recipient(m.Chat)
		if err != nil {
			return time.Time{}, err
		}
		var content waE2E.Message
		if err := proto.Unmarshal(m.Content, &content); err != nil {
			return time.Time{}, fmt.Errorf("content of a message: %w", err)
		}
		extra := whatsmeow.SendRequestExtra{ID: m.WhatsAppID, Timeout: answerWait}
		var sent whatsmeow.SendResponse
		err = s.sending(ctx, func(ctx context.Context) (err error) {
			sent, err = s.wa.SendMessage(ctx, to, &content, extra)
			return err
		})
		if err != nil {
			return time.Time{}, sendError(err)
		}
		return sent.Timestamp, nil
	})
}

// sending runs send with what it needs of the Signal state held together, and
// runs it again when a message that came in meanwhile changed that.
func (s *session) sending(ctx context.Context, send func(context.Context) error) error {
	for try := 1; ; try++ {
		held, done := s.state.WithSend(ctx)
		err := send(held)
		done()
		if !errors.Is(err, signal.ErrConflict) || try == conflictTries {
			return err
		}
	}
}

// sendError is what an error of SendMessage means. Errors of whatsmeow's may name
// numbers: only what is known to hold none goes on.
func sendError(err error) error {
	switch {
	case errors.Is(err, whatsmeow.ErrServerReturnedError):
		return &strategies.SendError{Code: enlace.CodeRefused, Message: "WhatsApp refused the message", Final: true}
	case errors.Is(err, whatsmeow.ErrMessageTimedOut):
		return errors.New("WhatsApp did not answer")
	}
	return brief(err)
}

// MarkRead marks a received message as read.
func (c *client) MarkRead(ctx context.Context, mark store.MarkRead) error {
	s := c.running()
	if s == nil {
		return errNotRunning
	}
	_, err := during(s, ctx, func(ctx context.Context) (struct{}, error) {
		chat, err := types.ParseJID(mark.Chat)
		if err != nil {
			return struct{}{}, errors.New("the chat is no address")
		}
		sender, err := types.ParseJID(mark.Sender)
		if err != nil {
			return struct{}{}, errors.New("the sender is no address")
		}
		if err := s.wa.MarkRead(ctx, []types.MessageID{mark.ID}, s.now(), chat, sender); err != nil {
			return struct{}{}, brief(err)
		}
		if !mark.Typing {
			return struct{}{}, nil
		}
		return struct{}{}, brief(s.wa.SendChatPresence(ctx, chat, types.ChatPresenceComposing, types.ChatPresenceMediaText))
	})
	return err
}

// during runs a call on the session's context, which ends with ctx too. The
// session waits for it before it is over.
func during[T any](s *session, ctx context.Context, call func(context.Context) (T, error)) (result T, err error) {
	if !s.calls.enter() {
		return result, errNotRunning
	}
	defer s.calls.leave()
	defer func() {
		if p := recover(); p != nil {
			s.fail(fmt.Errorf("panic in a call: %v", p))
			err = errNotRunning
		}
	}()
	joined, cancel := s.joined(ctx)
	defer cancel()
	return call(joined)
}

func (s *session) during(ctx context.Context, call func(context.Context) ([]byte, error)) ([]byte, error) {
	return during(s, ctx, call)
}

// recipient returns the address of a chat.
func recipient(chat string) (types.JID, error) {
	if jid, err := types.ParseJID(chat); err == nil && jid.User != "" {
		return jid, nil
	}
	if _, ok := enlace.NormalRecipient(chat, enlace.Individual); !ok {
		return types.EmptyJID, errors.New("not an address")
	}
	return types.NewJID(chat, types.DefaultUserServer), nil
}

// reachable returns nil if there is somebody to encrypt for. A group that the
// account is not in is final, and found out here: once a message is being sent it
// can no longer be told from one that was sent.
func (s *session) reachable(ctx context.Context, m *store.Outbound, to types.JID) error {
	if to.Server != types.GroupServer {
		return s.sending(ctx, func(ctx context.Context) error { return s.reach(ctx, to) })
	}
	_, err := s.wa.DangerousInternals().GetCachedGroupData(ctx, to)
	switch {
	case !errors.Is(err, whatsmeow.ErrGroupNotFound) && !errors.Is(err, whatsmeow.ErrNotInGroup):
		return brief(err)
	case m.Status == enlace.Sending:
		return &strategies.SendError{Code: enlace.CodeOutcomeUnknown, Message: "WhatsApp did not answer, and the account is no longer in the group", Final: true}
	}
	return &strategies.SendError{Code: enlace.CodeRefused, Message: "there is no such group, or the account is not in it", Final: true}
}

// reach makes sure that there is a Signal session with the recipient's main
// device, or makes one.
func (s *session) reach(ctx context.Context, to types.JID) error {
	address, err := s.encryptionAddress(ctx, to)
	if err != nil {
		return err
	}
	exists, err := s.wa.Store.ContainsSession(ctx, address.SignalAddress())
	if err != nil || exists {
		return err
	}
	bundle := s.wa.DangerousInternals().FetchPreKeysNoError(ctx, []types.JID{address})[address]
	if bundle == nil {
		return errors.New("the recipient's device has no keys at WhatsApp now")
	}
	builder := signalsession.NewBuilderFromSignal(s.wa.Store, address.SignalAddress(), wastore.SignalProtobufSerializer)
	err = builder.ProcessBundle(ctx, bundle)
	if errors.Is(err, signalerror.ErrUntrustedIdentity) {
		if err := s.wa.DangerousInternals().ClearUntrustedIdentity(ctx, address); err != nil {
			return brief(err)
		}
		err = builder.ProcessBundle(ctx, bundle)
	}
	if err != nil {
		return fmt.Errorf("the recipient's keys cannot be used: %w", brief(err))
	}
	return nil
}

// encryptionAddress is the address under which a contact's main device has its
// Signal session: the user id. A phone number that is on no account is final.
func (s *session) encryptionAddress(ctx context.Context, to types.JID) (types.JID, error) {
	if to.Server == types.HiddenUserServer {
		return to.ToNonAD(), nil
	}
	lid, err := s.wa.Store.LIDs.GetLIDForPN(ctx, to)
	if err != nil || !lid.IsEmpty() {
		return lid.ToNonAD(), err
	}
	found, err := s.wa.IsOnWhatsApp(ctx, []string{"+" + to.User})
	if err != nil {
		return types.EmptyJID, brief(err)
	}
	if len(found) == 0 || !found[0].IsIn {
		return types.EmptyJID, &strategies.SendError{Code: enlace.CodeNotOnWhatsApp, Message: "the number has no WhatsApp account", Final: true}
	}
	if lid, err = s.wa.Store.LIDs.GetLIDForPN(ctx, to); err != nil {
		return types.EmptyJID, err
	}
	if !lid.IsEmpty() {
		return lid.ToNonAD(), nil
	}
	info, err := s.wa.GetUserInfo(ctx, []types.JID{to})
	if err != nil {
		return types.EmptyJID, brief(err)
	}
	if lid = info[to].LID; lid.IsEmpty() {
		return types.EmptyJID, errors.New("WhatsApp gives no user id for the recipient")
	}
	return lid.ToNonAD(), nil
}

// compose returns the encoded content of a message.
func (c *client) compose(ctx context.Context, m *store.Outbound, to types.JID) ([]byte, error) {
	content := &waE2E.Message{Conversation: proto.String(m.Message.Text.Body)}
	if m.Message.Context != nil {
		reply, err := c.replyTo(ctx, m.Message.Context.MessageID, to)
		if err != nil {
			return nil, err
		}
		content = &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String(m.Message.Text.Body), ContextInfo: reply}}
	}
	encoded, err := proto.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode a message: %w", err)
	}
	return encoded, nil
}

// maxQuoted is how much of the message that is answered goes with the answer, in
// bytes as JSON: apps show its first lines, and the answer has to fit a table.
const maxQuoted = 16 << 10

// replyTo is the reference to the message that is answered. One that is not
// known any more is named without being quoted, as the other side's.
func (c *client) replyTo(ctx context.Context, id string, to types.JID) (*waE2E.ContextInfo, error) {
	quoted, err := c.owner.Quoted(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return &waE2E.ContextInfo{StanzaID: proto.String(id), Participant: proto.String(to.String())}, nil
	}
	if err != nil {
		return nil, err
	}
	if quoted.Sender == "" {
		own, _ := c.running().notes.known()
		quoted.Sender = own.ToNonAD().String()
	}
	return &waE2E.ContextInfo{
		StanzaID: proto.String(quoted.ID), Participant: proto.String(quoted.Sender),
		QuotedMessage: &waE2E.Message{Conversation: proto.String(clip(quoted.Body, maxQuoted))},
	}, nil
}

// forRetry returns the content of a message that a recipient could not read.
// While it cannot be looked up the recipient's request must not be acknowledged.
func (s *session) forRetry(_, _ types.JID, id types.MessageID) *waE2E.Message {
	encoded, err := s.owner.SentContent(s.ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	var content waE2E.Message
	if err == nil {
		err = proto.Unmarshal(encoded, &content)
	}
	if err != nil {
		s.fail(err)
		return nil
	}
	return &content
}
