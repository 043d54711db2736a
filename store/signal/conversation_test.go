package signal

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/whatsmeow/types"
)

// TestConversation lets two devices write to each other through libsignal while
// messages are late and come twice, new sessions begin from both sides, and the
// stores are opened anew in between. Each message must be read, once.
func TestConversation_EveryMessageIsReadOnce(t *testing.T) {
	for seed := range uint64(9) {
		r := rand.New(rand.NewPCG(seed, 1))
		parties := []*party{newParty(t, 1), newParty(t, 2)}
		if seed%3 == 2 { // nothing fits into memory
			for _, p := range parties {
				p.config.Budget = NewBudget(1)
				p.c.Close()
				p.open()
			}
		}
		var onTheWay []letter
		deliver := func(i int) {
			l := onTheWay[i]
			reader := parties[slices.IndexFunc(parties, func(p *party) bool { return p.jid == l.to })]
			reader.receive(l)
			onTheWay = slices.Delete(onTheWay, i, i+1)
			if r.IntN(4) == 0 {
				if text, _, err := reader.decrypt(l); !errors.Is(err, errProcessed) && !errors.Is(err, signalerror.ErrOldCounter) {
					t.Fatalf("seed %d: read again: %q, %v", seed, text, err)
				}
			}
		}
		for n := range 60 {
			from, to := parties[n%2], parties[1-n%2]
			if r.IntN(3) == 0 {
				from, to = to, from
			}
			var bundles map[types.JID]*prekey.Bundle
			if has, err := from.device.Sessions.HasSession(from.ctx(), address(to.jid)); err != nil || !has || r.IntN(12) == 0 {
				bundles = map[types.JID]*prekey.Bundle{to.jid: to.bundle()}
			}
			onTheWay = append(onTheWay, from.must(from.send(textOf(n), bundles, to.jid)))
			for len(onTheWay) > 0 && r.IntN(3) > 0 {
				late := 0
				if r.IntN(5) == 0 { // one overtakes the others
					late = r.IntN(len(onTheWay))
				}
				deliver(late)
			}
			if p := parties[r.IntN(2)]; r.IntN(10) == 0 {
				p.c.Close()
				p.open()
			}
		}
		for len(onTheWay) > 0 {
			deliver(0)
		}
		for _, p := range parties {
			if failed := p.failures(); len(failed) > 0 {
				t.Fatalf("seed %d: the session ended: %v", seed, failed)
			}
			if got := p.config.Budget.Used(); got > 1<<20 {
				t.Errorf("seed %d: %d bytes in use", seed, got)
			}
		}
	}
}

func TestConversation_GroupWithLateMessages(t *testing.T) {
	a, b := newParty(t, 1), newParty(t, 2)
	r := rand.New(rand.NewPCG(1, 1))
	b.no(b.learn(a.jid, a.distribute(a.ctx())))
	var onTheWay []letter
	for n := range 80 {
		l, err := a.sendGroup(a.ctx(), textOf(n))
		a.no(err)
		onTheWay = append(onTheWay, l)
		if n%20 == 19 { // the key is sent again: what was sent before it must be read before it
			for _, l := range onTheWay {
				b.receive(l)
			}
			onTheWay = nil
			b.no(b.learn(a.jid, a.distribute(a.ctx())))
		}
		for len(onTheWay) > 15 {
			i := r.IntN(len(onTheWay))
			b.receive(onTheWay[i])
			onTheWay = slices.Delete(onTheWay, i, i+1)
		}
		if r.IntN(10) == 0 {
			b.c.Close()
			b.open()
		}
	}
	for _, l := range onTheWay {
		b.receive(l)
	}
}
