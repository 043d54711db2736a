package signal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"pgregory.net/rapid"

	"github.com/enlacehq/enlace/store"
)

func TestIDSet_IsASetOfNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s idSet
		model := make(map[uint32]bool)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			first := rapid.Uint32Range(0, 60).Draw(t, "first")
			end := first + rapid.Uint32Range(0, 4).Draw(t, "length")
			if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
				s = s.from(first)
				maps.DeleteFunc(model, func(id uint32, _ bool) bool { return id < first })
				continue
			}
			s = s.with(first, end)
			for id := first; id < end; id++ {
				model[id] = true
			}
		}
		back, err := decodeIDSet(s.encode())
		if err != nil || !slices.Equal(back, s) {
			t.Fatalf("%v came back as %v, %v", s, back, err)
		}
		low, high := rapid.Uint32Range(0, 70).Draw(t, "low"), rapid.Uint32Range(0, 70).Draw(t, "high")
		count := 0
		for id := range uint32(70) {
			if s.has(id) != model[id] {
				t.Fatalf("%v has %d: %v, want %v", s, id, s.has(id), model[id])
			}
			if model[id] && id >= low && id < high {
				count++
			}
		}
		if got := s.count(low, high); got != count {
			t.Fatalf("%v counts %d from %d to %d, want %d", s, got, low, high, count)
		}
		for i := 1; i < len(s); i++ {
			if s[i].first <= s[i-1].end {
				t.Fatalf("%v has runs that touch", s)
			}
		}
	})
}

func TestPreKeys_FollowFromTheSeed(t *testing.T) {
	w := newWorld(t)
	w.pair()
	keys, err := w.device.PreKeys.GetOrGenPreKeys(w.ctx(), 60)
	w.no(err)
	w.open()
	again, err := w.device.PreKeys.GetOrGenPreKeys(w.ctx(), 60)
	w.no(err)
	seen := make(map[[32]byte]bool)
	for i := range keys {
		if *keys[i].Priv != *again[i].Priv || keys[i].KeyID != again[i].KeyID {
			t.Fatalf("prekey %d is another one after a restart", keys[i].KeyID)
		}
		if seen[*keys[i].Pub] {
			t.Fatalf("prekey %d is one of the others", keys[i].KeyID)
		}
		seen[*keys[i].Pub] = true
	}
	other := newPreKeys()
	key, err := other.key(1)
	if err != nil || *key.Priv == *keys[0].Priv {
		t.Errorf("another device has the same prekeys (%v)", err)
	}
}

func TestShelf_ManyValuesInFewItems(t *testing.T) {
	w := newWorld(t)
	w.pair()
	s := shelf{w.c, "TEST#"}
	model := make(map[string][]byte)
	write := func(n int, value func(i int) []byte) {
		t.Helper()
		var keys []string
		for i := range n {
			keys = append(keys, fmt.Sprintf("%05d", i*7919%100000))
		}
		byKey := make(map[string]int)
		for i, key := range keys {
			byKey[key] = i
		}
		w.no(s.update(w.ctx(), keys, func(key string, _ []byte) []byte { return value(byKey[key]) }))
		for i, key := range keys {
			if v := value(i); v == nil {
				delete(model, key)
			} else {
				model[key] = v
			}
		}
	}
	check := func() {
		t.Helper()
		items, err := s.items(w.ctx())
		w.no(err)
		found := 0
		for _, item := range items {
			for _, e := range item.entries {
				if !bytes.Equal(model[e.key], e.value) {
					t.Fatalf("key %s holds %q, want %q", e.key, e.value, model[e.key])
				}
				found++
			}
			if size := len(encodeShelf(item.entries)); size > shelfBytes+100 {
				t.Errorf("an item of %d bytes", size)
			}
		}
		if found != len(model) {
			t.Fatalf("%d values, want %d", found, len(model))
		}
		for key, value := range model {
			if got, err := s.get(w.ctx(), key); err != nil || !bytes.Equal(got, value) {
				t.Fatalf("get %s: %q, %v; want %q", key, got, err, value)
			}
			if found--; found < len(model)-200 {
				break
			}
		}
	}
	write(12000, func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 60) }) // more items than fit into one write
	check()
	w.table.counted()
	write(12000, func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 60) })
	if puts, _ := w.table.counted(); len(puts) != 0 {
		t.Errorf("storing what is stored put %d items", len(puts))
	}
	write(1, func(int) []byte { return []byte("other") })
	if puts, _ := w.table.counted(); len(puts) != 1 {
		t.Errorf("one changed value put %d items, want one", len(puts))
	}
	check()
	write(6000, func(i int) []byte {
		if i%2 == 0 {
			return nil
		}
		return bytes.Repeat([]byte{byte(i)}, 150)
	})
	check()
}

func TestShelf_InterruptedCutLosesNothing(t *testing.T) {
	for nth := 1; nth < 8; nth++ {
		w := newWorld(t)
		w.pair()
		s := shelf{w.c, "TEST#"}
		var keys []string
		for i := range 40 {
			keys = append(keys, fmt.Sprintf("%05d", i*200))
		}
		w.no(s.update(w.ctx(), keys, func(string, []byte) []byte { return []byte("old") }))
		var more []string
		for i := range 9000 {
			more = append(more, fmt.Sprintf("%05d", i))
		}
		n := 0
		w.table.set(func(op string, _ []store.Op) error {
			if op == "Write" {
				if n++; n == nth {
					return errors.New("interrupted")
				}
			}
			return nil
		}, nil)
		value := func(key string, old []byte) []byte {
			if old != nil {
				return old
			}
			return bytes.Repeat([]byte("n"), 60)
		}
		err := s.update(w.ctx(), more, value)
		w.table.set(nil, nil)
		if err == nil {
			break
		}
		for _, key := range keys {
			if got, err := s.get(w.ctx(), key); err != nil || string(got) != "old" {
				t.Fatalf("after write %d was interrupted %s holds %q, %v", nth, key, got, err)
			}
		}
		w.no(s.update(w.ctx(), []string{"00001", "04000"}, value))
		w.no(s.update(w.ctx(), more, value))
		items, err := s.items(w.ctx())
		w.no(err)
		total := 0
		for _, item := range items {
			total += len(item.entries)
		}
		if total != 9000 {
			t.Fatalf("after write %d was interrupted and done again: %d values, want 9000", nth, total)
		}
	}
}

func TestSecrets_MoveManyAtATimeAndExpire(t *testing.T) {
	w := newWorld(t)
	w.pair()
	chat, sender := types.NewJID("1203", types.GroupServer), lidUser(1)
	w.table.counted()
	for n := range 3 * secretsPerItem {
		w.no(w.device.MsgSecrets.PutMessageSecret(w.ctx(), chat, sender, fmt.Sprint("ID", n), mac(n)))
	}
	// Twelve of them fit into the kilobyte that the row's item costs.
	if puts, _ := w.table.counted(); kinds(puts) != "SECRET SECRET SECRET SECRET SECRET" {
		t.Errorf("60 secrets put %s, want five items", kinds(puts))
	}
	w.no(w.device.MsgSecrets.PutMessageSecret(w.ctx(), chat, sender, "ID60", mac(60)))
	w.no(w.c.Flush(w.ctx()))
	w.open()
	for n := range 61 {
		key, from, err := w.device.MsgSecrets.GetMessageSecret(w.ctx(), chat, sender, fmt.Sprint("ID", n))
		if err != nil || !bytes.Equal(key, mac(n)) || from != sender {
			t.Fatalf("secret %d: %x of %v, %v", n, key, from, err)
		}
	}
	w.now = w.now.Add(secretLife + time.Hour)
	for _, id := range []string{"ID3", "ID59"} {
		if key, _, err := w.device.MsgSecrets.GetMessageSecret(w.ctx(), chat, sender, id); err != nil || key != nil {
			t.Errorf("secret %s outlives its time: %x, %v", id, key, err)
		}
	}
	w.no(w.device.Identities.PutIdentity(w.ctx(), address(sender), [32]byte{1}))
	if key, _, err := w.device.MsgSecrets.GetMessageSecret(w.ctx(), chat, sender, "ID60"); err != nil || key != nil {
		t.Errorf("the secret in the row outlives the row's next write: %x, %v", key, err)
	}
}

func TestNames_OfManyStrangersAreFewItems(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.table.counted()
	n := maxRiders + 200 // as a history sync brings them
	for i := range n {
		if changed, _, err := w.device.Contacts.PutPushName(w.ctx(), lidUser(i), fmt.Sprint("Name ", i)); err != nil || !changed {
			t.Fatalf("name %d: changed %v, %v", i, changed, err)
		}
	}
	w.no(w.c.Flush(w.ctx()))
	if puts, _ := w.table.counted(); len(puts) > 40 {
		t.Errorf("%d names put %d items (%s…)", n, len(puts), kinds(puts[:5]))
	}
	w.open()
	for _, i := range []int{0, 500, n - 1} {
		if info, err := w.device.Contacts.GetContact(w.ctx(), lidUser(i)); err != nil || info.PushName != fmt.Sprint("Name ", i) {
			t.Errorf("contact %d is %+v, %v", i, info, err)
		}
		if changed, _, err := w.device.Contacts.PutPushName(w.ctx(), lidUser(i), fmt.Sprint("Name ", i)); err != nil || changed {
			t.Errorf("the same name of %d counts as changed (%v)", i, err)
		}
	}
}

func TestLIDs_ManyPairsInFewItems(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.table.counted()
	var pairs []wastore.LIDMapping
	for i := range 1000 {
		pairs = append(pairs, wastore.LIDMapping{LID: lidUser(i), PN: pnUser(i)})
	}
	w.no(w.device.LIDs.PutManyLIDMappings(w.ctx(), pairs))
	if puts, _ := w.table.counted(); len(puts) != 41 {
		t.Errorf("1,000 pairs put %d items, want 41", len(puts))
	}
	w.no(w.device.LIDs.PutManyLIDMappings(w.ctx(), pairs))
	w.no(w.device.LIDs.PutLIDMapping(w.ctx(), lidUser(5), pnUser(5)))
	if puts, _ := w.table.counted(); len(puts) != 0 {
		t.Errorf("known pairs put %d items", len(puts))
	}
	w.no(w.device.LIDs.PutLIDMapping(w.ctx(), lidUser(5), pnUser(2000)))
	if puts, _ := w.table.counted(); len(puts) != 1 {
		t.Errorf("a changed pair put %d items, want one", len(puts))
	}
	other := w.config
	rival, err := Open(w.ctx(), other)
	w.no(err)
	w.no(rival.putLIDMapping(w.ctx(), lidUser(3000), pnUser(3000)))
	w.no(w.device.LIDs.PutLIDMapping(w.ctx(), lidUser(3001), pnUser(3001))) // over the rival's write
	w.open()
	for _, i := range []int{0, 999, 3000, 3001} {
		if pn, err := w.device.LIDs.GetPNForLID(w.ctx(), lidUser(i)); err != nil || pn != pnUser(i) {
			t.Errorf("phone number of %d is %v, %v", i, pn, err)
		}
	}
	for _, item := range w.dump() {
		if kind(item.SK) == "LID" && len(item.Value)+len(item.PK)+len(item.SK) > 1024 {
			t.Errorf("an item of pairs takes %d bytes, want at most 1 KB", len(item.Value))
		}
	}
}

func TestMigrate_MovesEverythingOfAUser(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	a.jid = pnUser(1) // still addressed by phone number
	first := a.must(a.send("first", bundlesOf(b), b.jid))
	b.receive(first)
	kept := a.must(a.send("kept", nil, b.jid))
	if _, _, err := b.decrypt(kept); err != nil {
		t.Fatal(err)
	}
	b.no(b.learn(a.jid, a.distribute(a.ctx())))
	b.open()
	b.table.counted()
	b.no(b.device.Sessions.MigratePNToLID(b.ctx(), pnUser(1), lidUser(1)))
	if puts, _ := b.table.counted(); kinds(puts) != "ADDR ADDR SK SK" {
		t.Errorf("the migration put %s", kinds(puts))
	}
	b.no(b.device.Sessions.MigratePNToLID(b.ctx(), pnUser(1), lidUser(1)))
	if puts, reads := b.table.counted(); len(puts) != 0 || reads != 0 {
		t.Errorf("another one put %s and read %d times, want nothing", kinds(puts), reads)
	}
	text, _, err := b.decrypt(kept)
	if err != nil || text != "kept" {
		t.Errorf("the plaintext that waits reads %q, %v", text, err)
	}
	next := a.must(a.send("next", nil, b.jid))
	next.from = lidUser(1)
	b.receive(next)
	l, err := a.sendGroup(a.ctx(), "group")
	a.no(err)
	l.from = lidUser(1)
	b.receive(l)
}

func TestBudget_HoldsAndGivesBack(t *testing.T) {
	budget := NewBudget(40_000)
	w := newWorld(t)
	w.config.Budget = budget
	w.c.Close()
	w.open()
	w.pair()
	for i := range 300 {
		w.no(w.device.Identities.PutIdentity(w.ctx(), address(lidUser(i)), [32]byte{byte(i)}))
		w.no(w.device.LIDs.PutLIDMapping(w.ctx(), lidUser(i%20), pnUser(i%20)))
	}
	if used := budget.Used(); used > 40_000 || used < 20_000 {
		t.Errorf("%d bytes used of 40,000", used)
	}
	rows := 0
	for _, e := range budget.entries {
		if e.row.sk == addressSK(address(lidUser(0))) {
			t.Error("the least recently used row is still there")
		}
		rows++
	}
	if rows < 50 {
		t.Errorf("only %d rows are in memory", rows)
	}
	other := newWorld(t)
	other.config.Budget = budget
	other.open()
	other.pair()
	other.c.Close()
	w.c.Close()
	if used := budget.Used(); used != 0 {
		t.Errorf("%d bytes used after all containers are closed", used)
	}
}

func TestAppState_BeginsAnewWithoutOldMACs(t *testing.T) {
	w := newWorld(t)
	w.pair()
	d := w.device
	w.no(d.AppState.PutAppStateVersion(w.ctx(), "regular", 5, [128]byte{5}))
	w.no(d.AppState.PutAppStateMutationMACs(w.ctx(), "regular", 5, []wastore.AppStateMutationMAC{{IndexMAC: mac(1), ValueMAC: mac(2)}}))
	w.table.set(func(op string, ops []store.Op) error {
		if op == "Write" && ops[0].Kind == store.OpDelete {
			return errors.New("interrupted")
		}
		return nil
	}, nil)
	w.mustFail("a deletion that is interrupted", d.AppState.DeleteAppStateVersion(w.ctx(), "regular"))
	w.table.set(nil, nil)
	w.open()
	d = w.device
	w.no(d.AppState.PutAppStateVersion(w.ctx(), "regular", 1, [128]byte{1}))
	if value, err := d.AppState.GetAppStateMutationMAC(w.ctx(), "regular", mac(1)); err != nil || value != nil {
		t.Errorf("a MAC of before is met: %x, %v", value, err)
	}
}
