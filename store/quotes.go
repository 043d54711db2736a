package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/enlacehq/enlace"
)

// Quoted is a message that another one answers.
type Quoted struct {
	ID     string // WhatsApp's
	Sender string // a JID; empty: the account itself
	Body   string // its text, if it has one
}

// Quoted finds a message by its id, among those the channel sent and the newest
// that it received. ErrNotFound: it is neither.
func (o *Owner) Quoted(ctx context.Context, id string) (Quoted, error) {
	if seq, ours := seqOf(o.idKey(), id); ours {
		entry, _, err := o.store.readEntry(ctx, o.id, seq)
		if err == nil && entry.Message != nil && (id == messageID(seq) || id == entry.Message.WhatsAppID) {
			quoted := Quoted{ID: entry.Message.WhatsAppID}
			if entry.Message.Outgoing.Text != nil {
				quoted.Body = entry.Message.Outgoing.Text.Body
			}
			return quoted, nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Quoted{}, err
		}
	}
	q := Query{PK: channelKey(o.id).PK, Prefix: eventPrefix, Descending: true, Limit: seenEvents}
	for read := 0; read < seenEvents; {
		page, err := o.store.table.Query(ctx, q)
		if err != nil {
			return Quoted{}, fmt.Errorf("look for a quoted message: %w", err)
		}
		for _, item := range page.Items {
			read++
			if quoted, ok, err := quotedIn(item, id); ok || err != nil {
				return quoted, err
			}
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	return Quoted{}, ErrNotFound
}

// quotedIn returns the message of an event; ok is false if it has another id, or none.
func quotedIn(item Item, id string) (quoted Quoted, ok bool, err error) {
	var e eventItem
	if err := Decode(item.Value, eventSchema, &e); err != nil {
		return Quoted{}, false, err
	}
	identity, ok := parseIdentity(e.Identity)
	if !ok || identity.ID != id || e.Event != enlace.EventMessageReceived && e.Event != enlace.EventMessageSent {
		return Quoted{}, false, nil
	}
	var data struct {
		Message struct{ Text *enlace.Text }
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return Quoted{}, false, err
	}
	quoted = Quoted{ID: id, Sender: identity.Sender}
	if data.Message.Text != nil {
		quoted.Body = data.Message.Text.Body
	}
	return quoted, true, nil
}
