// Package signal keeps whatsmeow's state of one channel, its device and every
// Signal session, in a store.Table: sealed, packed into few items, and written
// only when something changed. A Container is what a channel's owner holds for
// as long as it owns the channel; the Device it gives out lives for one session.
package signal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
)

// ErrConflict is returned from a send when what it encrypted with was replaced
// meanwhile by a decryption: the message may not leave, the session lives on.
// Run the send again under the same message id.
var ErrConflict = errors.New("the Signal session changed while a message was encrypted for it")

// Config is what a Container needs.
type Config struct {
	Table     store.Table
	ChannelID string
	Key       *seal.DataKey
	// StillOwner is asked when an item turns out to have been written by someone
	// else: nil means that the channel is still ours, so the item is read again;
	// an error ends the session with it. Without it the channel is always ours.
	StillOwner func(ctx context.Context) error
	// Fresh, asked before each write, says without delay whether the channel may
	// still be ours: an error ends the session with it. It keeps a process that was
	// stopped for a while from writing into what another one owns by now.
	Fresh func() error
	// Budget bounds the memory of all containers that share it; nil means one of
	// this container's own, of 1 MiB.
	Budget *Budget
	// OldestEvent is when the oldest event was written of those by whose identity
	// the owner recognises a message that it has seen. Plaintexts that wait for
	// their acknowledgement since well before it are not offered again: their
	// event exists. Zero means that all are offered.
	OldestEvent time.Time
	Log         *slog.Logger     // names the channel already; slog.Default when nil
	Now         func() time.Time // time.Now when nil
}

// How much older than the oldest event a plaintext may be: the event is written
// after it, and perhaps by a worker whose clock is ahead.
const eventMargin = time.Hour

// Container holds a channel's Signal state. Its methods, and those of the stores
// of its devices, may be called by many goroutines at once.
type Container struct {
	cfg     Config
	budget  *Budget
	id      uint64 // of this container in the budget
	deleted atomic.Bool

	deviceMu    sync.Mutex // held over writes of the device: they run one after another
	dev         *device    // nil: not linked
	deviceStale bool       // dev is not to be trusted, it must be read again
	remains     bool       // state of an earlier device lies in the table

	lidMu     sync.Mutex // held over writes of LID pairs
	lids      atomic.Pointer[lidMap]
	lidsStale bool // the table may hold others

	bulkMu sync.Mutex // held over writes of shelves: they read before they write

	// turn is read-held over each write of rows. A decryption that was overtaken
	// again and again by our own writes takes it for itself.
	turn sync.RWMutex

	writer uint32 // marks the plaintexts that this container stores

	mu          sync.Mutex             // guards what follows, never held over a call
	waiting     map[[32]byte]waitingAt // plaintexts that are not acknowledged
	cleared     map[[32]byte]struct{}  // foreign ones that are, but lie in their row still
	done        [][32]byte             // the last ones that were acknowledged, a ring
	doneAt      int                    // where the next one goes
	surprises   int                    // how many plaintexts were met that Open did not see
	riders      map[string]*rider      // what waits for the next write of its row
	writing     map[string]*row        // rows that are being replaced, as they were read
	phones      map[string][]string    // users with rows under their phone number, and those rows
	loose       map[string][]byte      // sessions as they were read outside a decryption or send
	tokensSince int64                  // privacy tokens older than this are gone
	charged     int64                  // bytes charged to the budget
}

// Open reads a channel's Signal state with one query. It starts nothing.
// seal.ErrUnreadable: it was sealed under another key, or is damaged, or the
// channel's data key is not to be had (Config.Key is nil).
func Open(ctx context.Context, cfg Config) (*Container, error) {
	if cfg.Key == nil {
		return nil, fmt.Errorf("open Signal state: %w", seal.ErrUnreadable)
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Container{cfg: cfg, budget: cfg.Budget}
	if c.budget == nil {
		c.budget = NewBudget(defaultBudget)
	}
	c.id, c.writer = c.budget.join(), rand.Uint32()
	if err := c.load(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("open Signal state: %w", err)
	}
	return c, nil
}

func (c *Container) load(ctx context.Context) error {
	var pairs []store.Item
	items := 0
	err := c.each(ctx, store.Query{PK: c.hotPK()}, func(item store.Item) (bool, error) {
		items++
		switch {
		case item.SK == deviceSK:
			value, err := c.open(item)
			if err != nil {
				return false, err
			}
			c.dev, err = decodeDevice(value, item.Version)
			return true, err
		case strings.HasPrefix(item.SK, lidPrefix):
			pairs = append(pairs, item)
		case isRow(item.SK):
			r, err := c.openRow(item)
			if err != nil {
				return false, err
			}
			c.meet(r)
			c.budget.offer(c.id, r)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	c.remains = items > 0 && c.dev == nil
	return c.loadLIDs(pairs)
}

// Paired reports whether there are credentials of a device.
func (c *Container) Paired() bool {
	c.deviceMu.Lock()
	defer c.deviceMu.Unlock()
	return c.usable(c.dev)
}

// LastTry reports whether KeepUntil holds: WhatsApp refused the credentials, and
// they are to be tried once more. When it refuses them again, Forget them.
func (c *Container) LastTry() bool {
	c.deviceMu.Lock()
	defer c.deviceMu.Unlock()
	return c.usable(c.dev) && c.dev.keepUntil > 0
}

func (c *Container) usable(d *device) bool {
	return d != nil && (d.keepUntil == 0 || c.cfg.Now().Unix() < d.keepUntil)
}

// Deleted reports whether whatsmeow asked for the deletion of the device that
// was given out last: it was logged out, or its linking failed half-way.
// Nothing was deleted by that; Forget or KeepUntil is the caller's decision.
func (c *Container) Deleted() bool { return c.deleted.Load() }

// Device returns whatsmeow's device for one session: the stored one, or a new
// one that is not linked yet. Before a store method of it returns a failure (of
// a call, with an uncertain outcome, or a panic) it calls fail, which must cancel
// the session's context; what it returns then wraps context.Canceled, so that
// whatsmeow acknowledges nothing. fail may be called often and from many goroutines.
func (c *Container) Device(ctx context.Context, fail func(error)) (*wastore.Device, error) {
	stored, err := c.currentDevice(ctx)
	if err != nil {
		return nil, err
	}
	c.deleted.Store(false)
	s := &stores{c}
	if !c.usable(stored) {
		return attach(newDevice(), s, fail), nil
	}
	d := new(wastore.Device)
	if err := decodeCredentials(stored.credentials, d); err != nil {
		return nil, err
	}
	return attach(d, s, fail), nil
}

// KeepUntil keeps the credentials until t, after WhatsApp refused them in a way
// that may pass: from then on LastTry is true. The zero time ends that: call it
// when they were accepted again. After t they are gone.
func (c *Container) KeepUntil(ctx context.Context, t time.Time) error {
	return c.changeDevice(ctx, func(d *device) error {
		d.keepUntil = store.ExpirySeconds(t)
		return nil
	})
}

// Close frees the container's share of the budget. No session may be running.
func (c *Container) Close() {
	c.mu.Lock()
	charged := c.charged
	c.charged = 0
	c.mu.Unlock()
	c.budget.charge(-charged)
	c.budget.leave(c.id)
}

// charge counts bytes that stay in memory; c.mu is held.
func (c *Container) charge(n int) {
	c.charged += int64(n)
	c.budget.charge(int64(n))
}
