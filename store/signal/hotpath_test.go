package signal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/whatsmeow/types"

	"github.com/enlacehq/enlace/store"
)

func TestWrites_AreCounted(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	own := newParty(t, 3) // stands for b's own phone
	put := func(what string, p *party, want string) {
		t.Helper()
		if puts, _ := p.table.counted(); kinds(puts) != want {
			t.Errorf("%s put %q, want %q", what, kinds(puts), want)
		}
	}
	first := a.must(a.send("one", map[types.JID]*prekey.Bundle{b.jid: b.bundle()}, b.jid))
	put("a first message sent", a, "DEVICE ADDR") // the device when it was stored
	b.table.counted()
	b.receive(first)
	put("a first message received", b, "ADDR DEVICE")
	b.receive(a.must(a.send("two", nil, b.jid)))
	put("another one received", b, "ADDR")
	if _, err := b.send("three", map[types.JID]*prekey.Bundle{own.jid: own.bundle()}, a.jid, own.jid); err != nil {
		t.Fatal(err)
	}
	put("a message sent, with a new session for the own phone", b, "ADDR ADDR")
	if _, err := b.send("four", nil, a.jid, own.jid); err != nil {
		t.Fatal(err)
	}
	puts, reads := b.table.counted()
	if kinds(puts) != "ADDR ADDR" || reads != 0 {
		t.Errorf("a message sent: %s and %d reads, want two puts and no read", kinds(puts), reads)
	}

	b.no(b.learn(a.jid, a.distribute(a.ctx())))
	put("a sender key received", b, "SK")
	l, err := a.sendGroup(a.ctx(), "five")
	a.no(err)
	b.receive(l)
	put("a group message received", b, "SK")

	changed, _, err := b.device.Contacts.PutPushName(b.ctx(), a.jid, "Ana")
	if err != nil || !changed {
		t.Fatalf("push name: changed %v, %v", changed, err)
	}
	b.no(b.device.MsgSecrets.PutMessageSecret(b.ctx(), a.jid, a.jid, "ID", make([]byte, 32)))
	put("a push name and a message secret", b, "")
	b.receive(a.must(a.send("six", nil, b.jid)))
	put("the next message", b, "ADDR")
	b.c.Close()
	b.open()
	if info, err := b.device.Contacts.GetContact(b.ctx(), a.jid); err != nil || info.PushName != "Ana" {
		t.Errorf("the push name did not ride along: %+v, %v", info, err)
	}
	if secret, _, err := b.device.MsgSecrets.GetMessageSecret(b.ctx(), a.jid, a.jid, "ID"); err != nil || len(secret) != 32 {
		t.Errorf("the message secret did not ride along: %x, %v", secret, err)
	}
}

func TestPushName_OfAMessageThatIsBeingDecryptedIsNotReadAgain(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	rename := func(name string) (changed bool) {
		t.Helper()
		changed, _, err := b.device.Contacts.PutPushName(b.ctx(), a.jid, name)
		b.no(err)
		return changed
	}
	rename("Ana")
	b.receive(a.must(a.send("one", nil, b.jid)))

	b.table.counted()
	b.table.set(func(op string, _ []store.Op) error {
		switch {
		case op == "Write" && rename("Ana"):
			t.Error("a known name is a new one while the row is written")
		case op == "Write" && !rename("Anna"):
			t.Error("a new name is none while the row is written")
		}
		return nil
	}, nil)
	b.receive(a.must(a.send("two", nil, b.jid)))
	b.table.set(nil, nil)
	if _, reads := b.table.counted(); reads != 0 {
		t.Errorf("%d reads for the name of who has written, want none", reads)
	}
	if rename("Anna") {
		t.Error("the name that came while the row was written is lost")
	}
	b.receive(a.must(a.send("three", nil, b.jid)))
	b.open()
	if info, err := b.device.Contacts.GetContact(b.ctx(), a.jid); err != nil || info.PushName != "Anna" {
		t.Errorf("after a restart the name is %q, %v", info.PushName, err)
	}
}

func TestBuffer_PlaintextSurvivesACrashUntilItIsAcknowledged(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	l := a.must(a.send("kept", nil, b.jid))
	if _, _, err := b.decrypt(l); err != nil {
		t.Fatal(err)
	}
	b.open() // a crash before the handler
	text, hash, err := b.decrypt(l)
	if err != nil || text != "kept" {
		t.Fatalf("after a crash the message reads %q, %v", text, err)
	}
	b.no(b.device.EventBuffer.ClearBufferedEventPlaintext(b.ctx(), hash))
	if _, _, err := b.decrypt(l); !errors.Is(err, errProcessed) {
		t.Errorf("an acknowledged message comes again: %v, want that it was processed", err)
	}
	b.receive(a.must(a.send("next", nil, b.jid)))
	b.open()
	if _, _, err := b.decrypt(l); !errors.Is(err, signalerror.ErrOldCounter) {
		t.Errorf("after the next message and a restart: %v, want ErrOldCounter", err)
	}
	if failed := b.failures(); len(failed) > 0 {
		t.Errorf("the session ended: %v", failed)
	}
}

func TestBuffer_GroupPlaintextSurvivesACrash(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	b.no(b.learn(a.jid, a.distribute(a.ctx())))
	l, err := a.sendGroup(a.ctx(), "kept")
	a.no(err)
	if _, _, err := b.decrypt(l); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.receive(l)
}

func TestBuffer_LargePlaintextLiesApart(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	large := strings.Repeat("x", 700*1024)
	l := a.must(a.send(large, nil, b.jid))
	if _, _, err := b.decrypt(l); err != nil {
		t.Fatal(err)
	}
	if puts, _ := b.table.counted(); kinds(puts) != "BIG BIG BIG ADDR" {
		t.Errorf("put %s, want three parts and the address", kinds(puts))
	}
	b.open()
	b.receive(l)
	b.receive(a.must(a.send("small", nil, b.jid)))
	b.open()
	b.receive(a.must(a.send("small again", nil, b.jid)))
	b.now = b.now.Add(pendingLife + time.Second)
	if left := b.itemsOf("BIG#"); len(left) > 0 {
		t.Errorf("parts outlive their time: %v", left)
	}
}

func TestOpen_OffersOnlyPlaintextsWithoutAnEvent(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	old := a.must(a.send("old", nil, b.jid))
	if _, _, err := b.decrypt(old); err != nil {
		t.Fatal(err)
	}
	b.config.OldestEvent = b.now.Add(2 * eventMargin)
	b.open()
	if _, _, err := b.decrypt(old); !errors.Is(err, signalerror.ErrOldCounter) {
		t.Errorf("a plaintext from long before the oldest event: %v, want ErrOldCounter", err)
	}
	b.config.OldestEvent = b.now.Add(eventMargin / 2)
	b.open()
	b.receive(old)
}

func TestDecrypt_FailureLeavesNothing(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	l := a.must(a.send("spoiled", nil, b.jid))
	whole := bytes.Clone(l.bytes)
	l.bytes[len(l.bytes)-1] ^= 1
	if _, _, err := b.decrypt(l); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a spoiled message: %v, want an error of its own", err)
	}
	if puts, _ := b.table.counted(); len(puts) != 0 {
		t.Errorf("a spoiled message put %s", kinds(puts))
	}
	l.bytes = whole
	b.receive(l)
}

func TestDecrypt_PanicOfLibsignalIsAnUnreadableMessage(t *testing.T) {
	b := newParty(t, 1)
	err := b.device.EventBuffer.DoDecryptionTxn(b.ctx(), func(context.Context) error { panic("index out of range") })
	if err == nil || errors.Is(err, context.Canceled) || len(b.failures()) > 0 {
		t.Errorf("error %v, want one that lets the message be reported and the session live", err)
	}
}

func TestDecrypt_PrekeyLeavesAfterTheSessionIsStored(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	bundle := b.bundle()
	id := bundle.PreKeyID().Value
	l := a.must(a.send("first", map[types.JID]*prekey.Bundle{b.jid: bundle}, b.jid))
	broken := errors.New("broken")
	failOn := func(kindOf string) func(string, []store.Op) error {
		return func(op string, ops []store.Op) error {
			if op == "Write" && kind(ops[0].Item.SK) == kindOf {
				return broken
			}
			return nil
		}
	}
	b.table.set(failOn("ADDR"), nil)
	_, _, err := b.decrypt(l)
	b.mustFail("a decryption that cannot be stored", err)
	b.table.set(nil, nil)
	if key, err := b.device.PreKeys.GetPreKey(b.ctx(), id); err != nil || key == nil {
		t.Fatalf("the prekey left before the session was stored (%v)", err)
	}
	b.table.set(failOn("DEVICE"), nil)
	_, _, err = b.decrypt(l)
	b.mustFail("a prekey that cannot be removed", err)
	b.table.set(nil, nil)
	b.open()
	b.receive(l)
}

// rival opens the same channel's state a second time, as another worker that
// believes to own it.
func (p *party) rival() *party {
	p.Helper()
	r := &party{&world{TB: p.TB, table: p.table, key: p.key, config: p.config, now: p.now}, p.jid}
	r.config.Budget = NewBudget(1 << 20)
	r.open()
	return r
}

func TestConflict_DecryptionRunsAgain(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	asked := 0
	b.config.StillOwner = func(context.Context) error { asked++; return nil }
	b.open()
	_, err := b.device.Sessions.HasSession(b.ctx(), address(a.jid)) // into memory
	b.no(err)
	other := b.rival()
	other.no(other.device.PrivacyTokens.PutPrivacyTokens(other.ctx(), tokenOf(a.jid)))

	b.receive(a.must(a.send("one", nil, b.jid)))
	if asked != 1 {
		t.Errorf("asked %d times whether the channel is still ours, want once", asked)
	}
	if token, err := b.device.PrivacyTokens.GetPrivacyToken(b.ctx(), a.jid); err != nil || token == nil {
		t.Errorf("what the other one wrote is gone: %v, %v", token, err)
	}
	if failed := b.failures(); len(failed) > 0 {
		t.Errorf("the session ended: %v", failed)
	}
}

func TestConflict_NoLongerOwnerEndsTheSession(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	gone := errors.New("someone else owns the channel")
	b.config.StillOwner = func(context.Context) error { return gone }
	b.open()
	_, err := b.device.Sessions.HasSession(b.ctx(), address(a.jid))
	b.no(err)
	other := b.rival()
	other.no(other.device.PrivacyTokens.PutPrivacyTokens(other.ctx(), tokenOf(a.jid)))
	_, _, err = b.decrypt(a.must(a.send("one", nil, b.jid)))
	if !errors.Is(err, gone) {
		t.Errorf("error %v, want that the channel is not ours", err)
	}
	b.mustFail("a decryption of a former owner", err)
}

// A worker that was stopped in mid-decryption wakes up and stores what it has
// decrypted, after another one has taken over and read everything. The message
// is redelivered to the new owner, whose ratchet is behind.
func TestConflict_LateWriteOfAnEarlierOwnerLosesNothing(t *testing.T) {
	for _, cached := range []bool{true, false} {
		t.Run(fmt.Sprintf("cached=%v", cached), func(t *testing.T) {
			a, b := newParty(t, 1), newParty(t, 2)
			acquaint(a, b)
			l := a.must(a.send("not lost", nil, b.jid))
			next := b.rival() // has read everything
			if !cached {
				next.c.budget.leave(next.c.id)
			}
			if _, _, err := b.decrypt(l); err != nil { // the late write
				t.Fatal(err)
			}
			_, _, err := next.decrypt(l)
			next.mustFail("the message that an earlier owner has decrypted", err)
			next.newSession()
			next.receive(l)
			next.receive(a.must(a.send("and on", nil, b.jid)))
		})
	}
}

// libsignal decrypts a group message in the place of its ciphertext, so that the
// same one cannot be decrypted again.
func TestConflict_GroupMessageComesAgainInANewSession(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	b.no(b.learn(a.jid, a.distribute(a.ctx())))
	l, err := a.sendGroup(a.ctx(), "not lost")
	a.no(err)
	next := b.rival()                          // has read everything
	if _, _, err := b.decrypt(l); err != nil { // the late write
		t.Fatal(err)
	}
	_, _, err = next.decrypt(l)
	next.mustFail("a group message over a foreign write", err)
	next.newSession()
	next.receive(l)
	l, err = a.sendGroup(a.ctx(), "and on")
	a.no(err)
	next.receive(l)
}

func TestConflict_GroupMessageOverANewSenderKeyComesAgain(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	b.no(b.learn(a.jid, a.distribute(a.ctx())))
	l, err := a.sendGroup(a.ctx(), "not lost")
	a.no(err)
	again := newParty(t, 3) // a sender key of another making, under the same name
	err = b.device.EventBuffer.DoDecryptionTxn(b.ctx(), func(ctx context.Context) error {
		if _, err := b.read(ctx, l); err != nil {
			return err
		}
		return b.learn(a.jid, again.distribute(again.ctx()))
	})
	b.mustFail("a group message whose sender key changed meanwhile", err)
	b.newSession()
	b.receive(l)
}

func TestConflict_GroupMessageOverAnotherWriteOfItsRow(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	b.no(b.learn(a.jid, a.distribute(a.ctx())))
	l, err := a.sendGroup(a.ctx(), "goes through")
	a.no(err)
	sk := senderKeySK(group.String(), address(a.jid))
	other := b.rival()
	other.no(other.c.update(other.ctx(), sk, func(r *row) error { r.push = "x"; return nil }))
	b.receive(l)
	if failed := b.failures(); len(failed) > 0 {
		t.Errorf("the session ended although the sender key was the same: %v", failed)
	}
}

func TestConflict_SendRunsAgain(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	incoming := a.must(a.send("incoming", nil, b.jid))

	ctx, done := b.c.WithSend(b.ctx())
	_, cached, err := b.device.WithCachedSessions(ctx, []string{address(a.jid)})
	b.no(err)
	b.receive(incoming) // while the send fetches bundles
	_, err = b.sendIn(cached, "outgoing", nil, a.jid)
	done()
	if !errors.Is(err, ErrConflict) || errors.Is(err, context.Canceled) {
		t.Errorf("a send over a decryption: %v, want ErrConflict alone", err)
	}
	if failed := b.failures(); len(failed) > 0 {
		t.Errorf("the session ended: %v", failed)
	}
	a.receive(b.must(b.send("again", nil, a.jid)))
	b.receive(a.must(a.send("read", nil, b.jid)))
}

func TestConflict_FirstSendOverFirstMessage(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	incoming := a.must(a.send("incoming", map[types.JID]*prekey.Bundle{b.jid: b.bundle()}, b.jid))
	ctx, done := b.c.WithSend(b.ctx())
	defer done()
	existing, cached, err := b.device.WithCachedSessions(ctx, []string{address(a.jid)})
	if err != nil || existing[address(a.jid)] {
		t.Fatalf("existing %v, %v", existing, err)
	}
	b.receive(incoming)
	_, err = b.sendIn(cached, "first", map[types.JID]*prekey.Bundle{a.jid: a.bundle()}, a.jid)
	if !errors.Is(err, ErrConflict) {
		t.Errorf("a send that knew of no session: %v, want ErrConflict", err)
	}
	b.receive(a.must(a.send("still readable", nil, b.jid)))
}

func TestConflict_OnlyTheSessionCounts(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	ctx, done := b.c.WithSend(b.ctx())
	defer done()
	_, cached, err := b.device.WithCachedSessions(ctx, []string{address(a.jid)})
	b.no(err)
	b.no(b.device.PrivacyTokens.PutPrivacyTokens(b.ctx(), tokenOf(a.jid)))
	a.receive(b.must(b.sendIn(cached, "goes on", nil, a.jid)))
	if token, err := b.device.PrivacyTokens.GetPrivacyToken(b.ctx(), a.jid); err != nil || token == nil {
		t.Errorf("the send wrote over a token: %v, %v", token, err)
	}
}

func TestSend_WhatItReadStaysWithIt(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	ctx, done := b.c.WithSend(b.ctx())
	defer done()
	_, cached, err := b.device.WithCachedSessions(ctx, []string{address(a.jid)})
	b.no(err)
	b.c.budget.leave(b.c.id) // memory runs out
	b.table.counted()
	a.receive(b.must(b.sendIn(cached, "x", nil, a.jid)))
	if _, reads := b.table.counted(); reads > 1 {
		t.Errorf("%d reads, want at most the one that looks whether the row changed", reads)
	}
}

func TestSend_IdentityFailuresAreReportedByTheSend(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	bundle := map[types.JID]*prekey.Bundle{a.jid: a.bundle()}
	b.open()
	ctx, done := b.c.WithSend(b.ctx())
	defer done()
	broken := errors.New("broken")
	b.table.set(func(op string, _ []store.Op) error {
		if op == "Get" {
			return broken
		}
		return nil
	}, nil)
	other := address(lidUser(77))
	if trusted, err := b.device.Identities.IsTrustedIdentity(ctx, other, [32]byte{1}); err != nil || !trusted {
		t.Errorf("IsTrustedIdentity in a send: %v, %v; want that it cannot fail", trusted, err)
	}
	if err := b.device.Identities.PutIdentity(ctx, other, [32]byte{1}); err != nil {
		t.Errorf("PutIdentity in a send: %v, want that it cannot fail", err)
	}
	_, err := b.sendIn(ctx, "x", bundle, a.jid)
	if !errors.Is(err, broken) {
		t.Errorf("the send returned %v, want what happened before", err)
	}
	b.mustFail("the send", err)
}

func TestLooseSession_ChangedMeanwhileEndsTheSession(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	session, err := b.device.Sessions.GetSession(b.ctx(), address(a.jid)) // a retry receipt is answered
	b.no(err)
	b.receive(a.must(a.send("meanwhile", nil, b.jid)))
	err = b.device.Sessions.PutSession(b.ctx(), address(a.jid), session)
	b.mustFail("PutSession of an outdated session", err)
	b.receive(a.must(a.send("still readable", nil, b.jid)))
}

func TestLooseSenderKey_FailureEndsTheSession(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	b.table.set(func(op string, ops []store.Op) error {
		if op == "Write" {
			return errors.New("broken")
		}
		return nil
	}, nil)
	b.mustFail("a sender key that cannot be stored", b.learn(a.jid, a.distribute(a.ctx())))
}

func TestSeveralSendsAndDecryptionsAtOnce(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	acquaint(a, b)
	var letters []letter
	for n := range 40 {
		letters = append(letters, a.must(a.send(textOf(n), nil, b.jid)))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 40 {
			for {
				_, err := b.send("out", nil, a.jid)
				if err == nil {
					break
				}
				if !errors.Is(err, ErrConflict) {
					t.Errorf("send: %v", err)
					return
				}
			}
			_, _, _ = b.device.Contacts.PutPushName(b.ctx(), a.jid, "Ana")
		}
	}()
	for _, l := range letters {
		if text, _, err := b.decrypt(l); err != nil || text != l.text {
			t.Errorf("read %q, %v; want %q", text, err, l.text)
		}
	}
	<-done
	if failed := b.failures(); len(failed) > 0 {
		t.Errorf("the session ended: %v", failed)
	}
	a.receive(b.must(b.send("after all that", nil, a.jid)))
}
