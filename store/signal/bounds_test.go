package signal

import (
	"strings"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"
)

// Names and secrets of any length leave a contact's row fit to be stored.
func TestRow_HoldsWhateverAStrangerWrites(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	name, long := strings.Repeat("ñ", 200<<10), strings.Repeat("x", 400<<10)
	if changed, _, err := b.device.Contacts.PutPushName(b.ctx(), a.jid, name); err != nil || !changed {
		t.Fatalf("push name: changed %v, %v", changed, err)
	}
	if changed, _, err := b.device.Contacts.PutPushName(b.ctx(), a.jid, name); err != nil || changed {
		t.Errorf("the same push name: changed %v, %v", changed, err)
	}
	_, _, err := b.device.Contacts.PutBusinessName(b.ctx(), a.jid, long)
	b.no(err)
	b.no(b.device.MsgSecrets.PutMessageSecret(b.ctx(), a.jid, a.jid, "LONG", []byte(long)))
	b.no(b.device.MsgSecrets.PutMessageSecret(b.ctx(), a.jid, a.jid, long, make([]byte, 32)))
	b.no(b.device.MsgSecrets.PutMessageSecrets(b.ctx(), []wastore.MessageSecretInsert{
		{Chat: a.jid, Sender: a.jid, ID: "MANY", Secret: []byte(long)}, {Chat: a.jid, Sender: a.jid, ID: "GOOD", Secret: make([]byte, 32)},
	}))
	b.receive(a.must(a.send("hello", nil, b.jid)))
	b.open()
	b.receive(a.must(a.send("again", nil, b.jid)))
	info, err := b.device.Contacts.GetContact(b.ctx(), a.jid)
	b.no(err)
	if n := len(info.PushName); n == 0 || n > maxName || !strings.HasPrefix(name, info.PushName) {
		t.Errorf("a push name of %d bytes", n)
	}
	for id, want := range map[string]int{"LONG": 0, "MANY": 0, "GOOD": 32} {
		if secret, _, err := b.device.MsgSecrets.GetMessageSecret(b.ctx(), a.jid, a.jid, id); err != nil || len(secret) != want {
			t.Errorf("secret %s has %d bytes, %v", id, len(secret), err)
		}
	}
}
