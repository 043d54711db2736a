package whatsapptest

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow/proto/waCert"
	"google.golang.org/protobuf/proto"
)

// certsEnd is when the certificates expire, in Unix seconds: the year 2100, so
// that a fake clock may run far.
const certsEnd = 4102444800

// serverKeys are who the server is: the root key that its clients trust, its
// static Noise key, and the certificates that join them.
type serverKeys struct {
	root   *ecdh.PrivateKey
	static *ecdh.PrivateKey
	chain  []byte // marshalled waCert.CertChain
}

// newServerKeys makes them of two private keys; keys that are nil are made.
func newServerKeys(root, static []byte) (*serverKeys, error) {
	id := new(serverKeys)
	var err error
	if id.root, err = privateKey(root); err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	if id.static, err = privateKey(static); err != nil {
		return nil, fmt.Errorf("static key: %w", err)
	}
	between, err := privateKey(nil)
	if err != nil {
		return nil, err
	}
	intermediate, err := certificate(id.root, between, 1, 0)
	if err != nil {
		return nil, err
	}
	leaf, err := certificate(between, id.static, 2, 1)
	if err != nil {
		return nil, err
	}
	id.chain, err = proto.Marshal(&waCert.CertChain{Intermediate: intermediate, Leaf: leaf})
	return id, err
}

// certificate certifies subject's public key under issuer's signature.
func certificate(issuer, subject *ecdh.PrivateKey, serial, issuerSerial uint32) (*waCert.CertChain_NoiseCertificate, error) {
	details, err := proto.Marshal(&waCert.CertChain_NoiseCertificate_Details{
		Serial:       proto.Uint32(serial),
		IssuerSerial: proto.Uint32(issuerSerial),
		Key:          subject.PublicKey().Bytes(),
		NotBefore:    proto.Uint64(0),
		NotAfter:     proto.Uint64(certsEnd),
	})
	if err != nil {
		return nil, err
	}
	signature := sign(issuer, details)
	return &waCert.CertChain_NoiseCertificate{Details: details, Signature: signature[:]}, nil
}

// privateKey returns the X25519 key of raw, or a new one if raw is nil.
func privateKey(raw []byte) (*ecdh.PrivateKey, error) {
	if raw != nil {
		return ecdh.X25519().NewPrivateKey(raw)
	}
	return ecdh.X25519().GenerateKey(rand.Reader)
}

// sign makes an XEdDSA signature.
func sign(key *ecdh.PrivateKey, message []byte) [64]byte {
	return ecc.CalculateSignature(ecc.NewDjbECPrivateKey([32]byte(key.Bytes())), message)
}
