package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/enlacehq/enlace"
)

// How long messages wait and are kept.
const (
	DefaultTTL  = 24 * time.Hour      // a message that is still queued then fails
	messageLife = 30 * 24 * time.Hour // a message and its statuses can be read so long
	contentLife = 14 * 24 * time.Hour // and sent again so long
)

// storedMessage is a sent message as it is stored, in its outbox entry.
type storedMessage struct {
	WhatsAppID string               `json:"whatsappId"`
	Outgoing   enlace.Outgoing      `json:"outgoing"`
	Chat       string               `json:"chat"` // the recipient in its normal form
	Status     enlace.MessageStatus `json:"status"`
	Statuses   statusChanges        `json:"statuses"`
	Error      *enlace.MessageError `json:"error,omitempty"`
	ExpiresAt  time.Time            `json:"expiresAt"`
	// Content is exactly what is encrypted for each recipient, sealed: a message is
	// sent again with the same content.
	Content []byte `json:"content,omitempty"`
}

// commandMessage marks an outbox entry that is a message.
const commandMessage CommandKind = "message"

// PostRequest is a message to be sent.
type PostRequest struct {
	Message enlace.Outgoing // valid; To in any form that NormalRecipient takes
	TTL     time.Duration   // DefaultTTL when 0
	// IdempotencyKey, if not empty, makes a repeated post of the same body the same message.
	IdempotencyKey string
	Body           []byte // what is compared under one key
}

// takes reports whether the channel takes messages: what comes now or later goes out.
func (r *record) takes() bool {
	return !r.Deleted && (r.Status == enlace.Active || r.Status == enlace.Connecting && r.Linked)
}

// PostMessage stores a message for the channel's owner to send. CodeNotFound: no
// such channel; CodeChannelNotActive: it takes no messages now;
// CodeIdempotencyKeyReused: the key was used with another body.
func (s *Store) PostMessage(ctx context.Context, company, channelID string, request PostRequest) (enlace.Message, error) {
	chat, ok := enlace.NormalRecipient(request.Message.To, request.Message.RecipientType)
	if !ok {
		return enlace.Message{}, enlace.Errorf(enlace.CodeInvalidRequest, "to must be a phone number with its country code, or the id of a user or a group")
	}
	if request.TTL == 0 {
		request.TTL = DefaultTTL
	}
	if request.IdempotencyKey != "" {
		if m, found, err := s.repeated(ctx, company, channelID, request); found || err != nil {
			return m, err
		}
	}
	for {
		m, err := s.tryPost(ctx, company, channelID, chat, request)
		if isConflict(err) && ctx.Err() == nil {
			if request.IdempotencyKey != "" {
				if m, found, err := s.repeated(ctx, company, channelID, request); found || err != nil {
					return m, err
				}
			}
			continue
		}
		return m, err
	}
}

func (s *Store) tryPost(ctx context.Context, company, channelID, chat string, request PostRequest) (enlace.Message, error) {
	r, version, err := s.visibleChannel(ctx, company, channelID)
	if err != nil {
		return enlace.Message{}, err
	}
	if !r.takes() {
		return enlace.Message{}, notActive(r)
	}
	if chat == r.PhoneNumber || chat == r.LID+"@lid" {
		return enlace.Message{}, enlace.Errorf(enlace.CodeRecipientIsSender, "the message is addressed to the channel's own number")
	}
	if r.IDKey == nil {
		// Written by a program that sent no messages yet.
		if err := s.giveIDKey(ctx, r, version); err != nil {
			return enlace.Message{}, err
		}
		return enlace.Message{}, &ConditionError{}
	}
	seq, err := s.messageTail(ctx, r)
	if err != nil {
		return enlace.Message{}, err
	}
	seq++
	now := s.time()
	m := storedMessage{
		Outgoing: request.Message, Chat: chat, Status: enlace.Queued,
		Statuses: []enlace.StatusChange{{Status: enlace.Queued, At: now}}, ExpiresAt: now.Add(request.TTL),
	}
	if m.WhatsAppID, err = newWhatsAppID(r.IDKey, seq); err != nil {
		return enlace.Message{}, err
	}
	entry := outboxItem{Kind: commandMessage, At: now, Message: &m}
	put, err := s.putEntry(r, seq, entry, Absent)
	if err != nil {
		return enlace.Message{}, err
	}
	ops := []Op{put}
	if request.IdempotencyKey != "" {
		op, err := s.idempotent(company, channelID, request, seq)
		if err != nil {
			return enlace.Message{}, err
		}
		ops = append(ops, op)
	}
	if err := s.table.Write(ctx, ops...); err != nil {
		return enlace.Message{}, fmt.Errorf("post message: %w", err)
	}
	if err := s.afterPost(ctx, r, seq, entry, request); err != nil {
		return enlace.Message{}, err
	}
	return m.public(channelID, seq, now), nil
}

func notActive(r *record) error {
	return enlace.Errorf(enlace.CodeChannelNotActive, "channel %s is %s: connect it first", r.ID, r.Status)
}

// afterPost reads the channel once more: one that stopped taking messages while
// this one was written does not look at it, and a new owner must be told of it.
func (s *Store) afterPost(ctx context.Context, before *record, seq int64, entry outboxItem, request PostRequest) error {
	r, _, err := s.readRecord(ctx, before.ID)
	if errors.Is(err, ErrNotFound) {
		return enlace.Errorf(enlace.CodeNotFound, "no such channel")
	}
	if err != nil || r.takes() && r.Owner == before.Owner {
		// When the second look fails the message is stored all the same: the owner finds it.
		return nil
	}
	if r.takes() {
		put, err := s.putEntry(r, seq, entry, VersionIs(1))
		if err != nil {
			return err
		}
		if err := s.table.Write(ctx, put); err != nil && !isConflict(err) {
			s.log.Warn("a message waits for its owner's next look", "channel", r.ID, "error", err)
		}
		return nil
	}
	refused := notActive(r)
	entry.Message.fail(enlace.CodeChannelNotActive, "the channel stopped taking messages", s.time())
	put, err := s.putEntry(r, seq, entry, VersionIs(1))
	if err != nil {
		return err
	}
	ops := []Op{put}
	if request.IdempotencyKey != "" { // or the next try would be told that this one was taken
		ops = append(ops, Delete(idempotencyKey(r.CompanyID, r.ID, request.IdempotencyKey), Any))
	}
	err = s.table.Write(ctx, ops...)
	if isConflict(err) {
		return nil // its owner was quicker
	}
	return errors.Join(refused, err)
}

func (s *Store) giveIDKey(ctx context.Context, r *record, version int64) error {
	r.IDKey = newIDKey()
	put, err := r.put(version)
	if err != nil {
		return err
	}
	err = s.table.Write(ctx, put)
	if isConflict(err) {
		return nil
	}
	return err
}

// putEntry is the op that puts an outbox entry; it is in the owner's index while it waits.
func (s *Store) putEntry(r *record, seq int64, entry outboxItem, condition Condition) (Op, error) {
	value, err := Encode(outboxSchema, entry)
	if err != nil {
		return Op{}, err
	}
	item := Item{Key: messageKey(r.ID, seq), Value: value}
	if entry.Message != nil {
		item.Expires = entry.At.Add(messageLife)
	}
	if entry.waits() {
		item.Index = outboxIndex(r.Owner, r.ID, seq)
	}
	return Put(item, condition), nil
}

func (e *outboxItem) waits() bool { return e.Message == nil || e.Message.Status.Waits() }

func (m *storedMessage) public(channelID string, seq int64, createdAt time.Time) enlace.Message {
	return enlace.Message{
		ID: messageID(seq), WhatsAppID: m.WhatsAppID, ChannelID: channelID, Direction: "out", Message: m.Outgoing,
		Status: m.Status, Statuses: m.Statuses, Error: m.Error, CreatedAt: createdAt, ExpiresAt: m.ExpiresAt,
	}
}

// to moves the message on; false means that it does not go there. No change is
// older than the one before: WhatsApp's clock counts in whole seconds, and may be
// behind.
func (m *storedMessage) to(status enlace.MessageStatus, at time.Time) bool {
	if !m.Status.Next(status) {
		return false
	}
	if n := len(m.Statuses); n > 0 && at.Before(m.Statuses[n-1].At) {
		at = m.Statuses[n-1].At
	}
	m.Status = status
	m.Statuses = append(slices.Clip(m.Statuses), enlace.StatusChange{Status: status, At: at})
	return true
}

func (m *storedMessage) fail(code enlace.Code, message string, at time.Time) bool {
	if !m.to(enlace.MessageFailed, at) {
		return false
	}
	m.Error = &enlace.MessageError{Code: code, Message: message}
	m.Content = nil
	return true
}

// Message returns a sent message by its id, ours or WhatsApp's.
// CodeMessageNotFound: the channel sent none of that id, or it is no longer kept.
func (s *Store) Message(ctx context.Context, company, channelID, id string) (enlace.Message, error) {
	r, _, err := s.visibleChannel(ctx, company, channelID)
	if err != nil {
		return enlace.Message{}, err
	}
	entry, _, seq, err := s.readMessage(ctx, r, id)
	if err != nil {
		return enlace.Message{}, err
	}
	return entry.Message.public(channelID, seq, entry.At), nil
}

var errNoMessage = enlace.Errorf(enlace.CodeMessageNotFound, "no such message")

func (s *Store) readMessage(ctx context.Context, r *record, id string) (entry outboxItem, version, seq int64, err error) {
	seq, ok := seqOf(r.IDKey, id)
	if !ok {
		return outboxItem{}, 0, 0, errNoMessage
	}
	entry, version, err = s.readEntry(ctx, r.ID, seq)
	if errors.Is(err, ErrNotFound) || err == nil && (entry.Message == nil || id != messageID(seq) && id != entry.Message.WhatsAppID) {
		return outboxItem{}, 0, 0, errNoMessage
	}
	return entry, version, seq, err
}

func (s *Store) readEntry(ctx context.Context, channelID string, seq int64) (outboxItem, int64, error) {
	item, err := s.table.Get(ctx, messageKey(channelID, seq))
	if err != nil {
		return outboxItem{}, 0, err
	}
	entry, err := decodeEntry(item)
	return entry, item.Version, err
}

func decodeEntry(item Item) (outboxItem, error) {
	var entry outboxItem
	if err := Decode(item.Value, outboxSchema, &entry); err != nil {
		return outboxItem{}, fmt.Errorf("outbox entry %s: %w", item.SK, err)
	}
	return entry, nil
}

// Messages lists a channel's sent messages, newest last: at most limit after the
// message id after, to the given recipient if to is not empty, and the id to go
// on after, empty when there are no more. CodeInvalidCursor: after is no message
// id of ours, or of a message that the channel has not got to.
func (s *Store) Messages(ctx context.Context, company, channelID, to, after string, limit int) ([]enlace.Message, string, error) {
	r, _, err := s.visibleChannel(ctx, company, channelID)
	if err != nil {
		return nil, "", err
	}
	from := int64(0)
	if after != "" {
		seq, ok := seqOf(nil, after) // WhatsApp's ids of other channels would give any number
		if !ok {
			return nil, "", errNoNext
		}
		from = seq
	}
	messages := []enlace.Message{}
	q := Query{PK: channelKey(r.ID).PK, From: messagePrefix + seqSK(from+1), To: messagePrefix + "~", Limit: min(MaxPageItems, limit+1)}
	for scanned, size := 0, 0; ; {
		page, err := s.table.Query(ctx, q)
		if err != nil {
			return nil, "", fmt.Errorf("list messages: %w", err)
		}
		for _, item := range page.Items {
			seq, err := parseSeq(item.SK, messagePrefix)
			if err != nil {
				return nil, "", err
			}
			if len(messages) == limit || scanned >= maxScan || size >= maxAnswer {
				return messages, messageID(seq - 1), nil
			}
			scanned++
			entry, err := decodeEntry(item)
			if err != nil {
				return nil, "", err
			}
			if entry.Message != nil && (to == "" || entry.Message.Chat == to) {
				messages = append(messages, entry.Message.public(r.ID, seq, entry.At))
				size += len(item.Value)
			}
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	if len(messages) > 0 || from == 0 {
		return messages, "", nil
	}
	tail, err := s.messageTail(ctx, r)
	if err == nil && from > tail {
		err = errNoNext
	}
	return messages, "", err
}

var errNoNext = enlace.Errorf(enlace.CodeInvalidCursor, "after must be what an answer gave as next")

// Cancel ends a message that is still queued. CodeMessageNotFound;
// CodeNotCancellable: it is on its way, or has ended.
func (s *Store) Cancel(ctx context.Context, company, channelID, id string) (enlace.Message, error) {
	for {
		r, version, err := s.visibleChannel(ctx, company, channelID)
		if err != nil {
			return enlace.Message{}, err
		}
		entry, entryVersion, seq, err := s.readMessage(ctx, r, id)
		if err != nil {
			return enlace.Message{}, err
		}
		if entry.Message.Status != enlace.Queued {
			return enlace.Message{}, enlace.Errorf(enlace.CodeNotCancellable, "the message is %s", entry.Message.Status)
		}
		before := *r
		entry.Message.fail(enlace.CodeCancelled, "cancelled by its caller", s.time())
		put, err := s.putEntry(r, seq, entry, VersionIs(entryVersion))
		if err != nil {
			return enlace.Message{}, err
		}
		data, err := statusData(seq, entry.Message, "")
		if err != nil {
			return enlace.Message{}, err
		}
		tail, _, err := s.tail(ctx, r)
		if err != nil {
			return enlace.Message{}, err
		}
		ops, err := s.change(r, &before, version, tail+1, enlace.EventMessageStatus, data)
		if err != nil {
			return enlace.Message{}, err
		}
		err = s.table.Write(ctx, append(ops, put)...)
		if isConflict(err) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return enlace.Message{}, fmt.Errorf("cancel message: %w", err)
		}
		return entry.Message.public(channelID, seq, entry.At), nil
	}
}
