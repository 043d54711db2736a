package whatsapptest

import (
	"strconv"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// handle handles a stanza of a client.
func (s *Server) handle(c *conn, n *waBinary.Node) {
	s.mu.Lock()
	s.stats.stanzas++
	switch n.Tag {
	case "iq":
		s.handleIQ(c, n)
	}
	s.mu.Unlock()
	if err := s.keepNow(); err != nil {
		s.log.Error("the state cannot be kept", "error", err)
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
	case "passive active":
		c.send(*result(n))
		s.activate(c)
		return nil
	case "md remove-companion-device":
		return s.unlinkSelf(c, n)
	}
	return result(n)
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
