package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/enlacehq/enlace"
)

// ConnectRequest asks for a channel.
type ConnectRequest struct {
	CompanyID string
	Type      enlace.ChannelType
	Name      string          // enlace.DefaultName when empty
	Pairing   *enlace.Pairing // how to link a device, if one must be linked; by QR when nil
}

// Connect gives the caller the channel of (company, type, name), connecting: a
// new one, one that is brought back from inactive or error, or the one that is
// connecting already, unchanged. One conditional write decides, so that callers
// at the same moment get one channel. CodeChannelActive: it is connected.
func (s *Store) Connect(ctx context.Context, request ConnectRequest) (enlace.Channel, error) {
	if request.Name == "" {
		request.Name = enlace.DefaultName
	}
	for {
		channel, err := s.tryConnect(ctx, request)
		if isConflict(err) && ctx.Err() == nil {
			continue // somebody else decided first: look again
		}
		return channel, err
	}
}

func (s *Store) tryConnect(ctx context.Context, request ConnectRequest) (enlace.Channel, error) {
	id, err := s.channelID(ctx, request)
	if errors.Is(err, ErrNotFound) {
		return s.create(ctx, request)
	}
	if err != nil {
		return enlace.Channel{}, err
	}
	r, version, err := s.readRecord(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && r.Deleted {
		// The name was freed between the two reads; its next use finds it absent.
		return enlace.Channel{}, &ConditionError{}
	}
	if err != nil {
		return enlace.Channel{}, err
	}
	switch r.Status {
	case enlace.Active:
		return enlace.Channel{}, enlace.Errorf(enlace.CodeChannelActive, "channel %s is active", r.ID)
	case enlace.Connecting:
		return r.Channel, nil
	}
	before := *r
	r.connecting(request.Pairing)
	if r.Owner == "" {
		return s.writeChange(ctx, r, &before, version, enlace.EventConnecting)
	}
	tell, err := s.outboxEntry(ctx, r, outboxItem{Kind: CommandConnect})
	if err != nil {
		return enlace.Channel{}, err
	}
	return s.writeChange(ctx, r, &before, version, enlace.EventConnecting, tell)
}

func (s *Store) channelID(ctx context.Context, request ConnectRequest) (string, error) {
	item, err := s.table.Get(ctx, nameKey(request.CompanyID, request.Type, request.Name))
	if err != nil {
		return "", err
	}
	return decodeName(item)
}

func (s *Store) create(ctx context.Context, request ConnectRequest) (enlace.Channel, error) {
	now := s.time()
	r := &record{Channel: enlace.Channel{
		ID: enlace.NewID(enlace.ChannelPrefix), CompanyID: request.CompanyID, Type: request.Type, Name: request.Name, CreatedAt: now,
	}, IDKey: newIDKey()}
	before := *r
	r.connecting(request.Pairing)
	name, err := encodeName(r)
	if err != nil {
		return enlace.Channel{}, err
	}
	return s.writeChange(ctx, r, &before, 0, enlace.EventConnecting, Put(name, Absent))
}

// writeChange writes r, which was read at version as before, together with its
// event and with more ops, in one Write, for a caller that does not own the channel.
func (s *Store) writeChange(ctx context.Context, r, before *record, version int64, name enlace.EventName, more ...Op) (enlace.Channel, error) {
	seq := int64(0)
	if version > 0 {
		var err error
		if seq, _, err = s.tail(ctx, r); err != nil {
			return enlace.Channel{}, err
		}
	}
	ops, err := s.change(r, before, version, seq+1, name, nil)
	if err != nil {
		return enlace.Channel{}, err
	}
	if err := s.table.Write(ctx, append(ops, more...)...); err != nil {
		return enlace.Channel{}, err
	}
	return r.Channel, nil
}

// change returns the two ops of a status change: the channel and its event at
// seq, whose data are the channel's changes or, if not nil, data.
func (s *Store) change(r, before *record, version, seq int64, name enlace.EventName, data []byte) ([]Op, error) {
	now := s.time()
	r.LastSeq = seq
	r.touch(before, now)
	if data == nil {
		var err error
		if data, err = changes(before, r); err != nil {
			return nil, err
		}
	}
	put, err := r.put(version)
	if err != nil {
		return nil, err
	}
	event, err := s.event(r.ID, seq, eventItem{Event: name, At: now, Epoch: r.Epoch, Data: data})
	if err != nil {
		return nil, err
	}
	return []Op{put, event}, nil
}

// Channel returns a company's channel. CodeNotFound: there is none of that id in
// that company, or it was deleted.
func (s *Store) Channel(ctx context.Context, company, id string) (enlace.Channel, error) {
	r, _, err := s.visibleChannel(ctx, company, id)
	if err != nil {
		return enlace.Channel{}, err
	}
	return r.Channel, nil
}

// Channels lists a company's channels by type and name: at most limit after the
// cursor, and the next cursor, empty when there are no more. CodeInvalidCursor:
// after is no cursor of this list.
func (s *Store) Channels(ctx context.Context, company, after string, limit int) ([]enlace.Channel, string, error) {
	names := Query{PK: companyPK(company), From: namePrefix, To: namePrefix + "~", Limit: limit + 1}
	if after != "" {
		channelType, name, ok := strings.Cut(after, ".")
		if !ok || !enlace.ValidID(name) {
			return nil, "", enlace.Errorf(enlace.CodeInvalidCursor, "after must be what an answer gave as next")
		}
		names.From = nameKey(company, enlace.ChannelType(channelType), name).SK + "\x00"
	}
	var rows []Item
	for len(rows) <= limit {
		page, err := s.table.Query(ctx, names)
		if err != nil {
			return nil, "", fmt.Errorf("list channels: %w", err)
		}
		rows = append(rows, page.Items...)
		if names.Cursor = page.Cursor; page.Cursor == "" {
			break
		}
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next = strings.Replace(strings.TrimPrefix(rows[limit-1].SK, namePrefix), "#", ".", 1)
	}
	channels, err := s.readNamed(ctx, rows)
	return channels, next, err
}

// readNamed reads the channels that name items point to; one deleted meanwhile is left out.
func (s *Store) readNamed(ctx context.Context, names []Item) ([]enlace.Channel, error) {
	keys := make([]Key, len(names))
	for i, name := range names {
		id, err := decodeName(name)
		if err != nil {
			return nil, err
		}
		keys[i] = channelKey(id)
	}
	items, err := s.table.GetMany(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read channels: %w", err)
	}
	channels := []enlace.Channel{}
	for _, key := range keys {
		item, ok := items[key]
		if !ok {
			continue
		}
		r, err := decodeRecord(item)
		if err != nil {
			return nil, err
		}
		if !r.Deleted {
			channels = append(channels, r.Channel)
		}
	}
	return channels, nil
}

func (s *Store) readRecord(ctx context.Context, id string) (*record, int64, error) {
	item, err := s.table.Get(ctx, channelKey(id))
	if err != nil {
		return nil, 0, fmt.Errorf("read channel %s: %w", id, err)
	}
	r, err := decodeRecord(item)
	if err != nil {
		return nil, 0, err
	}
	return &r, item.Version, nil
}

func (s *Store) visibleChannel(ctx context.Context, company, id string) (*record, int64, error) {
	r, version, err := s.readRecord(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && (r.Deleted || r.CompanyID != company) {
		return nil, 0, enlace.Errorf(enlace.CodeNotFound, "no such channel")
	}
	return r, version, err
}

type nameItem struct {
	ChannelID string `json:"channelId"`
}

const nameSchema = 1

func encodeName(r *record) (Item, error) {
	value, err := Encode(nameSchema, nameItem{ChannelID: r.ID})
	return Item{Key: nameKey(r.CompanyID, r.Type, r.Name), Index: namedIndex(r.ID), Value: value}, err
}

func decodeName(item Item) (string, error) {
	var n nameItem
	if err := Decode(item.Value, nameSchema, &n); err != nil {
		return "", fmt.Errorf("channel name %s: %w", item.Key, err)
	}
	return n.ChannelID, nil
}
