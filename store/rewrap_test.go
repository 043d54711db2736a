package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
)

func keyFile(t *testing.T, path string) seal.KeyHolder {
	t.Helper()
	holder, err := seal.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return holder
}

// newKeyOnly returns a holder of the key alone that was added last to the key file at path.
func newKeyOnly(t *testing.T, path string) seal.KeyHolder {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(content), "\n")
	alone := filepath.Join(t.TempDir(), "alone.key")
	if err := os.WriteFile(alone, []byte(lines[0]+lines[len(lines)-2]), 0o600); err != nil {
		t.Fatal(err)
	}
	return keyFile(t, alone)
}

// with is the same store with other keys.
func (b *bundle) with(keys seal.KeyHolder) *store.Store {
	b.Helper()
	s, err := store.Open(b.Context(), b.table, store.Options{Keys: keys, Now: b.clock.Now})
	b.ok(err)
	return s
}

func (b *bundle) rewrap(s *store.Store) store.Rewrapped {
	b.Helper()
	done, err := s.Rewrap(b.Context(), nil)
	b.ok(err)
	return done
}

// setupKeys is setup with a key file of a known place.
func setupKeys(t *testing.T) (*bundle, string) {
	t.Helper()
	b := setup(t)
	path := filepath.Join(t.TempDir(), "seal.key")
	b.keys = keyFile(t, path)
	b.Store = b.with(b.keys)
	return b, path
}

// opens checks that keys open the channel's data key, and that it is key.
func (b *bundle) opens(keys seal.KeyHolder, id, from string, key *seal.DataKey) *store.Owner {
	b.Helper()
	other := *b
	other.Store = b.with(keys)
	o := (&other).rival().claim(id, from)
	if o.DataKey() == nil {
		b.Fatalf("the data key of channel %s does not open", id)
	}
	if plain, err := o.DataKey().Open(key.Seal([]byte("secret"), "p", "s"), "p", "s"); err != nil || string(plain) != "secret" {
		b.Errorf("the data key of channel %s is another: %v", id, err)
	}
	return o
}

func TestRewrap_EveryChannelUnderTheNewestKeyWhileOwnersGoOn(t *testing.T) {
	b, path := setupKeys(t)
	running, resting, deleted := b.active("running"), b.active("resting"), b.active("deleted")
	b.ok(resting.Inactive(t.Context(), enlace.ReasonDisconnected))
	b.ok(resting.Release(t.Context(), true))
	_, err := b.Delete(t.Context(), "acme", deleted.ChannelID())
	b.ok(err)
	b.connect("never claimed")
	b.ok(seal.AddKey(path))

	told := 0
	done, err := b.with(keyFile(t, path)).Rewrap(t.Context(), func(done store.Rewrapped, known int) {
		if told++; done.Channels() != told || known != 4 {
			t.Errorf("told of %d of %d channels at the %dth, want 4", done.Channels(), known, told)
		}
	})
	if err != nil || done.Wrapped != 3 || done.Keyless != 1 || done.Channels() != 4 || told != 4 {
		t.Fatalf("rewrapped %+v, %v; want 3 of 4 channels", done, err)
	}

	if c := b.channel(running.ChannelID()); c.Status != enlace.Active || c.Owner != b.heart.ID() {
		t.Errorf("the running channel is %+v", c)
	}
	b.ok(running.Inactive(t.Context(), enlace.ReasonDisconnected))
	b.ok(running.Release(t.Context(), true))
	b.connect("running")
	b.connect("resting")
	alone := newKeyOnly(t, path)
	for _, o := range []*store.Owner{running, resting} {
		b.opens(alone, o.ChannelID(), "", o.DataKey())
	}
	b.opens(alone, deleted.ChannelID(), b.heart.ID(), deleted.DataKey())
	if again := b.rewrap(b.with(keyFile(t, path))); again.Wrapped != 0 || again.Newest != 3 {
		t.Errorf("rewrapped again %+v, want nothing left to wrap", again)
	}
}

func TestRewrap_FromOneHolderToAnother(t *testing.T) {
	b, _ := setupKeys(t)
	o := b.active("")
	b.ok(o.Release(t.Context(), false))
	newer := keyFile(t, filepath.Join(t.TempDir(), "newer.key"))
	if done := b.rewrap(b.with(seal.WithOlder(newer, b.keys))); done.Wrapped != 1 {
		t.Fatalf("rewrapped %+v", done)
	}
	b.opens(newer, o.ChannelID(), "", o.DataKey())
}

func TestRewrap_LeavesWhatItCannotOpen(t *testing.T) {
	b, _ := setupKeys(t)
	linked, fresh := b.active("linked"), b.claim(b.connect("fresh").ID, "")
	b.ok(linked.Release(t.Context(), false))
	b.ok(fresh.Release(t.Context(), false))
	done := b.rewrap(b.with(keyFile(t, filepath.Join(t.TempDir(), "stranger.key"))))
	if len(done.Unreadable) != 1 || done.Unreadable[0] != linked.ChannelID() || done.Keyless != 1 || done.Wrapped != 0 {
		t.Errorf("rewrapped %+v, want the linked channel unreadable", done)
	}
	b.opens(b.keys, linked.ChannelID(), "", linked.DataKey())
}

// flaky is a key holder whose next calls fail, and which counts them.
type flaky struct {
	seal.KeyHolder
	err   error
	opens int
}

func (f *flaky) OpenDataKey(ctx context.Context, scope string, wrapped []byte) (*seal.DataKey, error) {
	if f.opens++; f.err != nil {
		return nil, f.err
	}
	return f.KeyHolder.OpenDataKey(ctx, scope, wrapped)
}

func (f *flaky) GenerateDataKey(ctx context.Context, scope string) (*seal.DataKey, []byte, error) {
	if f.err != nil {
		return nil, nil, f.err
	}
	return f.KeyHolder.GenerateDataKey(ctx, scope)
}

func TestRewrap_OutageEndsItAndItGoesOnLater(t *testing.T) {
	b, path := setupKeys(t)
	o := b.active("")
	b.ok(o.Release(t.Context(), false))
	b.ok(seal.AddKey(path))
	keys := &flaky{KeyHolder: keyFile(t, path), err: seal.ErrUnavailable}
	if done, err := b.with(keys).Rewrap(t.Context(), nil); !errors.Is(err, seal.ErrUnavailable) || done.Channels() != 0 {
		t.Errorf("rewrapped %+v, %v; want ErrUnavailable", done, err)
	}
	keys.err = nil
	if done := b.rewrap(b.with(keys)); done.Wrapped != 1 {
		t.Errorf("rewrapped %+v after the outage", done)
	}
	b.opens(newKeyOnly(t, path), o.ChannelID(), "", o.DataKey())
}

// slowWrap does something before it wraps a key for the first time.
type slowWrap struct {
	seal.KeyHolder
	before func()
	wraps  int
}

func (w *slowWrap) WrapDataKey(ctx context.Context, scope string, key *seal.DataKey) ([]byte, error) {
	if w.wraps++; w.wraps == 1 {
		w.before()
	}
	return w.KeyHolder.WrapDataKey(ctx, scope, key)
}

func TestRewrap_AnOwnersWriteInBetweenIsKept(t *testing.T) {
	b, path := setupKeys(t)
	o := b.active("")
	b.ok(seal.AddKey(path))
	keys := &slowWrap{KeyHolder: keyFile(t, path), before: func() {
		b.ok(o.Inactive(t.Context(), enlace.ReasonDisconnected))
		b.ok(o.Release(t.Context(), true))
	}}
	if done := b.rewrap(b.with(keys)); done.Wrapped != 1 || keys.wraps != 1 {
		t.Errorf("rewrapped %+v in %d wraps, want one: the write alone is repeated", done, keys.wraps)
	}
	if c := b.channel(o.ChannelID()); c.Status != enlace.Inactive || c.Owner != "" {
		t.Errorf("the owner's write was lost: %+v", c)
	}
	b.connect("")
	b.opens(newKeyOnly(t, path), o.ChannelID(), "", o.DataKey())
}

// restless wraps anew whatever it is asked for, as a key service does.
type restless struct{ seal.KeyHolder }

func (restless) Newest([]byte) bool { return false }

// Claims, status changes and releases go on while channels are rewrapped: neither
// side's writes are lost.
func TestRewrap_AmongClaims(t *testing.T) {
	b, path := setupKeys(t)
	const channels, rounds = 8, 12
	var ids []string
	keys := map[string]*seal.DataKey{}
	for i := range channels {
		o := b.active(fmt.Sprint("c", i))
		ids, keys[o.ChannelID()] = append(ids, o.ChannelID()), o.DataKey()
		b.ok(o.Release(t.Context(), false))
	}
	b.ok(seal.AddKey(path))
	b.keys = keyFile(t, path) // the workers know both keys before anything is rewrapped
	b.Store = b.with(b.keys)

	var owners sync.WaitGroup
	var claimed atomic.Int64
	for _, id := range ids {
		owners.Go(func() {
			for range rounds {
				o, err := b.Claim(t.Context(), store.Claimer{Worker: b.heart.ID(), Fresh: b.fresh, Moved: b.moved}, id, "")
				if err == nil {
					err = o.Ready(t.Context(), enlace.Account{})
				}
				if err == nil {
					err = o.Release(t.Context(), false)
				}
				if err != nil {
					t.Errorf("channel %s: %v", id, err)
					return
				}
				claimed.Add(1)
			}
		})
	}
	for again := b.with(restless{b.keys}); claimed.Load() < channels*rounds && !t.Failed(); {
		b.rewrap(again)
	}
	owners.Wait()
	if done := b.rewrap(b.Store); done.Wrapped != 0 || done.Newest != channels {
		t.Errorf("rewrapped %+v at the end, want nothing left", done)
	}
	alone := newKeyOnly(t, path)
	for _, id := range ids {
		taken := 0
		for _, event := range b.events(id) {
			if event.Event == enlace.EventTaken {
				taken++
			}
		}
		if taken != 1+rounds {
			t.Errorf("channel %s was claimed %d times, want %d", id, taken, 1+rounds)
		}
		b.opens(alone, id, "", keys[id])
	}
}

// conflicting makes the first claim lose its race.
type conflicting struct {
	store.Table
	conflicts int
}

func (c *conflicting) Write(ctx context.Context, ops ...store.Op) error {
	if c.conflicts > 0 && ops[len(ops)-1].Kind == store.OpCheck {
		c.conflicts--
		return &store.ConditionError{Conflict: store.Conflict{Op: 1}}
	}
	return c.Table.Write(ctx, ops...)
}

func TestClaim_OpensTheDataKeyOnce(t *testing.T) {
	b := setup(t)
	o := b.active("")
	b.ok(o.Release(t.Context(), false))
	keys := &flaky{KeyHolder: b.keys}
	b.table = &conflicting{b.table, 3}
	b.opens(keys, o.ChannelID(), "", o.DataKey())
	if keys.opens != 1 {
		t.Errorf("the data key was opened %d times for one claim", keys.opens)
	}
}

// A key service that does not answer is not a lost key: the channel waits, and is
// claimed with its key when the service is back.
func TestClaim_WaitsForAKeyServiceThatIsAway(t *testing.T) {
	b := setup(t)
	linked, fresh := b.active("linked"), b.claim(b.connect("fresh").ID, "")
	b.ok(linked.Release(t.Context(), false))
	b.ok(fresh.Release(t.Context(), false))
	away := b.with(&flaky{KeyHolder: b.keys, err: seal.ErrUnavailable})
	for _, o := range []*store.Owner{linked, fresh} {
		before := b.channel(o.ChannelID())
		_, err := away.Claim(t.Context(), store.Claimer{Worker: b.heart.ID(), Fresh: b.fresh, Moved: b.moved}, o.ChannelID(), "")
		if !errors.Is(err, seal.ErrUnavailable) || errors.Is(err, store.ErrNotClaimable) {
			t.Errorf("claim: %v, want ErrUnavailable", err)
		}
		if after := b.channel(o.ChannelID()); after.Version != before.Version || after.Owner != "" {
			t.Errorf("the channel was changed: %+v", after)
		}
		b.opens(b.keys, o.ChannelID(), "", o.DataKey())
	}
}

// lockCounter counts its locks, and fails the test if a key is opened under one.
type lockCounter struct {
	sync.Mutex
	locked, held int
}

func (l *lockCounter) Lock()   { l.Mutex.Lock(); l.locked++; l.held++ }
func (l *lockCounter) Unlock() { l.held--; l.Mutex.Unlock() }

// watched tells of the turn that is held while a key is opened.
type watched struct {
	seal.KeyHolder
	turn *lockCounter
	t    *testing.T
}

func (w *watched) OpenDataKey(ctx context.Context, scope string, wrapped []byte) (*seal.DataKey, error) {
	if w.turn.held > 0 {
		w.t.Error("a data key is opened while the claimer's turn is held: a slow key service would stop its heartbeat")
	}
	return w.KeyHolder.OpenDataKey(ctx, scope, wrapped)
}

func TestClaim_ASlowKeyServiceHoldsUpNoHeartbeat(t *testing.T) {
	b := setup(t)
	o := b.active("")
	b.ok(o.Release(t.Context(), false))
	turn := &lockCounter{}
	s := b.with(&watched{b.keys, turn, t})
	_, err := s.Claim(t.Context(), store.Claimer{Worker: b.heart.ID(), Fresh: b.fresh, Moved: b.moved, Turn: turn}, o.ChannelID(), "")
	b.ok(err)
	if turn.locked != 1 || turn.held != 0 {
		t.Errorf("the turn was held %d times, and is held %d times now", turn.locked, turn.held)
	}
}
