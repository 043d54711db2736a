package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/enlacehq/enlace"
)

// record is the channel as it is stored: what callers see, and what workers need.
type record struct {
	enlace.Channel
	Pairing *enlace.Pairing `json:"pairing,omitempty"` // how to link a device; nil means by QR
	Linked  bool            `json:"linked,omitempty"`  // there are credentials
	Epoch   int64           `json:"epoch"`             // counts claims
	// LastSeq and LastMessageSeq are lower bounds of the newest numbers of the
	// log and of the outbox, so that numbering never starts again when old items expire.
	LastSeq        int64 `json:"lastSeq"`
	LastMessageSeq int64 `json:"lastMessageSeq"`
	// SecretSeq is the event that announced the QR code, pairing code or passkey
	// that stands in the channel now.
	SecretSeq int64 `json:"secretSeq,omitempty"`
	// Waiting says that a command was posted which no owner has seen through yet.
	Waiting bool   `json:"waiting,omitempty"`
	Deleted bool   `json:"deleted,omitempty"` // its callers have forgotten it; it remains to be wiped
	DataKey []byte `json:"dataKey,omitempty"` // wrapped
	// IDKey hides the numbers in the WhatsApp ids of the channel's messages.
	IDKey []byte `json:"idKey,omitempty"`
	// OutboxFrom is a number below which no outbox entry waits.
	OutboxFrom int64 `json:"outboxFrom,omitempty"`
}

const channelSchema = 1

// wantsOwner reports whether some worker must look after the channel.
func (r *record) wantsOwner() bool {
	return r.Owner != "" || r.wantsSession() || r.Waiting || r.Deleted
}

// wantsSession reports whether the channel is connected, or to be connected by itself now or later.
func (r *record) wantsSession() bool {
	return !r.Deleted && (r.Status == enlace.Connecting || r.Status == enlace.Active || r.Until != nil)
}

func (r *record) put(version int64) (Op, error) {
	value, err := Encode(channelSchema, r)
	if err != nil {
		return Op{}, err
	}
	item := Item{Key: channelKey(r.ID), Value: value}
	if r.wantsOwner() {
		item.Index = ownerIndex(r.Owner, r.ID)
	}
	return Put(item, VersionIs(version)), nil
}

func decodeRecord(item Item) (record, error) {
	var r record
	if err := Decode(item.Value, channelSchema, &r); err != nil {
		return record{}, fmt.Errorf("channel item %s: %w", item.Key, err)
	}
	return r, nil
}

// touch counts the change from before to r if a caller can see it.
func (r *record) touch(before *record, now time.Time) {
	if reflect.DeepEqual(visible(before), visible(r)) {
		return
	}
	r.Version++
	r.UpdatedAt = now
}

// visible is what counts as a change for callers: not who owns the channel.
func visible(r *record) enlace.Channel {
	c := r.Channel
	c.Owner, c.Version, c.UpdatedAt = "", 0, time.Time{}
	return c
}

// secrets are the members of a channel that link an account: they are shown
// while current and never logged, not even in events.
var secrets = []string{"qr", "pairingCode", "passkey"}

// bookkeeping are members whose change says nothing by itself.
var bookkeeping = []string{"version", "updatedAt", "createdAt", "id", "companyId"}

// changes is the event data of a change: a JSON merge patch of the channel, with
// its status always in it and its secrets never.
func changes(before, after *record) (json.RawMessage, error) {
	from, err := members(before.Channel)
	if err != nil {
		return nil, err
	}
	to, err := members(after.Channel)
	if err != nil {
		return nil, err
	}
	patch := map[string]any{}
	for name, value := range to {
		if !bytes.Equal(from[name], value) {
			patch[name] = value
		}
	}
	for name := range from {
		if _, kept := to[name]; !kept {
			patch[name] = nil
		}
	}
	hidden := append(append([]string(nil), secrets...), bookkeeping...)
	maps.DeleteFunc(patch, func(name string, _ any) bool { return slices.Contains(hidden, name) })
	patch["status"] = after.Status
	return json.Marshal(patch)
}

func members(c enlace.Channel) (map[string]json.RawMessage, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	return m, json.Unmarshal(body, &m)
}
