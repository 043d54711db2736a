package whatsapptest

import (
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// element makes a node.
func element(tag string, attrs waBinary.Attrs, content any) waBinary.Node {
	return waBinary.Node{Tag: tag, Attrs: attrs, Content: content}
}

// text returns an attribute as a string: clients may send a JID where a string
// is meant and the other way round.
func text(n *waBinary.Node, name string) string {
	switch v := n.Attrs[name].(type) {
	case string:
		return v
	case types.JID:
		return v.String()
	}
	return ""
}

// address returns an attribute as a JID; the empty one if it is none.
func address(n *waBinary.Node, name string) types.JID {
	switch v := n.Attrs[name].(type) {
	case types.JID:
		return v
	case string:
		if v == "" {
			return types.EmptyJID
		}
		if jid, err := types.ParseJID(v); err == nil {
			return jid
		}
	}
	return types.EmptyJID
}

// bytesOf returns a node's content. Short contents that are words of the
// binary dictionary arrive as strings.
func bytesOf(n waBinary.Node) []byte {
	switch v := n.Content.(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return nil
}

// childBytes returns the content of the first child with the tag.
func childBytes(n *waBinary.Node, tag string) []byte {
	return bytesOf(n.GetChildByTag(tag))
}

// only returns the first child that is an element; stanzas nearly always have one.
func only(n *waBinary.Node) waBinary.Node {
	if children := n.GetChildren(); len(children) > 0 {
		return children[0]
	}
	return waBinary.Node{}
}
