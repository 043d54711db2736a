package signal

import (
	"bytes"
	"slices"

	"go.mau.fi/libsignal/state/record"
)

// libsignal keeps at most so many archived states.
const maxArchived = 40

// repair undoes the harm that libsignal does to a session while it decrypts.
// Before it has checked a message's MAC it steps the ratchet of each state that
// it tries, the current one first. When an archived state turns out to be the
// right one, the states that were tried before it are saved spoiled, as if the
// peer had started a chain that it never did, and nothing it sends on them can
// be read again; the promoted state stays in the archive too, and another one
// stands there twice.
//
// One decryption changes one state only: the one that is current afterwards.
// All others are therefore put back as they were loaded, each once.
func repair(before, after *record.SessionStructure) *record.SessionStructure {
	repaired := &record.SessionStructure{SessionState: after.SessionState}
	add := func(state *record.StateStructure) {
		same := func(o *record.StateStructure) bool { return sameSession(o, state) }
		if !same(repaired.SessionState) && !slices.ContainsFunc(repaired.PreviousStates, same) {
			repaired.PreviousStates = append(repaired.PreviousStates, state)
		}
	}
	loaded := append([]*record.StateStructure{before.SessionState}, before.PreviousStates...)
	for _, state := range after.PreviousStates {
		known := func(o *record.StateStructure) bool { return sameSession(o, state) }
		if !slices.ContainsFunc(loaded, known) {
			add(state)
		}
	}
	for _, state := range loaded {
		add(state)
	}
	if len(repaired.PreviousStates) > maxArchived {
		repaired.PreviousStates = repaired.PreviousStates[:maxArchived]
	}
	return repaired
}

// sameSession reports whether two states are stages of one session: it is known
// by the key that its initiator began it with.
func sameSession(a, b *record.StateStructure) bool {
	return a.SessionVersion == b.SessionVersion && bytes.Equal(a.SenderBaseKey, b.SenderBaseKey)
}
