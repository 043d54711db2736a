package signal

import (
	"crypto/rand"
	"testing"

	"go.mau.fi/whatsmeow/util/keys"
)

func TestKeyPair_HasThePublicKeyThatWhatsmeowWouldMake(t *testing.T) {
	for range 200 {
		var private [keyBytes]byte
		_, _ = rand.Read(private[:])
		got, err := keyPair(private[:])
		if err != nil {
			t.Fatal(err)
		}
		want := keys.NewKeyPairFromPrivateKey(private)
		if *got.Priv != *want.Priv || *got.Pub != *want.Pub {
			t.Fatalf("%x has the public key %x, want %x", private, *got.Pub, *want.Pub)
		}
	}
}

func TestPreKey_IsOneThatWhatsmeowMightHaveMade(t *testing.T) {
	p := newPreKeys()
	for id := uint32(1); id <= 20; id++ {
		got, err := p.key(id)
		if err != nil {
			t.Fatal(err)
		}
		if got.KeyID != id || got.Priv[0]&7 != 0 || got.Priv[31]&0xc0 != 0x40 {
			t.Fatalf("prekey %d is %d with a private key from %x to %x, want one with the bits of X25519 set", id, got.KeyID, got.Priv[0], got.Priv[31])
		}
	}
}
