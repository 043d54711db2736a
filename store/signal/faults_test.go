package signal

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/enlacehq/enlace/store"
)

// methods is every method of whatsmeow's stores that may call the table.
func methods(w *world) map[string]func() error {
	d, ctx := w.device, w.ctx()
	user, phone := lidUser(1), pnUser(1)
	at := address(user)
	r := drawFixed(1)
	session := serializeSession(fixedSession(r))
	senderKey := serializeSenderKey(fixedSenderKey(r))
	decryption := func(ctx context.Context) error {
		if _, err := d.Sessions.GetSession(ctx, at); err != nil {
			return err
		}
		if err := d.Identities.PutIdentity(ctx, at, [32]byte{1}); err != nil {
			return err
		}
		if err := d.Sessions.PutSession(ctx, at, session); err != nil {
			return err
		}
		if err := d.PreKeys.RemovePreKey(ctx, 7); err != nil {
			return err
		}
		return d.EventBuffer.PutBufferedEvent(ctx, [32]byte{9}, []byte("x"), time.Unix(1700000000, 0))
	}
	return map[string]func() error{
		"PutDevice": func() error { d.PushName += "!"; return d.Save(ctx) },

		"PutIdentity":         func() error { return d.Identities.PutIdentity(ctx, at, [32]byte{1}) },
		"DeleteAllIdentities": func() error { return d.Identities.DeleteAllIdentities(ctx, user.User) },
		"DeleteIdentity":      func() error { return d.Identities.DeleteIdentity(ctx, at) },
		"IsTrustedIdentity":   func() error { _, err := d.Identities.IsTrustedIdentity(ctx, at, [32]byte{1}); return err },

		"GetSession":        func() error { _, err := d.Sessions.GetSession(ctx, at); return err },
		"HasSession":        func() error { _, err := d.Sessions.HasSession(ctx, at); return err },
		"GetManySessions":   func() error { _, err := d.Sessions.GetManySessions(ctx, []string{at}); return err },
		"PutSession":        func() error { return d.Sessions.PutSession(ctx, at, session) },
		"PutManySessions":   func() error { return d.Sessions.PutManySessions(ctx, map[string][]byte{at: session}) },
		"DeleteAllSessions": func() error { return d.Sessions.DeleteAllSessions(ctx, user.User) },
		"DeleteSession":     func() error { return d.Sessions.DeleteSession(ctx, at) },
		"MigratePNToLID": func() error {
			if err := d.Identities.PutIdentity(ctx, address(phone), [32]byte{1}); err != nil {
				return err
			}
			return d.Sessions.MigratePNToLID(ctx, phone, user)
		},
		"a send": func() error {
			ctx, done := w.c.WithSend(ctx)
			defer done()
			sessions, err := d.Sessions.GetManySessions(ctx, []string{at, address(lidUser(2))})
			if err != nil {
				return err
			}
			if _, err := d.Identities.IsTrustedIdentity(ctx, at, [32]byte{1}); err != nil {
				return fmt.Errorf("IsTrustedIdentity failed in a send (%v)", err)
			}
			if err := d.Identities.PutIdentity(ctx, at, [32]byte{1}); err != nil {
				return fmt.Errorf("PutIdentity failed in a send (%v)", err)
			}
			for address := range sessions {
				sessions[address] = session
			}
			return d.Sessions.PutManySessions(ctx, sessions)
		},

		"GetOrGenPreKeys":       func() error { _, err := d.PreKeys.GetOrGenPreKeys(ctx, 20); return err },
		"GenOnePreKey":          func() error { _, err := d.PreKeys.GenOnePreKey(ctx); return err },
		"GetPreKey":             func() error { _, err := d.PreKeys.GetPreKey(ctx, 5); return err },
		"RemovePreKey":          func() error { return d.PreKeys.RemovePreKey(ctx, 5) },
		"MarkPreKeysAsUploaded": func() error { return d.PreKeys.MarkPreKeysAsUploaded(ctx, 8) },
		"UploadedPreKeyCount":   func() error { _, err := d.PreKeys.UploadedPreKeyCount(ctx); return err },

		"PutSenderKey": func() error { return d.SenderKeys.PutSenderKey(ctx, "1@g.us", at, senderKey) },
		"GetSenderKey": func() error { _, err := d.SenderKeys.GetSenderKey(ctx, "1@g.us", at); return err },

		"PutAppStateSyncKey": func() error {
			return d.AppStateKeys.PutAppStateSyncKey(ctx, []byte{1}, wastore.AppStateSyncKey{Data: []byte{1}, Timestamp: 1})
		},
		"GetAppStateSyncKey":         func() error { _, err := d.AppStateKeys.GetAppStateSyncKey(ctx, []byte{1}); return err },
		"GetLatestAppStateSyncKeyID": func() error { _, err := d.AppStateKeys.GetLatestAppStateSyncKeyID(ctx); return err },
		"GetAllAppStateSyncKeys":     func() error { _, err := d.AppStateKeys.GetAllAppStateSyncKeys(ctx); return err },
		"PutAppStateVersion":         func() error { return d.AppState.PutAppStateVersion(ctx, "regular", 1, [128]byte{1}) },
		"GetAppStateVersion":         func() error { _, _, err := d.AppState.GetAppStateVersion(ctx, "regular"); return err },
		"DeleteAppStateVersion":      func() error { return d.AppState.DeleteAppStateVersion(ctx, "regular") },
		"PutAppStateMutationMACs": func() error {
			return d.AppState.PutAppStateMutationMACs(ctx, "regular", 1, []wastore.AppStateMutationMAC{{IndexMAC: mac(1), ValueMAC: mac(2)}})
		},
		"DeleteAppStateMutationMACs": func() error { return d.AppState.DeleteAppStateMutationMACs(ctx, "regular", [][]byte{mac(1)}) },
		"GetAppStateMutationMAC":     func() error { _, err := d.AppState.GetAppStateMutationMAC(ctx, "regular", mac(1)); return err },

		"PutPushName":     func() error { _, _, err := d.Contacts.PutPushName(ctx, user, "Ana"); return err },
		"PutBusinessName": func() error { _, _, err := d.Contacts.PutBusinessName(ctx, user, "Ana"); return err },
		"PutContactName":  func() error { return d.Contacts.PutContactName(ctx, user, "Ana", "Ana B") },
		"PutAllContactNames": func() error {
			return d.Contacts.PutAllContactNames(ctx, []wastore.ContactEntry{{JID: user, FirstName: "Bea"}})
		},
		"PutManyRedactedPhones": func() error {
			return d.Contacts.PutManyRedactedPhones(ctx, []wastore.RedactedPhoneEntry{{JID: user, RedactedPhone: "+5"}})
		},
		"GetContact":     func() error { _, err := d.Contacts.GetContact(ctx, user); return err },
		"GetAllContacts": func() error { _, err := d.Contacts.GetAllContacts(ctx); return err },

		"PutMutedUntil":   func() error { return d.ChatSettings.PutMutedUntil(ctx, user, time.Unix(1, 0)) },
		"PutPinned":       func() error { return d.ChatSettings.PutPinned(ctx, user, true) },
		"PutArchived":     func() error { return d.ChatSettings.PutArchived(ctx, user, true) },
		"GetChatSettings": func() error { _, err := d.ChatSettings.GetChatSettings(ctx, user); return err },

		"PutMessageSecrets": func() error {
			return d.MsgSecrets.PutMessageSecrets(ctx, []wastore.MessageSecretInsert{{Chat: user, Sender: user, ID: "A", Secret: mac(1)}})
		},
		"PutMessageSecret": func() error {
			for n := range secretsPerItem {
				if err := d.MsgSecrets.PutMessageSecret(ctx, user, user, fmt.Sprint(n), mac(n)); err != nil {
					return err
				}
			}
			return nil
		},
		"GetMessageSecret": func() error { _, _, err := d.MsgSecrets.GetMessageSecret(ctx, user, user, "none"); return err },

		"PutPrivacyTokens": func() error { return d.PrivacyTokens.PutPrivacyTokens(ctx, tokenOf(user)) },
		"GetPrivacyToken":  func() error { _, err := d.PrivacyTokens.GetPrivacyToken(ctx, user); return err },
		"PutNCTSalt":       func() error { return d.NCTSalt.PutNCTSalt(ctx, []byte("salt")) },
		"GetNCTSalt":       func() error { _, err := d.NCTSalt.GetNCTSalt(ctx); return err },
		"DeleteNCTSalt":    func() error { return d.NCTSalt.DeleteNCTSalt(ctx) },

		"GetBufferedEvent": func() error { _, err := d.EventBuffer.GetBufferedEvent(ctx, [32]byte{8}); return err },
		"PutBufferedEvent": func() error {
			return d.EventBuffer.PutBufferedEvent(ctx, [32]byte{7}, []byte("x"), time.Unix(1, 0))
		},
		"DoDecryptionTxn": func() error { return d.EventBuffer.DoDecryptionTxn(ctx, decryption) },
		"GetOutgoingEvent": func() error {
			_, _, err := d.EventBuffer.GetOutgoingEvent(ctx, user, phone, "KNOWN")
			return err
		},
		"AddOutgoingEvent": func() error { return d.EventBuffer.AddOutgoingEvent(ctx, user, "ID", "wa", []byte("x")) },

		"PutManyLIDMappings": func() error {
			return d.LIDs.PutManyLIDMappings(ctx, []wastore.LIDMapping{{LID: lidUser(5), PN: pnUser(5)}})
		},
		"PutLIDMapping": func() error { return d.LIDs.PutLIDMapping(ctx, lidUser(6), pnUser(6)) },
	}
}

// prepareFaults makes a state in which every call finds something to do.
func prepareFaults(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.pair()
	user := lidUser(1)
	w.no(w.device.Sessions.PutSession(w.ctx(), address(user), serializeSession(fixedSession(drawFixed(2)))))
	w.no(w.device.Identities.PutIdentity(w.ctx(), address(user), [32]byte{2}))
	w.no(w.device.Identities.PutIdentity(w.ctx(), address(pnUser(1)), [32]byte{2}))
	w.no(w.device.AppState.PutAppStateVersion(w.ctx(), "regular", 3, [128]byte{3}))
	w.no(w.device.AppState.PutAppStateMutationMACs(w.ctx(), "regular", 1, []wastore.AppStateMutationMAC{{IndexMAC: mac(1), ValueMAC: mac(1)}}))
	w.no(w.device.EventBuffer.AddOutgoingEvent(w.ctx(), user, "KNOWN", "wa", []byte("x")))
	w.no(w.device.EventBuffer.PutBufferedEvent(w.ctx(), [32]byte{8}, []byte("x"), time.Unix(1, 0)))
	w.no(w.device.NCTSalt.PutNCTSalt(w.ctx(), []byte("other salt")))
	w.no(w.c.changeDevice(w.ctx(), func(d *device) error {
		d.prekeys.next, d.prekeys.uploaded = 10, 3
		return nil
	}))
	w.open()
	w.c.budget.leave(w.c.id) // so that rows are read from the table
	w.failures()
	return w
}

var errInjected = errors.New("injected")

// TestFaults lets each call to the table that each method makes fail once: before
// its effect, after it, and with a panic. The method must end the session before
// it returns, and the next session must find everything usable.
func TestFaults_EveryMethodEndsTheSession(t *testing.T) {
	modes := map[string]func(w *world, hit func() bool){
		"before": func(w *world, hit func() bool) {
			w.table.set(func(string, []store.Op) error {
				if hit() {
					return errInjected
				}
				return nil
			}, nil)
		},
		"after": func(w *world, hit func() bool) {
			w.table.set(nil, func(string, []store.Op) error {
				if hit() {
					return fmt.Errorf("%w: %w", errInjected, store.ErrUnknown)
				}
				return nil
			})
		},
		"panic": func(w *world, hit func() bool) {
			w.table.set(func(string, []store.Op) error {
				if hit() {
					panic(errInjected)
				}
				return nil
			}, nil)
		},
		"deadline": func(w *world, hit func() bool) {
			w.table.set(func(string, []store.Op) error {
				if hit() {
					return context.DeadlineExceeded
				}
				return nil
			}, nil)
		},
	}
	fired := 0
	for name := range methods(newWorld(t)) {
		for mode, inject := range modes {
			for nth := 1; ; nth++ {
				w := prepareFaults(t)
				var calls atomic.Int64 // a send writes in parallel
				hit := func() bool { return calls.Add(1) == int64(nth) }
				inject(w, hit)
				err := methods(w)[name]()
				w.table.set(nil, nil)
				if calls.Load() < int64(nth) {
					if nth == 1 && mode == "before" && !answersFromMemory[name] {
						t.Errorf("%s made no call to the table", name)
					}
					break
				}
				fired++
				w.mustFail(fmt.Sprintf("%s, call %d failing (%s)", name, nth, mode), err)
				w.newSession()
				if err := methods(w)[name](); err != nil {
					t.Errorf("%s in the next session, after call %d failed (%s): %v", name, nth, mode, err)
				}
				if failed := w.failures(); len(failed) > 0 {
					t.Errorf("%s ended the next session, after call %d failed (%s): %v", name, nth, mode, failed)
				}
				w.open()
			}
		}
	}
	t.Logf("%d faults", fired)
}

// What is in memory since Open.
var answersFromMemory = map[string]bool{
	"GetPreKey": true, "UploadedPreKeyCount": true, "GetNCTSalt": true,
}

func TestFaults_UnavailableTableIsTriedAgain(t *testing.T) {
	w := prepareFaults(t)
	n := 0
	w.table.set(func(string, []store.Op) error {
		if n++; n <= len(retryDelays) {
			return store.ErrUnavailable
		}
		return nil
	}, nil)
	if err := w.device.Identities.PutIdentity(w.ctx(), address(lidUser(9)), [32]byte{1}); err != nil || len(w.failures()) > 0 {
		t.Errorf("PutIdentity: %v, want that it is tried again", err)
	}
}

// A decryption may be stored although its write failed. The next session of the
// same owner must then answer from the buffer: its ratchet is past the message.
func TestFaults_UncertainDecryptionIsAnsweredFromTheBuffer(t *testing.T) {
	unknown := func() error { return store.ErrUnknown }
	tests := map[string]struct {
		happened bool
		fault    func() error
		slow     bool // someone read the row before and puts it into memory after
	}{
		"done, then an error":             {true, unknown, false},
		"done, then a panic":              {true, func() error { panic("injected") }, false},
		"done, then an error, an old row": {true, unknown, true},
		"not done":                        {false, unknown, false},
		"not done, an old row":            {false, unknown, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := newParty(t, 1), newParty(t, 2)
			acquaint(a, b)
			l := a.must(a.send("kept", nil, b.jid))
			old, err := b.c.row(b.ctx(), addressSK(address(a.jid)))
			b.no(err)
			once := false
			fail := func(op string, _ []store.Op) error {
				if op == "Write" && !once {
					once = true
					return test.fault()
				}
				return nil
			}
			if test.happened {
				b.table.set(nil, fail)
			} else {
				b.table.set(fail, nil)
			}
			_, _, err = b.decrypt(l)
			b.mustFail("a decryption with an uncertain outcome", err)
			if test.slow {
				b.c.budget.keep(b.c.id, old)
			}
			b.newSession() // of the same owner
			b.receive(l)
			b.receive(a.must(a.send("and on", nil, b.jid)))
		})
	}
}

func TestFresh_AskedBeforeEachWrite(t *testing.T) {
	w := prepareFaults(t)
	stale := errors.New("the lease is over")
	w.config.Fresh = func() error { return stale }
	w.open()
	w.table.counted()
	err := w.device.Identities.PutIdentity(w.ctx(), address(lidUser(9)), [32]byte{1})
	w.mustFail("a write after the lease", err)
	if puts, _ := w.table.counted(); len(puts) > 0 || !errors.Is(err, stale) {
		t.Errorf("put %v, error %v; want nothing, and why", puts, err)
	}
	if _, err := w.device.Sessions.GetSession(w.ctx(), address(lidUser(1))); err != nil {
		t.Errorf("a read after the lease: %v", err)
	}
}

func TestAnswers_AreNoFailures(t *testing.T) {
	w := newWorld(t)
	w.pair()
	_, err := w.device.LIDs.GetLIDForPN(w.ctx(), lidUser(1))
	expect := func(what string, err error) {
		t.Helper()
		if err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want an error that is no failure", what, err)
		}
	}
	expect("the LID of a LID", err)
	expect("a pair the wrong way round", w.device.LIDs.PutLIDMapping(w.ctx(), pnUser(1), lidUser(1)))
	_, _, err = w.device.EventBuffer.GetOutgoingEvent(w.ctx(), lidUser(1), types.EmptyJID, "unknown")
	expect("an outgoing message that was not kept", err)
	if failed := w.failures(); len(failed) > 0 {
		t.Errorf("the session ended: %v", failed)
	}
}

// Names come from the network, and a name that no sort key can hold must not end
// the session each time its message is delivered.
func TestNames_OfAnyKindFit(t *testing.T) {
	w := newWorld(t)
	w.pair()
	long := make([]byte, 5000)
	for i := range long {
		long[i] = 'x'
	}
	for i, name := range []string{"a#b", "a%b", "\xff\xfe", string(long), "1:2:3", " "} {
		at := name + ":0"
		w.no(w.device.Identities.PutIdentity(w.ctx(), at, [32]byte{byte(i + 1)}))
		w.no(w.device.SenderKeys.PutSenderKey(w.ctx(), name, at, serializeSenderKey(fixedSenderKey(drawFixed(3)))))
		user := types.JID{User: name, Server: types.HiddenUserServer}
		_, _, err := w.device.Contacts.PutPushName(w.ctx(), user, "Ana")
		w.no(err)
		w.no(w.device.Contacts.PutContactName(w.ctx(), user, "Ana", "B"))
		w.no(w.device.ChatSettings.PutPinned(w.ctx(), user, true))
		w.no(w.device.LIDs.PutLIDMapping(w.ctx(), user, types.NewJID(name+"1", types.DefaultUserServer)))
		w.no(w.device.MsgSecrets.PutMessageSecret(w.ctx(), user, user, name, mac(1)))
		w.no(w.device.EventBuffer.AddOutgoingEvent(w.ctx(), user, name, "wa", nil))
		w.no(w.device.Identities.DeleteAllIdentities(w.ctx(), "other"+name))
		_, err = w.device.Contacts.GetAllContacts(w.ctx())
		w.no(err)
	}
	w.no(w.c.Flush(w.ctx()))
	w.open()
	for i, name := range []string{"a#b", "a%b", "\xff\xfe", string(long), "1:2:3", " "} {
		trusted, err := w.device.Identities.IsTrustedIdentity(w.ctx(), name+":0", [32]byte{byte(i + 1)})
		other, _ := w.device.Identities.IsTrustedIdentity(w.ctx(), name+":0", [32]byte{99})
		if err != nil || !trusted || other {
			t.Errorf("identity of %.10q: trusted %v, another key %v, %v", name, trusted, other, err)
		}
	}
	if failed := w.failures(); len(failed) > 0 {
		t.Errorf("the session ended: %v", failed)
	}
}
