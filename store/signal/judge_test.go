package signal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
	_ "modernc.org/sqlite"
	"pgregory.net/rapid"
)

// The judge is whatsmeow's own store on SQLite: the same calls go to both, and
// every answer is compared. Where ours is meant to answer otherwise, the calls
// are chosen, or the answers prepared, so that this does not show. These are all
// such differences:
//
//   - An acknowledged message: sqlstore remembers its hash for 14 days; ours the
//     last 64, and after a restart it may offer the plaintext again. Either leads
//     to a receipt and no second event: by the hash, by libsignal's ErrOldCounter,
//     or because the handler recognises the message.
//   - A prekey id is never given out twice. sqlstore counts on from the highest id
//     that is left, so it reuses the highest one after its removal.
//   - DeleteAllIdentities and DeleteAllSessions name a user without saying whether
//     by phone number or LID. sqlstore finds phone numbers only; ours both, since
//     contacts are known by LID.
//   - MigratePNToLID: sqlstore looks once per user and process; ours each time.
//   - A contact's names and its privacy token are kept once for its phone number
//     and its LID. whatsmeow writes names under both, so the answers are the same
//     unless a phone number changes its LID.
//   - Message secrets are found under the LID that the sender's number had when
//     they were stored. (sqlstore: under the one it has now.)
//   - DeleteExpiredPrivacyTokens does not count, and is asked again at each login.
//   - Mutation MACs that exist already are replaced. (sqlstore: an error.)
//   - PutManyLIDMappings, PutAllContactNames, PutManyRedactedPhones: of what stands
//     twice in one call the last one counts. (sqlstore: the first.)
//   - The time at which an event was stored is our clock's.
type judge struct {
	t     *rapid.T
	w     *world
	sql   *sqlstore.Container
	peer  *wastore.Device // on SQLite
	noted notes
}

// notes is what the sequence of calls must know of itself.
type notes struct {
	prekeys  []uint32
	removed  map[uint32]bool
	migrated map[int]bool
	versions map[string]uint64 // app-state versions
	macs     uint64
	hashes   [][32]byte
	cleared  map[[32]byte]bool
	secrets  int
	outgoing int
	appKeys  int64
	cutoff   time.Time
}

func (j *judge) both() (ours, theirs *wastore.Device) { return j.w.device, j.peer }

// same compares two answers.
func (j *judge) same(what string, ours, theirs any, ourErr, theirErr error) {
	j.t.Helper()
	if (ourErr != nil) != (theirErr != nil) {
		j.t.Fatalf("%s: our error %v, sqlstore's %v", what, ourErr, theirErr)
	}
	if a, ok := ours.(map[types.JID]types.ContactInfo); ok {
		for jid, info := range theirs.(map[types.JID]types.ContactInfo) {
			if a[jid] != info {
				j.t.Fatalf("%s: of %s ours is %+v, sqlstore's %+v", what, jid, a[jid], info)
			}
			delete(a, jid)
		}
		if len(a) > 0 {
			j.t.Fatalf("%s: only ours has %+v", what, a)
		}
		return
	}
	if !reflect.DeepEqual(ours, theirs) {
		j.t.Fatalf("%s:\nour answer %#v\nsqlstore's  %#v", what, ours, theirs)
	}
	if failed := j.w.failures(); len(failed) > 0 {
		j.t.Fatalf("%s ended the session: %v", what, failed)
	}
}

// Sequences of calls by default; under the race detector SQLite takes ten times as
// long. -rapid.checks asks for more.
const (
	judgeChecks     = 60
	judgeChecksRace = 10
)

func TestStores_AnswerAsSQLStoreDoes(t *testing.T) {
	if asked := flag.Lookup("rapid.checks"); asked.Value.String() == asked.DefValue {
		checks := judgeChecks
		if raceDetector {
			checks = judgeChecksRace
		}
		if err := flag.Set(asked.Name, strconv.Itoa(checks)); err != nil {
			t.Fatal(err)
		}
		defer flag.Set(asked.Name, asked.DefValue)
	}
	template := newSQLTemplate(t)
	rapid.Check(t, func(rt *rapid.T) {
		j := &judge{t: rt, w: newWorld(t), noted: notes{
			removed: map[uint32]bool{}, migrated: map[int]bool{}, versions: map[string]uint64{}, cleared: map[[32]byte]bool{},
		}}
		j.sql, j.peer = template.open(t)
		j.w.pair()
		j.pairPeer()
		j.prepare()
		rt.Repeat(map[string]func(*rapid.T){
			"identity": j.identity, "session": j.session, "sessions": j.sessions, "deleteAll": j.deleteAll,
			"migrate": j.migrate, "prekeys": j.preKeys, "senderKey": j.senderKey, "appKey": j.appKey,
			"appState": j.appState, "names": j.names, "contacts": j.contacts, "chat": j.chat, "secret": j.secret,
			"token": j.token, "salt": j.salt, "decryption": j.decryption, "buffered": j.buffered,
			"outgoing": j.outgoing, "lids": j.lids, "device": j.deviceFields, "reopen": j.reopen,
		})
		j.reopen(rt)
		j.compareAll()
	})
}

// sqlTemplate is an empty database, made once and copied for each run.
type sqlTemplate struct{ path string }

func newSQLTemplate(t *testing.T) sqlTemplate {
	path := filepath.Join(t.TempDir(), "template.db")
	container := openSQL(t, path)
	if err := container.Close(); err != nil {
		t.Fatal(err)
	}
	return sqlTemplate{path}
}

func (s sqlTemplate) open(t *testing.T) (*sqlstore.Container, *wastore.Device) {
	path := filepath.Join(t.TempDir(), "judge.db")
	copyFile(t, s.path, path)
	container := openSQL(t, path)
	t.Cleanup(func() { container.Close() })
	return container, container.NewDevice()
}

func openSQL(t testing.TB, path string) *sqlstore.Container {
	t.Helper()
	dsn := "file:" + path + "?_txlock=immediate&_pragma=foreign_keys(1)&_pragma=busy_timeout(5000)&_pragma=synchronous(0)&_pragma=journal_mode(memory)"
	container, err := sqlstore.New(context.Background(), "sqlite", dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	return container
}

func (j *judge) pairPeer() {
	ours := j.w.device
	*j.peer = wastore.Device{
		Log: j.peer.Log, Container: j.peer.Container, NoiseKey: ours.NoiseKey, IdentityKey: ours.IdentityKey, SignedPreKey: ours.SignedPreKey,
		RegistrationID: ours.RegistrationID, AdvSecretKey: ours.AdvSecretKey, ID: ours.ID, LID: ours.LID,
		Account: ours.Account, Platform: ours.Platform, BusinessName: ours.BusinessName,
	}
	j.w.no(j.peer.Save(j.w.ctx()))
	j.w.no(j.peer.LIDs.PutLIDMapping(j.w.ctx(), ownLID, ownPN))
	j.w.no(j.peer.Identities.PutIdentity(j.w.ctx(), address(ownLID.ToNonAD()), [32]byte(ours.Account.AccountSignatureKey)))
}

// prepare makes users 0–3 known by both JIDs, for good, and lets few prekeys be fresh.
func (j *judge) prepare() {
	ours, theirs := j.both()
	for i := range 4 {
		j.w.no(ours.LIDs.PutLIDMapping(j.w.ctx(), lidUser(i), pnUser(i)))
		j.w.no(theirs.LIDs.PutLIDMapping(j.w.ctx(), lidUser(i), pnUser(i)))
	}
	j.w.no(j.w.c.changeDevice(j.w.ctx(), func(d *device) error {
		d.prekeys.next = 1
		return nil
	}))
}

// reopen opens both stores anew. What rides on later writes is written before.
func (j *judge) reopen(t *rapid.T) {
	j.t = t
	j.w.no(j.w.c.Flush(j.w.ctx()))
	j.w.c.Close()
	j.w.open()
	peer, err := j.sql.GetDevice(j.w.ctx(), *j.w.device.ID)
	j.w.no(err)
	j.peer = peer
	if !j.noted.cutoff.IsZero() {
		_, err := j.w.device.PrivacyTokens.DeleteExpiredPrivacyTokens(j.w.ctx(), j.noted.cutoff)
		j.w.no(err)
	}
}

// user draws a contact: 0–3 are known by both JIDs, 4–5 by one.
func (j *judge) user() types.JID {
	i := rapid.IntRange(0, 5).Draw(j.t, "user")
	if i < 4 && rapid.Bool().Draw(j.t, "by LID") || i == 4 {
		return lidUser(i)
	}
	return pnUser(i)
}

// address draws a signal address. Those by phone number are not written any more
// once they were migrated.
func (j *judge) address() string {
	jid := j.user()
	if jid.Server == types.DefaultUserServer && j.noted.migrated[j.index(jid)] {
		jid = lidUser(j.index(jid))
	}
	jid.Device = uint16(rapid.IntRange(0, 1).Draw(j.t, "device"))
	return address(jid)
}

func (j *judge) index(jid types.JID) int {
	for i := range 6 {
		if jid.User == pnUser(i).User || jid.User == lidUser(i).User {
			return i
		}
	}
	return -1
}

func (j *judge) identity(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	at, key := j.address(), [32]byte{byte(rapid.IntRange(1, 2).Draw(t, "key"))}
	switch rapid.IntRange(0, 2).Draw(t, "call") {
	case 0:
		j.same("PutIdentity", nil, nil, ours.Identities.PutIdentity(j.w.ctx(), at, key), theirs.Identities.PutIdentity(j.w.ctx(), at, key))
	case 1:
		j.same("DeleteIdentity", nil, nil, ours.Identities.DeleteIdentity(j.w.ctx(), at), theirs.Identities.DeleteIdentity(j.w.ctx(), at))
	}
	a, errA := ours.Identities.IsTrustedIdentity(j.w.ctx(), at, key)
	b, errB := theirs.Identities.IsTrustedIdentity(j.w.ctx(), at, key)
	j.same("IsTrustedIdentity", a, b, errA, errB)
}

func (j *judge) session(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	at := j.address()
	j.compareSession(at) // libsignal never writes what it has not read
	switch rapid.IntRange(0, 3).Draw(t, "call") {
	case 0, 1:
		session := serializeSession(drawSession(t))
		j.same("PutSession", nil, nil, ours.Sessions.PutSession(j.w.ctx(), at, session), theirs.Sessions.PutSession(j.w.ctx(), at, session))
	case 2:
		j.same("DeleteSession", nil, nil, ours.Sessions.DeleteSession(j.w.ctx(), at), theirs.Sessions.DeleteSession(j.w.ctx(), at))
	}
	j.compareSession(at)
}

func (j *judge) compareSession(at string) {
	ours, theirs := j.both()
	a, errA := ours.Sessions.GetSession(j.w.ctx(), at)
	b, errB := theirs.Sessions.GetSession(j.w.ctx(), at)
	j.same("GetSession", string(a), string(b), errA, errB)
	hasA, errA := ours.Sessions.HasSession(j.w.ctx(), at)
	hasB, errB := theirs.Sessions.HasSession(j.w.ctx(), at)
	j.same("HasSession", hasA, hasB, errA, errB)
}

// sessions does what a send does.
func (j *judge) sessions(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	addresses := make([]string, rapid.IntRange(0, 4).Draw(t, "addresses"))
	for i := range addresses {
		addresses[i] = j.address()
	}
	ctx, done := j.w.ctx(), func() {}
	if rapid.Bool().Draw(t, "as a send") {
		ctx, done = j.w.c.WithSend(ctx)
	}
	defer done()
	a, errA := ours.Sessions.GetManySessions(ctx, addresses)
	b, errB := theirs.Sessions.GetManySessions(ctx, addresses)
	j.same("GetManySessions", a, b, errA, errB)
	put := make(map[string][]byte)
	for _, at := range addresses {
		if rapid.Bool().Draw(t, "changed") {
			put[at] = serializeSession(drawSession(t))
			key := [32]byte{byte(rapid.IntRange(1, 2).Draw(t, "key"))}
			j.same("PutIdentity", nil, nil, ours.Identities.PutIdentity(ctx, at, key), theirs.Identities.PutIdentity(ctx, at, key))
		}
	}
	if len(put) > 0 {
		j.same("PutManySessions", nil, nil, ours.Sessions.PutManySessions(ctx, put), theirs.Sessions.PutManySessions(ctx, put))
	}
}

func (j *judge) deleteAll(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	user := j.user().User
	if rapid.Bool().Draw(t, "identities") {
		err := errors.Join(theirs.Identities.DeleteAllIdentities(j.w.ctx(), user), theirs.Identities.DeleteAllIdentities(j.w.ctx(), user+"_1"))
		j.same("DeleteAllIdentities", nil, nil, ours.Identities.DeleteAllIdentities(j.w.ctx(), user), err)
		return
	}
	err := errors.Join(theirs.Sessions.DeleteAllSessions(j.w.ctx(), user), theirs.Sessions.DeleteAllSessions(j.w.ctx(), user+"_1"))
	j.same("DeleteAllSessions", nil, nil, ours.Sessions.DeleteAllSessions(j.w.ctx(), user), err)
}

func (j *judge) migrate(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	i := rapid.IntRange(0, 3).Draw(t, "user")
	j.noted.migrated[i] = true
	j.same("MigratePNToLID", nil, nil,
		ours.Sessions.MigratePNToLID(j.w.ctx(), pnUser(i), lidUser(i)), theirs.Sessions.MigratePNToLID(j.w.ctx(), pnUser(i), lidUser(i)))
	for device := range uint16(2) {
		for _, jid := range []types.JID{pnUser(i), lidUser(i)} {
			jid.Device = device
			j.compareSession(address(jid))
		}
	}
}

func ids(prekeys []*keys.PreKey) []uint32 {
	var all []uint32
	for _, key := range prekeys {
		all = append(all, key.KeyID)
	}
	return all
}

func (j *judge) preKeys(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	switch rapid.IntRange(0, 4).Draw(t, "call") {
	case 0:
		count := rapid.Uint32Range(1, 6).Draw(t, "count")
		a, errA := ours.PreKeys.GetOrGenPreKeys(j.w.ctx(), count)
		b, errB := theirs.PreKeys.GetOrGenPreKeys(j.w.ctx(), count)
		j.same("GetOrGenPreKeys", ids(a), ids(b), errA, errB)
		for _, key := range a {
			j.samePreKey(key)
			j.noted.prekeys = append(j.noted.prekeys, key.KeyID)
		}
	case 1:
		a, errA := ours.PreKeys.GenOnePreKey(j.w.ctx())
		b, errB := theirs.PreKeys.GenOnePreKey(j.w.ctx())
		j.same("GenOnePreKey", a.KeyID, b.KeyID, errA, errB)
		j.samePreKey(a)
		j.noted.prekeys = append(j.noted.prekeys, a.KeyID)
	case 2:
		if len(j.noted.prekeys) == 0 {
			return
		}
		upTo := rapid.SampledFrom(j.noted.prekeys).Draw(t, "up to")
		j.same("MarkPreKeysAsUploaded", nil, nil, ours.PreKeys.MarkPreKeysAsUploaded(j.w.ctx(), upTo), theirs.PreKeys.MarkPreKeysAsUploaded(j.w.ctx(), upTo))
	case 3:
		if len(j.noted.prekeys) == 0 {
			return
		}
		id := rapid.SampledFrom(j.noted.prekeys).Draw(t, "id")
		if id == slices.Max(j.noted.prekeys) {
			return
		}
		j.noted.removed[id] = true
		j.same("RemovePreKey", nil, nil, ours.PreKeys.RemovePreKey(j.w.ctx(), id), theirs.PreKeys.RemovePreKey(j.w.ctx(), id))
	}
	a, errA := ours.PreKeys.UploadedPreKeyCount(j.w.ctx())
	b, errB := theirs.PreKeys.UploadedPreKeyCount(j.w.ctx())
	j.same("UploadedPreKeyCount", a, b, errA, errB)
	id := rapid.Uint32Range(0, 30).Draw(t, "some id")
	keyA, errA := ours.PreKeys.GetPreKey(j.w.ctx(), id)
	keyB, errB := theirs.PreKeys.GetPreKey(j.w.ctx(), id)
	j.same("GetPreKey", keyA != nil, keyB != nil, errA, errB)
}

// samePreKey checks that a prekey that was given out is the one that is found by its id.
func (j *judge) samePreKey(given *keys.PreKey) {
	found, err := j.w.device.PreKeys.GetPreKey(j.w.ctx(), given.KeyID)
	if err != nil || found == nil || *found.Priv != *given.Priv || *found.Pub != *given.Pub {
		j.t.Fatalf("prekey %d is another one when it is looked up (%v)", given.KeyID, err)
	}
}

func (j *judge) senderKey(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	group, at := rapid.SampledFrom([]string{"1@g.us", "2@g.us"}).Draw(t, "group"), j.address()
	if rapid.Bool().Draw(t, "put") {
		_, errA := ours.SenderKeys.GetSenderKey(j.w.ctx(), group, at)
		j.w.no(errA)
		key := serializeSenderKey(drawSenderKey(t))
		j.same("PutSenderKey", nil, nil, ours.SenderKeys.PutSenderKey(j.w.ctx(), group, at, key), theirs.SenderKeys.PutSenderKey(j.w.ctx(), group, at, key))
	}
	a, errA := ours.SenderKeys.GetSenderKey(j.w.ctx(), group, at)
	b, errB := theirs.SenderKeys.GetSenderKey(j.w.ctx(), group, at)
	j.same("GetSenderKey", string(a), string(b), errA, errB)
}

func (j *judge) appKey(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	id := []byte{0, byte(rapid.IntRange(0, 3).Draw(t, "id"))}
	if rapid.Bool().Draw(t, "put") {
		j.noted.appKeys++
		at := j.noted.appKeys
		if rapid.Bool().Draw(t, "old") {
			at = -at
		}
		key := wastore.AppStateSyncKey{Data: []byte{byte(at), 1}, Fingerprint: []byte{byte(at)}, Timestamp: at}
		j.same("PutAppStateSyncKey", nil, nil, ours.AppStateKeys.PutAppStateSyncKey(j.w.ctx(), id, key), theirs.AppStateKeys.PutAppStateSyncKey(j.w.ctx(), id, key))
	}
	a, errA := ours.AppStateKeys.GetAppStateSyncKey(j.w.ctx(), id)
	b, errB := theirs.AppStateKeys.GetAppStateSyncKey(j.w.ctx(), id)
	j.same("GetAppStateSyncKey", a, b, errA, errB)
	allA, errA := ours.AppStateKeys.GetAllAppStateSyncKeys(j.w.ctx())
	allB, errB := theirs.AppStateKeys.GetAllAppStateSyncKeys(j.w.ctx())
	j.same("GetAllAppStateSyncKeys", allA, allB, errA, errB)
	lastA, errA := ours.AppStateKeys.GetLatestAppStateSyncKeyID(j.w.ctx())
	lastB, errB := theirs.AppStateKeys.GetLatestAppStateSyncKeyID(j.w.ctx())
	j.same("GetLatestAppStateSyncKeyID", lastA, lastB, errA, errB)
}

func mac(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 32) }

func (j *judge) appState(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	name := rapid.SampledFrom([]string{"regular", "critical_block"}).Draw(t, "collection")
	indexes := rapid.SliceOfNDistinct(rapid.IntRange(0, 200), 1, 120, rapid.ID).Draw(t, "indexes")
	switch rapid.IntRange(0, 5).Draw(t, "call") {
	case 0, 1, 2: // a patch
		j.noted.versions[name]++
		version := j.noted.versions[name]
		hash := [128]byte{byte(version)}
		j.same("PutAppStateVersion", nil, nil, ours.AppState.PutAppStateVersion(j.w.ctx(), name, version, hash), theirs.AppState.PutAppStateVersion(j.w.ctx(), name, version, hash))
		var mutations []wastore.AppStateMutationMAC
		for _, i := range indexes {
			j.noted.macs++
			mutations = append(mutations, wastore.AppStateMutationMAC{IndexMAC: mac(i), ValueMAC: mac(int(j.noted.macs))})
		}
		j.same("PutAppStateMutationMACs", nil, nil, ours.AppState.PutAppStateMutationMACs(j.w.ctx(), name, version, mutations), theirs.AppState.PutAppStateMutationMACs(j.w.ctx(), name, version, mutations))
	case 3, 4:
		var gone [][]byte
		for _, i := range indexes {
			gone = append(gone, mac(i))
		}
		j.same("DeleteAppStateMutationMACs", nil, nil, ours.AppState.DeleteAppStateMutationMACs(j.w.ctx(), name, gone), theirs.AppState.DeleteAppStateMutationMACs(j.w.ctx(), name, gone))
	case 5:
		j.same("DeleteAppStateVersion", nil, nil, ours.AppState.DeleteAppStateVersion(j.w.ctx(), name), theirs.AppState.DeleteAppStateVersion(j.w.ctx(), name))
	}
	j.compareAppState(name, indexes[0])
}

func (j *judge) compareAppState(name string, index int) {
	ours, theirs := j.both()
	versionA, hashA, errA := ours.AppState.GetAppStateVersion(j.w.ctx(), name)
	versionB, hashB, errB := theirs.AppState.GetAppStateVersion(j.w.ctx(), name)
	j.same("GetAppStateVersion", versionA, versionB, errA, errB)
	j.same("GetAppStateVersion's hash", hashA, hashB, errA, errB)
	a, errA := ours.AppState.GetAppStateMutationMAC(j.w.ctx(), name, mac(index))
	b, errB := theirs.AppState.GetAppStateMutationMAC(j.w.ctx(), name, mac(index))
	j.same("GetAppStateMutationMAC", a, b, errA, errB)
}

// names does what whatsmeow does with the names that come with a message.
func (j *judge) names(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	user, name := j.user(), rapid.SampledFrom([]string{"Ana", "Bea", "Caro"}).Draw(t, "name")
	type put func(ctx context.Context, user types.JID, name string) (bool, string, error)
	putNames := func(d *wastore.Device, put put) (bool, string, error) {
		changed, previous, err := put(j.w.ctx(), user, name)
		if err != nil || !changed {
			return changed, previous, err
		}
		other, err := d.GetAltJID(j.w.ctx(), user)
		if err == nil && !other.IsEmpty() {
			_, _, err = put(j.w.ctx(), other, name)
		}
		return changed, previous, err
	}
	putA, putB := ours.Contacts.PutPushName, theirs.Contacts.PutPushName
	if rapid.Bool().Draw(t, "business") {
		putA, putB = ours.Contacts.PutBusinessName, theirs.Contacts.PutBusinessName
	}
	changedA, previousA, errA := putNames(ours, putA)
	changedB, previousB, errB := putNames(theirs, putB)
	j.same("PutPushName", changedA, changedB, errA, errB)
	j.same("PutPushName's previous name", previousA, previousB, errA, errB)
	j.compareContact(user)
}

func (j *judge) compareContact(user types.JID) {
	ours, theirs := j.both()
	a, errA := ours.Contacts.GetContact(j.w.ctx(), user)
	b, errB := theirs.Contacts.GetContact(j.w.ctx(), user)
	j.same("GetContact", a, b, errA, errB)
}

func (j *judge) contacts(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	user, name := j.user(), rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "name")
	switch rapid.IntRange(0, 3).Draw(t, "call") {
	case 0:
		j.same("PutContactName", nil, nil, ours.Contacts.PutContactName(j.w.ctx(), user, name, name+" full"), theirs.Contacts.PutContactName(j.w.ctx(), user, name, name+" full"))
	case 1:
		var entries []wastore.ContactEntry
		for i := range rapid.IntRange(0, 120).Draw(t, "contacts") {
			entries = append(entries, wastore.ContactEntry{JID: pnUser(100 + i), FirstName: name, FullName: fmt.Sprint(name, i)})
		}
		entries = append(entries, wastore.ContactEntry{JID: user, FirstName: name + "1", FullName: name + "2"})
		j.same("PutAllContactNames", nil, nil, ours.Contacts.PutAllContactNames(j.w.ctx(), slices.Clone(entries)), theirs.Contacts.PutAllContactNames(j.w.ctx(), slices.Clone(entries)))
	case 2:
		entries := []wastore.RedactedPhoneEntry{{JID: user, RedactedPhone: "+52∙∙∙" + name}, {JID: lidUser(300), RedactedPhone: name}}
		j.same("PutManyRedactedPhones", nil, nil, ours.Contacts.PutManyRedactedPhones(j.w.ctx(), slices.Clone(entries)), theirs.Contacts.PutManyRedactedPhones(j.w.ctx(), slices.Clone(entries)))
	}
	j.compareContact(user)
	a, errA := ours.Contacts.GetAllContacts(j.w.ctx())
	b, errB := theirs.Contacts.GetAllContacts(j.w.ctx())
	j.same("GetAllContacts", a, b, errA, errB)
}

func (j *judge) chat(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	chat, on := j.user(), rapid.Bool().Draw(t, "on")
	switch rapid.IntRange(0, 2).Draw(t, "call") {
	case 0:
		until := rapid.SampledFrom([]time.Time{{}, wastore.MutedForever, time.Unix(1800000000, 0)}).Draw(t, "until")
		j.same("PutMutedUntil", nil, nil, ours.ChatSettings.PutMutedUntil(j.w.ctx(), chat, until), theirs.ChatSettings.PutMutedUntil(j.w.ctx(), chat, until))
	case 1:
		j.same("PutPinned", nil, nil, ours.ChatSettings.PutPinned(j.w.ctx(), chat, on), theirs.ChatSettings.PutPinned(j.w.ctx(), chat, on))
	case 2:
		j.same("PutArchived", nil, nil, ours.ChatSettings.PutArchived(j.w.ctx(), chat, on), theirs.ChatSettings.PutArchived(j.w.ctx(), chat, on))
	}
	a, errA := ours.ChatSettings.GetChatSettings(j.w.ctx(), chat)
	b, errB := theirs.ChatSettings.GetChatSettings(j.w.ctx(), chat)
	j.same("GetChatSettings", a, b, errA, errB)
}

func (j *judge) secret(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	if rapid.Bool().Draw(t, "put") {
		chat, sender := j.user(), j.user()
		for range rapid.IntRange(1, 12).Draw(t, "secrets") {
			id := fmt.Sprint("ID", j.noted.secrets)
			key := mac(j.noted.secrets)
			j.noted.secrets++
			if rapid.Bool().Draw(t, "many") {
				inserts := []wastore.MessageSecretInsert{{Chat: chat, Sender: sender, ID: id, Secret: key}}
				j.same("PutMessageSecrets", nil, nil, ours.MsgSecrets.PutMessageSecrets(j.w.ctx(), inserts), theirs.MsgSecrets.PutMessageSecrets(j.w.ctx(), inserts))
				continue
			}
			j.same("PutMessageSecret", nil, nil, ours.MsgSecrets.PutMessageSecret(j.w.ctx(), chat, sender, id, key), theirs.MsgSecrets.PutMessageSecret(j.w.ctx(), chat, sender, id, key))
			j.compareSecret(chat, sender, id)
		}
	}
	id := fmt.Sprint("ID", rapid.IntRange(0, max(j.noted.secrets, 1)).Draw(t, "id"))
	j.compareSecret(j.user(), j.user(), id)
}

func (j *judge) compareSecret(chat, sender types.JID, id string) {
	ours, theirs := j.both()
	a, senderA, errA := ours.MsgSecrets.GetMessageSecret(j.w.ctx(), chat, sender, id)
	b, senderB, errB := theirs.MsgSecrets.GetMessageSecret(j.w.ctx(), chat, sender, id)
	j.same("GetMessageSecret", a, b, errA, errB)
	j.same("GetMessageSecret's sender", senderA, senderB, errA, errB)
}

func (j *judge) token(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	i := rapid.IntRange(0, 5).Draw(t, "user")
	user := lidUser(i)
	switch rapid.IntRange(0, 3).Draw(t, "call") {
	case 0, 1:
		oldest := int64(1000)
		if !j.noted.cutoff.IsZero() { // only fresh ones come
			oldest = j.noted.cutoff.Unix()
		}
		token := wastore.PrivacyToken{User: user, Token: mac(rapid.IntRange(0, 99).Draw(t, "token")), Timestamp: time.Unix(rapid.Int64Range(oldest, 1100).Draw(t, "at"), 0)}
		if rapid.Bool().Draw(t, "sent") {
			token.SenderTimestamp = time.Unix(rapid.Int64Range(1, 100).Draw(t, "sent at"), 0)
		}
		j.same("PutPrivacyTokens", nil, nil, ours.PrivacyTokens.PutPrivacyTokens(j.w.ctx(), token), theirs.PrivacyTokens.PutPrivacyTokens(j.w.ctx(), token))
	case 2:
		cutoff := time.Unix(rapid.Int64Range(990, 1050).Draw(t, "cutoff"), 0)
		if cutoff.Before(j.noted.cutoff) { // the clock does not run back
			return
		}
		j.noted.cutoff = cutoff
		_, errA := ours.PrivacyTokens.DeleteExpiredPrivacyTokens(j.w.ctx(), cutoff)
		_, errB := theirs.PrivacyTokens.DeleteExpiredPrivacyTokens(j.w.ctx(), cutoff)
		j.same("DeleteExpiredPrivacyTokens", nil, nil, errA, errB)
	}
	if i < 4 && rapid.Bool().Draw(t, "by phone number") {
		user = pnUser(i)
	}
	j.compareToken(user)
}

func (j *judge) compareToken(user types.JID) {
	ours, theirs := j.both()
	a, errA := ours.PrivacyTokens.GetPrivacyToken(j.w.ctx(), user)
	b, errB := theirs.PrivacyTokens.GetPrivacyToken(j.w.ctx(), user)
	j.same("GetPrivacyToken", a, b, errA, errB)
}

func (j *judge) salt(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	if rapid.Bool().Draw(t, "put") {
		salt := mac(rapid.IntRange(0, 9).Draw(t, "salt"))
		j.same("PutNCTSalt", nil, nil, ours.NCTSalt.PutNCTSalt(j.w.ctx(), salt), theirs.NCTSalt.PutNCTSalt(j.w.ctx(), salt))
	} else if rapid.Bool().Draw(t, "delete") {
		j.same("DeleteNCTSalt", nil, nil, ours.NCTSalt.DeleteNCTSalt(j.w.ctx()), theirs.NCTSalt.DeleteNCTSalt(j.w.ctx()))
	}
	a, errA := ours.NCTSalt.GetNCTSalt(j.w.ctx())
	b, errB := theirs.NCTSalt.GetNCTSalt(j.w.ctx())
	j.same("GetNCTSalt", a, b, errA, errB)
}

var errUndecryptable = errors.New("cannot be decrypted")

// decryption does what whatsmeow does for one message: it may fail half-way, and
// then nothing of it may stay.
func (j *judge) decryption(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	at, group := j.address(), rapid.Bool().Draw(t, "group")
	hash := [32]byte{byte(len(j.noted.hashes)), 1}
	plaintext := bytes.Repeat([]byte{byte(len(j.noted.hashes))}, rapid.SampledFrom([]int{1, 10, 200, maxInlinePlaintext + 1}).Draw(t, "size"))
	fails := rapid.IntRange(0, 4).Draw(t, "fails") == 0
	var session, senderKey []byte
	if group {
		senderKey = serializeSenderKey(drawSenderKey(t))
	} else {
		before, err := theirs.Sessions.GetSession(j.w.ctx(), at)
		j.w.no(err)
		session = serializeSession(drawNextSession(t, before))
	}
	var prekey uint32
	if len(j.noted.prekeys) > 0 {
		if prekey = rapid.SampledFrom(j.noted.prekeys).Draw(t, "prekey"); prekey == slices.Max(j.noted.prekeys) {
			prekey = 0
		}
	}
	run := func(d *wastore.Device) error {
		return d.EventBuffer.DoDecryptionTxn(j.w.ctx(), func(ctx context.Context) error {
			if group {
				_, err := d.SenderKeys.GetSenderKey(ctx, "1@g.us", at)
				if err = cmp.Or(err, d.SenderKeys.PutSenderKey(ctx, "1@g.us", at, senderKey)); err != nil {
					return err
				}
			} else {
				_, err := d.Sessions.GetSession(ctx, at)
				if err = cmp.Or(err, d.Identities.PutIdentity(ctx, at, [32]byte{9}), d.Sessions.PutSession(ctx, at, session)); err != nil {
					return err
				}
				if prekey > 0 {
					if err := d.PreKeys.RemovePreKey(ctx, prekey); err != nil {
						return err
					}
				}
				if got, err := d.Sessions.GetSession(ctx, at); err != nil || !bytes.Equal(got, session) {
					return fmt.Errorf("a decryption does not see its own session (%w)", err)
				}
			}
			if fails {
				return errUndecryptable
			}
			return d.EventBuffer.PutBufferedEvent(ctx, hash, plaintext, time.Unix(1700000000, 0))
		})
	}
	errA, errB := run(ours), run(theirs)
	j.same("DoDecryptionTxn", errors.Is(errA, errUndecryptable), errors.Is(errB, errUndecryptable), errA, errB)
	if !fails {
		j.noted.hashes = append(j.noted.hashes, hash)
	}
	j.compareSession(at)
	j.compareBuffered(hash)
}

func (j *judge) buffered(t *rapid.T) {
	j.t = t
	if len(j.noted.hashes) == 0 {
		return
	}
	ours, theirs := j.both()
	hash := rapid.SampledFrom(j.noted.hashes).Draw(t, "hash")
	if rapid.Bool().Draw(t, "clear") {
		j.noted.cleared[hash] = true
		j.same("ClearBufferedEventPlaintext", nil, nil, ours.EventBuffer.ClearBufferedEventPlaintext(j.w.ctx(), hash), theirs.EventBuffer.ClearBufferedEventPlaintext(j.w.ctx(), hash))
	}
	j.same("DeleteOldBufferedHashes", nil, nil, ours.EventBuffer.DeleteOldBufferedHashes(j.w.ctx()), theirs.EventBuffer.DeleteOldBufferedHashes(j.w.ctx()))
	j.compareBuffered(hash)
}

func (j *judge) compareBuffered(hash [32]byte) {
	ours, theirs := j.both()
	a, errA := ours.EventBuffer.GetBufferedEvent(j.w.ctx(), hash)
	b, errB := theirs.EventBuffer.GetBufferedEvent(j.w.ctx(), hash)
	if j.noted.cleared[hash] {
		j.same("GetBufferedEvent of an acknowledged message", nil, nil, errA, errB)
		return
	}
	if a != nil && b != nil {
		a.InsertTime = b.InsertTime
	}
	j.same("GetBufferedEvent", a, b, errA, errB)
}

func (j *judge) outgoing(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	chat := j.user()
	if rapid.Bool().Draw(t, "add") {
		j.noted.outgoing++
		id := fmt.Sprint("OUT", j.noted.outgoing)
		plaintext := mac(j.noted.outgoing)
		j.same("AddOutgoingEvent", nil, nil, ours.EventBuffer.AddOutgoingEvent(j.w.ctx(), chat, id, "wa", plaintext), theirs.EventBuffer.AddOutgoingEvent(j.w.ctx(), chat, id, "wa", plaintext))
	}
	j.same("DeleteOldOutgoingEvents", nil, nil, ours.EventBuffer.DeleteOldOutgoingEvents(j.w.ctx()), theirs.EventBuffer.DeleteOldOutgoingEvents(j.w.ctx()))
	id := fmt.Sprint("OUT", rapid.IntRange(0, max(1, j.noted.outgoing)).Draw(t, "id"))
	other, err := ours.GetAltJID(j.w.ctx(), chat)
	j.w.no(err)
	formatA, a, errA := ours.EventBuffer.GetOutgoingEvent(j.w.ctx(), chat, other, id)
	formatB, b, errB := theirs.EventBuffer.GetOutgoingEvent(j.w.ctx(), chat, other, id)
	j.same("GetOutgoingEvent", a, b, errA, errB)
	j.same("GetOutgoingEvent's format", formatA, formatB, errA, errB)
}

// lids changes pairs of users 10 and up, which nothing else uses.
func (j *judge) lids(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	pair := func() wastore.LIDMapping {
		lid, pn := lidUser(rapid.IntRange(10, 40).Draw(t, "lid")), pnUser(rapid.IntRange(10, 40).Draw(t, "pn"))
		if rapid.IntRange(0, 9).Draw(t, "wrong way round") == 0 {
			lid, pn = pn, lid
		}
		return wastore.LIDMapping{LID: lid, PN: pn}
	}
	if rapid.Bool().Draw(t, "many") {
		var pairs []wastore.LIDMapping
		for range rapid.IntRange(0, 40).Draw(t, "pairs") {
			if p := pair(); !slices.Contains(pairs, p) {
				pairs = append(pairs, p)
			}
		}
		j.same("PutManyLIDMappings", nil, nil, ours.LIDs.PutManyLIDMappings(j.w.ctx(), slices.Clone(pairs)), theirs.LIDs.PutManyLIDMappings(j.w.ctx(), slices.Clone(pairs)))
	} else {
		p := pair()
		j.same("PutLIDMapping", nil, nil, ours.LIDs.PutLIDMapping(j.w.ctx(), p.LID, p.PN), theirs.LIDs.PutLIDMapping(j.w.ctx(), p.LID, p.PN))
	}
	j.compareLIDs()
}

func (j *judge) compareLIDs() {
	ours, theirs := j.both()
	var pns []types.JID
	for i := range 45 {
		lid, pn := lidUser(i), pnUser(i)
		lid.Device, pn.Device = uint16(i%3), uint16(i%3)
		pns = append(pns, pn, lid)
		a, errA := ours.LIDs.GetLIDForPN(j.w.ctx(), pn)
		b, errB := theirs.LIDs.GetLIDForPN(j.w.ctx(), pn)
		j.same("GetLIDForPN", a, b, errA, errB)
		a, errA = ours.LIDs.GetPNForLID(j.w.ctx(), lid)
		b, errB = theirs.LIDs.GetPNForLID(j.w.ctx(), lid)
		j.same("GetPNForLID", a, b, errA, errB)
	}
	a, errA := ours.LIDs.GetPNForLID(j.w.ctx(), pnUser(0))
	b, errB := theirs.LIDs.GetPNForLID(j.w.ctx(), pnUser(0))
	j.same("GetPNForLID of a phone number", a, b, errA, errB)
	allA, errA := ours.LIDs.GetManyLIDsForPNs(j.w.ctx(), pns)
	allB, errB := theirs.LIDs.GetManyLIDsForPNs(j.w.ctx(), pns)
	j.same("GetManyLIDsForPNs", allA, allB, errA, errB)
}

func (j *judge) deviceFields(t *rapid.T) {
	j.t = t
	ours, theirs := j.both()
	name := rapid.SampledFrom([]string{"", "Shop", "Store"}).Draw(t, "name")
	for _, d := range []*wastore.Device{ours, theirs} {
		d.PushName, d.BusinessName, d.LIDMigrationTimestamp, d.CompanionMetaNonce = name, name+"!", int64(len(name)), name+"?"
	}
	j.same("PutDevice", nil, nil, ours.Save(j.w.ctx()), theirs.Save(j.w.ctx()))
}

// compareAll compares what is left at the end.
func (j *judge) compareAll() {
	ours, theirs := j.both()
	if a, b := describe2(j.w, ours), describe2(j.w, theirs); a != b {
		j.t.Fatalf("the devices differ:\n%q\n%q", a, b)
	}
	for i := range 6 {
		for _, jid := range []types.JID{lidUser(i), pnUser(i)} {
			j.compareContact(jid)
			if i < 4 || jid.Server == types.HiddenUserServer {
				j.compareToken(jid)
			}
			for jid.Device = range 2 {
				j.compareSession(address(jid))
				a, errA := ours.Identities.IsTrustedIdentity(j.w.ctx(), address(jid), [32]byte{1})
				b, errB := theirs.Identities.IsTrustedIdentity(j.w.ctx(), address(jid), [32]byte{1})
				j.same("IsTrustedIdentity", a, b, errA, errB)
			}
		}
	}
	for _, hash := range j.noted.hashes {
		j.compareBuffered(hash)
	}
	for name := range j.noted.versions {
		for i := 0; i < 200; i += 9 {
			j.compareAppState(name, i)
		}
	}
	j.compareLIDs()
}

func describe2(w *world, d *wastore.Device) string {
	credentials, err := encodeCredentials(d)
	w.no(err)
	return string(credentials)
}
