package whatsapptest

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// party is a device as sender or receiver: 0 is the phone itself.
type party struct {
	phone *phone
	id    uint16
}

// in returns the party's address in the form that a conversation uses: LIDs, or
// phone numbers.
func (p party) in(form string) types.JID {
	if form == types.DefaultUserServer {
		return p.phone.jid(p.id)
	}
	return p.phone.lidJID(p.id)
}

// other returns the account's address in the other form.
func (p party) other(form string) types.JID {
	if form == types.DefaultUserServer {
		return p.phone.lidJID(0)
	}
	return p.phone.jid(0)
}

// exists says whether the party is a phone or a linked device.
func (p party) exists() bool {
	return p.id == 0 || p.phone.devices[p.id] != nil
}

// partyOf returns the device that a JID names; false if there is none.
func (s *Server) partyOf(jid types.JID) (party, bool) {
	p := s.user(jid)
	if p == nil {
		return party{}, false
	}
	who := party{p, jid.Device}
	return who, who.exists()
}

// give hands a stanza to a party.
func (s *Server) give(to party, n waBinary.Node) {
	if to.id == 0 {
		s.givePhone(to.phone, n)
		return
	}
	if d := to.phone.devices[to.id]; d != nil {
		s.enqueue(d, n)
	}
}

// relay delivers a message stanza of a party, and returns the attributes that
// the acknowledgement has besides its id and time.
func (s *Server) relay(from party, n *waBinary.Node) waBinary.Attrs {
	to := address(n, "to")
	switch to.Server {
	case types.GroupServer:
		return s.relayGroup(from, n, to)
	case types.DefaultUserServer, types.HiddenUserServer:
		return s.relayUser(from, n, to)
	}
	return waBinary.Attrs{"error": "400"}
}

// relayUser delivers a message to one account, or to one device of it.
func (s *Server) relayUser(from party, n *waBinary.Node, to types.JID) waBinary.Attrs {
	target := s.user(to)
	if target == nil || target.absent {
		return waBinary.Attrs{"error": "404"}
	}
	if _, direct := n.GetOptionalChildByTag("enc"); direct {
		// A resend to one device, or a message to the own phone.
		who := party{target, to.Device}
		if !who.exists() {
			return waBinary.Attrs{"error": "404"}
		}
		chat := address(n, "recipient")
		s.give(who, s.direct(from, who, n, to.Server, chat, encs(n)))
		return nil
	}
	participants := n.GetChildByTag("participants")
	reached := map[party]bool{from: true}
	for _, child := range participants.GetChildren() {
		who, ok := s.partyOf(address(&child, "jid"))
		if !ok || who.phone != target && who.phone != from.phone || reached[who] {
			continue
		}
		reached[who] = true
		chat := types.EmptyJID
		if who.phone == from.phone {
			chat = to
		}
		s.give(who, s.direct(from, who, n, to.Server, chat, encs(&child)))
	}
	return s.missed(reached, to.Server, target, from.phone)
}

// direct makes the stanza that a device gets in a conversation of two. chat is
// set if it is a copy of what the own account has written there.
func (s *Server) direct(from, to party, n *waBinary.Node, form string, chat types.JID, content []waBinary.Node) waBinary.Node {
	attrs := s.messageAttrs(from, n)
	attrs["from"] = from.in(form)
	own := from.phone == to.phone
	switch {
	case own && !chat.IsEmpty():
		attrs["recipient"] = chat
		if other := s.user(chat); other != nil {
			attrs["peer_recipient_"+otherForm(form)] = party{other, 0}.other(form)
		}
	case !own:
		attrs["sender_"+otherForm(form)] = from.other(form)
	}
	return element("message", attrs, s.withIdentity(n, content))
}

// otherForm names the form that an address is not in.
func otherForm(form string) string {
	if form == types.DefaultUserServer {
		return "lid"
	}
	return "pn"
}

// relayGroup delivers a message to the members of a group: each device gets the
// ciphertext of the group, and the sender key if the sender has sent it one.
func (s *Server) relayGroup(from party, n *waBinary.Node, to types.JID) waBinary.Attrs {
	g := s.groups[to.User]
	if g == nil {
		return waBinary.Attrs{"error": "404"}
	}
	if !g.has(from.phone) {
		return waBinary.Attrs{"error": "403"}
	}
	if who, ok := s.partyOf(address(n, "participant")); ok {
		s.give(who, s.grouped(from, n, to, encs(n)))
		return nil
	}
	keys := make(map[party][]waBinary.Node)
	participants := n.GetChildByTag("participants")
	for _, child := range participants.GetChildren() {
		if who, ok := s.partyOf(address(&child, "jid")); ok {
			keys[who] = encs(&child)
		}
	}
	shared := encs(n)
	for _, member := range g.members {
		for _, who := range member.parties() {
			if who != from {
				s.give(who, s.grouped(from, n, to, append(keys[who], shared...)))
			}
		}
	}
	return nil
}

// grouped makes the stanza that a device gets in a group.
func (s *Server) grouped(from party, n *waBinary.Node, group types.JID, content []waBinary.Node) waBinary.Node {
	attrs := s.messageAttrs(from, n)
	attrs["from"] = group
	attrs["participant"] = from.in(types.HiddenUserServer)
	attrs["participant_pn"] = from.phone.jid(0)
	attrs["addressing_mode"] = string(types.AddressingModeLID)
	return element("message", attrs, s.withIdentity(n, content))
}

// messageAttrs are the attributes of a message that do not depend on who gets it.
func (s *Server) messageAttrs(from party, n *waBinary.Node) waBinary.Attrs {
	attrs := waBinary.Attrs{"id": text(n, "id"), "t": unixNow(), "notify": from.phone.name}
	for _, name := range []string{"type", "edit", "category"} {
		if v := text(n, name); v != "" {
			attrs[name] = v
		}
	}
	return attrs
}

// encs returns the ciphertexts among a node's children.
func encs(n *waBinary.Node) []waBinary.Node { return n.GetChildrenByTag("enc") }

// withIdentity adds the sender's certificate where a session begins, and what
// clients read besides the ciphertexts.
func (s *Server) withIdentity(n *waBinary.Node, content []waBinary.Node) []waBinary.Node {
	content = slices.Clone(content)
	for _, enc := range content {
		if text(&enc, "type") == "pkmsg" {
			if identity, ok := n.GetOptionalChildByTag("device-identity"); ok {
				content = append(content, identity)
			}
			break
		}
	}
	return append(content, n.GetChildrenByTag("meta")...)
}

// missed tells the sender, by a hash of the device lists, that it does not know
// all devices; nil if it has reached all.
func (s *Server) missed(reached map[party]bool, form string, phones ...*phone) waBinary.Attrs {
	all := make(map[party]bool)
	for _, p := range phones {
		for _, who := range p.parties() {
			all[who] = true
		}
	}
	if maps.Equal(all, reached) {
		return nil
	}
	return waBinary.Attrs{"phash": deviceHash(slices.Collect(maps.Keys(all)), form)}
}

// parties are an account's phone and its linked devices.
func (p *phone) parties() []party {
	list := []party{{p, 0}}
	for _, d := range p.sorted() {
		list = append(list, party{p, d.id})
	}
	return list
}

// deviceHash is WhatsApp's hash of a list of devices.
func deviceHash(list []party, form string) string {
	names := make([]string, len(list))
	for i, who := range list {
		names[i] = who.in(form).ADString()
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, "")))
	return "2:" + base64.RawStdEncoding.EncodeToString(sum[:6])
}

// handleMessage takes a message of a device, and acknowledges it.
func (s *Server) handleMessage(c *conn, n *waBinary.Node) {
	attrs := s.relay(party{c.phone, c.device.id}, n)
	if s.takeFault(WithholdAck, c.phone.number) != nil {
		return
	}
	ack := waBinary.Attrs{"class": "message", "id": text(n, "id"), "from": address(n, "to"), "t": unixNow()}
	maps.Copy(ack, attrs)
	c.send(element("ack", ack, nil))
}
