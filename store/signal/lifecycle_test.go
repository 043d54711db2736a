package signal

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
)

func TestPairing_WritesThreeItemsAndTheFirstLoginOne(t *testing.T) {
	w := newWorld(t)
	if puts, reads := w.table.counted(); len(puts) != 0 || reads != 1 {
		t.Errorf("opening an empty state: puts %v and %d reads, want none and one", puts, reads)
	}
	w.pair()
	if puts, _ := w.table.counted(); kinds(puts) != "DEVICE LID ADDR" {
		t.Errorf("a pairing put %s, want the device, the LID pair and the account's identity", kinds(puts))
	}
	w.login()
	if puts, _ := w.table.counted(); kinds(puts) != "DEVICE" {
		t.Errorf("the first login put %s, want the device once", kinds(puts))
	}
	w.open()
	w.login()
	if puts, reads := w.table.counted(); len(puts) != 0 || reads != 1 {
		t.Errorf("the second login put %s and read %d times, want nothing and once", kinds(puts), reads)
	}
	w.no(w.device.Save(w.ctx()))
	w.no(w.device.LIDs.PutLIDMapping(w.ctx(), ownLID, ownPN))
	if puts, _ := w.table.counted(); len(puts) != 0 {
		t.Errorf("storing what is stored put %s", kinds(puts))
	}
}

func TestDevice_ComesBackAsItWasStored(t *testing.T) {
	w := newWorld(t)
	if w.c.Paired() || w.device.ID != nil {
		t.Fatal("a device without having been linked")
	}
	w.pair()
	linked := w.device
	if !w.c.Paired() {
		t.Error("not paired after the device was stored")
	}
	w.open()
	if !w.c.Paired() || w.c.LastTry() {
		t.Fatalf("after opening again: paired %v, last try %v", w.c.Paired(), w.c.LastTry())
	}
	if got, want := describe(t, w.device), describe(t, linked); got != want {
		t.Errorf("device came back as\n%s\nwant\n%s", got, want)
	}
	w.device.PushName = "Ana"
	w.no(w.device.Save(w.ctx()))
	w.open()
	if w.device.PushName != "Ana" {
		t.Errorf("push name %q, want Ana", w.device.PushName)
	}
}

// describe returns what a device holds, public halves of keys included.
func describe(t *testing.T, d *wastore.Device) string {
	t.Helper()
	credentials, err := encodeCredentials(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.Join([][]byte{credentials, d.NoiseKey.Pub[:], d.IdentityKey.Pub[:], d.SignedPreKey.Pub[:]}, []byte("\n")))
}

func TestDeleteDevice_DeletesNothing(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.no(w.device.Delete(w.ctx()))
	if !w.c.Deleted() || !w.c.Paired() {
		t.Fatalf("deleted %v, paired %v; want both", w.c.Deleted(), w.c.Paired())
	}
	w.newSession()
	if w.device.ID == nil || w.c.Deleted() {
		t.Error("the credentials are not there for another try")
	}
}

func TestForget_WipesEverything(t *testing.T) {
	w := newWorld(t)
	w.pair()
	for i := range 250 {
		w.no(w.device.Identities.PutIdentity(w.ctx(), address(lidUser(i)), [32]byte{byte(i)}))
		w.no(w.device.EventBuffer.AddOutgoingEvent(w.ctx(), lidUser(i), "id", "wa", []byte("x")))
	}
	w.no(w.c.Forget(w.ctx()))
	if w.c.Paired() {
		t.Error("still paired")
	}
	if left := w.dump(); len(left) != 0 {
		t.Errorf("%d items are left", len(left))
	}
	w.newSession()
	if w.device.ID != nil {
		t.Error("a device is left")
	}
	w.pair()
	if lid, err := w.device.LIDs.GetLIDForPN(w.ctx(), ownPN); err != nil || lid != ownLID {
		t.Errorf("after another linking the LID is %v, %v", lid, err)
	}
}

func TestForget_InterruptedIsFinishedBeforeTheNextLinking(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.no(w.device.Identities.PutIdentity(w.ctx(), address(lidUser(1)), [32]byte{1}))
	w.table.set(func(op string, ops []store.Op) error {
		if op == "Write" && ops[0].Kind == store.OpCheck {
			return errors.New("stopped")
		}
		return nil
	}, nil)
	if err := w.c.Forget(w.ctx()); err == nil {
		t.Fatal("Forget did not fail")
	}
	w.table.set(nil, nil)
	w.open()
	if w.c.Paired() {
		t.Error("paired although the credentials are gone")
	}
	w.pair()
	if trusted, err := w.device.Identities.IsTrustedIdentity(w.ctx(), address(lidUser(1)), [32]byte{2}); err != nil || !trusted {
		t.Errorf("an identity of the earlier device is left: trusted %v, %v", trusted, err)
	}
}

func TestPutDevice_AnotherLinkingStartsFromNothing(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.no(w.device.PreKeys.MarkPreKeysAsUploaded(w.ctx(), firstUpload))
	w.no(w.device.Identities.PutIdentity(w.ctx(), address(lidUser(1)), [32]byte{1}))
	w.device = attach(newDevice(), &stores{w.c}, func(err error) { t.Error(err) })
	w.pair()
	if n, err := w.device.PreKeys.UploadedPreKeyCount(w.ctx()); err != nil || n != 0 {
		t.Errorf("%d prekeys count as uploaded (%v), want none", n, err)
	}
	if trusted, _ := w.device.Identities.IsTrustedIdentity(w.ctx(), address(lidUser(1)), [32]byte{2}); !trusted {
		t.Error("an identity of the earlier device is left")
	}
}

func TestKeepUntil_KeepsForOneMoreTry(t *testing.T) {
	w := newWorld(t)
	w.pair()
	until := w.now.Add(7 * 24 * time.Hour)
	w.no(w.c.KeepUntil(w.ctx(), until))
	w.open()
	if !w.c.Paired() || !w.c.LastTry() || w.device.ID == nil {
		t.Fatal("the credentials are not kept for a last try")
	}
	w.no(w.c.KeepUntil(w.ctx(), time.Time{}))
	w.open()
	if !w.c.Paired() || w.c.LastTry() {
		t.Error("the last try did not end when the credentials were accepted")
	}
	w.no(w.c.KeepUntil(w.ctx(), until))
	w.now = until.Add(time.Second)
	if w.c.Paired() {
		t.Error("the credentials outlive their time in memory")
	}
	w.open()
	if w.c.Paired() || w.device.ID != nil {
		t.Error("the credentials outlive their time in the table")
	}
	w.pair()
	if !w.c.Paired() {
		t.Error("no new linking after that")
	}
}

func TestOpen_AnotherKeyOrDamageIsUnreadable(t *testing.T) {
	w := newWorld(t)
	w.pair()
	config := w.config
	config.Key = newWorld(t).key
	if _, err := Open(w.ctx(), config); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("opened under another key: %v, want ErrUnreadable", err)
	}
	config.Key = nil
	if _, err := Open(w.ctx(), config); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("opened without a key: %v, want ErrUnreadable", err)
	}
	for _, item := range w.dump() {
		t.Run(kind(item.SK), func(t *testing.T) {
			whole := item.Value
			item.Value = bytes.Clone(whole)
			item.Value[len(whole)-1] ^= 1
			w.no(w.table.Write(w.ctx(), store.Put(item, store.Any)))
			if _, err := Open(w.ctx(), w.config); !errors.Is(err, seal.ErrUnreadable) {
				t.Errorf("opened a damaged item: %v, want ErrUnreadable", err)
			}
			item.Value = whole
			w.no(w.table.Write(w.ctx(), store.Put(item, store.Any)))
		})
	}
}

func TestOpen_NewerSchemaIsRefused(t *testing.T) {
	w := newWorld(t)
	w.pair()
	item, err := w.table.Get(w.ctx(), store.Key{PK: "SIG#ch_1", SK: deviceSK})
	w.no(err)
	item.Value[0]++
	w.no(w.table.Write(w.ctx(), store.Put(item, store.Any)))
	if _, err := Open(w.ctx(), w.config); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("opened: %v, want ErrNewerSchema", err)
	}
}

func TestErrors_NameNoPhoneNumber(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.table.set(func(op string, ops []store.Op) error {
		if op == "Write" {
			return errors.New("disk full at " + ops[0].Item.Key.String())
		}
		return nil
	}, nil)
	err := w.device.Identities.PutIdentity(w.ctx(), "5215550009:0", [32]byte{1})
	w.mustFail("PutIdentity", err)
	if text := err.Error(); strings.Contains(text, "5215550009") || !strings.Contains(text, "disk full") {
		t.Errorf("error %q, want its cause and no number", text)
	}
}

// dump returns all items of the channel.
func (w *world) dump() []store.Item {
	w.Helper()
	var all []store.Item
	for _, pk := range []string{"SIG#ch_1", "BULK#ch_1"} {
		q := store.Query{PK: pk}
		for {
			page, err := w.table.Table.Query(context.Background(), q)
			w.no(err)
			all = append(all, page.Items...)
			if q.Cursor = page.Cursor; q.Cursor == "" {
				break
			}
		}
	}
	return all
}
