package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/enlacehq/enlace"
)

// MarkRead asks the channel's owner to mark a received message as read. seq is the
// number of its event; 0 means that it is looked for among the newest events.
// CodeMessageNotFound: it is not there; CodeChannelNotActive.
func (s *Store) MarkRead(ctx context.Context, company, channelID, id string, seq int64, typing bool) error {
	r, _, err := s.visibleChannel(ctx, company, channelID)
	if err != nil {
		return err
	}
	if !r.takes() {
		return notActive(r)
	}
	identity, err := s.receivedIdentity(ctx, channelID, id, seq)
	if err != nil {
		return err
	}
	entry := outboxItem{Kind: CommandRead, Mark: &MarkRead{Identity: identity, Typing: typing}}
	_, err = s.post(ctx, company, channelID, entry, func(r *record) (bool, error) {
		if !r.takes() {
			return false, notActive(r)
		}
		return true, nil
	})
	return err
}

// receivedIdentity finds a message.received by its event's number or its id.
func (s *Store) receivedIdentity(ctx context.Context, channelID, id string, seq int64) (Identity, error) {
	if seq > 0 {
		item, err := s.table.Get(ctx, eventKey(channelID, seq))
		if errors.Is(err, ErrNotFound) {
			return Identity{}, errNoMessage
		}
		if err != nil {
			return Identity{}, err
		}
		identity, ok, err := receivedAs(item, id)
		if err == nil && !ok {
			err = errNoMessage
		}
		return identity, err
	}
	q := Query{PK: channelKey(channelID).PK, Prefix: eventPrefix, Descending: true, Limit: seenEvents}
	for read := 0; read < seenEvents; {
		page, err := s.table.Query(ctx, q)
		if err != nil {
			return Identity{}, fmt.Errorf("look for a message: %w", err)
		}
		for _, item := range page.Items {
			read++
			if identity, ok, err := receivedAs(item, id); ok || err != nil {
				return identity, err
			}
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	return Identity{}, errNoMessage
}

func receivedAs(item Item, id string) (Identity, bool, error) {
	var e eventItem
	if err := Decode(item.Value, eventSchema, &e); err != nil {
		return Identity{}, false, fmt.Errorf("event %s: %w", item.SK, err)
	}
	identity, ok := parseIdentity(e.Identity)
	return identity, ok && e.Event == enlace.EventMessageReceived && identity.ID == id, nil
}
