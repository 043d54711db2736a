package whatsapptest

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// codeAlphabet writes the codes that people compare or type.
var codeAlphabet = base32.NewEncoding("123456789ABCDEFGHJKLMNPQRSTVWXYZ")

// passkeyLink is the linking of a client that must show a passkey: it answers
// the challenge, phone and client agree on a key of which both show a code, and
// the client sends its keys under it.
type passkeyLink struct {
	challenge []byte
	handoff   []byte // proves that the client is the one whose code was scanned
	ref       string

	ident      []byte // the client's marshalled CompanionEphemeralIdentity
	companion  *waCompanionReg.CompanionEphemeralIdentity
	commitment []byte // the hash of ident and a nonce, which comes later
	ours       *ecdh.PrivateKey
	nonce      []byte
	code       string // what both show
}

// askPasskey asks the client for the passkey of the account.
func (s *Server) askPasskey(c *conn, advSecret []byte) {
	handoff, err := hkdf.Key(sha256.New, advSecret, nil, "shortcake-passkey-handoff-v1", 32)
	if err != nil {
		c.pairing.unclaim(err)
		return
	}
	challenge, ref := make([]byte, 32), make([]byte, 24)
	rand.Read(challenge)
	rand.Read(ref)
	c.pairing.passkey = &passkeyLink{
		challenge: challenge,
		handoff:   handoff,
		ref:       base64.StdEncoding.EncodeToString(ref),
	}
	options, err := json.Marshal(c.pairing.phone.passkey.options(challenge))
	if err != nil {
		c.pairing.unclaim(err)
		return
	}
	c.send(element("notification", waBinary.Attrs{
		"from": types.ServerJID, "id": s.newID(), "type": "passkey_prologue_request", "t": time.Now().Unix(),
	}, []waBinary.Node{element("passkey_request_options", nil, options)}))
	c.pairing.finish(Linked{Passkey: true}, nil)
}

// answerPasskey takes the client's steps.
func (s *Server) answerPasskey(c *conn, iq, step *waBinary.Node) *waBinary.Node {
	link := c.pairing.passkey
	if link == nil {
		return iqError(iq, http.StatusNotFound, "item-not-found")
	}
	var err error
	switch step.Tag {
	case "ref":
		return result(iq, element("ref", nil, []byte(link.ref)))
	case "passkey_request_options":
		options, err := json.Marshal(c.pairing.phone.passkey.options(link.challenge))
		if err != nil {
			return iqError(iq, http.StatusInternalServerError, "internal-server-error")
		}
		return result(iq, element("passkey_request_options", nil, options))
	case "passkey_prologue":
		err = s.takePrologue(c, iq, step)
	case "companion_nonce":
		err = link.takeNonce(bytesOf(*step))
		if err == nil {
			c.send(*result(iq))
		}
	case "encrypted_pairing_request":
		err = s.takeRequest(c, iq, step)
	}
	if err != nil {
		s.log.Debug("a passkey step is refused", "step", step.Tag, "error", err)
		return iqError(iq, http.StatusUnauthorized, "not-authorized")
	}
	return nil
}

// takePrologue checks the passkey's answer and the client's ephemeral key, and
// answers with the phone's.
func (s *Server) takePrologue(c *conn, iq, step *waBinary.Node) error {
	link, key := c.pairing.passkey, c.pairing.phone.passkey
	if string(childBytes(step, "credential_id")) != string(key.id) {
		return errors.New("another credential")
	}
	if err := key.check(link.challenge, childBytes(step, "webauthn_assertion")); err != nil {
		return err
	}
	raw := childBytes(step, "prologue_payload")
	if proof := childBytes(step, "pairing_handoff_proof"); len(proof) > 0 {
		mac := hmac.New(sha256.New, link.handoff)
		mac.Write(raw)
		if !hmac.Equal(proof, mac.Sum(nil)) {
			return errors.New("the client is not the one whose code was scanned")
		}
	}
	var prologue waCompanionReg.ProloguePayload
	companion := new(waCompanionReg.CompanionEphemeralIdentity)
	if err := proto.Unmarshal(raw, &prologue); err != nil {
		return err
	}
	if err := proto.Unmarshal(prologue.GetCompanionEphemeralIdentity(), companion); err != nil {
		return err
	}
	commitment := prologue.GetCommitment().GetHash()
	if len(companion.GetPublicKey()) != 32 || len(commitment) != 32 || companion.GetRef() != link.ref {
		return errors.New("the prologue is of another linking")
	}
	ours, err := privateKey(nil)
	if err != nil {
		return err
	}
	link.ident, link.companion, link.commitment = prologue.GetCompanionEphemeralIdentity(), companion, commitment
	link.ours, link.nonce = ours, make([]byte, 32)
	rand.Read(link.nonce)
	primary, err := proto.Marshal(&waCompanionReg.PrimaryEphemeralIdentity{
		PublicKey: ours.PublicKey().Bytes(), Nonce: link.nonce,
	})
	if err != nil {
		return err
	}
	c.send(*result(iq))
	c.send(element("notification", waBinary.Attrs{
		"from": types.ServerJID, "id": s.newID(), "type": "crsc_continuation", "t": time.Now().Unix(),
	}, []waBinary.Node{element("primary_ephemeral_identity", nil, primary)}))
	return nil
}

// takeNonce checks that the nonce is the one that the client has committed
// itself to before it saw the phone's, and makes the code.
func (l *passkeyLink) takeNonce(nonce []byte) error {
	sum := sha256.Sum256(append(append([]byte(nil), l.ident...), nonce...))
	if l.ours == nil || string(sum[:]) != string(l.commitment) {
		return errors.New("the nonce is not the one that was committed")
	}
	digest := sha256.Sum256(append(append([]byte(nil), nonce...), l.ours.PublicKey().Bytes()...))
	code := make([]byte, 5)
	for i := range code {
		code[i] = l.nonce[i] ^ digest[i]
	}
	written := codeAlphabet.EncodeToString(code)
	l.code = written[:4] + "-" + written[4:]
	return nil
}

// takeRequest takes the client's keys, which it sends when its user has
// confirmed the code, and links it.
func (s *Server) takeRequest(c *conn, iq, step *waBinary.Node) error {
	link := c.pairing.passkey
	if link.code == "" || c.pairing.device != nil {
		return errors.New("out of turn")
	}
	var sealed waCompanionReg.EncryptedPairingRequest
	if err := proto.Unmarshal(bytesOf(*step), &sealed); err != nil {
		return err
	}
	shared, err := agree(link.ours, link.companion.GetPublicKey())
	if err != nil {
		return err
	}
	salt := fmt.Sprintf("Companion Pairing %d with ref %s", link.companion.GetDeviceType(), link.ref)
	key, err := hkdf.Key(sha256.New, shared, []byte(salt), "Pairing Information Encryption Key", 32)
	if err != nil {
		return err
	}
	aead, err := gcm(key)
	if err != nil {
		return err
	}
	if len(sealed.GetIV()) != aead.NonceSize() {
		return errors.New("a wrong nonce")
	}
	raw, err := aead.Open(nil, sealed.GetIV(), sealed.GetEncryptedPayload(), nil)
	if err != nil {
		return err
	}
	var request waCompanionReg.PairingRequest
	if err := proto.Unmarshal(raw, &request); err != nil {
		return err
	}
	if string(request.GetCompanionPublicKey()) != string(c.pairing.static[:]) ||
		string(request.GetCompanionIdentityKey()) != string(c.pairing.identity[:]) || len(request.GetAdvSecret()) != 32 {
		return errors.New("the keys are not the client's")
	}
	c.send(*result(iq))
	s.succeed(c, request.GetAdvSecret())
	return nil
}
