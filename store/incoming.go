package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/enlacehq/enlace"
)

// Incoming is something that the account received, or that its own phone sent.
type Incoming struct {
	Event enlace.EventName
	// Identity names the message: one whose identity is in the newest events is not
	// appended again.
	Identity Identity
	// Data is the event's data, in the shapes of the Cloud API.
	Data json.RawMessage
}

// Identity names a message that was received or that the own phone sent. Ids are
// the sender's choice: two senders may choose the same.
type Identity struct {
	Chat   string // a JID
	Sender string // a JID without the device
	ID     string
}

func (i Identity) String() string { return i.Chat + " " + i.Sender + " " + i.ID }

func parseIdentity(s string) (Identity, bool) {
	parts := strings.SplitN(s, " ", 3)
	if len(parts) != 3 {
		return Identity{}, false
	}
	return Identity{Chat: parts[0], Sender: parts[1], ID: parts[2]}, true
}

// seenEvents is how many of the newest events a message is looked for in. What
// happens while a channel is away does not count, see away.
const seenEvents = 500

// unavailableLife is how long a message that could not be read is waited for.
const unavailableLife = 30 * 24 * time.Hour

// identities are the messages that the owner has seen, as hashes, and those that
// could not be read yet. They are read at the first message after a claim.
type identities struct {
	seen map[uint64]bool
	ring []uint64 // of seen, oldest at next
	next int
	// unavailable holds the markers of messages that could not be read: true while open.
	unavailable map[string]marker
	// told is what the log says of messages that may be behind it, by their numbers.
	told map[int64]told
}

type marker struct {
	open    bool
	version int64
}

type markerItem struct {
	Open bool `json:"open"`
}

const markerSchema = 1

func hashIdentity(identity string) uint64 {
	sum := sha256.Sum256([]byte(identity))
	return binary.BigEndian.Uint64(sum[:8])
}

func (i *identities) add(identity uint64) {
	if len(i.ring) < seenEvents {
		i.ring = append(i.ring, identity)
	} else {
		delete(i.seen, i.ring[i.next])
		i.ring[i.next] = identity
		i.next = (i.next + 1) % seenEvents
	}
	i.seen[identity] = true
}

// markerKey is where the marker of a message that could not be read lies. The
// identity holds phone numbers and stays as it is: the channel's log does too.
func markerKey(channelID, identity string) Key {
	return Key{PK: channelKey(channelID).PK, SK: "UM#" + identity}
}

const markerPrefix = "UM#"

// Received appends what came in, once: a message that is among the newest events
// is dropped, and one that could not be read before resolves its marker in the
// same Write. Only when it returns nil may the message be acknowledged. It
// reports whether an event was appended.
func (o *Owner) Received(ctx context.Context, in Incoming) (bool, error) {
	o.receiving.Lock()
	defer o.receiving.Unlock()
	ids, err := o.identities(ctx)
	if err != nil {
		return false, err
	}
	identity := in.Identity.String()
	hash := hashIdentity(identity)
	if ids.seen[hash] {
		return false, nil
	}
	var more []Op
	if m, known := ids.unavailable[identity]; known {
		if !m.open {
			return false, nil
		}
		resolved, err := o.marker(identity, false, VersionIs(m.version))
		if err != nil {
			return false, err
		}
		more = append(more, resolved)
	}
	if err := o.append(ctx, eventItem{Event: in.Event, Data: in.Data, Identity: identity}, more...); err != nil {
		o.ids = nil // it may be there all the same: look again
		return false, err
	}
	ids.add(hash)
	if len(more) > 0 {
		ids.unavailable[identity] = marker{version: ids.unavailable[identity].version + 1}
	}
	return true, nil
}

// Unavailable appends message.unavailable for a message that could not be read,
// once, and marks it: Received of the same identity resolves the marker.
func (o *Owner) Unavailable(ctx context.Context, in Incoming) error {
	o.receiving.Lock()
	defer o.receiving.Unlock()
	ids, err := o.identities(ctx)
	if err != nil {
		return err
	}
	identity := in.Identity.String()
	if _, known := ids.unavailable[identity]; known || ids.seen[hashIdentity(identity)] {
		return nil
	}
	open, err := o.marker(identity, true, Absent)
	if err != nil {
		return err
	}
	if err := o.append(ctx, eventItem{Event: in.Event, Data: in.Data}, open); err != nil {
		o.ids = nil
		return err
	}
	ids.unavailable[identity] = marker{open: true, version: 1}
	return nil
}

func (o *Owner) marker(identity string, open bool, condition Condition) (Op, error) {
	value, err := Encode(markerSchema, markerItem{Open: open})
	if err != nil {
		return Op{}, err
	}
	item := Item{Key: markerKey(o.id, identity), Value: value, Expires: o.store.now().Add(unavailableLife)}
	return Put(item, condition), nil
}

// identities returns what the owner has seen. o.receiving is held.
func (o *Owner) identities(ctx context.Context) (*identities, error) {
	if o.ids != nil {
		return o.ids, nil
	}
	if err := o.settled(ctx); err != nil {
		return nil, err
	}
	ids, err := o.readIdentities(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the newest events: %w", err)
	}
	o.ids = ids
	return ids, nil
}

// settled learns what came of an append whose outcome was not known: if it was
// done, the message is known when it comes again, and nothing else will be written.
func (o *Owner) settled(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current(ctx)
}

func (o *Owner) readIdentities(ctx context.Context) (*identities, error) {
	ids := &identities{seen: map[uint64]bool{}, unavailable: map[string]marker{}, told: map[int64]told{}}
	pk := channelKey(o.id).PK
	q := Query{PK: pk, Prefix: eventPrefix, Descending: true, Limit: seenEvents}
	var newestFirst []uint64
	for counted := 0; counted < seenEvents; {
		page, err := o.store.table.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			var e eventItem
			if err := Decode(item.Value, eventSchema, &e); err != nil {
				return nil, err
			}
			if !e.away() {
				counted++
			}
			if e.Identity != "" {
				newestFirst = append(newestFirst, hashIdentity(e.Identity))
			}
			if seq, what, ok := e.tells(); ok && len(ids.told) < toldKept {
				ids.tell(seq, what)
			}
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	newestFirst = newestFirst[:min(len(newestFirst), seenEvents)]
	for i := len(newestFirst) - 1; i >= 0; i-- {
		ids.add(newestFirst[i])
	}
	q = Query{PK: pk, Prefix: markerPrefix}
	for {
		page, err := o.store.table.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			var m markerItem
			if err := Decode(item.Value, markerSchema, &m); err != nil {
				return nil, err
			}
			ids.unavailable[item.SK[len(markerPrefix):]] = marker{open: m.Open, version: item.Version}
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return ids, nil
		}
	}
}

// away reports whether an event may be of a time when the channel was not
// connected: its comings and goings, and messages that end unsent. There may be
// thousands of them between a message whose acknowledgement was lost and the next
// login, which brings it again.
func (e *eventItem) away() bool {
	if e.Event != enlace.EventMessageStatus {
		return strings.HasPrefix(string(e.Event), "channel.")
	}
	var data struct {
		Status struct{ Status enlace.MessageStatus }
	}
	return json.Unmarshal(e.Data, &data) == nil && data.Status.Status == enlace.MessageFailed
}

// provers is how many events OldestSeen looks at.
const provers = 20

// OldestSeen returns a time about as long ago as the oldest event by which a
// message is recognised: what had been decrypted well before it has its event.
// WhatsApp brings messages in order, so one that was received then proves it for
// those before; a channel's own comings and goings prove nothing. The zero time
// means that nothing is known.
func (o *Owner) OldestSeen(ctx context.Context) (time.Time, error) {
	o.mu.Lock()
	newest := o.seq
	o.mu.Unlock()
	if newest < seenEvents {
		return time.Time{}, nil
	}
	last := newest - seenEvents + 1
	q := Query{PK: channelKey(o.id).PK, From: eventPrefix + seqSK(max(last-provers, 0)), To: eventPrefix + seqSK(last+1), Descending: true}
	page, err := o.store.table.Query(ctx, q)
	if err != nil {
		return time.Time{}, fmt.Errorf("look for an old event: %w", err)
	}
	for _, item := range page.Items {
		var e eventItem
		if err := Decode(item.Value, eventSchema, &e); err != nil {
			return time.Time{}, err
		}
		if e.Identity != "" {
			return e.At, nil
		}
	}
	return time.Time{}, nil
}
