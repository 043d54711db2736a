package whatsapptest

import (
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// ChatState is what a phone has seen somebody do in a chat.
type ChatState struct {
	From  string    `json:"from"`
	Group string    `json:"group,omitempty"`
	State string    `json:"state"` // composing, recording or paused
	At    time.Time `json:"at"`
}

// chatStatesKept is how many of them a phone remembers.
const chatStatesKept = 100

// handleChatState brings a device's chat state to those who are there to see it.
func (s *Server) handleChatState(c *conn, n *waBinary.Node) {
	to := address(n, "to")
	from := party{c.phone, c.device.id}
	attrs := waBinary.Attrs{"from": from.in(to.Server)}
	var receivers []*phone
	if g := s.groups[to.User]; to.Server == types.GroupServer && g != nil && g.has(c.phone) {
		attrs = waBinary.Attrs{"from": to, "participant": from.in(types.HiddenUserServer)}
		receivers = g.members
	} else if p := s.user(to); p != nil {
		receivers = []*phone{p}
	}
	for _, p := range receivers {
		if p == c.phone {
			continue
		}
		node := element("chatstate", attrs, n.Content)
		if p.online {
			s.takeChatState(p, &node)
		}
		for _, d := range p.devices {
			if d.conn != nil && d.conn.active {
				d.conn.send(node)
			}
		}
	}
}

// takeChatState is a phone's seeing of a chat state.
func (s *Server) takeChatState(p *phone, n *waBinary.Node) {
	state := ChatState{At: timeNow()}
	from := address(n, "from")
	if from.Server == types.GroupServer {
		state.Group, from = from.String(), address(n, "participant")
	}
	who := s.user(from)
	if who == nil {
		return
	}
	state.From = who.number
	child := only(n)
	state.State = child.Tag
	if text(&child, "media") == "audio" {
		state.State = "recording"
	}
	p.chatStates = append(p.chatStates, state)
	if over := len(p.chatStates) - chatStatesKept; over > 0 {
		p.chatStates = p.chatStates[over:]
	}
}

// ChatStates lists what a phone has last seen others do, oldest first.
func (s *Server) ChatStates(number string) ([]ChatState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.phoneFor(number)
	if err != nil {
		return nil, err
	}
	return append([]ChatState{}, p.chatStates...), nil
}
