package whatsapptest

import (
	"encoding/binary"
	"errors"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/util/optional"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// fewPreKeys is how many one-time prekeys a device has left when the server
// asks it for more.
const fewPreKeys = 5

// errNoBundle says that a device's keys are not to be had.
var errNoBundle = errors.New("no key bundle")

// bundle is what a sender needs to begin a session with a device.
type bundle struct {
	registration uint32
	identity     [32]byte
	signed       signedPreKey
	oneID        []byte // of a one-time prekey; nil if there is none
	onePublic    []byte
}

// bundleOf returns a device's bundle, with a one-time prekey that nobody else
// gets. Device 0 is the phone.
func (s *Server) bundleOf(p *phone, id uint16) (*bundle, error) {
	if s.takeFault(NoBundle, p.number) != nil {
		return nil, errNoBundle
	}
	if id == 0 {
		return s.phoneBundle(p)
	}
	d := p.devices[id]
	if d == nil {
		return nil, errNoBundle
	}
	b := &bundle{registration: d.registration, identity: d.identity, signed: d.signed}
	if one, public, ok := d.preKeys.take(); ok {
		b.oneID, b.onePublic = one, public
		s.state.touch()
		if d.preKeys.count() < fewPreKeys {
			s.askPreKeys(d)
		}
	}
	return b, nil
}

// phoneBundle makes a phone's bundle, with a new one-time prekey.
func (s *Server) phoneBundle(p *phone) (*bundle, error) {
	one, err := privateKey(nil)
	if err != nil {
		return nil, err
	}
	signal := p.signal
	id := signal.nextPreKey
	signal.nextPreKey++
	signal.preKeys[id] = one
	s.state.touch()
	return &bundle{
		registration: signal.registration,
		identity:     [32]byte(signal.identity.PublicKey().Bytes()),
		signed: signedPreKey{
			ID: [3]byte{0, 0, 1}, Public: [32]byte(signal.signed.PublicKey().Bytes()), Signature: signal.signature(),
		},
		oneID:     []byte{byte(id >> 16), byte(id >> 8), byte(id)},
		onePublic: one.PublicKey().Bytes(),
	}, nil
}

// askPreKeys tells a device how few one-time prekeys are left.
func (s *Server) askPreKeys(d *device) {
	s.notify(d, types.ServerJID, "encrypt", element("count", waBinary.Attrs{"value": d.preKeys.count()}, nil))
}

// nodes writes the bundle; a retry receipt has it inside <keys>.
func (b *bundle) nodes() []waBinary.Node {
	list := []waBinary.Node{
		element("type", nil, []byte{ecc.DjbType}),
		element("identity", nil, b.identity[:]),
		b.signed.node(),
	}
	if b.oneID != nil {
		list = append(list, element("key", nil, []waBinary.Node{
			element("id", nil, b.oneID),
			element("value", nil, b.onePublic),
		}))
	}
	return list
}

func registrationNode(registration uint32) waBinary.Node {
	return element("registration", nil, binary.BigEndian.AppendUint32(nil, registration))
}

// parseBundle reads the bundle in a retry receipt; nil if there is none.
func parseBundle(receipt *waBinary.Node) *bundle {
	keys, ok := receipt.GetOptionalChildByTag("keys")
	registration := childBytes(receipt, "registration")
	identity := childBytes(&keys, "identity")
	signed, good := parseSignedPreKey(keys.GetChildByTag("skey"))
	if !ok || !good || len(registration) != 4 || len(identity) != 32 {
		return nil
	}
	b := &bundle{registration: binary.BigEndian.Uint32(registration), identity: [32]byte(identity), signed: signed}
	one := keys.GetChildByTag("key")
	if id, public := childBytes(&one, "id"), childBytes(&one, "value"); len(id) == 3 && len(public) == 32 {
		b.oneID, b.onePublic = id, public
	}
	return b
}

// signal is the bundle as libsignal wants it.
func (b *bundle) signal(device uint16) *prekey.Bundle {
	id := optional.NewEmptyUint32()
	var one ecc.ECPublicKeyable
	if b.oneID != nil {
		id = optional.NewOptionalUint32(number24(b.oneID))
		one = ecc.NewDjbECPublicKey([32]byte(b.onePublic))
	}
	return prekey.NewBundle(b.registration, uint32(device), id, number24(b.signed.ID[:]), one,
		ecc.NewDjbECPublicKey(b.signed.Public), b.signed.Signature,
		identity.NewKey(ecc.NewDjbECPublicKey(b.identity)))
}

func number24(id []byte) uint32 {
	return uint32(id[0])<<16 | uint32(id[1])<<8 | uint32(id[2])
}

// answerBundles answers a question for the bundles of devices.
func (s *Server) answerBundles(iq, key *waBinary.Node) *waBinary.Node {
	var list []waBinary.Node
	for _, user := range key.GetChildren() {
		jid := address(&user, "jid")
		answer := element("user", waBinary.Attrs{"jid": jid}, nil)
		b, err := s.bundleFor(jid)
		if err != nil {
			answer.Content = []waBinary.Node{element("error", waBinary.Attrs{"code": "404", "text": "item-not-found"}, nil)}
		} else {
			answer.Content = append([]waBinary.Node{registrationNode(b.registration)}, b.nodes()...)
		}
		list = append(list, answer)
	}
	return result(iq, element("list", nil, list))
}

func (s *Server) bundleFor(jid types.JID) (*bundle, error) {
	p := s.user(jid)
	if p == nil || p.absent {
		return nil, errNoBundle
	}
	return s.bundleOf(p, jid.Device)
}
