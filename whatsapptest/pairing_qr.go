package whatsapptest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// sendRefs gives a client what its QR codes are made of, all at once. A ref is
// good for as long as the connection that it was given to.
func (s *Server) sendRefs(c *conn) {
	refs := make([]waBinary.Node, s.opts.QRCodes)
	for i := range refs {
		raw := make([]byte, 48)
		rand.Read(raw)
		ref := "2@" + base64.StdEncoding.EncodeToString(raw)
		c.pairing.refs = append(c.pairing.refs, ref)
		s.refs[ref] = c
		refs[i] = element("ref", nil, []byte(ref))
	}
	s.stats.qrs++
	c.send(element("iq", waBinary.Attrs{
		"from": types.ServerJID, "id": s.newID(), "type": "set", "xmlns": "md",
	}, []waBinary.Node{element("pair-device", nil, refs)}))
}

// qrCode is what a QR code says: the ref, then three keys in base64.
type qrCode struct {
	ref                         string
	static, identity, advSecret []byte
}

// parseQR reads a code with or without the URL that newer clients put before it.
func parseQR(qr string) (*qrCode, error) {
	if at := strings.LastIndexByte(qr, '#'); at >= 0 {
		qr = qr[at+1:]
	}
	parts := strings.Split(strings.TrimSpace(qr), ",")
	if len(parts) < 4 {
		return nil, badRequest("bad_qr", "this is no code for linking a device: it has %d parts, not 4 or 5", len(parts))
	}
	code := &qrCode{ref: parts[0]}
	for i, into := range []*[]byte{&code.static, &code.identity, &code.advSecret} {
		key, err := base64.StdEncoding.DecodeString(parts[i+1])
		if err != nil || len(key) != 32 {
			return nil, badRequest("bad_qr", "part %d of the code is no key", i+2)
		}
		*into = key
	}
	return code, nil
}

// Scan has a phone scan the QR code that a client shows, in the old or the new
// form, and returns when the client is linked, or has been asked for a passkey.
// Codes that no connected client shows are Error 404 unknown_qr.
func (s *Server) Scan(ctx context.Context, number, qr string) (Linked, error) {
	code, err := parseQR(qr)
	if err != nil {
		return Linked{}, err
	}
	done, err := s.scan(number, code)
	if err != nil {
		return Linked{}, err
	}
	return s.await(ctx, done)
}

func (s *Server) scan(number string, code *qrCode) (<-chan outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.phoneFor(number)
	if err != nil {
		return nil, err
	}
	c := s.refs[code.ref]
	if c == nil {
		return nil, notFound("unknown_qr", "no connected client shows this code: it is used, too old, or of another server")
	}
	if string(code.static) != string(c.pairing.static[:]) || string(code.identity) != string(c.pairing.identity[:]) {
		return nil, badRequest("bad_qr", "the keys in the code are not the client's")
	}
	done, err := s.claim(c, p)
	if err != nil {
		return nil, err
	}
	s.proceed(c, code.advSecret)
	return done, nil
}

// proceed links the client, or asks it for a passkey first.
func (s *Server) proceed(c *conn, advSecret []byte) {
	if c.pairing.phone.passkey != nil {
		s.askPasskey(c, advSecret)
		return
	}
	s.succeed(c, advSecret)
}
