package whatsapptest

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// Outgoing is a message that a phone is to send.
type Outgoing struct {
	// To is the number of the account it goes to. With Group it is only a member.
	To   string `json:"to,omitempty"`
	Text string `json:"text"`
	// Content is sent in place of a text: any message as WhatsApp knows it, a
	// marshalled waE2E.Message.
	Content []byte `json:"content,omitempty"`
	// Group sends to a group instead: by its id ("…@g.us"), or by a name of your
	// choice, which makes a group of the sender and To at first use, and adds To
	// later if it is no member.
	Group string `json:"group,omitempty"`
	// ID is the message's id; empty makes one. Sending an id again is a resend:
	// the same message in a new ciphertext.
	ID string `json:"id,omitempty"`
	// ReplyTo is the id of a message that this one answers.
	ReplyTo string `json:"replyTo,omitempty"`
	// Addressing is lid, or pn to address the receiver by phone number.
	Addressing string `json:"addressing,omitempty"`
	// Session is new to begin a Signal session with each device of the receiver
	// first, or previous to write on the one before the current one.
	Session string `json:"session,omitempty"`
	// Hold encrypts the message now and sends it when Release is called.
	Hold bool `json:"hold,omitempty"`
	// Corrupt spoils the ciphertexts for linked devices, so that they must ask
	// for the message again. What they are sent then is good, and so is what
	// phones get at once; in a group it is the same ciphertext for all.
	Corrupt bool `json:"corrupt,omitempty"`
}

// Send has a phone send a message and returns its id.
func (s *Server) Send(number string, out Outgoing) (string, error) {
	s.mu.Lock()
	id, err := s.send(number, out)
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	return id, s.keepNow()
}

func (s *Server) send(number string, out Outgoing) (string, error) {
	p, err := s.phoneFor(number)
	if err != nil {
		return "", err
	}
	if !p.online {
		return "", conflict("phone_off", "the phone is off")
	}
	choice := sessionChoice(out.Session)
	switch {
	case out.Text == "" && len(out.Content) == 0:
		return "", badRequest("no_text", "the text is empty")
	case choice != currentSession && choice != newSession && choice != previousSession:
		return "", badRequest("bad_session", "session is new or previous")
	case out.Addressing != "" && out.Addressing != "lid" && out.Addressing != "pn":
		return "", badRequest("bad_addressing", "addressing is lid or pn")
	}
	if out.ID == "" {
		out.ID = newMessageID()
	}
	m, err := p.compose(out)
	if err != nil {
		return "", err
	}
	var node waBinary.Node
	if out.Group != "" || strings.HasSuffix(out.To, "@"+types.GroupServer) {
		node, err = s.composeGroup(p, out, m, choice)
	} else {
		node, err = s.composeUser(p, out, m, choice)
	}
	if err != nil {
		return "", err
	}
	if out.Corrupt {
		corrupt(&node)
	}
	s.state.touch()
	if out.Hold {
		w := s.waits(node)
		p.held = append(p.held, w)
		return out.ID, nil
	}
	return out.ID, s.post(p, &node)
}

// post sends a composed message.
func (s *Server) post(p *phone, n *waBinary.Node) error {
	if refused := s.relay(party{p, 0}, n); refused["error"] != nil {
		return conflict("not_delivered", "the server refuses the message: %v", refused["error"])
	}
	return nil
}

// Release sends the messages that a phone has held back, in the order of ids;
// no ids are all of them.
func (s *Server) Release(number string, ids ...string) error {
	s.mu.Lock()
	err := s.release(number, ids)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.keepNow()
}

func (s *Server) release(number string, ids []string) error {
	p, err := s.phoneFor(number)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		for _, w := range p.held {
			ids = append(ids, w.ID)
		}
	}
	for _, id := range ids {
		i := 0
		for i < len(p.held) && p.held[i].ID != id {
			i++
		}
		if i == len(p.held) {
			return notFound("no_message", "the phone holds no message of this id")
		}
		unpacked, err := waBinary.Unpack(p.held[i].Payload)
		if err != nil {
			return err
		}
		p.held = append(p.held[:i:i], p.held[i+1:]...)
		s.state.touch()
		node, err := waBinary.Unmarshal(unpacked)
		if err != nil {
			return err
		}
		if err := s.post(p, node); err != nil {
			return err
		}
	}
	return nil
}

// compose makes the message's content.
func (p *phone) compose(out Outgoing) (*waE2E.Message, error) {
	secret := make([]byte, 32)
	rand.Read(secret)
	m := &waE2E.Message{MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: secret}}
	if p.kept[out.ID].Message != nil {
		// A resend is the same message.
		return m, proto.Unmarshal(p.kept[out.ID].Message, m)
	}
	if len(out.Content) > 0 {
		given := new(waE2E.Message)
		if err := proto.Unmarshal(out.Content, given); err != nil {
			return nil, badRequest("bad_content", "the content is no marshalled message: %v", err)
		}
		proto.Merge(m, given)
		return m, nil
	}
	if out.ReplyTo == "" {
		m.Conversation = proto.String(out.Text)
		return m, nil
	}
	quoted := p.inbox.find(out.ReplyTo)
	if quoted == nil {
		quoted = p.outbox.find(out.ReplyTo)
	}
	if quoted == nil {
		return nil, notFound("no_message", "the phone knows no message of the id that is answered")
	}
	author := types.NewJID(quoted.From, types.DefaultUserServer)
	m.ExtendedTextMessage = &waE2E.ExtendedTextMessage{
		Text: proto.String(out.Text),
		ContextInfo: &waE2E.ContextInfo{
			StanzaID:      proto.String(out.ReplyTo),
			Participant:   proto.String(author.String()),
			QuotedMessage: &waE2E.Message{Conversation: proto.String(quoted.Text)},
		},
	}
	return m, nil
}

// composeUser makes the stanza for one account: a ciphertext for each of its
// devices, and a copy for each own one.
func (s *Server) composeUser(p *phone, out Outgoing, m *waE2E.Message, choice sessionChoice) (waBinary.Node, error) {
	to, err := s.phoneFor(out.To)
	if err != nil {
		return waBinary.Node{}, err
	}
	if to.absent {
		return waBinary.Node{}, conflict("not_on_whatsapp", "the number is not on WhatsApp")
	}
	form := types.HiddenUserServer
	if out.Addressing == "pn" {
		form = types.DefaultUserServer
	}
	chat := party{to, 0}.in(form)
	plain, err := proto.Marshal(m)
	if err != nil {
		return waBinary.Node{}, err
	}
	copied, err := proto.Marshal(sentCopy(chat, m))
	if err != nil {
		return waBinary.Node{}, err
	}
	var recipients []waBinary.Node
	for _, who := range append(to.parties(), p.parties()...) {
		content := plain
		if who.phone == p {
			content = copied
		}
		if who == (party{p, 0}) {
			continue
		}
		node, err := s.addressed(p, who, form, content, choice)
		if err == errNoBundle {
			continue
		}
		if err != nil {
			return waBinary.Node{}, err
		}
		recipients = append(recipients, node)
	}
	s.recordSent(p, out.ID, chat, m)
	return element("message", waBinary.Attrs{"id": out.ID, "to": chat, "type": "text"},
		[]waBinary.Node{element("participants", nil, recipients)}), nil
}

// addressed encrypts for one device.
func (s *Server) addressed(p *phone, who party, form string, plaintext []byte, choice sessionChoice) (waBinary.Node, error) {
	enc, err := s.encrypt(p, who.phone, who.id, plaintext, choice)
	if err != nil {
		return waBinary.Node{}, err
	}
	return element("to", waBinary.Attrs{"jid": who.in(form)}, []waBinary.Node{enc}), nil
}

// sentCopy is what the own devices get of a message.
func sentCopy(chat types.JID, m *waE2E.Message) *waE2E.Message {
	return &waE2E.Message{
		DeviceSentMessage:  &waE2E.DeviceSentMessage{DestinationJID: proto.String(chat.String()), Message: m},
		MessageContextInfo: m.GetMessageContextInfo(),
	}
}

// composeGroup makes the stanza for a group: one ciphertext for all, and the
// sender key for devices that do not have it.
func (s *Server) composeGroup(p *phone, out Outgoing, m *waE2E.Message, choice sessionChoice) (waBinary.Node, error) {
	g, err := s.groupFor(p, out)
	if err != nil {
		return waBinary.Node{}, err
	}
	plain, err := proto.Marshal(m)
	if err != nil {
		return waBinary.Node{}, err
	}
	jid := g.jid()
	enc, key, err := p.signal.encryptGroup(senderKey(jid, p, 0), plain)
	if err != nil {
		return waBinary.Node{}, err
	}
	distribution, err := proto.Marshal(distributionMessage(jid, key))
	if err != nil {
		return waBinary.Node{}, err
	}
	var recipients []waBinary.Node
	for _, member := range g.members {
		for _, who := range member.parties() {
			if who == (party{p, 0}) || choice == currentSession && g.knows(p, who) {
				continue
			}
			node, err := s.addressed(p, who, types.HiddenUserServer, distribution, choice)
			if err == errNoBundle {
				continue
			}
			if err != nil {
				return waBinary.Node{}, err
			}
			g.learns(p, who)
			recipients = append(recipients, node)
		}
	}
	content := []waBinary.Node{enc}
	if len(recipients) > 0 {
		content = append(content, element("participants", nil, recipients))
	}
	s.recordSent(p, out.ID, jid, m)
	return element("message", waBinary.Attrs{
		"id": out.ID, "to": jid, "type": "text", "addressing_mode": string(types.AddressingModeLID),
	}, content), nil
}

func distributionMessage(group types.JID, key []byte) *waE2E.Message {
	return &waE2E.Message{SenderKeyDistributionMessage: &waE2E.SenderKeyDistributionMessage{
		GroupID: proto.String(group.String()), AxolotlSenderKeyDistributionMessage: key,
	}}
}

// recordSent keeps what a phone has sent, for its own list and for resends.
func (s *Server) recordSent(p *phone, id string, chat types.JID, m *waE2E.Message) {
	e := envelope{id: id, sender: party{p, 0}, chat: chat, group: chat.Server == types.GroupServer}
	s.record(p, e, m, p.outbox)
	if kept, ok := p.kept[id]; ok {
		kept.Recipient = chat.String()
		p.kept[id] = kept
	}
}

// corrupt spoils the ciphertexts of a stanza, but those for phones alone.
func corrupt(n *waBinary.Node) {
	children := n.GetChildren()
	for i, child := range children {
		if raw, ok := child.Content.([]byte); ok && child.Tag == "enc" {
			raw = append([]byte(nil), raw...)
			// Not the end: in a prekey message that is an id, and may not be read.
			raw[max(len(raw)-20, 0)] ^= 1
			children[i].Content = raw
			continue
		}
		if child.Tag == "to" && address(&child, "jid").Device == 0 {
			continue
		}
		corrupt(&child)
	}
}

// newMessageID makes an id like those of Android phones.
func newMessageID() string {
	raw := make([]byte, 15)
	rand.Read(raw)
	return "AC" + strings.ToUpper(hex.EncodeToString(raw))
}

// MarkRead has a phone tell the senders that messages it received have been read.
func (s *Server) MarkRead(number string, ids ...string) error {
	return s.mark(number, "read", ids)
}

// MarkPlayed has a phone tell the senders that voice messages have been played.
func (s *Server) MarkPlayed(number string, ids ...string) error {
	return s.mark(number, "played", ids)
}

func (s *Server) mark(number, kind string, ids []string) error {
	s.mu.Lock()
	err := s.markLocked(number, kind, ids)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.keepNow()
}

func (s *Server) markLocked(number, kind string, ids []string) error {
	p, err := s.phoneFor(number)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return badRequest("no_ids", "ids is empty")
	}
	if !p.online {
		return conflict("phone_off", "the phone is off")
	}
	var messages []*Message
	for _, id := range ids {
		m := p.inbox.find(id)
		if m == nil {
			return &Error{Status: http.StatusNotFound, Code: "no_message", Message: "the phone has received no message of id " + id}
		}
		messages = append(messages, m)
	}
	for _, m := range messages {
		sender := s.phones[m.From]
		receipt := waBinary.Attrs{"id": m.ID, "type": kind, "t": unixNow(), "to": sender.lidJID(0)}
		if m.Group != "" {
			group, err := types.ParseJID(m.Group)
			if err != nil {
				return err
			}
			receipt["to"], receipt["participant"] = group, sender.lidJID(0)
		}
		node := element("receipt", receipt, nil)
		s.routeReceipt(party{p, 0}, &node)
	}
	return nil
}
