package signal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/groups"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/session"
	"go.mau.fi/libsignal/util/optional"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// party is one device in a conversation. It uses its stores as whatsmeow does:
// the calls and their order are those of whatsmeow's message.go and send.go.
type party struct {
	*world
	jid types.JID
}

// letter is a message on its way.
type letter struct {
	from, to types.JID
	kind     string // pkmsg, msg or skmsg
	bytes    []byte
	text     string
}

func newParty(t testing.TB, i int) *party {
	t.Helper()
	w := newWorld(t)
	lid, pn := lidUser(i), pnUser(i)
	accept(w.device)
	w.device.ID, w.device.LID = &pn, lid
	w.no(w.device.Save(w.ctx()))
	return &party{w, lid}
}

// bundle returns what the server hands out to who wants to write to p.
func (p *party) bundle() *prekey.Bundle {
	p.Helper()
	one, err := p.device.PreKeys.GenOnePreKey(p.ctx())
	p.no(err)
	return prekey.NewBundle(p.device.RegistrationID, uint32(p.jid.Device), optional.NewOptionalUint32(one.KeyID), p.device.SignedPreKey.KeyID,
		ecc.NewDjbECPublicKey(*one.Pub), ecc.NewDjbECPublicKey(*p.device.SignedPreKey.Pub), *p.device.SignedPreKey.Signature,
		identity.NewKey(ecc.NewDjbECPublicKey(*p.device.IdentityKey.Pub)))
}

// send encrypts text for other parties' devices, as SendMessage does: with a new
// session for those that bundles has one for.
func (p *party) send(text string, bundles map[types.JID]*prekey.Bundle, to ...types.JID) ([]letter, error) {
	ctx, done := p.c.WithSend(p.ctx())
	defer done()
	return p.sendIn(ctx, text, bundles, to...)
}

func (p *party) sendIn(ctx context.Context, text string, bundles map[types.JID]*prekey.Bundle, to ...types.JID) ([]letter, error) {
	addresses := make([]string, len(to))
	for i, jid := range to {
		addresses[i] = address(jid)
	}
	existing, ctx, err := p.device.WithCachedSessions(ctx, addresses)
	if err != nil {
		return nil, err
	}
	var letters []letter
	for _, jid := range to {
		builder := session.NewBuilderFromSignal(p.device, jid.SignalAddress(), wastore.SignalProtobufSerializer)
		if bundle := bundles[jid]; bundle != nil {
			if err := builder.ProcessBundle(ctx, bundle); err != nil {
				continue // whatsmeow leaves the device out
			}
		} else if !existing[address(jid)] {
			continue
		}
		encrypted, err := session.NewCipher(builder, jid.SignalAddress()).Encrypt(ctx, pad(text))
		if err != nil {
			continue
		}
		l := letter{from: p.jid, to: jid, kind: "msg", bytes: encrypted.Serialize(), text: text}
		if encrypted.Type() == protocol.PREKEY_TYPE {
			l.kind = "pkmsg"
		}
		letters = append(letters, l)
	}
	return letters, p.device.PutCachedSessions(ctx)
}

// must returns the only letter of a send that must succeed.
func (p *party) must(letters []letter, err error) letter {
	p.Helper()
	if err != nil || len(letters) != 1 {
		p.Fatalf("sent %d letters, %v; want one", len(letters), err)
	}
	return letters[0]
}

var errProcessed = errors.New("event was already processed")

// decrypt does what whatsmeow does with a message up to its handler.
func (p *party) decrypt(l letter) (text string, hash [32]byte, err error) {
	hash = sha256.Sum256(append([]byte(l.kind+l.from.String()), l.bytes...))
	known, err := p.device.EventBuffer.GetBufferedEvent(p.ctx(), hash)
	if err != nil {
		return "", hash, err
	}
	if known != nil {
		if known.Plaintext == nil {
			return "", hash, errProcessed
		}
		return unpad(known.Plaintext), hash, nil
	}
	var plaintext []byte
	err = p.device.EventBuffer.DoDecryptionTxn(p.ctx(), func(ctx context.Context) (err error) {
		if plaintext, err = p.read(ctx, l); err != nil {
			return err
		}
		return p.device.EventBuffer.PutBufferedEvent(ctx, hash, plaintext, time.Unix(1700000000, 0))
	})
	if err != nil {
		return "", hash, err
	}
	return unpad(plaintext), hash, nil
}

func (p *party) read(ctx context.Context, l letter) ([]byte, error) {
	serializer := wastore.SignalProtobufSerializer
	if l.kind == "skmsg" {
		message, err := protocol.NewSenderKeyMessageFromBytes(l.bytes, serializer.SenderKeyMessage)
		if err != nil {
			return nil, err
		}
		name := protocol.NewSenderKeyName(group.String(), l.from.SignalAddress())
		builder := groups.NewGroupSessionBuilder(p.device, serializer)
		return groups.NewGroupCipher(builder, name, p.device).Decrypt(ctx, message)
	}
	builder := session.NewBuilderFromSignal(p.device, l.from.SignalAddress(), serializer)
	cipher := session.NewCipher(builder, l.from.SignalAddress())
	if l.kind == "pkmsg" {
		message, err := protocol.NewPreKeySignalMessageFromBytes(l.bytes, serializer.PreKeySignalMessage, serializer.SignalMessage)
		if err != nil {
			return nil, err
		}
		return cipher.DecryptMessage(ctx, message)
	}
	message, err := protocol.NewSignalMessageFromBytes(l.bytes, serializer.SignalMessage)
	if err != nil {
		return nil, err
	}
	return cipher.Decrypt(ctx, message)
}

// receive decrypts a message that must be readable, handles and acknowledges it.
func (p *party) receive(l letter) {
	p.Helper()
	text, hash, err := p.decrypt(l)
	if err != nil || text != l.text {
		p.Fatalf("%s reads %q, %v; want %q", p.jid.User, text, err, l.text)
	}
	p.no(p.device.EventBuffer.ClearBufferedEventPlaintext(p.ctx(), hash))
}

var group = types.NewJID("12036300000000", types.GroupServer)

// distribute returns the message that gives a sender key to a group's members.
func (p *party) distribute(ctx context.Context) *protocol.SenderKeyDistributionMessage {
	p.Helper()
	builder := groups.NewGroupSessionBuilder(p.device, wastore.SignalProtobufSerializer)
	message, err := builder.Create(ctx, protocol.NewSenderKeyName(group.String(), p.jid.SignalAddress()))
	p.no(err)
	return message
}

// learn takes a sender key, as whatsmeow does outside of the decryption.
func (p *party) learn(from types.JID, message *protocol.SenderKeyDistributionMessage) error {
	builder := groups.NewGroupSessionBuilder(p.device, wastore.SignalProtobufSerializer)
	return builder.Process(p.ctx(), protocol.NewSenderKeyName(group.String(), from.SignalAddress()), message)
}

func (p *party) sendGroup(ctx context.Context, text string) (letter, error) {
	builder := groups.NewGroupSessionBuilder(p.device, wastore.SignalProtobufSerializer)
	name := protocol.NewSenderKeyName(group.String(), p.jid.SignalAddress())
	encrypted, err := groups.NewGroupCipher(builder, name, p.device).Encrypt(ctx, pad(text))
	if err != nil {
		return letter{}, err
	}
	return letter{from: p.jid, to: group, kind: "skmsg", bytes: encrypted.SignedSerialize(), text: text}, nil
}

func pad(text string) []byte     { return append([]byte(text), bytes.Repeat([]byte{3}, 3)...) }
func unpad(padded []byte) string { return string(padded[:len(padded)-3]) }

// acquaint lets a and b exchange messages until both know that the other one
// has the session.
func acquaint(a, b *party) {
	a.Helper()
	b.receive(a.must(a.send("hello", map[types.JID]*prekey.Bundle{b.jid: b.bundle()}, b.jid)))
	a.receive(b.must(b.send("hello yourself", nil, a.jid)))
	b.receive(a.must(a.send("well", nil, b.jid)))
	a.table.counted()
	b.table.counted()
}

func textOf(n int) string { return fmt.Sprintf("message %d", n) }

func bundlesOf(parties ...*party) map[types.JID]*prekey.Bundle {
	bundles := make(map[types.JID]*prekey.Bundle)
	for _, p := range parties {
		bundles[p.jid] = p.bundle()
	}
	return bundles
}
