package whatsapptest

import (
	"maps"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// Receipt is what a phone has heard of a message that its account has sent.
type Receipt struct {
	ID string `json:"id"`
	// From is the number of the account that got the message, and Device its device.
	From   string `json:"from"`
	Device int    `json:"device"`
	Group  string `json:"group,omitempty"`
	// Type is delivered, read, played, retry, or WhatsApp's name of another type.
	Type string    `json:"type"`
	At   time.Time `json:"at"`
}

// receiptsKept is how many receipts a phone remembers.
const receiptsKept = 20_000

// delivery are the types of receipts that say that a message has been taken.
var delivery = map[string]bool{"": true, "inactive": true, "sender": true, "peer_msg": true}

// handleReceipt takes a receipt of a device: it acknowledges a message that
// waited for the device, and goes to who has sent the message.
func (s *Server) handleReceipt(c *conn, n *waBinary.Node) {
	if delivery[text(n, "type")] {
		for _, id := range receiptIDs(n) {
			s.acknowledged(c.device, "message", id, text(n, "to"), text(n, "participant"))
		}
	}
	ack := waBinary.Attrs{"class": "receipt", "id": text(n, "id"), "from": address(n, "to")}
	for _, name := range []string{"type", "participant"} {
		if v, ok := n.Attrs[name]; ok {
			ack[name] = v
		}
	}
	c.send(element("ack", ack, nil))
	s.routeReceipt(party{c.phone, c.device.id}, n)
}

// receiptIDs are the messages that a receipt speaks of.
func receiptIDs(n *waBinary.Node) []string {
	ids := []string{text(n, "id")}
	list := n.GetChildByTag("list")
	for _, item := range list.GetChildren() {
		ids = append(ids, text(&item, "id"))
	}
	return ids
}

// routeReceipt brings a receipt to the devices that it concerns.
func (s *Server) routeReceipt(from party, n *waBinary.Node) {
	to := address(n, "to")
	kind := text(n, "type")
	attrs := waBinary.Attrs{"id": text(n, "id"), "t": unixNow()}
	for _, name := range []string{"type", "category"} {
		if v := text(n, name); v != "" {
			attrs[name] = v
		}
	}
	if to.Server == types.GroupServer {
		s.routeGroupReceipt(from, n, to, attrs)
		return
	}
	target := s.user(to)
	if target == nil {
		return
	}
	attrs["from"] = from.in(to.Server)
	if target == from.phone {
		// About a message of an own device: to that one; the chat is named.
		if chat := address(n, "recipient"); !chat.IsEmpty() {
			attrs["recipient"] = chat
		}
		s.give(party{target, to.Device}, element("receipt", attrs, n.Content))
		return
	}
	if kind == "retry" {
		s.give(party{target, to.Device}, element("receipt", attrs, n.Content))
		return
	}
	if kind != "read-self" {
		for _, who := range target.parties() {
			s.give(who, element("receipt", maps.Clone(attrs), n.Content))
		}
	}
	if kind == "read" || kind == "played" || kind == "read-self" {
		s.syncRead(from, attrs, n.Content, to)
	}
}

// syncRead tells the other devices of an account what one of them has read.
func (s *Server) syncRead(from party, attrs waBinary.Attrs, content any, chat types.JID) {
	for _, who := range from.phone.parties() {
		if who != from {
			own := maps.Clone(attrs)
			own["recipient"] = chat
			s.give(who, element("receipt", own, content))
		}
	}
}

// routeGroupReceipt brings a receipt about a group message to its author.
func (s *Server) routeGroupReceipt(from party, n *waBinary.Node, group types.JID, attrs waBinary.Attrs) {
	g := s.groups[group.User]
	author, ok := s.partyOf(address(n, "participant"))
	if g == nil || !ok || !g.has(from.phone) {
		return
	}
	attrs["from"] = group
	attrs["participant"] = from.in(types.HiddenUserServer)
	attrs["participant_pn"] = from.phone.jid(0)
	attrs["addressing_mode"] = string(types.AddressingModeLID)
	if text(n, "type") == "retry" {
		s.give(author, element("receipt", attrs, n.Content))
		return
	}
	for _, who := range author.phone.parties() {
		if who != from {
			s.give(who, element("receipt", maps.Clone(attrs), n.Content))
		}
	}
}

// takeReceipt is a phone's reading of a receipt.
func (s *Server) takeReceipt(p *phone, n *waBinary.Node) {
	who := address(n, "from")
	group := ""
	if who.Server == types.GroupServer {
		group, who = who.String(), address(n, "participant")
	}
	from, ok := s.partyOf(who)
	if !ok {
		return
	}
	kind := text(n, "type")
	if from.phone != p {
		for _, id := range receiptIDs(n) {
			p.receipts = append(p.receipts, Receipt{
				ID: id, From: from.phone.number, Device: int(from.id), Group: group, Type: receiptType(kind), At: timeNow(),
			})
		}
		if over := len(p.receipts) - receiptsKept; over > 0 {
			p.receipts = append([]Receipt(nil), p.receipts[over:]...)
		}
		s.state.touch()
	}
	if kind == "retry" {
		s.resend(p, from, n)
	}
}

// receiptType names a type of receipt for people.
func receiptType(kind string) string {
	if kind == "" {
		return "delivered"
	}
	return kind
}

func timeNow() time.Time { return time.Now().UTC().Truncate(time.Second) }

// Receipts lists what a phone has heard of its account's messages, oldest first.
func (s *Server) Receipts(number string) ([]Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.phoneFor(number)
	if err != nil {
		return nil, err
	}
	return append([]Receipt{}, p.receipts...), nil
}
