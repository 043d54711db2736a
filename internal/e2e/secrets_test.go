package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/signal"
)

// A dump of the database links nobody: no key that the process holds in clear
// lies in it in clear.
func TestSecrets_AreNotInTheDatabase(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	c := s.untilQR(s.connect("default"))
	_, shown, _ := strings.Cut(c.QR.Code, "#")
	parts := strings.Split(shown, ",") // ref, noise key, identity key (both public), adv secret, client type
	w.scan(newNumber(), c.QR.Code)
	c = s.untilActive(c)
	s.stop()

	var files []byte // as a thief of the disk has them
	for _, name := range []string{"enlace.db", "enlace.db-wal"} {
		content, err := os.ReadFile(filepath.Join(i.data, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		files = append(files, content...)
	}
	if !bytes.Contains(files, []byte(c.ID)) {
		t.Fatal("want the channel's id in the files, or this test would find nothing")
	}
	var items []byte // as a dump has them
	i.onTable(func(ctx context.Context, table store.Table) error {
		for _, key := range i.itemsOf(c) {
			item, err := table.Get(ctx, key)
			if err != nil {
				return err
			}
			items = append(items, item.Value...)
		}
		return nil
	})

	adv, err := base64.StdEncoding.DecodeString(parts[3])
	if err != nil {
		t.Fatal(err)
	}
	// The code on the screen has this one in it; after the scan nothing may.
	wantsNot(t, "the items", items, "the adv secret", adv)
	keys := i.keysOf(c.ID)
	if !bytes.Equal(keys["the adv secret"], adv) {
		t.Fatal("want the device of the channel that was linked, got another")
	}
	delete(keys, "the adv secret")
	keys["the secret of the admin key"] = []byte(s.key[strings.LastIndex(s.key, "_")+1:])
	for what, key := range keys {
		wantsNot(t, "the files", files, what, key)
	}
}

// wantsNot looks for a key as it is, in base64 and in hex.
func wantsNot(t *testing.T, where string, content []byte, what string, key []byte) {
	t.Helper()
	if len(key) < 16 {
		t.Fatalf("%s has %d bytes: too few to look for", what, len(key))
	}
	forms := map[string][]byte{
		"as it is":  key,
		"in base64": []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(key), "=")),
		"in hex":    []byte(hex.EncodeToString(key)),
	}
	for form, looked := range forms {
		if bytes.Contains(content, looked) {
			t.Errorf("want %s not in %s, found it %s", what, where, form)
		}
	}
}

// keysOf opens the channel's credentials, as its owner does, and returns the keys
// that must be secret.
func (i *installation) keysOf(channelID string) map[string][]byte {
	i.Helper()
	keys := map[string][]byte{}
	i.onTable(func(ctx context.Context, table store.Table) error {
		holder, err := seal.OpenFile(filepath.Join(i.data, "seal.key"))
		if err != nil {
			return err
		}
		st, err := store.Open(ctx, table, store.Options{Keys: holder})
		if err != nil {
			return err
		}
		heart := st.NewHeart()
		if err := heart.Beat(ctx); err != nil {
			return err
		}
		fresh := func() error { return nil }
		owner, err := st.Claim(ctx, store.Claimer{Worker: heart.ID(), Fresh: fresh, Moved: st.NewMoved(heart.ID())}, channelID, "")
		if err != nil {
			return err
		}
		state, err := signal.Open(ctx, signal.Config{Table: table, ChannelID: channelID, Key: owner.DataKey()})
		if err != nil {
			return err
		}
		defer state.Close()
		device, err := state.Device(ctx, func(err error) { i.Error(err) })
		if err != nil {
			return err
		}
		keys["the noise key"] = device.NoiseKey.Priv[:]
		keys["the identity key"] = device.IdentityKey.Priv[:]
		keys["the signed prekey"] = device.SignedPreKey.Priv[:]
		keys["the adv secret"] = device.AdvSecretKey
		prekeys, err := device.PreKeys.GetOrGenPreKeys(ctx, 3)
		if err != nil {
			return err
		}
		for _, prekey := range prekeys {
			keys["a prekey"] = prekey.Priv[:]
		}
		return nil
	})
	content, err := os.ReadFile(filepath.Join(i.data, "seal.key"))
	if err != nil {
		i.Fatal(err)
	}
	fields := strings.Fields(string(content))
	raw, err := hex.DecodeString(fields[len(fields)-1])
	if err != nil {
		i.Fatal(err)
	}
	keys["the sealing key"] = raw
	return keys
}
