package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
)

// Outbound is a waiting message in the hands of the channel's owner.
type Outbound struct {
	Seq        int64
	WhatsAppID string
	Chat       string // the recipient: digits of a phone number, or a JID
	Message    enlace.Outgoing
	Status     enlace.MessageStatus // enlace.Queued or enlace.Sending
	ExpiresAt  time.Time            // of what is queued
	// GiveUpAt is when a message that was never answered fails.
	GiveUpAt time.Time
	// Content is what is encrypted, once it was composed.
	Content []byte

	version int64
	entry   outboxItem
}

func (o *Owner) outbound(seq, version int64, entry outboxItem) (*Outbound, error) {
	m := entry.Message
	out := &Outbound{
		Seq: seq, WhatsAppID: m.WhatsAppID, Chat: m.Chat, Message: m.Outgoing, Status: m.Status,
		ExpiresAt: m.ExpiresAt, GiveUpAt: entry.At.Add(contentLife), version: version, entry: entry,
	}
	if len(m.Content) == 0 {
		return out, nil
	}
	content, err := o.openContent(seq, m)
	if err != nil && !errors.Is(err, seal.ErrUnreadable) {
		return nil, fmt.Errorf("content of message %d: %w", seq, err)
	}
	out.Content = content // without its key the channel has no credentials either: nothing is sent
	return out, nil
}

func (o *Owner) openContent(seq int64, m *storedMessage) ([]byte, error) {
	if o.dataKey == nil {
		return nil, seal.ErrUnreadable
	}
	key := messageKey(o.id, seq)
	return o.dataKey.Open(m.Content, key.PK, key.SK)
}

// Sending stores that the message is being sent, and what, before anything is
// sent; one that was being sent already stays as it is. An *ConditionError: somebody changed it, as by cancelling it: read it again.
func (o *Owner) Sending(ctx context.Context, m *Outbound, content []byte) error {
	if err := o.Fresh(); err != nil {
		return err
	}
	if m.Status == enlace.Sending {
		return nil
	}
	next := m.entry.copy()
	next.Message.to(enlace.Sending, o.store.time())
	key := messageKey(o.id, m.Seq)
	next.Message.Content = o.dataKey.Seal(content, key.PK, key.SK)
	put, err := o.putEntry(m.Seq, next, VersionIs(m.version))
	if err != nil {
		return err
	}
	if err := o.store.table.Write(ctx, put); err != nil {
		return err
	}
	m.Status, m.Content, m.entry, m.version = enlace.Sending, content, next, m.version+1
	return nil
}

// Sent records that WhatsApp has the message.
func (o *Owner) Sent(ctx context.Context, m *Outbound, at time.Time) error {
	return o.moveMessage(ctx, m.Seq, "", func(s *storedMessage) bool { return s.to(enlace.Sent, at) })
}

// FailMessage records that the message will not be sent.
func (o *Owner) FailMessage(ctx context.Context, seq int64, code enlace.Code, message string) error {
	return o.moveMessage(ctx, seq, "", func(s *storedMessage) bool { return s.fail(code, message, o.store.time()) })
}

// Expire fails a message that is still queued after its time.
func (o *Owner) Expire(ctx context.Context, seq int64) error {
	return o.moveMessage(ctx, seq, "", func(s *storedMessage) bool {
		return s.Status == enlace.Queued && s.fail(enlace.CodeExpired, "it was queued for longer than its ttl", o.store.time())
	})
}

// Receipt moves the message with a WhatsApp id on. A receipt for no message of
// ours, or one that tells nothing new, changes nothing.
func (o *Owner) Receipt(ctx context.Context, whatsAppID string, status enlace.MessageStatus, at time.Time, recipient string) error {
	seq, ok := seqOf(o.idKey(), whatsAppID)
	if !ok {
		return nil
	}
	return o.moveMessage(ctx, seq, recipient, func(s *storedMessage) bool {
		return s.WhatsAppID == whatsAppID && s.to(status, at)
	})
}

// SentContent returns the content of a message that was sent, for a recipient who
// could not read it. ErrNotFound: it is not ours, or too old.
func (o *Owner) SentContent(ctx context.Context, whatsAppID string) ([]byte, error) {
	seq, ok := seqOf(o.idKey(), whatsAppID)
	if !ok {
		return nil, ErrNotFound
	}
	entry, _, err := o.store.readEntry(ctx, o.id, seq)
	if err != nil {
		return nil, err
	}
	m := entry.Message
	if m == nil || m.WhatsAppID != whatsAppID || len(m.Content) == 0 || o.store.now().After(entry.At.Add(contentLife)) {
		return nil, ErrNotFound
	}
	return o.openContent(seq, m)
}

func (o *Owner) idKey() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.r.IDKey
}

func (o *Owner) putEntry(seq int64, entry outboxItem, condition Condition) (Op, error) {
	return o.store.putEntry(&record{Channel: enlace.Channel{ID: o.id, Owner: o.worker}}, seq, entry, condition)
}

// copy returns a copy whose message can be changed.
func (e outboxItem) copy() outboxItem {
	if e.Message != nil {
		m := *e.Message
		e.Message = &m
	}
	return e
}

// CatchUp reports whether the log already says what became of a message that was
// being sent: it waits no longer then.
func (o *Owner) CatchUp(ctx context.Context, m *Outbound) (bool, error) {
	ended := true
	err := o.moveMessage(ctx, m.Seq, "", func(s *storedMessage) bool {
		ended = !s.Status.Waits()
		return false
	})
	return ended && err == nil, err
}

// moveMessage changes a message's status by move, and appends the event that tells
// of it, once. move returns false where there is nothing to change.
//
// From the moment at which a message is being sent its owner alone changes it: the
// event goes first, and what a crash leaves behind is made good from the log. A
// message that is queued may be cancelled meanwhile, and one that fails stays as it
// is for good: there both are one Write.
func (o *Owner) moveMessage(ctx context.Context, seq int64, recipient string, move func(*storedMessage) bool) error {
	o.receiving.Lock()
	defer o.receiving.Unlock()
	for {
		ids, err := o.identities(ctx)
		if err != nil {
			return err
		}
		entry, version, err := o.store.readEntry(ctx, o.id, seq)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry.Message == nil {
			return nil
		}
		behind := ids.catchUp(seq, entry.Message)
		before := entry.copy()
		moved := move(entry.Message)
		if behind && entry.Message.Status == enlace.MessageFailed {
			entry, moved = before, false // whoever gave it up had not read the log
		}
		if !moved && !behind {
			return nil
		}
		err = o.writeMove(ctx, ids, seq, version, before.Message.Status, moved, entry, recipient)
		if isConflict(err) {
			continue
		}
		if err == nil && !entry.waits() {
			o.finished(seq)
		}
		return err
	}
}

// writeMove writes what moveMessage has decided: an event if the message has moved,
// and the message. A *ConditionError: the message was changed by somebody else.
// o.receiving is held.
func (o *Owner) writeMove(ctx context.Context, ids *identities, seq, version int64, from enlace.MessageStatus, moved bool, entry outboxItem, recipient string) error {
	put, err := o.putEntry(seq, entry, VersionIs(version))
	if err != nil {
		return err
	}
	if moved {
		data, err := statusData(seq, entry.Message, recipient)
		if err != nil {
			return err
		}
		event := eventItem{Event: enlace.EventMessageStatus, Data: data}
		to := entry.Message.Status
		together := from == enlace.Queued || to == enlace.MessageFailed
		if together {
			err = o.append(ctx, event, put)
		} else {
			err = o.append(ctx, event)
		}
		if err != nil && !isConflict(err) {
			o.ids = nil // it may be there all the same: look again
		}
		if err != nil || together {
			return err
		}
		ids.tell(seq, told{to, o.store.time()})
	}
	if err := o.Fresh(); err != nil {
		return err
	}
	if err := o.store.table.Write(ctx, put); err != nil {
		return err
	}
	delete(ids.told, seq)
	return nil
}

// statusData is the data of a message.status event: the Cloud API's status object.
func statusData(seq int64, m *storedMessage, recipient string) (json.RawMessage, error) {
	last := m.Statuses[len(m.Statuses)-1]
	status := map[string]any{"id": m.WhatsAppID, "status": m.Status, "timestamp": strconv.FormatInt(last.At.Unix(), 10), "recipient_id": m.Chat}
	if m.Outgoing.RecipientType == enlace.Group {
		status["recipient_type"] = enlace.Group
		if recipient != "" {
			status["recipient_participant_id"] = recipient
		}
	}
	if m.Error != nil {
		status["errors"] = []map[string]any{{"code": m.Error.Code, "title": m.Error.Message}}
	}
	return json.Marshal(map[string]any{"messageId": messageID(seq), "status": status})
}
