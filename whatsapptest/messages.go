package whatsapptest

import (
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// Message is a message as a phone shows it.
type Message struct {
	ID string `json:"id"`
	// From and To are numbers; To is the group's id in a group.
	From  string `json:"from"`
	To    string `json:"to"`
	Group string `json:"group,omitempty"`
	// Device is the sender's device that it came from; 0 is the sender's phone.
	Device int    `json:"device"`
	Type   string `json:"type"` // text, reaction, revoked, edited, image, …
	Text   string `json:"text"`
	// At is when the phone had decrypted the message, or encrypted one of its own.
	At time.Time `json:"at"`
	// Context names the message that this one answers.
	Context *MessageContext `json:"context,omitempty"`
	// Copies is how many different ciphertexts of this message, with this id,
	// have come: a resend makes it 2. People see one message.
	Copies int `json:"copies"`
	// Doubles is how many ciphertexts have come again. They do not decrypt twice.
	Doubles int `json:"doubles"`
}

// MessageContext names a message.
type MessageContext struct {
	ID   string `json:"id"`
	From string `json:"from,omitempty"` // a number, or a LID that is nobody's here
}

// Messages is what a phone shows.
type Messages struct {
	// Messages are those that others have sent to the account.
	Messages []Message `json:"messages"`
	// Sent are those that the account has sent, from the phone or another device.
	Sent []Message `json:"sent"`
}

// box is a list of messages, in the order they came. Guarded by Server.mu.
type box struct {
	list  []Message
	index map[messageKey]int
}

type messageKey struct {
	chat, from, id string
}

func newBox(list []Message) *box {
	b := &box{list: list, index: make(map[messageKey]int)}
	for i, m := range list {
		b.index[m.key()] = i
	}
	return b
}

func (m *Message) key() messageKey { return messageKey{m.To, m.From, m.ID} }

// add adds a message; one that is there already counts a copy. It returns
// whether the message is new.
func (b *box) add(m Message) bool {
	if i, ok := b.index[m.key()]; ok {
		b.list[i].Copies++
		return false
	}
	m.Copies = 1
	b.index[m.key()] = len(b.list)
	b.list = append(b.list, m)
	return true
}

// double counts a ciphertext that came again.
func (b *box) double(e envelope) {
	for i := len(b.list) - 1; i >= 0; i-- {
		if m := &b.list[i]; m.ID == e.id && m.From == e.sender.phone.number {
			m.Doubles++
			return
		}
	}
}

// find returns a message by its id, the newest first.
func (b *box) find(id string) *Message {
	for i := len(b.list) - 1; i >= 0; i-- {
		if b.list[i].ID == id {
			return &b.list[i]
		}
	}
	return nil
}

// Messages lists what a phone has received and what its account has sent.
func (s *Server) Messages(number string) (Messages, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.phoneFor(number)
	if err != nil {
		return Messages{}, err
	}
	return Messages{
		Messages: append([]Message{}, p.inbox.list...),
		Sent:     append([]Message{}, p.outbox.list...),
	}, nil
}

// describe says what people would see of a message; an empty type is nothing.
func describe(m *waE2E.Message) (kind, words string) {
	switch {
	case m == nil:
		return "", ""
	case m.Conversation != nil:
		return "text", m.GetConversation()
	case m.ExtendedTextMessage != nil:
		return "text", m.GetExtendedTextMessage().GetText()
	case m.ReactionMessage != nil:
		return "reaction", m.GetReactionMessage().GetText()
	case m.EditedMessage != nil:
		_, words = describe(m.GetEditedMessage().GetMessage().GetProtocolMessage().GetEditedMessage())
		return "edited", words
	case m.GetProtocolMessage().GetType() == waE2E.ProtocolMessage_REVOKE && m.ProtocolMessage != nil && m.ProtocolMessage.Key != nil:
		return "revoked", m.GetProtocolMessage().GetKey().GetID()
	case m.GetProtocolMessage().GetEditedMessage() != nil:
		_, words = describe(m.GetProtocolMessage().GetEditedMessage())
		return "edited", words
	case m.ImageMessage != nil:
		return "image", m.GetImageMessage().GetCaption()
	case m.VideoMessage != nil:
		return "video", m.GetVideoMessage().GetCaption()
	case m.AudioMessage != nil:
		return "audio", ""
	case m.DocumentMessage != nil:
		return "document", m.GetDocumentMessage().GetCaption()
	case m.StickerMessage != nil:
		return "sticker", ""
	case m.LocationMessage != nil:
		return "location", m.GetLocationMessage().GetName()
	case m.ContactMessage != nil:
		return "contact", m.GetContactMessage().GetDisplayName()
	}
	return "", ""
}

// contextOf returns which message another one answers; nil if none.
func contextOf(m *waE2E.Message) *MessageContext {
	info := m.GetExtendedTextMessage().GetContextInfo()
	if info.GetStanzaID() == "" {
		return nil
	}
	from, err := types.ParseJID(info.GetParticipant())
	if err != nil {
		return &MessageContext{ID: info.GetStanzaID()}
	}
	return &MessageContext{ID: info.GetStanzaID(), From: from.User}
}

// archived is a message as a phone has it, for devices that ask for it.
type archived struct {
	Message   []byte `json:"message"` // marshalled waE2E.Message
	At        int64  `json:"at"`      // Unix seconds
	Name      string `json:"name,omitempty"`
	Recipient string `json:"recipient,omitempty"` // of a message that the phone has sent: its chat
	Peer      bool   `json:"peer,omitempty"`      // of the phone to its device Recipient
}

// archive keeps a message that others may ask for.
func (p *phone) archive(e envelope, m *waE2E.Message) {
	raw, err := proto.Marshal(m)
	if err != nil {
		return
	}
	p.kept[e.id] = archived{Message: raw, At: unixNow(), Name: e.sender.phone.name}
}

// web returns the message as phones share it with their devices.
func (a archived) web() (*waWeb.WebMessageInfo, error) {
	m := new(waE2E.Message)
	if err := proto.Unmarshal(a.Message, m); err != nil {
		return nil, err
	}
	return &waWeb.WebMessageInfo{
		Message:          m,
		MessageTimestamp: proto.Uint64(uint64(a.At)),
		PushName:         proto.String(a.Name),
	}, nil
}
