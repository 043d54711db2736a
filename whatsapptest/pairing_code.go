package whatsapptest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// codeRounds are PBKDF2's rounds over a pairing code.
const codeRounds = 2 << 16

// displayName is what WhatsApp accepts as a client's name: Browser (OS).
var displayName = regexp.MustCompile(`^[\pL\d][\pL\d .]* \([\pL\d][\pL\d .]*\)$`)

// linkHello is a client's wish to be linked by a code that its user types into
// the phone.
type linkHello struct {
	number  string
	ref     string
	wrapped []byte // the client's ephemeral key under the code
	ours    *ecdh.PrivateKey
	theirs  []byte // the client's ephemeral key as the code opens it
}

// takeHello notes the wish.
func (s *Server) takeHello(c *conn, iq, hello *waBinary.Node) *waBinary.Node {
	number, err := cleanNumber(address(hello, "jid").User)
	wrapped := childBytes(hello, "link_code_pairing_wrapped_companion_ephemeral_pub")
	static := childBytes(hello, "companion_server_auth_key_pub")
	name := childBytes(hello, "companion_platform_display")
	if err != nil || len(wrapped) != 80 || string(static) != string(c.pairing.static[:]) || !displayName.Match(name) {
		return iqError(iq, 400, "bad-request")
	}
	if old := c.pairing.hello; old != nil && s.hellos[old.number] == c {
		delete(s.hellos, old.number)
	}
	raw := make([]byte, 24)
	rand.Read(raw)
	ref := base64.StdEncoding.EncodeToString(raw)
	c.pairing.hello = &linkHello{number: number, ref: ref, wrapped: wrapped}
	s.hellos[number] = c
	return result(iq, element("link_code_companion_reg", waBinary.Attrs{"stage": "companion_hello"},
		[]waBinary.Node{element("link_code_pairing_ref", nil, []byte(ref))}))
}

// Link has a phone's user type the pairing code that a client shows, with or
// without its dash, and returns when the client is linked, or has been asked
// for a passkey. If no connected client has asked for a code for this number,
// it is Error 404 no_code; if the client shows another one, Error 403 wrong_code.
func (s *Server) Link(ctx context.Context, number, code string) (Linked, error) {
	code = strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(code), "-", ""))
	if len(code) != 8 {
		return Linked{}, badRequest("bad_code", "a pairing code is 8 characters")
	}
	c, hello, err := s.helloFor(number)
	if err != nil {
		return Linked{}, err
	}
	// The key derivation takes long on purpose, so it is done outside the lock.
	notice, err := hello.open(code)
	if err != nil {
		return Linked{}, err
	}
	done, err := s.answerHello(c, hello, notice)
	if err != nil {
		return Linked{}, err
	}
	return s.await(ctx, done)
}

func (s *Server) helloFor(number string) (*conn, linkHello, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.phoneFor(number)
	if err != nil {
		return nil, linkHello{}, err
	}
	c := s.hellos[p.number]
	if c == nil {
		return nil, linkHello{}, notFound("no_code", "no connected client has asked for a pairing code for this number")
	}
	return c, *c.pairing.hello, nil
}

// open opens the client's ephemeral key with the code, and returns the phone's
// own under the same code: 32 bytes of salt, 16 of IV, and the key.
func (h *linkHello) open(code string) ([]byte, error) {
	theirs := make([]byte, 32)
	if err := underCode(code, h.wrapped[:32], h.wrapped[32:48], theirs, h.wrapped[48:]); err != nil {
		return nil, err
	}
	ours, err := privateKey(nil)
	if err != nil {
		return nil, err
	}
	h.ours, h.theirs = ours, theirs
	wrapped := make([]byte, 80)
	rand.Read(wrapped[:48])
	err = underCode(code, wrapped[:32], wrapped[32:48], wrapped[48:], ours.PublicKey().Bytes())
	return wrapped, err
}

// underCode encrypts or decrypts from into to.
func underCode(code string, salt, iv, to, from []byte) error {
	key, err := pbkdf2.Key(sha256.New, code, salt, codeRounds, 32)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	cipher.NewCTR(block, iv).XORKeyStream(to, from)
	return nil
}

// answerHello sends the client the phone's half.
func (s *Server) answerHello(c *conn, hello linkHello, wrapped []byte) (<-chan outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.pairing == nil || c.pairing.hello == nil || c.pairing.hello.ref != hello.ref {
		return nil, notFound("no_code", "the client has gone, or asked for another code")
	}
	p := s.phones[hello.number]
	done, err := s.claim(c, p)
	if err != nil {
		return nil, err
	}
	c.pairing.hello = &hello
	c.send(element("notification", waBinary.Attrs{
		"from": types.ServerJID, "id": s.newID(), "type": "link_code_companion_reg", "t": time.Now().Unix(),
	}, []waBinary.Node{element("link_code_companion_reg", waBinary.Attrs{"stage": "primary_hello"}, []waBinary.Node{
		element("link_code_pairing_wrapped_primary_ephemeral_pub", nil, wrapped),
		element("primary_identity_pub", nil, p.signal.identity.PublicKey().Bytes()),
		element("link_code_pairing_ref", nil, []byte(hello.ref)),
	})}))
	return done, nil
}

// takeFinish opens the client's keys, which it can only have sealed if it knows
// the code, and links it.
func (s *Server) takeFinish(c *conn, iq, finish *waBinary.Node) *waBinary.Node {
	pairing := c.pairing
	hello := pairing.hello
	if hello == nil || hello.ours == nil || pairing.phone == nil || pairing.device != nil ||
		string(childBytes(finish, "link_code_pairing_ref")) != hello.ref {
		return iqError(iq, 400, "bad-request")
	}
	advSecret, err := hello.finish(pairing, childBytes(finish, "link_code_pairing_wrapped_key_bundle"))
	if err != nil {
		pairing.unclaim(&Error{Status: 403, Code: "wrong_code", Message: "the client shows another pairing code"})
		return iqError(iq, 400, "bad-request")
	}
	c.send(*result(iq))
	s.proceed(c, advSecret)
	return nil
}

// finish returns the secret that the phone and the client now share. wrapped is
// 32 bytes of salt, 12 of nonce, and the keys of both and 32 random bytes.
func (h *linkHello) finish(p *pairing, wrapped []byte) ([]byte, error) {
	if len(wrapped) != 32+12+96+16 {
		return nil, badRequest("bad_bundle", "the client's keys have a wrong length")
	}
	shared, err := agree(h.ours, h.theirs)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, shared, wrapped[:32], "link_code_pairing_key_bundle_encryption_key", 32)
	if err != nil {
		return nil, err
	}
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	bundle, err := aead.Open(nil, wrapped[32:44], wrapped[44:], nil)
	if err != nil {
		return nil, err
	}
	account := p.phone.signal.identity
	if string(bundle[:32]) != string(p.identity[:]) || string(bundle[32:64]) != string(account.PublicKey().Bytes()) {
		return nil, badRequest("bad_bundle", "the client's keys are not its own")
	}
	identityShared, err := agree(account, p.identity[:])
	if err != nil {
		return nil, err
	}
	secret := append(append(append([]byte(nil), shared...), identityShared...), bundle[64:]...)
	return hkdf.Key(sha256.New, secret, nil, "adv_secret", 32)
}
