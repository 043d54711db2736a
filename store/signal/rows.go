package signal

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/enlacehq/enlace/store"
)

// The number at the start of every value; what follows is sealed. Since 2 a row
// may leave out keys that stand elsewhere in it.
const schema = 2

const (
	callTimeout  = 10 * time.Second // of one call to the table
	maxConflicts = 10               // how often one change is tried against concurrent ones
)

// How long to wait before a call is repeated that the table was unable to do.
var retryDelays = [...]time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond}

// What lies in SIG#, in the order of the sort keys.
const (
	addressPrefix   = "ADDR#"   // + signal address: session, identity, plaintexts, names
	appKeyPrefix    = "APPKEY#" // + id in hex: an app-state key
	deviceSK        = "DEVICE"  // the device's credentials and prekeys
	eventPrefix     = "EV#"     // + hash in hex: a plaintext that belongs to no address
	lidPrefix       = "LID#"    // + number: pairs of LID and phone number
	senderKeyPrefix = "SK#"     // + group # signal address: a sender key, plaintexts
)

// What lies in BULK#.
const (
	plaintextPrefix = "BIG#"      // + hash in hex # number: a part of a large plaintext
	chatPrefix      = "CHAT#"     // chat settings
	contactPrefix   = "CONTACT#"  // contacts
	keysPrefix      = "KEYS#"     // + sort key # number: a part of many skipped message keys
	macPrefix       = "MAC#"      // + collection # generation #: app-state mutation MACs
	outgoingPrefix  = "OUT#"      // + message id # chat: a sent plaintext, kept for retries
	secretPrefix    = "SECRET#"   // + user # time # random: message secrets
	versionPrefix   = "APPSTATE#" // + collection: app-state version
)

func (c *Container) hotPK() string  { return "SIG#" + c.cfg.ChannelID }
func (c *Container) bulkPK() string { return "BULK#" + c.cfg.ChannelID }

// part returns s as it may stand in a sort key: itself, or its hash when it is
// too long, no UTF-8, or holds the separator. Names come from the network.
func part(s string) string {
	if len(s) <= 200 && utf8.ValidString(s) && !strings.ContainsAny(s, "#%") {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "%" + hex.EncodeToString(sum[:])
}

// get returns the opened value at a key and its version, or version 0.
func (c *Container) get(ctx context.Context, pk, sk string) (value []byte, version int64, err error) {
	var item store.Item
	err = c.call(ctx, func(ctx context.Context) (err error) {
		item, err = c.cfg.Table.Get(ctx, store.Key{PK: pk, SK: sk})
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, anonymous("read", err, sk)
	}
	value, err = c.open(item)
	return value, item.Version, err
}

// getMany returns the items at sks of the hot partition; absent ones are left out.
func (c *Container) getMany(ctx context.Context, pk string, sks []string) (map[string]store.Item, error) {
	keys := make([]store.Key, len(sks))
	for i, sk := range sks {
		keys[i] = store.Key{PK: pk, SK: sk}
	}
	var found map[store.Key]store.Item
	err := c.call(ctx, func(ctx context.Context) (err error) {
		found, err = c.cfg.Table.GetMany(ctx, keys)
		return err
	})
	if err != nil {
		return nil, anonymous("read", err, sks...)
	}
	items := make(map[string]store.Item, len(found))
	for key, item := range found {
		items[key.SK] = item
	}
	return items, nil
}

// each calls visit for every item of a query, in order, until it returns false.
func (c *Container) each(ctx context.Context, q store.Query, visit func(store.Item) (more bool, err error)) error {
	for {
		var page store.Page
		err := c.call(ctx, func(ctx context.Context) (err error) {
			page, err = c.cfg.Table.Query(ctx, q)
			return err
		})
		if err != nil {
			return anonymous("query", err, q.Prefix, q.From, q.To)
		}
		for _, item := range page.Items {
			if more, err := visit(item); err != nil || !more {
				return err
			}
		}
		if page.Cursor == "" {
			return nil
		}
		q.Cursor = page.Cursor
	}
}

// write does ops or nothing. A *store.ConditionError is for the caller to settle.
func (c *Container) write(ctx context.Context, ops ...store.Op) error {
	err := c.call(ctx, func(ctx context.Context) error {
		if c.cfg.Fresh != nil {
			if err := c.cfg.Fresh(); err != nil {
				return err
			}
		}
		return c.cfg.Table.Write(ctx, ops...)
	})
	if err == nil {
		return nil
	}
	sks := make([]string, len(ops))
	for i, op := range ops {
		sks[i] = op.Item.SK
	}
	return anonymous("write", err, sks...)
}

// call runs do with a deadline, again while the table is certain that it did nothing.
func (c *Container) call(ctx context.Context, do func(context.Context) error) error {
	for try := 0; ; try++ {
		callCtx, cancel := context.WithTimeout(ctx, callTimeout)
		err := do(callCtx)
		cancel()
		if try == len(retryDelays) || !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryDelays[try]):
		}
	}
}

// item seals value for its place.
func (c *Container) item(pk, sk string, value []byte) store.Item {
	sealed := c.cfg.Key.Seal(value, pk, sk)
	return store.Item{
		Key:   store.Key{PK: pk, SK: sk},
		Value: append(binary.AppendUvarint(make([]byte, 0, 1+len(sealed)), schema), sealed...),
	}
}

// put returns the op that replaces the item at version (0: none yet).
func (c *Container) put(pk, sk string, value []byte, version int64) store.Op {
	return store.Put(c.item(pk, sk, value), store.VersionIs(version))
}

func (c *Container) open(item store.Item) ([]byte, error) {
	sealed, err := store.Body(item.Value, schema)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind(item.SK), err)
	}
	value, err := c.cfg.Key.Open(sealed, item.PK, item.SK)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind(item.SK), err)
	}
	return value, nil
}

// settle decides what a failed condition means: nil, read it again; else the
// channel is no longer ours.
func (c *Container) settle(ctx context.Context) error {
	if c.cfg.StillOwner != nil {
		if err := c.cfg.StillOwner(ctx); err != nil {
			return err
		}
	}
	c.cfg.Log.Debug("Signal state changed under a write and is read again")
	return nil
}

func isConflict(err error) bool {
	var conflict *store.ConditionError
	return errors.As(err, &conflict)
}

var errTooManyConflicts = errors.New("the item changes faster than it can be written")

// anonymousError is an error of the table that names no sort key in full: they
// hold phone numbers, and errors are logged.
type anonymousError struct {
	text string
	err  error
}

func (e *anonymousError) Error() string { return e.text }
func (e *anonymousError) Unwrap() error { return e.err }

func anonymous(doing string, err error, sks ...string) error {
	text := err.Error()
	for _, sk := range sks {
		if sk != "" {
			text = strings.ReplaceAll(text, sk, kind(sk))
		}
	}
	return &anonymousError{fmt.Sprintf("%s %s: %s", doing, kind(sks[0]), text), err}
}

// kind names a sort key's kind; the rest of it may be a phone number.
func kind(sk string) string {
	before, _, _ := strings.Cut(sk, "#")
	return before
}
