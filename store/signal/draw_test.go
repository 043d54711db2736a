package signal

import (
	"hash/crc32"
	"math/rand/v2"
	"os"
	"testing"

	"go.mau.fi/libsignal/groups/ratchet"
	grouprecord "go.mau.fi/libsignal/groups/state/record"
	"go.mau.fi/libsignal/keys/chain"
	"go.mau.fi/libsignal/keys/message"
	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/libsignal/util/optional"
	"pgregory.net/rapid"
)

// What follows draws records in the form that libsignal gives them. Their content
// follows from one drawn number.

func drawRand(t *rapid.T, after []byte) *rand.Rand {
	return rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), uint64(crc32.ChecksumIEEE(after))))
}

func drawBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func drawPublic(r *rand.Rand) []byte { return append([]byte{publicType}, drawBytes(r, 32)...) }

func drawChain(r *rand.Rand, private bool, skipped int) *record.ChainStructure {
	c := &record.ChainStructure{
		SenderRatchetKeyPublic: drawPublic(r),
		ChainKey:               &chain.KeyStructure{Key: drawBytes(r, 32), Index: r.Uint32()},
		MessageKeys:            []*message.KeysStructure{},
	}
	if private {
		c.SenderRatchetKeyPrivate = drawBytes(r, 32)
	}
	for range skipped {
		c.MessageKeys = append(c.MessageKeys, &message.KeysStructure{
			CipherKey: drawBytes(r, 32), MacKey: drawBytes(r, 32), IV: drawBytes(r, 16), Index: r.Uint32(),
		})
	}
	return c
}

func drawState(r *rand.Rand, like *record.StateStructure) *record.StateStructure {
	s := &record.StateStructure{
		LocalIdentityPublic: drawPublic(r), LocalRegistrationID: r.Uint32(),
		RemoteIdentityPublic: drawPublic(r), RemoteRegistrationID: r.Uint32(),
		PreviousCounter: r.Uint32(), RootKey: drawBytes(r, 32), SenderBaseKey: drawPublic(r),
		SessionVersion: 3, SenderChain: drawChain(r, true, 0), ReceiverChains: []*record.ChainStructure{},
		NeedsRefresh: r.IntN(21) == 0,
	}
	if like != nil && r.IntN(5) > 0 {
		s.LocalIdentityPublic, s.LocalRegistrationID = like.LocalIdentityPublic, like.LocalRegistrationID
		s.RemoteIdentityPublic, s.RemoteRegistrationID = like.RemoteIdentityPublic, like.RemoteRegistrationID
	}
	for range r.IntN(6) {
		skipped := []int{0, 0, 0, 1, 3, 12}[r.IntN(6)]
		s.ReceiverChains = append(s.ReceiverChains, drawChain(r, false, skipped))
	}
	if r.IntN(2) == 0 {
		s.PendingPreKey = &record.PendingPreKeyStructure{SignedPreKeyID: r.Uint32(), BaseKey: drawPublic(r)}
		switch r.IntN(3) {
		case 0:
			s.PendingPreKey.PreKeyID = optional.NewOptionalUint32(r.Uint32())
		case 1:
			s.PendingPreKey.PreKeyID = optional.NewEmptyUint32()
		}
	}
	if r.IntN(21) == 0 {
		s.PendingKeyExchange = &record.PendingKeyExchangeStructure{
			Sequence: 7, LocalBaseKeyPublic: drawBytes(r, 32), LocalBaseKeyPrivate: drawBytes(r, 32), LocalRatchetKeyPublic: drawBytes(r, 32),
			LocalRatchetKeyPrivate: drawBytes(r, 32), LocalIdentityKeyPublic: drawBytes(r, 32), LocalIdentityKeyPrivate: drawBytes(r, 32),
		}
	}
	return s
}

func drawFixed(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func drawSession(t *rapid.T) *record.SessionStructure { return fixedSession(drawRand(t, nil)) }

func fixedSession(r *rand.Rand) *record.SessionStructure {
	s := &record.SessionStructure{SessionState: drawState(r, nil), PreviousStates: []*record.StateStructure{}}
	for range r.IntN(4) {
		s.PreviousStates = append(s.PreviousStates, drawState(r, s.SessionState))
	}
	return s
}

// drawNextSession draws what one decryption may make of a session: its current
// state goes on, or a new one takes its place.
func drawNextSession(t *rapid.T, before []byte) *record.SessionStructure {
	r := drawRand(t, before) // no key comes twice
	if before == nil {
		return &record.SessionStructure{SessionState: drawState(r, nil), PreviousStates: []*record.StateStructure{}}
	}
	next, err := parseSession(before)
	if err != nil {
		t.Fatal(err)
	}
	fresh := drawState(r, next.SessionState)
	if r.IntN(2) == 0 {
		fresh.SenderBaseKey = next.SessionState.SenderBaseKey
	} else {
		next.PreviousStates = append([]*record.StateStructure{next.SessionState}, next.PreviousStates...)
		next.PreviousStates = next.PreviousStates[:min(len(next.PreviousStates), maxArchived)]
	}
	next.SessionState = fresh
	return next
}

func drawSenderKey(t *rapid.T) *grouprecord.SenderKeyStructure {
	return fixedSenderKey(drawRand(t, nil))
}

func fixedSenderKey(r *rand.Rand) *grouprecord.SenderKeyStructure {
	key := &grouprecord.SenderKeyStructure{SenderKeyStates: []*grouprecord.SenderKeyStateStructure{}}
	for range 1 + r.IntN(5) {
		state := &grouprecord.SenderKeyStateStructure{
			Keys: []*ratchet.SenderMessageKeyStructure{}, KeyID: r.Uint32(), SigningKeyPublic: drawPublic(r),
			SenderChainKey: &ratchet.SenderChainKeyStructure{Iteration: r.Uint32(), ChainKey: drawBytes(r, 32)},
		}
		switch r.IntN(3) {
		case 0:
			state.SigningKeyPrivate = make([]byte, 32)
		case 1:
			state.SigningKeyPrivate = drawBytes(r, 32)
		}
		for range []int{0, 0, 2, 12}[r.IntN(4)] {
			key, err := ratchet.NewSenderMessageKey(r.Uint32(), drawBytes(r, 32))
			if err != nil {
				panic(err)
			}
			state.Keys = append(state.Keys, ratchet.NewStructFromSenderMessageKey(key))
		}
		key.SenderKeyStates = append(key.SenderKeyStates, state)
	}
	return key
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
