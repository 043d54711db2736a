package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
)

// CommandKind says what is asked of a channel's owner.
type CommandKind string

// The commands.
const (
	CommandConnect        CommandKind = "connect"         // a caller connected the channel while it had an owner: look again
	CommandDisconnect     CommandKind = "disconnect"      // close the session, keep the credentials
	CommandLogout         CommandKind = "logout"          // unlink the device, forget the credentials
	CommandDelete         CommandKind = "delete"          // unlink the device, forget everything
	CommandPasskey        CommandKind = "passkey"         // here is the WebAuthn answer
	CommandPasskeyConfirm CommandKind = "passkey_confirm" // the codes are the same
	CommandRead           CommandKind = "read"            // mark a received message as read
)

// passkeyLife is how long the answer to a passkey request waits for its owner.
const passkeyLife = 2 * time.Minute

// Command is an entry of a channel's outbox that is no message.
type Command struct {
	ChannelID string
	Seq       int64 // its number in the outbox
	Kind      CommandKind
	Mark      *MarkRead // of CommandRead
	body      []byte    // sealed; see Owner.Answer
	wrapped   []byte    // the key of body
}

// MarkRead asks for a received message to be marked as read.
type MarkRead struct {
	Identity
	Typing bool `json:"typing,omitempty"` // and show that an answer is being written
}

// outboxItem is an entry of an outbox as it is stored.
type outboxItem struct {
	Kind    CommandKind    `json:"kind"`
	At      time.Time      `json:"at"`
	Body    []byte         `json:"body,omitempty"`    // sealed under a key of its own
	DataKey []byte         `json:"dataKey,omitempty"` // that key, wrapped: whoever posts can seal and never open
	Mark    *MarkRead      `json:"mark,omitempty"`    // of CommandRead
	Message *storedMessage `json:"message,omitempty"` // of commandMessage
}

const outboxSchema = 2

// Disconnect asks for the channel's session to be closed. It returns the channel
// as it is now; an inactive one is left as it is.
func (s *Store) Disconnect(ctx context.Context, company, id string) (enlace.Channel, error) {
	return s.post(ctx, company, id, outboxItem{Kind: CommandDisconnect}, func(r *record) (bool, error) {
		return r.Status != enlace.Inactive || r.Owner != "", nil
	})
}

// Logout asks for the channel's device to be unlinked. A channel that was logged out is left as it is.
func (s *Store) Logout(ctx context.Context, company, id string) (enlace.Channel, error) {
	return s.post(ctx, company, id, outboxItem{Kind: CommandLogout}, func(r *record) (bool, error) {
		return r.Status != enlace.Inactive || r.Reason != enlace.ReasonLoggedOut, nil
	})
}

// Delete makes the channel unknown to its callers and frees its name, at once;
// its owner then unlinks the device and wipes what is stored.
func (s *Store) Delete(ctx context.Context, company, id string) (enlace.Channel, error) {
	return s.post(ctx, company, id, outboxItem{Kind: CommandDelete}, func(r *record) (bool, error) {
		r.Deleted = true
		return true, nil
	})
}

// AnswerPasskey passes the answer to the channel's WebAuthn request to its owner.
// CodeNoPasskey: the channel asks for none.
func (s *Store) AnswerPasskey(ctx context.Context, company, id string, response json.RawMessage) (enlace.Channel, error) {
	return s.postPasskey(ctx, company, id, outboxItem{Kind: CommandPasskey, Body: response}, func(p *enlace.Passkey) bool { return p.Request != nil })
}

// ConfirmPasskey tells the owner that the phone shows the same code. CodeNoPasskey: there is no code.
func (s *Store) ConfirmPasskey(ctx context.Context, company, id string) (enlace.Channel, error) {
	return s.postPasskey(ctx, company, id, outboxItem{Kind: CommandPasskeyConfirm}, func(p *enlace.Passkey) bool { return p.Code != "" })
}

func (s *Store) postPasskey(ctx context.Context, company, id string, c outboxItem, asked func(*enlace.Passkey) bool) (enlace.Channel, error) {
	return s.post(ctx, company, id, c, func(r *record) (bool, error) {
		if r.Passkey == nil || !asked(r.Passkey) || !s.now().Before(r.Passkey.ExpiresAt) {
			return false, enlace.Errorf(enlace.CodeNoPasskey, "the channel does not ask for this now")
		}
		return true, nil
	})
}

// post puts a command into a channel's outbox, together with the channel, which
// it keeps from being released before the command is seen. admit says whether
// the channel needs the command at all.
func (s *Store) post(ctx context.Context, company, id string, c outboxItem, admit func(*record) (bool, error)) (enlace.Channel, error) {
	for {
		r, version, err := s.visibleChannel(ctx, company, id)
		if err != nil {
			return enlace.Channel{}, err
		}
		needed, err := admit(r)
		if err != nil {
			return enlace.Channel{}, err
		}
		if !needed {
			return r.Channel, nil
		}
		ops, err := s.command(ctx, r, version, c)
		if err != nil {
			return enlace.Channel{}, err
		}
		err = s.table.Write(ctx, ops...)
		if isConflict(err) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return enlace.Channel{}, fmt.Errorf("post %s: %w", c.Kind, err)
		}
		return r.Channel, nil
	}
}

func (s *Store) command(ctx context.Context, r *record, version int64, c outboxItem) ([]Op, error) {
	entry, err := s.outboxEntry(ctx, r, c)
	if err != nil {
		return nil, err
	}
	put, err := r.put(version)
	if err != nil {
		return nil, err
	}
	ops := []Op{put, entry}
	if r.Deleted {
		ops = append(ops, Delete(nameKey(r.CompanyID, r.Type, r.Name), Present))
	}
	return ops, nil
}

// outboxEntry returns the op that puts c into r's outbox, and notes it in r.
func (s *Store) outboxEntry(ctx context.Context, r *record, c outboxItem) (Op, error) {
	seq, err := s.messageTail(ctx, r)
	if err != nil {
		return Op{}, err
	}
	key := messageKey(r.ID, seq+1)
	item := Item{Key: key, Index: outboxIndex(r.Owner, r.ID, seq+1)}
	c.At = s.time()
	if c.Body != nil {
		dataKey, wrapped, err := s.keys.GenerateDataKey(ctx, r.ID)
		if err != nil {
			return Op{}, fmt.Errorf("make a data key: %w", err)
		}
		c.Body, c.DataKey = dataKey.Seal(c.Body, key.PK, key.SK), wrapped
		item.Expires = c.At.Add(passkeyLife)
	}
	if item.Value, err = Encode(outboxSchema, c); err != nil {
		return Op{}, err
	}
	r.LastMessageSeq, r.Waiting = seq+1, true
	return Put(item, Absent), nil
}

// messageTail returns the newest number of a channel's outbox. r must have been read before.
func (s *Store) messageTail(ctx context.Context, r *record) (int64, error) {
	page, err := s.table.Query(ctx, Query{PK: channelKey(r.ID).PK, Prefix: messagePrefix, Descending: true, Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("read the end of the outbox: %w", err)
	}
	if len(page.Items) == 0 {
		return r.LastMessageSeq, nil
	}
	seq, err := parseSeq(page.Items[0].SK, messagePrefix)
	return max(seq, r.LastMessageSeq), err
}

// EntryRef names an outbox entry.
type EntryRef struct {
	ChannelID string
	Seq       int64
}

// WaitingIn lists the entries in a worker's part of the outbox index, which may
// be stale, by channel and number.
func (s *Store) WaitingIn(ctx context.Context, worker string) ([]EntryRef, error) {
	var refs []EntryRef
	q := Query{PK: outboxPK(worker), Index: true}
	for {
		page, err := s.table.Query(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("read the outbox of worker %s: %w", worker, err)
		}
		for _, item := range page.Items {
			id, digits, _ := strings.Cut(item.Index.SK, "#")
			seq, err := parseSeq(digits, "")
			if err != nil {
				return nil, err
			}
			refs = append(refs, EntryRef{ChannelID: id, Seq: seq})
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return refs, nil
		}
	}
}

// Readdress moves an entry that waits in the index of a worker who does not own
// its channel to the index of the one who does.
func (s *Store) Readdress(ctx context.Context, ref EntryRef) error {
	r, _, err := s.readRecord(ctx, ref.ChannelID)
	if errors.Is(err, ErrNotFound) {
		r, err = &record{Channel: enlace.Channel{ID: ref.ChannelID}}, nil
	}
	if err != nil {
		return err
	}
	entry, version, err := s.readEntry(ctx, ref.ChannelID, ref.Seq)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	put, err := s.putEntry(r, ref.Seq, entry, VersionIs(version))
	if err != nil {
		return err
	}
	if err := s.table.Write(ctx, put); err != nil && !isConflict(err) {
		return fmt.Errorf("readdress entry: %w", err)
	}
	return nil
}

// WatchOutbox returns a watch on a worker's part of the outbox index.
func (s *Store) WatchOutbox(worker string) *Watch { return s.watch(outboxPK(worker)) }

// Waiting is what waits in an outbox, oldest first.
type Waiting struct {
	Commands []Command
	Messages []*Outbound
}

// Waiting reads, strongly consistent, what waits in the channel's outbox.
func (o *Owner) Waiting(ctx context.Context) (Waiting, error) {
	o.mu.Lock()
	from := o.outboxFrom()
	o.mu.Unlock()
	var found Waiting
	tail, err := o.store.scanOutbox(ctx, o.id, from, func(seq, version int64, entry outboxItem) error {
		return o.take(&found, seq, version, entry)
	})
	if err != nil {
		return Waiting{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outboxTail = max(o.outboxTail, tail)
	return found, nil
}

// Entry returns the entry with a number, if it waits.
func (o *Owner) Entry(ctx context.Context, seq int64) (Waiting, error) {
	var found Waiting
	entry, version, err := o.store.readEntry(ctx, o.id, seq)
	if errors.Is(err, ErrNotFound) {
		o.finished(seq)
		return found, nil
	}
	if err != nil {
		return found, err
	}
	err = o.take(&found, seq, version, entry)
	return found, err
}

func (o *Owner) take(found *Waiting, seq, version int64, entry outboxItem) error {
	if !entry.waits() {
		o.finished(seq)
		return nil
	}
	o.mu.Lock()
	o.waiting[seq] = struct{}{}
	o.mu.Unlock()
	if entry.Message == nil {
		found.Commands = append(found.Commands, Command{
			ChannelID: o.id, Seq: seq, Kind: entry.Kind, Mark: entry.Mark, body: entry.Body, wrapped: entry.DataKey,
		})
		return nil
	}
	m, err := o.outbound(seq, version, entry)
	if err != nil {
		return err
	}
	found.Messages = append(found.Messages, m)
	return nil
}

// finished notes that an entry waits no longer.
func (o *Owner) finished(seq int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.waiting, seq)
}

// outboxFrom returns a number below which nothing waits. o.mu is held.
func (o *Owner) outboxFrom() int64 {
	from := o.outboxTail + 1
	for seq := range o.waiting {
		from = min(from, seq)
	}
	return max(from, o.r.OutboxFrom, 1)
}

// scanOutbox calls each with every entry from a number on, and returns the newest number.
func (s *Store) scanOutbox(ctx context.Context, channelID string, from int64, each func(seq, version int64, entry outboxItem) error) (int64, error) {
	tail := from - 1
	q := Query{PK: channelKey(channelID).PK, From: messagePrefix + seqSK(from), To: messagePrefix + "~"}
	for {
		page, err := s.table.Query(ctx, q)
		if err != nil {
			return 0, fmt.Errorf("read the outbox: %w", err)
		}
		for _, item := range page.Items {
			seq, err := parseSeq(item.SK, messagePrefix)
			if err != nil {
				return 0, err
			}
			entry, err := decodeEntry(item)
			if err != nil {
				return 0, err
			}
			if err := each(seq, item.Version, entry); err != nil {
				return 0, err
			}
			tail = seq
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return tail, nil
		}
	}
}

// Answer opens the body of a passkey command. seal.ErrUnreadable: it is not to be had.
func (o *Owner) Answer(ctx context.Context, c Command) (json.RawMessage, error) {
	dataKey, err := o.store.keys.OpenDataKey(ctx, c.ChannelID, c.wrapped)
	if err != nil {
		return nil, err
	}
	key := messageKey(c.ChannelID, c.Seq)
	body, err := dataKey.Open(c.body, key.PK, key.SK)
	if err != nil {
		return nil, errors.Join(seal.ErrUnreadable, err)
	}
	return body, nil
}

// Done removes a command that was carried out without a change of status.
func (o *Owner) Done(ctx context.Context, c Command) error {
	if err := o.Fresh(); err != nil {
		return err
	}
	if err := o.store.table.Write(ctx, Delete(messageKey(c.ChannelID, c.Seq), Any)); err != nil {
		return err
	}
	o.finished(c.Seq)
	return nil
}
