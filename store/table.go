// Package store keeps everything enlace knows: the Table seam that each
// database driver implements, and, written once on that seam, channels, events,
// the outbox, keys and the rest of the domain.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limits that hold for every driver; a Write or an item beyond them is refused
// with an error before anything is stored.
const (
	MaxOps       = 100        // operations in one Write
	MaxItemBytes = 350 * 1024 // key and value of one item together
	MaxPageItems = 1000       // items in one Page; a larger or zero Query.Limit means this
)

// Table is the part of DynamoDB that enlace needs. All drivers keep its
// promises; package storetest checks them.
//
// Errors: ErrNotFound, *ConditionError, ErrUnknown (the outcome of a Write
// could not be learnt), ErrUnavailable (certainly not done; trying again may
// help), ErrTooLarge, and the context's own error when it ended before anything
// was sent. Any other error is permanent and changed nothing.
type Table interface {
	// Get returns the item at key, strongly consistent, or ErrNotFound.
	Get(ctx context.Context, key Key) (Item, error)
	// GetMany returns the items at keys, strongly consistent; absent keys are left out.
	// Any number of keys; the reads are not one snapshot.
	GetMany(ctx context.Context, keys []Key) (map[Key]Item, error)
	// Query returns one page of a partition in sort-key order. A partition of the
	// table is strongly consistent; a partition of the index may be stale in both
	// ways, and its items carry keys only (Key and Index): hints, to be read again by key.
	Query(ctx context.Context, q Query) (Page, error)
	// Write does all of ops or nothing. No key may stand in two ops.
	Write(ctx context.Context, ops ...Op) error
}

// Key names an item: its partition and its place in it.
type Key struct{ PK, SK string }

func (k Key) String() string { return k.PK + "/" + k.SK }

// Item is what a table holds. An expired item is never returned and counts as
// absent in conditions, also before the engine has removed it.
type Item struct {
	Key
	// Version is counted up by the driver at each put of the key, from 1.
	Version int64
	// WriteID is the write that put this version; it lets an uncertain Write be recognised.
	WriteID string
	// Index, when its PK is not empty, makes the item appear in that index partition.
	Index Key
	// Expires, when not zero, ends the item; whole seconds, rounded up.
	Expires time.Time
	// Value begins with a schema number (see Encode); the drivers do not look into it.
	Value []byte
}

// Query asks for one partition of the table, or of the index when Index is set.
type Query struct {
	PK     string
	Index  bool
	Prefix string // only sort keys that begin so
	// From and To bound the sort keys: From ≤ SK < To. Empty means no bound.
	// They may not be combined with Prefix.
	From, To   string
	Descending bool
	Limit      int    // items a page at most; 0 means MaxPageItems
	Cursor     string // a Page's Cursor, to go on after it
}

// Page is a part of a query's answer. Cursor is empty on the last page; a page
// may be short, even empty, while its Cursor is set.
type Page struct {
	Items  []Item
	Cursor string
}

// Op is one operation of a Write, made by Put, Delete or Check.
type Op struct {
	Kind      OpKind
	Item      Item // of a Delete or Check only its Key and WriteID
	Condition Condition
}

// OpKind says what an Op does to its item.
type OpKind int

// The kinds of Op.
const (
	OpPut OpKind = iota + 1
	OpDelete
	OpCheck
)

// Put stores item under condition. The driver sets the version and, unless
// Op.Item.WriteID is set afterwards, the write id. A WriteID that item brings
// along from an earlier read is dropped: it names the write that made what was
// read, and would let another's put of the same reading pass for this one.
func Put(item Item, condition Condition) Op {
	item.WriteID = ""
	return Op{OpPut, item, condition}
}

// Delete removes the item at key under condition; an absent item is no error by itself.
func Delete(key Key, condition Condition) Op { return Op{OpDelete, Item{Key: key}, condition} }

// Check changes nothing and fails the Write unless condition holds.
func Check(key Key, condition Condition) Op { return Op{OpCheck, Item{Key: key}, condition} }

// Condition is what an Op asks of the item that stands at its key.
type Condition struct {
	kind    conditionKind
	version int64
}

type conditionKind int

const (
	conditionAny conditionKind = iota
	conditionAbsent
	conditionPresent
	conditionVersion
)

// The conditions.
var (
	Any     = Condition{}                       // always holds
	Absent  = Condition{kind: conditionAbsent}  // nothing stands there
	Present = Condition{kind: conditionPresent} // something does
)

// VersionIs holds while the item stands there at version n. VersionIs(0) is Absent.
func VersionIs(n int64) Condition {
	if n == 0 {
		return Absent
	}
	return Condition{kind: conditionVersion, version: n}
}

// Version returns n and true for a VersionIs(n), and 0 and true for Absent.
func (c Condition) Version() (int64, bool) {
	return c.version, c.kind == conditionVersion || c.kind == conditionAbsent
}

// Holds reports whether c is met by the item at a key: version 0 means absent.
func (c Condition) Holds(version int64) bool {
	switch c.kind {
	case conditionAbsent:
		return version == 0
	case conditionPresent:
		return version != 0
	case conditionVersion:
		return version == c.version
	default:
		return true
	}
}

func (c Condition) String() string {
	switch c.kind {
	case conditionAbsent:
		return "absent"
	case conditionPresent:
		return "present"
	case conditionVersion:
		return fmt.Sprintf("version is %d", c.version)
	default:
		return "any"
	}
}

// The errors of a Table. Drivers wrap them with what happened.
var (
	ErrNotFound    = errors.New("no such item")
	ErrUnknown     = errors.New("outcome of the write unknown")
	ErrUnavailable = errors.New("table unavailable")
	ErrTooLarge    = errors.New("too large for the table")
	// ErrCursor is a Query.Cursor that this driver did not give out.
	ErrCursor = errors.New("not a cursor of this table")
)

// Conflict is one op whose condition failed.
type Conflict struct {
	Op   int   // its index in the Write
	Item *Item // what stood in the way; nil when nothing did
}

// ConditionError says that a Write did nothing because conditions failed.
type ConditionError struct {
	Conflict            // the first op that failed
	Others   []Conflict // further ops that failed, as far as the engine told
}

func (e *ConditionError) Error() string {
	if e.Item == nil {
		return fmt.Sprintf("condition of op %d failed: nothing there", e.Op)
	}
	return fmt.Sprintf("condition of op %d failed: %s stands at version %d", e.Op, e.Item.Key, e.Item.Version)
}

// Waker is implemented by drivers that notice writes by themselves, so that a
// waiting reader need not poll often. Without it a reader polls once a second.
type Waker interface {
	// Wake returns a channel that receives after a write touched partition pk
	// of the table or of the index (by this process: at once; by another that shares the table: soon,
	// and perhaps without cause). It has room for one wake-up; stop frees it.
	Wake(pk string) (wake <-chan struct{}, stop func())
}
