package whatsapptest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow/proto/waWa6"
	"google.golang.org/protobuf/proto"
)

// noisePattern is the name of the pattern, 32 bytes: the first hash, salt and key.
const noisePattern = "Noise_XX_25519_AESGCM_SHA256\x00\x00\x00\x00"

// handshake is the symmetric state of a Noise handshake.
type handshake struct {
	hash    [32]byte
	salt    []byte
	aead    cipher.AEAD
	counter uint32
}

// newHandshake begins a handshake and mixes in the connection's header.
func newHandshake(header []byte) (*handshake, error) {
	h := &handshake{hash: [32]byte([]byte(noisePattern)), salt: []byte(noisePattern)}
	var err error
	if h.aead, err = gcm([]byte(noisePattern)); err != nil {
		return nil, err
	}
	h.mixHash(header)
	return h, nil
}

func (h *handshake) mixHash(data []byte) {
	h.hash = sha256.Sum256(append(h.hash[:len(h.hash):len(h.hash)], data...))
}

// mixKey mixes the secret that two keys agree on.
func (h *handshake) mixKey(private *ecdh.PrivateKey, public []byte) error {
	secret, err := agree(private, public)
	if err != nil {
		return err
	}
	salt, key, err := h.expand(secret)
	if err != nil {
		return err
	}
	h.salt, h.counter = salt, 0
	h.aead, err = gcm(key)
	return err
}

func (h *handshake) encrypt(plaintext []byte) []byte {
	ciphertext := h.aead.Seal(nil, nonce(h.counter), plaintext, h.hash[:])
	h.counter++
	h.mixHash(ciphertext)
	return ciphertext
}

func (h *handshake) decrypt(ciphertext []byte) ([]byte, error) {
	plaintext, err := h.aead.Open(nil, nonce(h.counter), ciphertext, h.hash[:])
	h.counter++
	h.mixHash(ciphertext)
	return plaintext, err
}

// finish returns the two keys of the connection: the client's writing key first.
func (h *handshake) finish() (fromClient, toClient cipher.AEAD, err error) {
	first, second, err := h.expand(nil)
	if err != nil {
		return nil, nil, err
	}
	if fromClient, err = gcm(first); err != nil {
		return nil, nil, err
	}
	toClient, err = gcm(second)
	return fromClient, toClient, err
}

func (h *handshake) expand(secret []byte) (first, second []byte, err error) {
	out, err := hkdf.Key(sha256.New, secret, h.salt, "", 64)
	if err != nil {
		return nil, nil, err
	}
	return out[:32:32], out[32:], nil
}

// hello is what a client has said of itself when the handshake is over.
type hello struct {
	static  [32]byte // the client's Noise key: its proof of being a device
	payload *waWa6.ClientPayload
	in, out cipher.AEAD
}

// respond does the server's part of Noise XX: it reads the client's ephemeral
// key, answers with its own, its static key and the certificates, and reads
// who the client is.
func respond(in *frameReader, write func([]byte) error, id *serverKeys) (*hello, error) {
	header, err := in.header()
	if err != nil {
		return nil, err
	}
	h, err := newHandshake(header)
	if err != nil {
		return nil, err
	}
	first, err := readHandshake(in)
	if err != nil {
		return nil, err
	}
	theirs := first.GetClientHello().GetEphemeral()
	if len(theirs) != 32 {
		return nil, errors.New("a client hello without an ephemeral key")
	}
	h.mixHash(theirs)

	ephemeral, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	h.mixHash(ephemeral.PublicKey().Bytes())
	if err := h.mixKey(ephemeral, theirs); err != nil {
		return nil, err
	}
	answer := &waWa6.HandshakeMessage_ServerHello{
		Ephemeral: ephemeral.PublicKey().Bytes(),
		Static:    h.encrypt(id.static.PublicKey().Bytes()),
	}
	if err := h.mixKey(id.static, theirs); err != nil {
		return nil, err
	}
	answer.Payload = h.encrypt(id.chain)
	out, err := proto.Marshal(&waWa6.HandshakeMessage{ServerHello: answer})
	if err != nil {
		return nil, err
	}
	if err := write(out); err != nil {
		return nil, err
	}

	last, err := readHandshake(in)
	if err != nil {
		return nil, err
	}
	static, err := h.decrypt(last.GetClientFinish().GetStatic())
	if err != nil {
		return nil, fmt.Errorf("the client's static key: %w", err)
	}
	if len(static) != 32 {
		return nil, errors.New("the client's static key has a wrong length")
	}
	if err := h.mixKey(ephemeral, static); err != nil {
		return nil, err
	}
	raw, err := h.decrypt(last.GetClientFinish().GetPayload())
	if err != nil {
		return nil, fmt.Errorf("the client's payload: %w", err)
	}
	payload := new(waWa6.ClientPayload)
	if err := proto.Unmarshal(raw, payload); err != nil {
		return nil, fmt.Errorf("the client's payload: %w", err)
	}
	got := &hello{static: [32]byte(static), payload: payload}
	got.in, got.out, err = h.finish()
	return got, err
}

func readHandshake(in *frameReader) (*waWa6.HandshakeMessage, error) {
	frame, err := in.next()
	if err != nil {
		return nil, err
	}
	m := new(waWa6.HandshakeMessage)
	if err := proto.Unmarshal(frame, m); err != nil {
		return nil, fmt.Errorf("a handshake message: %w", err)
	}
	return m, nil
}

// agree is X25519.
func agree(private *ecdh.PrivateKey, public []byte) ([]byte, error) {
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return private.ECDH(p)
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce is the counter, big-endian, in the last 4 of 12 bytes.
func nonce(counter uint32) []byte {
	iv := make([]byte, 12)
	binary.BigEndian.PutUint32(iv[8:], counter)
	return iv
}
