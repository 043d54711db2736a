package signal

import (
	"context"
	"flag"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
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
