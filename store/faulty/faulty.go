// Package faulty wraps a store.Table and makes calls fail, by script (the third
// write of this key) or by chance from a seed: before they have an effect or
// after it, late, with an error or a panic, or with a stale index. It is for tests.
package faulty

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/enlacehq/enlace/store"
)

// Call is a kind of call of a Table.
type Call int

// The kinds of call; the zero Call stands for all of them.
const (
	Get Call = iota + 1
	GetMany
	Query
	Write
)

// When says at which moment a call fails.
type When int

// The moments.
const (
	// Before: the call has no effect. Its error is ErrUnavailable unless Rule.Err is set.
	Before When = iota
	// After: the call succeeds, and its answer is lost. Its error is ErrUnknown (of
	// a read ErrUnavailable) unless Rule.Err is set. A call that fails by itself,
	// by a condition for example, does so.
	After
	// Late is of writes: the answer is lost at once (as with After), and the
	// write is sent on only after the next write through this table, or by Settle.
	Late
	// Stale is of index queries: it is answered as the same query was answered
	// the time before, at first as empty.
	Stale
	// Slow: nothing fails; Rule.Delay and Rule.Do are all that happens.
	Slow
)

// Rule says which calls fail, and how. All conditions that are set must hold.
type Rule struct {
	// Call is the kind of call; zero for all.
	Call Call
	// PK and SK are patterns of the key, in which * stands for any characters;
	// empty for all. A call with several keys is meant when one key matches. A
	// Query's sort key is its prefix, or else where it begins.
	PK, SK string
	// Op is the kind of a Write's op at the matching key; zero for all.
	Op store.OpKind
	// Match, when set, is asked about a Write's ops.
	Match func(ops []store.Op) bool
	// Nth is which of the calls that match fails, counted from 1; 0 for each.
	Nth int
	// Rate, when not 0, lets a call that is meant fail only with this chance.
	Rate float64

	When  When
	Delay time.Duration // waited before the call is sent on, or as long as its context lives
	Err   error         // what the call returns; see When
	Panic any           // what the call panics with, instead of returning an error
	Do    func()        // called in the failing call, just before it returns; may use the table
}

// Faults are the rules of one wrapped table. It is safe for concurrent use.
type Faults struct {
	inner store.Table

	mu     sync.Mutex
	random *rand.Rand
	faults []*Fault
	late   [][]store.Op
	stale  map[store.Query]store.Page
}

// Fault is a Rule at work.
type Fault struct {
	rule   Rule
	owner  *Faults
	seen   int // calls that matched
	struck int
}

// Wrap returns t with faults, none at first. The seed decides what Rate leaves
// to chance. The table is a Waker if t is.
func Wrap(t store.Table, seed uint64) (store.Table, *Faults) {
	f := &Faults{inner: t, random: rand.New(rand.NewPCG(seed, 0)), stale: make(map[store.Query]store.Page)}
	wrapped := &table{inner: t, faults: f}
	if waker, ok := t.(store.Waker); ok {
		return &wakingTable{wrapped, waker}, f
	}
	return wrapped, f
}

// Add puts rule to work. Of several that strike a call, the one added first does.
func (f *Faults) Add(rule Rule) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := &Fault{rule: rule, owner: f}
	f.faults = append(f.faults, fault)
	return fault
}

// Clear removes all rules.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Remove ends the fault.
func (f *Fault) Remove() {
	f.owner.mu.Lock()
	defer f.owner.mu.Unlock()
	f.owner.faults = slices.DeleteFunc(f.owner.faults, func(other *Fault) bool { return other == f })
}

// Struck returns how many calls the fault has struck.
func (f *Fault) Struck() int {
	f.owner.mu.Lock()
	defer f.owner.mu.Unlock()
	return f.struck
}

// call is what rules look at.
type call struct {
	kind  Call
	keys  []store.Key
	ops   []store.Op // of a Write
	index bool       // of a Query
}

// strike returns the rule that c falls to, or nil.
func (f *Faults) strike(c call) *Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	var struck *Rule
	for _, fault := range f.faults {
		if !fault.rule.means(c) {
			continue
		}
		fault.seen++
		switch {
		case struck != nil:
		case fault.rule.Nth != 0 && fault.rule.Nth != fault.seen:
		case fault.rule.Rate != 0 && f.random.Float64() >= fault.rule.Rate:
		default:
			fault.struck++
			struck = &fault.rule
		}
	}
	return struck
}

func (r *Rule) means(c call) bool {
	switch {
	case r.Call != 0 && r.Call != c.kind:
		return false
	case r.When == Late && c.kind != Write, r.When == Stale && !c.index:
		return false
	case r.Match != nil && (c.kind != Write || !r.Match(c.ops)):
		return false
	case r.Op != 0 && c.kind != Write:
		return false
	case r.PK == "" && r.SK == "" && r.Op == 0:
		return true
	}
	for i, key := range c.keys {
		if (r.PK == "" || like(r.PK, key.PK)) && (r.SK == "" || like(r.SK, key.SK)) && (r.Op == 0 || r.Op == c.ops[i].Kind) {
			return true
		}
	}
	return false
}

// like reports whether s is as pattern, in which * stands for any characters.
func like(pattern, s string) bool {
	for i := range len(pattern) {
		if pattern[i] != '*' {
			if i >= len(s) || s[i] != pattern[i] {
				return false
			}
			continue
		}
		for rest := i; rest <= len(s); rest++ {
			if like(pattern[i+1:], s[rest:]) {
				return true
			}
		}
		return false
	}
	return len(pattern) == len(s)
}

// wait passes r's delay; the error is the context's.
func (r *Rule) wait(ctx context.Context) error {
	if r.Delay == 0 {
		return nil
	}
	timer := time.NewTimer(r.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end makes a struck call fail.
func (r *Rule) end(byDefault error) error {
	if r.Do != nil {
		r.Do()
	}
	if r.Panic != nil {
		panic(r.Panic)
	}
	if r.Err != nil {
		return r.Err
	}
	return fmt.Errorf("faulty: %w", byDefault)
}
