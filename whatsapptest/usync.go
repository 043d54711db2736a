package whatsapptest

import (
	"strconv"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// answerUsync answers questions about accounts: whether they are on WhatsApp,
// their LIDs and their devices. Every number is on WhatsApp that has not been
// taken off; those that begin with 999, a country code that no country has,
// are off from the beginning.
func (s *Server) answerUsync(c *conn, iq, usync *waBinary.Node) *waBinary.Node {
	query := usync.GetChildByTag("query")
	asked := usync.GetChildByTag("list")
	var list []waBinary.Node
	for _, user := range asked.GetChildren() {
		if answer, ok := s.answerUser(c, &query, &user); ok {
			list = append(list, answer)
		}
	}
	return result(iq, element("usync", waBinary.Attrs{
		"context": text(usync, "context"), "index": "0", "last": "true", "mode": text(usync, "mode"), "sid": text(usync, "sid"),
	}, []waBinary.Node{element("result", nil, nil), element("list", nil, list)}))
}

// answerUser answers about one account, asked for by JID or by number.
func (s *Server) answerUser(c *conn, query, user *waBinary.Node) (waBinary.Node, bool) {
	jid := address(user, "jid")
	contact, byNumber := user.GetOptionalChildByTag("contact")
	asked := string(bytesOf(contact))
	if byNumber && jid.IsEmpty() {
		number, _, _ := strings.Cut(asked, "@")
		jid = types.NewJID(strings.TrimPrefix(number, "+"), types.DefaultUserServer)
	}
	p := s.someone(jid)
	attrs := waBinary.Attrs{"jid": jid}
	wants, byLID := query.GetOptionalChildByTag("contact")
	if byNumber && byLID && text(&wants, "addressing_mode") == "lid" {
		attrs = waBinary.Attrs{"pn_jid": jid}
		if p != nil {
			attrs["jid"] = p.lidJID(0)
		}
	}
	var content []waBinary.Node
	for _, wanted := range query.GetChildren() {
		switch {
		case wanted.Tag == "contact":
			kind := "in"
			if p == nil {
				kind = "out"
			}
			content = append(content, element("contact", waBinary.Attrs{"type": kind}, []byte(asked)))
		case p == nil:
		case wanted.Tag == "lid":
			content = append(content, element("lid", waBinary.Attrs{"val": p.lidJID(0)}, nil))
		case wanted.Tag == "devices":
			p.watch(c.device, jid.Server)
			s.state.touch()
			content = append(content, p.deviceList())
		}
	}
	if p == nil && len(content) == 0 {
		return waBinary.Node{}, false
	}
	return element("user", attrs, content), true
}

// someone returns the account of a JID, nil if it is not on WhatsApp. A number
// that nobody has spoken of yet is somebody's.
func (s *Server) someone(jid types.JID) *phone {
	p := s.user(jid)
	if p == nil && jid.Server == types.DefaultUserServer {
		p, _ = s.phoneFor(jid.User)
	}
	if p == nil || p.absent {
		return nil
	}
	return p
}

// deviceList lists an account's devices.
func (p *phone) deviceList() waBinary.Node {
	list := []waBinary.Node{element("device", waBinary.Attrs{"id": "0"}, nil)}
	for _, d := range p.sorted() {
		list = append(list, element("device", waBinary.Attrs{
			"id": strconv.Itoa(int(d.id)), "key-index": strconv.FormatUint(uint64(d.keyIndex), 10),
		}, nil))
	}
	return element("devices", nil, []waBinary.Node{element("device-list", nil, list)})
}

// watcher is a device that has asked for an account's device list.
type watcher struct {
	device *device
	form   string // of the JIDs that it asked with
}

// watch notes who must hear of changes.
func (p *phone) watch(d *device, form string) {
	if p.watchers == nil {
		p.watchers = make(map[watcher]bool)
	}
	p.watchers[watcher{d, form}] = true
}

// devicesChanged tells those who know an account's device list what has become
// of one device.
func (s *Server) devicesChanged(p *phone, change string, id uint16) {
	for w := range p.watchers {
		if w.device.phone.devices[w.device.id] != w.device {
			delete(p.watchers, w)
			continue
		}
		if w.device.phone == p {
			s.tellOwnDevices(p, w)
			continue
		}
		s.notify(w.device, party{p, 0}.in(w.form), "devices", element(change, waBinary.Attrs{
			"device_hash": deviceHash(p.parties(), w.form),
		}, []waBinary.Node{element("device", waBinary.Attrs{"jid": party{p, id}.in(w.form)}, nil)}))
	}
	for _, g := range s.groups {
		g.forgets(party{p, id})
	}
}

// tellOwnDevices sends a device the list of its own account.
func (s *Server) tellOwnDevices(p *phone, w watcher) {
	var list []waBinary.Node
	for _, who := range p.parties() {
		list = append(list, element("device", waBinary.Attrs{"jid": who.in(w.form)}, nil))
	}
	s.notify(w.device, party{p, 0}.in(w.form), "account_sync", element("devices", waBinary.Attrs{
		"dhash": deviceHash(p.parties(), w.form),
	}, list))
}
