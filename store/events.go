package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/enlacehq/enlace"
)

// eventItem is an event as it is stored; its number is its sort key.
type eventItem struct {
	Event enlace.EventName `json:"event"`
	At    time.Time        `json:"at"`
	Epoch int64            `json:"epoch"` // of the claim under which it was written
	Data  json.RawMessage  `json:"data"`
	// Identity is of a message that was received: see Incoming.
	Identity string `json:"identity,omitempty"`
}

const eventSchema = 1

// event is the op that appends e to a channel's log at seq; it fails if the number is taken.
func (s *Store) event(channelID string, seq int64, e eventItem) (Op, error) {
	value, err := Encode(eventSchema, e)
	if err != nil {
		return Op{}, err
	}
	item := Item{Key: eventKey(channelID, seq), Value: value, Expires: e.At.Add(s.retention)}
	return Put(item, Absent), nil
}

// tail returns the number of a channel's newest event and the epoch it was
// written under. r must have been read before.
func (s *Store) tail(ctx context.Context, r *record) (seq, epoch int64, err error) {
	page, err := s.table.Query(ctx, Query{PK: channelKey(r.ID).PK, Prefix: eventPrefix, Descending: true, Limit: 1})
	if err != nil {
		return 0, 0, fmt.Errorf("read the end of the log: %w", err)
	}
	if len(page.Items) == 0 {
		return r.LastSeq, 0, nil
	}
	seq, err = parseSeq(page.Items[0].SK, eventPrefix)
	if err != nil {
		return 0, 0, err
	}
	var e eventItem
	if err := Decode(page.Items[0].Value, eventSchema, &e); err != nil {
		return 0, 0, fmt.Errorf("event %d: %w", seq, err)
	}
	return max(seq, r.LastSeq), e.Epoch, nil
}

// EventQuery asks for a part of a channel's log.
type EventQuery struct {
	After string             // a cursor or a number, exclusive; empty: from the oldest kept
	Limit int                // at most so many events
	Types []enlace.EventName // only these; empty: all
	// Secrets adds the code to the event that announced the QR code, pairing code
	// or passkey of the channel, while it is current.
	Secrets bool
}

// EventPage is a part of a channel's log, and the cursor to go on after it.
type EventPage struct {
	Events []enlace.Event
	Next   string
}

// maxScan bounds the events that one call looks through for the wanted types, and
// maxAnswer the bytes of those it gives: it ends early, as if the limit were smaller.
const (
	maxScan   = 2000
	maxAnswer = 4 << 20
)

// Events reads a channel's log. With Types, the page may be empty though Next
// has moved on. CodeInvalidCursor: After is no cursor; CodeCursorGone: it is of
// another generation, past the tail, or of events that are kept no longer.
func (s *Store) Events(ctx context.Context, company, channelID string, q EventQuery) (EventPage, error) {
	after, err := s.ParseCursor(q.After)
	if err != nil {
		return EventPage{}, err
	}
	r, _, err := s.visibleChannel(ctx, company, channelID)
	if err != nil {
		return EventPage{}, err
	}
	page := EventPage{Events: []enlace.Event{}}
	last, size := after, 0
	for scanned := 0; len(page.Events) < q.Limit && scanned < maxScan && size < maxAnswer; {
		limit := min(MaxPageItems, maxScan-scanned)
		if len(q.Types) == 0 {
			limit = min(limit, q.Limit-len(page.Events))
		}
		items, err := s.table.Query(ctx, Query{PK: channelKey(channelID).PK, From: eventPrefix + seqSK(last+1), To: eventPrefix + "~", Limit: limit})
		if err != nil {
			return EventPage{}, fmt.Errorf("read the log: %w", err)
		}
		for _, item := range items.Items {
			e, err := decodeEvent(r, item)
			if err != nil {
				return EventPage{}, err
			}
			if last > 0 && e.Seq != last+1 {
				return EventPage{}, s.gone("events after this cursor are no longer kept; begin again without one")
			}
			last, scanned = e.Seq, scanned+1
			if len(q.Types) > 0 && !slices.Contains(q.Types, e.Event) {
				continue
			}
			if q.Secrets {
				s.addSecret(&e, r)
			}
			page.Events = append(page.Events, e)
			if size += len(e.Data); len(page.Events) == q.Limit || size >= maxAnswer {
				break
			}
		}
		if len(items.Items) == 0 {
			break
		}
	}
	if last == after && after > 0 {
		if err := s.checkNotPast(ctx, r, after); err != nil {
			return EventPage{}, err
		}
	}
	page.Next = s.Cursor(last)
	return page, nil
}

// HasEvents reports, by one read, whether a channel's log goes on after a cursor.
// It does not ask whose channel it is: Events does.
func (s *Store) HasEvents(ctx context.Context, channelID, after string) (bool, error) {
	seq, err := s.ParseCursor(after)
	if err != nil {
		return false, err
	}
	page, err := s.table.Query(ctx, Query{PK: channelKey(channelID).PK, From: eventPrefix + seqSK(seq+1), To: eventPrefix + "~", Limit: 1})
	if err != nil {
		return false, fmt.Errorf("read the log: %w", err)
	}
	return len(page.Items) > 0, nil
}

// checkNotPast refuses a cursor beyond the tail. The channel is read again:
// events may have come since r was.
func (s *Store) checkNotPast(ctx context.Context, r *record, after int64) error {
	tail, _, err := s.tail(ctx, r)
	if err != nil {
		return err
	}
	switch {
	case after > tail:
		return s.gone("this cursor is past the end of the log; begin again without one")
	case after < tail:
		// Either new events came just now, or those between have expired.
		page, err := s.table.Query(ctx, Query{PK: channelKey(r.ID).PK, From: eventPrefix + seqSK(after+1), To: eventPrefix + "~", Limit: 1})
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if len(page.Items) == 0 || page.Items[0].SK != eventPrefix+seqSK(after+1) {
			return s.gone("events after this cursor are no longer kept; begin again without one")
		}
	}
	return nil
}

func (s *Store) gone(message string) error {
	return &enlace.Error{Code: enlace.CodeCursorGone, Message: message}
}

func decodeEvent(r *record, item Item) (enlace.Event, error) {
	seq, err := parseSeq(item.SK, eventPrefix)
	if err != nil {
		return enlace.Event{}, err
	}
	var e eventItem
	if err := Decode(item.Value, eventSchema, &e); err != nil {
		return enlace.Event{}, fmt.Errorf("event %d: %w", seq, err)
	}
	return enlace.Event{Seq: seq, Event: e.Event, CompanyID: r.CompanyID, ChannelID: r.ID, At: e.At, Data: e.Data}, nil
}

// addSecret puts into e's data the secret that it announced, while the channel still shows it.
func (s *Store) addSecret(e *enlace.Event, r *record) {
	if e.Seq != r.SecretSeq {
		return
	}
	var data map[string]any
	if json.Unmarshal(e.Data, &data) != nil {
		return
	}
	now := s.now()
	switch {
	case e.Event == enlace.EventQR && r.QR != nil && now.Before(r.QR.ExpiresAt):
		data["code"] = r.QR.Code
	case e.Event == enlace.EventPairingCode && r.PairingCode != "":
		data["pairingCode"] = r.PairingCode
	case e.Event == enlace.EventPasskey && r.Passkey != nil && now.Before(r.Passkey.ExpiresAt):
		data["passkey"] = r.Passkey
	}
	if body, err := json.Marshal(data); err == nil {
		e.Data = body
	}
}
