package whatsapptest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// group is a group of accounts. Guarded by Server.mu.
type group struct {
	id      string // the user part of its JID
	subject string
	members []*phone // the first is its owner
	created int64    // Unix seconds
	// keys are the devices that have a phone's sender key, as number/device.
	keys map[string]map[string]bool
}

func (g *group) jid() types.JID { return types.NewJID(g.id, types.GroupServer) }

func (g *group) has(p *phone) bool { return slices.Contains(g.members, p) }

// knows says whether a device has the sender key of p.
func (g *group) knows(p *phone, who party) bool {
	return g.keys[p.number][who.key()]
}

func (g *group) learns(p *phone, who party) {
	if g.keys[p.number] == nil {
		g.keys[p.number] = make(map[string]bool)
	}
	g.keys[p.number][who.key()] = true
}

// forgets makes phones distribute their sender keys to a device again.
func (g *group) forgets(who party) {
	for _, known := range g.keys {
		delete(known, who.key())
	}
}

func (p party) key() string { return p.phone.number + "/" + strconv.Itoa(int(p.id)) }

// CreateGroup makes a group and returns its id. The first member is its owner.
func (s *Server) CreateGroup(subject string, members ...string) (string, error) {
	s.mu.Lock()
	g, err := s.createGroup(subject, members)
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	return g.jid().String(), s.keepNow()
}

func (s *Server) createGroup(subject string, members []string) (*group, error) {
	if len(members) == 0 {
		return nil, badRequest("no_members", "a group has members")
	}
	g := &group{subject: subject, created: unixNow(), keys: make(map[string]map[string]bool)}
	for _, number := range members {
		p, err := s.phoneFor(number)
		if err != nil {
			return nil, err
		}
		if !g.has(p) {
			g.members = append(g.members, p)
		}
	}
	g.id = fmt.Sprintf("120363%012d", len(s.groups)+1)
	s.groups[g.id] = g
	s.state.touch()
	return g, nil
}

// groupFor returns the group that a message goes to: by id, or by a name that
// makes it.
func (s *Server) groupFor(p *phone, out Outgoing) (*group, error) {
	name := out.Group
	if name == "" {
		name = out.To
	}
	if id, ok := strings.CutSuffix(name, "@"+types.GroupServer); ok {
		g := s.groups[id]
		if g == nil {
			return nil, notFound("no_group", "there is no such group")
		}
		if !g.has(p) {
			return nil, conflict("no_member", "the phone is no member of the group")
		}
		return g, nil
	}
	for _, g := range s.groups {
		if g.subject == name && g.has(p) {
			return g, s.invite(g, out.To)
		}
	}
	members := []string{p.number}
	if out.To != "" {
		members = append(members, out.To)
	}
	return s.createGroup(name, members)
}

// invite makes the phone of a number a member, if there is a number.
func (s *Server) invite(g *group, number string) error {
	if number == "" {
		return nil
	}
	p, err := s.phoneFor(number)
	if err == nil && !g.has(p) {
		g.members = append(g.members, p)
	}
	return err
}

// answerGroup answers a question about a group.
func (s *Server) answerGroup(c *conn, iq, child *waBinary.Node) *waBinary.Node {
	g := s.groups[address(iq, "to").User]
	switch {
	case child.Tag == "participating":
		var list []waBinary.Node
		for _, g := range s.groups {
			if g.has(c.phone) {
				list = append(list, g.node())
			}
		}
		return result(iq, element("groups", nil, list))
	case g == nil:
		return iqError(iq, 404, "item-not-found")
	case !g.has(c.phone):
		return iqError(iq, 403, "forbidden")
	case child.Tag == "query":
		return result(iq, g.node())
	}
	return result(iq)
}

// node describes a group.
func (g *group) node() waBinary.Node {
	owner := g.members[0]
	content := make([]waBinary.Node, len(g.members))
	for i, p := range g.members {
		attrs := waBinary.Attrs{"jid": p.lidJID(0), "phone_number": p.jid(0)}
		if i == 0 {
			attrs["type"] = "superadmin"
		}
		content[i] = element("participant", attrs, nil)
	}
	return element("group", waBinary.Attrs{
		"id": g.id, "subject": g.subject, "creation": g.created, "creator": owner.lidJID(0), "creator_pn": owner.jid(0),
		"s_t": g.created, "s_o": owner.lidJID(0), "size": len(g.members), "addressing_mode": string(types.AddressingModeLID),
	}, content)
}
