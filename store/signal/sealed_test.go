package signal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mau.fi/libsignal/keys/prekey"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// TestTable_HoldsNothingInClear fills a state with one of everything and looks in
// a dump of the table for each key, plaintext and name.
func TestTable_HoldsNothingInClear(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	d, ctx := b.device, b.ctx()
	bundle := b.bundle()
	first := a.must(a.send("a secret text in clear", map[types.JID]*prekey.Bundle{b.jid: bundle}, b.jid))
	secrets := map[string][]byte{
		"noise key": d.NoiseKey.Priv[:], "identity key": d.IdentityKey.Priv[:], "signed prekey": d.SignedPreKey.Priv[:],
		"adv secret": d.AdvSecretKey, "plaintext": []byte("a secret text in clear"), "peer's identity": a.device.IdentityKey.Pub[:],
		"push name": []byte("Anastasia"), "first name": []byte("Beatrice"), "redacted phone": []byte("+52 555 ∙∙∙ 99"), "own push name": []byte("Carolina's shop"),
	}
	d.PushName = "Carolina's shop"
	b.no(d.Save(ctx))
	key, err := d.PreKeys.GetPreKey(ctx, bundle.PreKeyID().Value)
	b.no(err)
	secrets["prekey"] = key.Priv[:]
	secrets["prekey seed"] = b.c.dev.prekeys.seed
	if _, _, err := b.decrypt(first); err != nil {
		t.Fatal(err)
	}
	b.no(b.learn(a.jid, a.distribute(a.ctx())))
	var late []letter
	for n := range 30 {
		late = append(late, a.must(a.send(textOf(n), nil, b.jid)))
	}
	if _, _, err := b.decrypt(late[29]); err != nil { // skips 29
		t.Fatal(err)
	}
	session, err := d.Sessions.GetSession(ctx, address(a.jid))
	b.no(err)
	structure, err := parseSession(session)
	b.no(err)
	secrets["root key"] = structure.SessionState.RootKey
	secrets["chain key"] = structure.SessionState.SenderChain.ChainKey.Key
	secrets["ratchet key"] = structure.SessionState.SenderChain.SenderRatchetKeyPrivate
	for _, receiver := range structure.SessionState.ReceiverChains {
		for i, message := range receiver.MessageKeys {
			secrets[fmt.Sprint("message key ", i)] = message.CipherKey
		}
	}
	senderKey, err := d.SenderKeys.GetSenderKey(ctx, group.String(), address(a.jid))
	b.no(err)
	sender, err := parseSenderKey(senderKey)
	b.no(err)
	secrets["sender key"] = sender.SenderKeyStates[0].SenderChainKey.ChainKey

	for i, name := range []string{"app-state key", "value MAC", "message secret", "privacy token", "salt"} {
		secrets[name] = mac(100 + i)
	}
	b.no(d.AppStateKeys.PutAppStateSyncKey(ctx, []byte{1}, wastore.AppStateSyncKey{Data: secrets["app-state key"], Timestamp: 1}))
	b.no(d.AppState.PutAppStateVersion(ctx, "regular", 1, [128]byte{1}))
	b.no(d.AppState.PutAppStateMutationMACs(ctx, "regular", 1, []wastore.AppStateMutationMAC{{IndexMAC: mac(1), ValueMAC: secrets["value MAC"]}}))
	for n := range secretsPerItem + 1 {
		b.no(d.MsgSecrets.PutMessageSecret(ctx, a.jid, a.jid, fmt.Sprint(n), secrets["message secret"]))
	}
	b.no(d.PrivacyTokens.PutPrivacyTokens(ctx, wastore.PrivacyToken{User: a.jid, Token: secrets["privacy token"], Timestamp: time.Unix(1, 0)}))
	b.no(d.NCTSalt.PutNCTSalt(ctx, secrets["salt"]))
	_, _, err = d.Contacts.PutPushName(ctx, a.jid, "Anastasia")
	b.no(err)
	_, _, err = d.Contacts.PutPushName(ctx, lidUser(50), "Anastasia") // without a row
	b.no(err)
	b.no(d.Contacts.PutContactName(ctx, a.jid, "Beatrice", "Beatrice B."))
	b.no(d.Contacts.PutManyRedactedPhones(ctx, []wastore.RedactedPhoneEntry{{JID: a.jid, RedactedPhone: "+52 555 ∙∙∙ 99"}}))
	b.no(d.EventBuffer.AddOutgoingEvent(ctx, a.jid, "ID", "wa", secrets["plaintext"]))
	b.no(b.c.Flush(ctx))

	dump := b.dump()
	if len(dump) < 10 {
		t.Fatalf("only %d items to look at", len(dump))
	}
	for name, secret := range secrets {
		if len(secret) < 8 {
			t.Errorf("%s is too short to look for", name)
		}
		forms := [][]byte{secret, []byte(hex.EncodeToString(secret)), []byte(base64.StdEncoding.EncodeToString(secret))[:10]}
		for _, item := range dump {
			for _, form := range forms {
				if bytes.Contains(item.Value, form) || strings.Contains(item.SK, string(form)) {
					t.Errorf("the %s lies in clear in %s", name, kind(item.SK))
				}
			}
		}
	}
}
