package signal

import (
	"testing"

	"go.mau.fi/whatsmeow/util/keys"
)

func TestPreKey_HasThePublicKeyThatWhatsmeowWouldMake(t *testing.T) {
	p := newPreKeys()
	for id := uint32(1); id <= 200; id++ {
		got, err := p.key(id)
		if err != nil {
			t.Fatal(err)
		}
		want := keys.NewKeyPairFromPrivateKey(*got.Priv)
		if *got.Priv != *want.Priv || *got.Pub != *want.Pub {
			t.Fatalf("prekey %d is %x with %x, want %x", id, *got.Pub, *got.Priv, *want.Pub)
		}
	}
}
