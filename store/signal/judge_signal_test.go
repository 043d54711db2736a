package signal

import (
	"bytes"
	"errors"
	"slices"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
	"pgregory.net/rapid"
)

// The calls that concern keys and sessions, and app state.

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
