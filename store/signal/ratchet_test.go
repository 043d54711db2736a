package signal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/whatsmeow/types"
	"pgregory.net/rapid"
)

func TestSessionCodec_LosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := serializeSession(drawSession(t))
		session, err := parseSession(want)
		if err != nil {
			t.Fatal(err)
		}
		ratchet, skipped, err := encodeSession(session)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeSession(ratchet, skipped)
		if err != nil {
			t.Fatal(err)
		}
		if got := serializeSession(back); !bytes.Equal(got, want) {
			t.Fatalf("session came back as\n%s\nwant\n%s", got, want)
		}
	})
}

func TestSenderKeyCodec_LosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := serializeSenderKey(drawSenderKey(t))
		key, err := parseSenderKey(want)
		if err != nil {
			t.Fatal(err)
		}
		chains, skipped, err := encodeSenderKey(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeSenderKey(chains, skipped)
		if err != nil {
			t.Fatal(err)
		}
		if got := serializeSenderKey(back); !bytes.Equal(got, want) {
			t.Fatalf("sender key came back as\n%s\nwant\n%s", got, want)
		}
	})
}

// Values come from a table that others may write: whatever they are, decoding
// ends with an error or a value, never with a panic.
func TestCodecs_SurviveDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ratchet, skipped, err := encodeSession(drawSession(t))
		if err != nil {
			t.Fatal(err)
		}
		r := row{
			sk: "ADDR#1:0", ratchet: ratchet, skipped: skipped, loaded: true, identity: make([]byte, 32), push: "Ana",
			pending: []pending{{plaintext: []byte("x")}}, secrets: []secret{{chat: "a", sender: "b", key: []byte("k")}}, token: &token{at: 1},
		}
		value := r.encode()
		at := rapid.IntRange(0, len(value)-1).Draw(t, "at")
		value[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		value = value[:rapid.IntRange(at, len(value)).Draw(t, "length")]
		if damaged, err := decodeRow(r.sk, 1, value); err == nil {
			if session, err := decodeSession(damaged.ratchet, damaged.skipped); err == nil {
				serializeSession(session)
			}
			_, _ = decodeSenderKey(damaged.ratchet, damaged.skipped)
		}
		_, _ = decodeDevice(value, 1)
		_, _ = decodePreKeys(value)
		_, _ = decodeIDSet(value)
		_, _ = decodeContact(value)
		_, _ = decodeChat(value)
		_, _ = decodeAppKey(value)
	})
}

func TestParseSession_RefusesWhatIsNone(t *testing.T) {
	for _, serialized := range []string{"", "null", "{}", "[]", "nonsense", `{"SessionState":{}}`, `{"SessionState":{"SenderChain":{}}}`} {
		session, err := parseSession([]byte(serialized))
		if err == nil {
			_, _, err = encodeSession(session)
		}
		if err == nil {
			t.Errorf("%q was taken for a session", serialized)
		}
	}
}

func TestSession_IsSmall(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	for n := range 10 {
		b.receive(a.must(a.send(textOf(n), nil, b.jid)))
		a.receive(b.must(b.send(textOf(n), nil, a.jid)))
	}
	serialized, err := b.device.Sessions.GetSession(b.ctx(), address(a.jid))
	b.no(err)
	r, err := b.c.row(b.ctx(), addressSK(address(a.jid)))
	b.no(err)
	if len(r.ratchet) > 620 || len(r.skipped) > 0 || len(r.encode())+29 > 800 {
		t.Errorf("a session after 20 turns takes %d bytes (%d of skipped keys, %d the whole item), whatsmeow's form %d",
			len(r.ratchet), len(r.skipped), len(r.encode())+29, len(serialized))
	}
}

// conversation drives two parties whose messages can be kept back.
type talk struct {
	a, b *party
}

func (c talk) write(from, to *party, text string) letter {
	from.Helper()
	return from.must(from.send(text, nil, to.jid))
}

// renew begins a new session from one side.
func (c talk) renew(from, to *party, text string) letter {
	from.Helper()
	return from.must(from.send(text, map[types.JID]*prekey.Bundle{to.jid: to.bundle()}, to.jid))
}

// A message that comes late, for a session that was replaced meanwhile, makes
// libsignal spoil the newer session: what the peer sends on it later cannot be
// read. This is that sequence.
func TestRepair_LateMessageOnArchivedSession(t *testing.T) {
	c := talk{newParty(t, 1), newParty(t, 2)}
	acquaint(c.a, c.b)
	late := c.write(c.b, c.a, "late, on the old session")
	c.b.receive(c.renew(c.a, c.b, "first on a new session"))
	c.a.receive(c.write(c.b, c.a, "answer on the new session"))
	c.b.receive(c.write(c.a, c.b, "and back"))

	before := c.a.states(c.b)
	c.a.receive(late)
	after := c.a.states(c.b)
	if len(after) != len(before) {
		t.Errorf("%d states before and %d after, want as many", len(before), len(after))
	}
	for _, state := range after[1:] {
		if !slices.ContainsFunc(before, func(o string) bool { return o == state }) {
			t.Error("a state that the message did not belong to was changed")
		}
	}
	// The peer has not seen that alice is on the old session again: it goes on
	// with the new one.
	for n := range 6 {
		c.a.receive(c.write(c.b, c.a, textOf(n)))
		c.b.receive(c.write(c.a, c.b, textOf(n)))
	}
}

// states returns what p's session with another party consists of, the current
// state first.
func (p *party) states(with *party) []string {
	p.Helper()
	serialized, err := p.device.Sessions.GetSession(p.ctx(), address(with.jid))
	p.no(err)
	session, err := parseSession(serialized)
	p.no(err)
	var states []string
	for _, state := range append([]*record.StateStructure{session.SessionState}, session.PreviousStates...) {
		states = append(states, string(serializeSession(&record.SessionStructure{SessionState: state})))
	}
	return states
}

func TestRepair_PutsBackAllButTheCurrentState(t *testing.T) {
	state := func(base, counter int) *record.StateStructure {
		return &record.StateStructure{SenderBaseKey: []byte{byte(base)}, PreviousCounter: uint32(counter), SessionVersion: 3}
	}
	session := func(states ...*record.StateStructure) *record.SessionStructure {
		return &record.SessionStructure{SessionState: states[0], PreviousStates: states[1:]}
	}
	before := session(state(1, 0), state(2, 0), state(3, 0))
	tests := map[string]struct {
		after *record.SessionStructure
		want  string
	}{
		"the current one goes on":                    {session(state(1, 7), state(2, 0), state(3, 0)), "1.7 2.0 3.0"},
		"an archived one was right, others spoiled":  {session(state(3, 7), state(1, 9), state(2, 9), state(3, 7)), "3.7 1.0 2.0"},
		"one stands twice and one is lost":           {session(state(2, 7), state(1, 9), state(3, 0), state(3, 0)), "2.7 1.0 3.0"},
		"a new one was begun":                        {session(state(4, 1), state(1, 0), state(2, 0), state(3, 0)), "4.1 1.0 2.0 3.0"},
		"a new one was begun and one before it, too": {session(state(5, 1), state(4, 1), state(1, 0), state(2, 0)), "5.1 4.1 1.0 2.0 3.0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			repaired := repair(before, test.after)
			var got []string
			for _, s := range append([]*record.StateStructure{repaired.SessionState}, repaired.PreviousStates...) {
				got = append(got, fmt.Sprintf("%d.%d", s.SenderBaseKey[0], s.PreviousCounter))
			}
			if fmt.Sprint(got) != "["+test.want+"]" {
				t.Errorf("states %v, want [%s]", got, test.want)
			}
		})
	}
	many := session(state(0, 0))
	for i := range 45 {
		many.PreviousStates = append(many.PreviousStates, state(i+1, 0))
	}
	if got := len(repair(many, session(state(100, 0))).PreviousStates); got != maxArchived {
		t.Errorf("%d archived states, want at most %d", got, maxArchived)
	}
}

func TestSkippedKeys_LieApartAndAreWrittenWhenTheyChange(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	var late []letter
	for n := range 60 {
		late = append(late, a.must(a.send(textOf(n), nil, b.jid)))
	}
	b.receive(late[59])
	if puts, _ := b.table.counted(); kinds(puts) != "KEYS ADDR" {
		t.Errorf("a message that skipped 59 put %s, want the skipped keys and the session", kinds(puts))
	}
	b.receive(a.must(a.send("next", nil, b.jid)))
	if puts, _ := b.table.counted(); kinds(puts) != "ADDR" {
		t.Errorf("the next message put %s, want the session alone", kinds(puts))
	}
	b.c.Close()
	b.open()
	rand.New(rand.NewPCG(1, 2)).Shuffle(59, func(i, j int) { late[i], late[j] = late[j], late[i] })
	for _, l := range late[:59] {
		if l.text != textOf(59) {
			b.receive(l)
		}
	}
	if n := len(b.itemsOf("KEYS#")); n != 0 {
		t.Errorf("%d items of skipped keys are left after all messages came", n)
	}
}

func TestSkippedKeys_ThousandsFit(t *testing.T) {
	w := newWorld(t)
	w.pair()
	r := drawFixed(1)
	session := fixedSession(r)
	session.SessionState.ReceiverChains = []*record.ChainStructure{drawChain(r, false, 2000), drawChain(r, false, 2000), drawChain(r, false, 1)}
	want := serializeSession(session)
	w.table.counted()
	w.no(w.device.Sessions.PutSession(w.ctx(), "1:0", want))
	if puts, _ := w.table.counted(); kinds(puts) != "KEYS KEYS ADDR" {
		t.Errorf("put %s, want two parts of keys and the session", kinds(puts))
	}
	w.open()
	got, err := w.device.Sessions.GetSession(w.ctx(), "1:0")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("4,001 skipped keys did not come back (%v)", err)
	}
	session.SessionState.ReceiverChains = session.SessionState.ReceiverChains[:1]
	w.no(w.device.Sessions.PutSession(w.ctx(), "1:0", serializeSession(session)))
	if left := w.itemsOf("KEYS#"); len(left) != 1 {
		t.Errorf("%d parts are left, want one", len(left))
	}
}

// itemsOf returns the channel's items whose sort keys have a prefix.
func (w *world) itemsOf(prefix string) []string {
	var found []string
	for _, item := range w.dump() {
		if len(item.SK) >= len(prefix) && item.SK[:len(prefix)] == prefix {
			found = append(found, item.SK)
		}
	}
	return found
}
