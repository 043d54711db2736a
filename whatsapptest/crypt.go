package whatsapptest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"

	"go.mau.fi/libsignal/groups"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/session"
	"go.mau.fi/libsignal/state/record"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// sessionChoice says which Signal session a phone writes on.
type sessionChoice string

const (
	currentSession  sessionChoice = ""
	newSession      sessionChoice = "new"      // one begun from a fresh bundle
	previousSession sessionChoice = "previous" // the one before the current one
)

// signalAddress names a device in a phone's Signal state: by LID, as all clients do.
func signalAddress(p *phone, device uint16) *protocol.SignalAddress {
	return p.lidJID(device).SignalAddress()
}

func (s *signalStore) cipher(address *protocol.SignalAddress) *session.Cipher {
	return session.NewCipher(s.builder(address), address)
}

func (s *signalStore) builder(address *protocol.SignalAddress) *session.Builder {
	return session.NewBuilderFromSignal(s, address, signalFormat)
}

// encrypt encrypts for a device of an account, and begins a session if there is
// none or a new one is wanted.
func (s *Server) encrypt(p, to *phone, device uint16, plaintext []byte, choice sessionChoice) (waBinary.Node, error) {
	address := signalAddress(to, device)
	if choice == newSession || p.signal.sessions[address.String()] == nil {
		b, err := s.bundleOf(to, device)
		if err != nil {
			return waBinary.Node{}, err
		}
		if err := p.signal.begin(address, b); err != nil {
			return waBinary.Node{}, err
		}
	}
	s.state.touch()
	if choice == previousSession {
		return p.signal.encryptPrevious(address, plaintext)
	}
	return p.signal.encrypt(address, plaintext)
}

// begin begins a session; an older one is kept for receiving.
func (s *signalStore) begin(address *protocol.SignalAddress, b *bundle) error {
	return s.builder(address).ProcessBundle(context.Background(), b.signal(uint16(address.DeviceID())))
}

// encrypt returns an <enc> on the current session.
func (s *signalStore) encrypt(address *protocol.SignalAddress, plaintext []byte) (waBinary.Node, error) {
	message, err := s.cipher(address).Encrypt(context.Background(), pad(plaintext))
	if err != nil {
		return waBinary.Node{}, err
	}
	kind := "msg"
	if message.Type() == protocol.PREKEY_TYPE {
		kind = "pkmsg"
	}
	return element("enc", waBinary.Attrs{"v": "2", "type": kind}, message.Serialize()), nil
}

// encryptPrevious returns an <enc> on the newest archived session and leaves
// the current one as it is.
func (s *signalStore) encryptPrevious(address *protocol.SignalAddress, plaintext []byte) (waBinary.Node, error) {
	now := s.sessions[address.String()]
	if len(now.PreviousStates) == 0 {
		return waBinary.Node{}, conflict("no_previous_session", "there is no session before the current one")
	}
	s.sessions[address.String()] = &record.SessionStructure{SessionState: now.PreviousStates[0]}
	enc, err := s.encrypt(address, plaintext)
	if err == nil {
		now.PreviousStates[0] = s.sessions[address.String()].SessionState
	}
	s.sessions[address.String()] = now
	return enc, err
}

// decrypt decrypts an <enc> of type msg or pkmsg.
func (s *signalStore) decrypt(address *protocol.SignalAddress, enc *waBinary.Node) ([]byte, error) {
	// A session that a prekey message begins anew is repaired against the old one too.
	s.loaded = s.sessions[address.String()]
	defer func() { s.loaded = nil }()
	ctx := context.Background()
	switch text(enc, "type") {
	case "msg":
		message, err := protocol.NewSignalMessageFromBytes(bytesOf(*enc), signalFormat.SignalMessage)
		if err != nil {
			return nil, err
		}
		return unpad(s.cipher(address).Decrypt(ctx, message))
	case "pkmsg":
		message, err := protocol.NewPreKeySignalMessageFromBytes(bytesOf(*enc), signalFormat.PreKeySignalMessage, signalFormat.SignalMessage)
		if err != nil {
			return nil, err
		}
		return unpad(s.cipher(address).DecryptMessage(ctx, message))
	}
	return nil, errors.New("an unknown type of ciphertext")
}

// senderKey names a device's sender key in a group.
func senderKey(group types.JID, p *phone, device uint16) *protocol.SenderKeyName {
	return protocol.NewSenderKeyName(group.String(), signalAddress(p, device))
}

// encryptGroup returns an <enc> for a group, and the distribution message that
// lets the members read it and what follows.
func (s *signalStore) encryptGroup(name *protocol.SenderKeyName, plaintext []byte) (enc waBinary.Node, distribution []byte, err error) {
	ctx := context.Background()
	builder := groups.NewGroupSessionBuilder(s, signalFormat)
	skdm, err := builder.Create(ctx, name)
	if err != nil {
		return waBinary.Node{}, nil, err
	}
	message, err := groups.NewGroupCipher(builder, name, s).Encrypt(ctx, pad(plaintext))
	if err != nil {
		return waBinary.Node{}, nil, err
	}
	return element("enc", waBinary.Attrs{"v": "2", "type": "skmsg"}, message.SignedSerialize()), skdm.Serialize(), nil
}

// distribution returns the distribution message of a phone's own sender key.
func (s *signalStore) distribution(name *protocol.SenderKeyName) ([]byte, error) {
	skdm, err := groups.NewGroupSessionBuilder(s, signalFormat).Create(context.Background(), name)
	if err != nil {
		return nil, err
	}
	return skdm.Serialize(), nil
}

// takeSenderKey takes another device's distribution message.
func (s *signalStore) takeSenderKey(name *protocol.SenderKeyName, raw []byte) error {
	skdm, err := protocol.NewSenderKeyDistributionMessageFromBytes(raw, signalFormat.SenderKeyDistributionMessage)
	if err != nil {
		return err
	}
	return groups.NewGroupSessionBuilder(s, signalFormat).Process(context.Background(), name, skdm)
}

// decryptGroup decrypts an <enc> of type skmsg.
func (s *signalStore) decryptGroup(name *protocol.SenderKeyName, enc *waBinary.Node) ([]byte, error) {
	message, err := protocol.NewSenderKeyMessageFromBytes(bytesOf(*enc), signalFormat.SenderKeyMessage)
	if err != nil {
		return nil, err
	}
	builder := groups.NewGroupSessionBuilder(s, signalFormat)
	return unpad(groups.NewGroupCipher(builder, name, s).Decrypt(context.Background(), message))
}

// pad adds 1 to 15 bytes that each say how many they are.
func pad(plaintext []byte) []byte {
	n := 1 + rand.IntN(15)
	return append(plaintext[:len(plaintext):len(plaintext)], bytes.Repeat([]byte{byte(n)}, n)...)
}

// unpad takes what a decryption returned and takes the padding off.
func unpad(plaintext []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	if len(plaintext) == 0 {
		return nil, errors.New("an empty plaintext")
	}
	n := int(plaintext[len(plaintext)-1])
	if n == 0 || n > len(plaintext) {
		return nil, errors.New("a plaintext without proper padding")
	}
	return plaintext[:len(plaintext)-n], nil
}
