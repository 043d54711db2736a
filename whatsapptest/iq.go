package whatsapptest

import (
	"strconv"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// handle handles a stanza of a client, and keeps what it has changed.
func (s *Server) handle(c *conn, n *waBinary.Node) {
	s.dispatch(c, n)
	if err := s.keepNow(); err != nil {
		s.log.Error("the state cannot be kept", "error", err)
	}
}

func (s *Server) dispatch(c *conn, n *waBinary.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.stanzas++
	switch {
	case n.Tag == "iq":
		s.handleIQ(c, n)
	case c.device == nil:
	case n.Tag == "message":
		s.handleMessage(c, n)
	case n.Tag == "receipt":
		s.handleReceipt(c, n)
	case n.Tag == "ack":
		s.handleAck(c, n)
	case n.Tag == "chatstate":
		s.handleChatState(c, n)
	}
}

// handleIQ answers a question or takes an answer.
func (s *Server) handleIQ(c *conn, n *waBinary.Node) {
	switch text(n, "type") {
	case "get", "set":
	default:
		s.pairingAnswer(c, n)
		return
	}
	answer := s.answer(c, n)
	if answer != nil {
		c.send(*answer)
	}
}

// answer returns the answer to a question, nil if it has been given or will be
// later. What the server does not know gets an empty result: clients ask for
// many things that they can do without.
func (s *Server) answer(c *conn, n *waBinary.Node) *waBinary.Node {
	child := only(n)
	space := text(n, "xmlns")
	if space == "w:g2" && c.device != nil {
		return s.answerGroup(c, n, &child)
	}
	if c.device == nil {
		if space == "md" {
			return s.answerPairing(c, n, &child)
		}
		return result(n)
	}
	switch space + " " + child.Tag {
	case "encrypt count":
		count := element("count", waBinary.Attrs{"value": strconv.Itoa(c.device.preKeys.count())}, nil)
		return result(n, count)
	case "encrypt registration", "encrypt list":
		return s.uploadPreKeys(c, n)
	case "encrypt digest":
		return result(n, element("digest", nil, nil))
	case "encrypt key":
		return s.answerBundles(n, &child)
	case "usync usync":
		return s.answerUsync(c, n, &child)
	case "w:m media_conn":
		return result(n, mediaConn())
	case "w:profile:picture picture":
		return iqError(n, 404, "item-not-found")
	case "blocklist ":
		return result(n, element("list", waBinary.Attrs{"dhash": "none"}, nil))
	case "privacy privacy":
		return result(n, privacySettings())
	case "w:sync:app:state sync":
		return s.answerAppState(c, n, &child)
	case "passive active":
		c.send(*result(n))
		s.activate(c)
		return nil
	case "md remove-companion-device":
		return s.unlinkSelf(c, n)
	}
	return result(n)
}

// privacySettings say that everybody may see everything.
func privacySettings() waBinary.Node {
	var list []waBinary.Node
	for _, name := range []string{"readreceipts", "last", "status", "profile", "groupadd", "online", "calladd"} {
		list = append(list, element("category", waBinary.Attrs{"name": name, "value": "all"}, nil))
	}
	return element("privacy", nil, list)
}

// result answers a question.
func result(iq *waBinary.Node, children ...waBinary.Node) *waBinary.Node {
	n := element("iq", waBinary.Attrs{"from": types.ServerJID, "id": text(iq, "id"), "type": "result"}, nil)
	if len(children) > 0 {
		n.Content = children
	}
	return &n
}

// iqError refuses a question.
func iqError(iq *waBinary.Node, code int, reason string) *waBinary.Node {
	n := element("iq", waBinary.Attrs{"from": types.ServerJID, "id": text(iq, "id"), "type": "error"},
		[]waBinary.Node{element("error", waBinary.Attrs{"code": strconv.Itoa(code), "text": reason}, nil)})
	return &n
}
