package whatsapptest

import (
	"errors"
	"fmt"
	"time"

	"go.mau.fi/libsignal/signalerror"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// retriesMax is how often a phone asks for a message that it cannot decrypt.
const retriesMax = 4

// givePhone hands a stanza to a phone, or keeps it while the phone is off.
func (s *Server) givePhone(p *phone, n waBinary.Node) {
	if !p.online {
		if w := s.waits(n); w != nil {
			p.queue = append(p.queue, w)
			s.state.touch()
		}
		return
	}
	s.phoneTakes(p, &n)
}

// catchUp gives a phone that is on again what came meanwhile.
func (s *Server) catchUp(p *phone) {
	for p.online && len(p.queue) > 0 {
		w := p.queue[0]
		p.queue = p.queue[1:]
		unpacked, err := waBinary.Unpack(w.Payload)
		if err != nil {
			continue
		}
		if n, err := waBinary.Unmarshal(unpacked); err == nil {
			s.phoneTakes(p, n)
		}
	}
}

// phoneTakes is a phone's reading of a stanza.
func (s *Server) phoneTakes(p *phone, n *waBinary.Node) {
	switch n.Tag {
	case "message":
		s.takeMessage(p, n)
	case "receipt":
		s.takeReceipt(p, n)
	case "chatstate":
		s.takeChatState(p, n)
	}
}

// envelope is what a message stanza says of the message inside.
type envelope struct {
	id     string
	sender party
	chat   types.JID // the group, or the other account; own copies name it inside
	group  bool
	peer   bool // of an own device to its phone
}

func (s *Server) envelopeOf(n *waBinary.Node) (envelope, bool) {
	from := address(n, "from")
	e := envelope{id: text(n, "id"), chat: from.ToNonAD(), peer: text(n, "category") == "peer"}
	if from.Server == types.GroupServer {
		e.group = true
		from = address(n, "participant")
	}
	var ok bool
	e.sender, ok = s.partyOf(from)
	return e, ok
}

// takeMessage decrypts a message and answers with a receipt: a delivery, or the
// wish to get it again.
func (s *Server) takeMessage(p *phone, n *waBinary.Node) {
	e, ok := s.envelopeOf(n)
	if !ok {
		return
	}
	s.state.touch()
	for _, enc := range encs(n) {
		plaintext, err := p.open(e, &enc)
		if errors.Is(err, signalerror.ErrOldCounter) {
			p.inbox.double(e)
			continue
		}
		if err != nil {
			s.log.Debug("a phone cannot decrypt", "error", err)
			s.askAgain(p, e, n)
			return
		}
		var message waE2E.Message
		if err := proto.Unmarshal(plaintext, &message); err != nil {
			s.log.Debug("a phone got what is no message", "error", err)
			continue
		}
		s.read(p, e, &message)
	}
	receipt := waBinary.Attrs{"id": e.id, "to": n.Attrs["from"]}
	for _, name := range []string{"participant", "recipient"} {
		if v, ok := n.Attrs[name]; ok {
			receipt[name] = v
		}
	}
	if e.sender.phone == p {
		receipt["type"] = "sender"
		if e.peer {
			receipt["type"] = "peer_msg"
		}
	}
	node := element("receipt", receipt, nil)
	s.routeReceipt(party{p, 0}, &node)
}

// open decrypts one ciphertext. Some that are no ciphertexts at all make
// libsignal panic.
func (p *phone) open(e envelope, enc *waBinary.Node) (plaintext []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a malformed ciphertext: %v", r)
		}
	}()
	if text(enc, "type") == "skmsg" {
		return p.signal.decryptGroup(senderKey(e.chat, e.sender.phone, e.sender.id), enc)
	}
	return p.signal.decrypt(signalAddress(e.sender.phone, e.sender.id), enc)
}

// askAgain sends a retry receipt: from the second time with a new bundle.
func (s *Server) askAgain(p *phone, e envelope, n *waBinary.Node) {
	key := e.id + "/" + e.sender.phone.number
	if p.retries[key] >= retriesMax {
		return
	}
	p.retries[key]++
	p.undecryptable++
	count := p.retries[key]
	receipt := waBinary.Attrs{"id": e.id, "to": n.Attrs["from"], "type": "retry"}
	for _, name := range []string{"participant", "recipient"} {
		if v, ok := n.Attrs[name]; ok {
			receipt[name] = v
		}
	}
	content := []waBinary.Node{
		element("retry", waBinary.Attrs{"count": count, "id": e.id, "t": n.Attrs["t"], "v": "1"}, nil),
		registrationNode(p.signal.registration),
	}
	if count > 1 {
		b, err := s.phoneBundle(p)
		if err != nil {
			s.log.Error("a phone cannot make keys", "error", err)
			return
		}
		content = append(content, element("keys", nil, b.nodes()))
	}
	node := element("receipt", receipt, content)
	s.routeReceipt(party{p, 0}, &node)
}

// read reads a decrypted message.
func (s *Server) read(p *phone, e envelope, m *waE2E.Message) {
	own := e.sender.phone == p
	if sent := m.GetDeviceSentMessage(); own && sent != nil {
		chat, err := types.ParseJID(sent.GetDestinationJID())
		if err != nil {
			return
		}
		e.chat = chat
		s.record(p, e, sent.GetMessage(), p.outbox)
		return
	}
	if skdm := m.GetSenderKeyDistributionMessage(); skdm != nil && e.group {
		name := senderKey(e.chat, e.sender.phone, e.sender.id)
		if err := p.signal.takeSenderKey(name, skdm.GetAxolotlSenderKeyDistributionMessage()); err != nil {
			s.log.Debug("a phone got a bad sender key", "error", err)
		}
	}
	if request := m.GetProtocolMessage().GetAppStateSyncKeyRequest(); own && e.peer && request != nil {
		s.answerKeyRequest(p, e.sender.id, request)
		return
	}
	if request := m.GetProtocolMessage().GetPeerDataOperationRequestMessage(); own && e.peer && request != nil {
		s.answerPeer(p, e, request)
		return
	}
	if own && e.group {
		s.record(p, e, m, p.outbox)
		return
	}
	s.record(p, e, m, p.inbox)
}

// record keeps a message in a box, if people would see it.
func (s *Server) record(p *phone, e envelope, m *waE2E.Message, into *box) {
	kind, words := describe(m)
	if kind == "" {
		return
	}
	entry := Message{
		ID: e.id, From: e.sender.phone.number, Device: int(e.sender.id), Type: kind, Text: words, At: time.Now().UTC(),
	}
	entry.Context = contextOf(m)
	switch to := s.user(e.chat); {
	case e.group:
		entry.To, entry.Group = e.chat.String(), e.chat.String()
	case e.sender.phone == p && to != nil:
		entry.To = to.number
	default:
		entry.To = p.number
	}
	if into.add(entry) {
		p.archive(e, m)
	}
}
