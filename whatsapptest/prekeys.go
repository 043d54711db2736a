package whatsapptest

import (
	"bytes"

	waBinary "go.mau.fi/whatsmeow/binary"
)

// preKeySize is the id, 3 bytes, and the public key, 32.
const preKeySize = 35

// preKeys are the one-time prekeys that a device has uploaded and nobody has
// fetched, oldest first, in one piece: there are hundreds per device.
type preKeys []byte

func (k preKeys) count() int { return len(k) / preKeySize }

// put adds a key, in place of one with the same id.
func (k *preKeys) put(id, public []byte) {
	for at := 0; at < len(*k); at += preKeySize {
		if bytes.Equal((*k)[at:at+3], id) {
			copy((*k)[at+3:at+preKeySize], public)
			return
		}
	}
	*k = append(append(*k, id...), public...)
}

// take removes the oldest key; false if there is none.
func (k *preKeys) take() (id, public []byte, ok bool) {
	if len(*k) == 0 {
		return nil, nil, false
	}
	id, public = bytes.Clone((*k)[:3]), bytes.Clone((*k)[3:preKeySize])
	*k = (*k)[preKeySize:]
	return id, public, true
}

// signedPreKey is a device's signed prekey.
type signedPreKey struct {
	ID        [3]byte
	Public    [32]byte
	Signature [64]byte
}

func (k signedPreKey) node() waBinary.Node {
	return element("skey", nil, []waBinary.Node{
		element("id", nil, k.ID[:]),
		element("value", nil, k.Public[:]),
		element("signature", nil, k.Signature[:]),
	})
}

// parseSignedPreKey reads an <skey>; false if it is not one.
func parseSignedPreKey(n waBinary.Node) (k signedPreKey, ok bool) {
	id, public, signature := childBytes(&n, "id"), childBytes(&n, "value"), childBytes(&n, "signature")
	if len(id) != 3 || len(public) != 32 || len(signature) != 64 {
		return k, false
	}
	return signedPreKey{ID: [3]byte(id), Public: [32]byte(public), Signature: [64]byte(signature)}, true
}

// upload takes the prekeys that a device offers.
func (s *Server) uploadPreKeys(c *conn, iq *waBinary.Node) *waBinary.Node {
	signed, ok := parseSignedPreKey(iq.GetChildByTag("skey"))
	identity := childBytes(iq, "identity")
	list := iq.GetChildByTag("list")
	if !ok || len(identity) != 32 {
		return iqError(iq, 406, "not-acceptable")
	}
	d := c.device
	if !bytes.Equal(identity, d.identity[:]) {
		return iqError(iq, 409, "conflict")
	}
	for _, key := range list.GetChildren() {
		id, public := childBytes(&key, "id"), childBytes(&key, "value")
		if key.Tag != "key" || len(id) != 3 || len(public) != 32 {
			return iqError(iq, 406, "not-acceptable")
		}
		d.preKeys.put(id, public)
	}
	d.signed = signed
	s.state.touch()
	return result(iq)
}
