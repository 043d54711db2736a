package whatsapptest

import (
	"context"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// linkTime is how long a phone waits for a client to finish being linked.
const linkTime = 15 * time.Second

// Linked is what came of a phone's attempt to link a client.
type Linked struct {
	// Device is the new device; nil if the client must prove itself first.
	Device *Device `json:"device,omitempty"`
	// Passkey says that the client has been asked for a passkey. It is linked
	// when it has answered.
	Passkey bool `json:"passkey,omitempty"`
}

// pairing is a connection's attempt to become a linked device. Guarded by Server.mu.
type pairing struct {
	static       [32]byte // the client's Noise key
	identity     [32]byte
	registration uint32
	signed       signedPreKey
	refs         []string // of its QR codes
	hello        *linkHello
	passkey      *passkeyLink

	phone  *phone         // who links it, from then on
	device *device        // what it becomes
	iq     string         // the id of the pair-success that it must confirm
	done   chan<- outcome // gets the outcome, once
}

// outcome is what came of a phone's attempt.
type outcome struct {
	linked Linked
	err    error
}

// beginPairing takes a client that is no device yet and gives it its codes.
func (s *Server) beginPairing(c *conn, who *hello) {
	if f := s.takeFault(Failure, ""); f != nil {
		c.sendLast(failure(f.Code, f.Expire), goodbye)
		return
	}
	data := who.payload.GetDevicePairingData()
	if len(data.GetEIdent()) != 32 || len(data.GetERegid()) != 4 || len(data.GetESkeyID()) != 3 ||
		len(data.GetESkeyVal()) != 32 || len(data.GetESkeySig()) != 64 {
		c.sendLast(failure(400, 0), goodbye)
		return
	}
	reg := data.GetERegid()
	c.pairing = &pairing{
		static:       who.static,
		identity:     [32]byte(data.GetEIdent()),
		registration: uint32(reg[0])<<24 | uint32(reg[1])<<16 | uint32(reg[2])<<8 | uint32(reg[3]),
		signed: signedPreKey{
			ID:        [3]byte(data.GetESkeyID()),
			Public:    [32]byte(data.GetESkeyVal()),
			Signature: [64]byte(data.GetESkeySig()),
		},
	}
	c.timer = time.AfterFunc(s.opts.PairingTime, func() { c.sendLast(nil, goodbye) })
	s.sendRefs(c)
}

// endPairing forgets a connection's attempt.
func (s *Server) endPairing(c *conn) {
	p := c.pairing
	for _, ref := range p.refs {
		delete(s.refs, ref)
	}
	if p.hello != nil && s.hellos[p.hello.number] == c {
		delete(s.hellos, p.hello.number)
	}
	p.finish(Linked{}, badGateway("client_gone", "the client closed its connection before it was linked"))
	c.pairing = nil
}

// claim makes p the phone that links the client, and returns where the outcome
// will come.
func (s *Server) claim(c *conn, p *phone) (<-chan outcome, error) {
	if c.pairing.phone != nil {
		return nil, conflict("linking", "the client is being linked already")
	}
	c.pairing.phone = p
	done := make(chan outcome, 1)
	c.pairing.done = done
	return done, nil
}

// unclaim ends an attempt that has failed on the phone's side; the client may
// be linked by another one.
func (p *pairing) unclaim(err error) {
	p.finish(Linked{}, err)
	p.phone, p.device, p.passkey = nil, nil, nil
}

func (p *pairing) finish(linked Linked, err error) {
	if p.done != nil {
		p.done <- outcome{linked, err}
		p.done = nil
	}
}

// await waits for the outcome of an attempt.
func (s *Server) await(ctx context.Context, done <-chan outcome) (Linked, error) {
	timer := time.NewTimer(linkTime)
	defer timer.Stop()
	select {
	case o := <-done:
		if o.err != nil {
			return Linked{}, o.err
		}
		return o.linked, s.keepNow()
	case <-timer.C:
		return Linked{}, &Error{Status: http.StatusGatewayTimeout, Code: "no_answer", Message: "the client does not answer"}
	case <-ctx.Done():
		return Linked{}, ctx.Err()
	case <-s.closing:
		return Linked{}, http.ErrServerClosed
	}
}

// succeed is the phone's half of linking: it certifies the client's identity
// key as a device of its account, under the secret that the client has shown.
func (s *Server) succeed(c *conn, advSecret []byte) {
	pairing := c.pairing
	p := pairing.phone
	id, err := p.freeDevice()
	if err != nil {
		pairing.unclaim(err)
		return
	}
	p.keyIndex++
	p.lastDevice = id
	pairing.device = &device{
		phone:        p,
		id:           id,
		noise:        pairing.static,
		identity:     pairing.identity,
		registration: pairing.registration,
		signed:       pairing.signed,
		keyIndex:     p.keyIndex,
		platform:     "android",
		linkedAt:     time.Now().UTC().Truncate(time.Second),
	}
	certified, err := certify(p.signal.identity, p.keyIndex, pairing.identity, advSecret)
	if err != nil {
		pairing.unclaim(err)
		return
	}
	pairing.iq = s.newID()
	c.send(element("iq", waBinary.Attrs{
		"from": types.ServerJID, "id": pairing.iq, "type": "set", "xmlns": "md", "t": time.Now().Unix(),
	}, []waBinary.Node{element("pair-success", nil, []waBinary.Node{
		element("device-identity", nil, certified),
		element("device", waBinary.Attrs{"jid": p.jid(id), "lid": p.lidJID(id)}, nil),
		element("platform", waBinary.Attrs{"name": "android"}, nil),
	})}))
}

// certify returns a marshalled ADVSignedDeviceIdentityHMAC.
func certify(account *ecdh.PrivateKey, keyIndex uint32, companion [32]byte, advSecret []byte) ([]byte, error) {
	details, err := proto.Marshal(&waAdv.ADVDeviceIdentity{
		RawID:     proto.Uint32(keyIndex),
		Timestamp: proto.Uint64(uint64(time.Now().Unix())),
		KeyIndex:  proto.Uint32(keyIndex),
	})
	if err != nil {
		return nil, err
	}
	message := append(append([]byte{6, 0}, details...), companion[:]...)
	signature := sign(account, message)
	identity, err := proto.Marshal(&waAdv.ADVSignedDeviceIdentity{
		Details:             details,
		AccountSignatureKey: account.PublicKey().Bytes(),
		AccountSignature:    signature[:],
	})
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, advSecret)
	mac.Write(identity)
	return proto.Marshal(&waAdv.ADVSignedDeviceIdentityHMAC{Details: identity, HMAC: mac.Sum(nil)})
}

// pairingAnswer takes the client's answer to pair-success: it is a device now,
// and must come back as one.
func (s *Server) pairingAnswer(c *conn, n *waBinary.Node) {
	pairing := c.pairing
	if pairing == nil || pairing.device == nil || text(n, "id") != pairing.iq {
		return
	}
	if text(n, "type") != "result" {
		reason := n.GetChildByTag("error")
		pairing.unclaim(badGateway("client_refused", "the client refuses to be linked: %s", text(&reason, "text")))
		return
	}
	if _, ok := n.GetOptionalChildByTag("pair-device-sign", "device-identity"); !ok {
		pairing.unclaim(badGateway("client_refused", "the client's answer lacks its signature"))
		return
	}
	p := pairing.phone
	p.devices[pairing.device.id] = pairing.device
	c.phone = p
	s.state.touch()
	s.devicesChanged(p, "add", pairing.device.id)
	device := pairing.device.public()
	pairing.finish(Linked{Device: &device}, nil)
	s.endPairing(c)

	switch {
	case s.takeFault(Drop, p.number) != nil:
		c.sendLast(nil, cut)
	default:
		code := 515
		if f := s.takeFault(StreamError, p.number); f != nil {
			code = f.Code
		}
		c.endStream(code)
	}
}

// answerPairing answers a client that is being linked.
func (s *Server) answerPairing(c *conn, n, child *waBinary.Node) *waBinary.Node {
	if c.pairing == nil {
		return result(n)
	}
	switch child.Tag {
	case "link_code_companion_reg":
		switch text(child, "stage") {
		case "companion_hello":
			return s.takeHello(c, n, child)
		case "companion_finish":
			return s.takeFinish(c, n, child)
		}
		return iqError(n, 400, "bad-request")
	case "ref", "passkey_request_options", "passkey_prologue", "companion_nonce", "encrypted_pairing_request":
		return s.answerPasskey(c, n, child)
	}
	return result(n)
}

// newID returns an id for a stanza of the server.
func (s *Server) newID() string {
	s.ids++
	return strconv.FormatUint(s.ids, 10)
}
