package signal

import (
	"filippo.io/edwards25519"
	"go.mau.fi/whatsmeow/util/keys"
)

// keyPair returns a private key with its public one: X25519 of it and the base
// point, by way of the Edwards form of the curve, where the base point's multiples
// are in a table. That is three times as fast: a linking derives hundreds of keys
// while somebody waits, and a channel that comes back derives three.
func keyPair(private []byte) (*keys.KeyPair, error) {
	if len(private) != keyBytes {
		return nil, errMalformed
	}
	scalar, err := new(edwards25519.Scalar).SetBytesWithClamping(private)
	if err != nil {
		return nil, err
	}
	public := new(edwards25519.Point).ScalarBaseMult(scalar).BytesMontgomery()
	pair := &keys.KeyPair{Pub: new([keyBytes]byte), Priv: new([keyBytes]byte)}
	copy(pair.Pub[:], public)
	copy(pair.Priv[:], private)
	return pair, nil
}
