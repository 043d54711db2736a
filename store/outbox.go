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
)

// passkeyLife is how long the answer to a passkey request waits for its owner.
const passkeyLife = 2 * time.Minute

// Command is an entry of a channel's outbox.
type Command struct {
	ChannelID string
	Seq       int64 // its number in the outbox
	Kind      CommandKind
	body      []byte // sealed; see Owner.Answer
	wrapped   []byte // the key of body
}

// commandItem is a command as it is stored.
type commandItem struct {
	Kind    CommandKind `json:"kind"`
	At      time.Time   `json:"at"`
	Body    []byte      `json:"body,omitempty"`    // sealed under a key of its own
	DataKey []byte      `json:"dataKey,omitempty"` // that key, wrapped: whoever posts can seal and never open
}

const commandSchema = 1

// Disconnect asks for the channel's session to be closed. It returns the channel
// as it is now; an inactive one is left as it is.
func (s *Store) Disconnect(ctx context.Context, company, id string) (enlace.Channel, error) {
	return s.post(ctx, company, id, commandItem{Kind: CommandDisconnect}, func(r *record) (bool, error) {
		return r.Status != enlace.Inactive || r.Owner != "", nil
	})
}

// Logout asks for the channel's device to be unlinked. A channel that was logged out is left as it is.
func (s *Store) Logout(ctx context.Context, company, id string) (enlace.Channel, error) {
	return s.post(ctx, company, id, commandItem{Kind: CommandLogout}, func(r *record) (bool, error) {
		return r.Status != enlace.Inactive || r.Reason != enlace.ReasonLoggedOut, nil
	})
}

// Delete makes the channel unknown to its callers and frees its name, at once;
// its owner then unlinks the device and wipes what is stored.
func (s *Store) Delete(ctx context.Context, company, id string) (enlace.Channel, error) {
	return s.post(ctx, company, id, commandItem{Kind: CommandDelete}, func(r *record) (bool, error) {
		r.Deleted = true
		return true, nil
	})
}

// AnswerPasskey passes the answer to the channel's WebAuthn request to its owner.
// CodeNoPasskey: the channel asks for none.
func (s *Store) AnswerPasskey(ctx context.Context, company, id string, response json.RawMessage) (enlace.Channel, error) {
	return s.postPasskey(ctx, company, id, commandItem{Kind: CommandPasskey, Body: response}, func(p *enlace.Passkey) bool { return p.Request != nil })
}

// ConfirmPasskey tells the owner that the phone shows the same code. CodeNoPasskey: there is no code.
func (s *Store) ConfirmPasskey(ctx context.Context, company, id string) (enlace.Channel, error) {
	return s.postPasskey(ctx, company, id, commandItem{Kind: CommandPasskeyConfirm}, func(p *enlace.Passkey) bool { return p.Code != "" })
}

func (s *Store) postPasskey(ctx context.Context, company, id string, c commandItem, asked func(*enlace.Passkey) bool) (enlace.Channel, error) {
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
func (s *Store) post(ctx context.Context, company, id string, c commandItem, admit func(*record) (bool, error)) (enlace.Channel, error) {
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

func (s *Store) command(ctx context.Context, r *record, version int64, c commandItem) ([]Op, error) {
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
func (s *Store) outboxEntry(ctx context.Context, r *record, c commandItem) (Op, error) {
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
	if item.Value, err = Encode(commandSchema, c); err != nil {
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

// WaitingIn returns the channels that have entries in the worker's part of the
// outbox index, which may be stale: read Owner.Commands for what there is. An
// entry whose channel the worker does not own belongs to a later owner, who
// reads it at claim.
func (s *Store) WaitingIn(ctx context.Context, worker string) ([]string, error) {
	var ids []string
	q := Query{PK: outboxPK(worker), Index: true}
	for {
		page, err := s.table.Query(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("read the outbox of worker %s: %w", worker, err)
		}
		for _, item := range page.Items {
			id, _, _ := strings.Cut(item.Index.SK, "#")
			if len(ids) == 0 || ids[len(ids)-1] != id {
				ids = append(ids, id)
			}
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return ids, nil
		}
	}
}

// WatchOutbox returns a watch on a worker's part of the outbox index.
func (s *Store) WatchOutbox(worker string) *Watch { return s.watch(outboxPK(worker)) }

// Commands returns what waits in the channel's outbox, oldest first.
func (o *Owner) Commands(ctx context.Context) ([]Command, error) {
	return o.store.commands(ctx, o.ChannelID())
}

func (s *Store) commands(ctx context.Context, channelID string) ([]Command, error) {
	var commands []Command
	q := Query{PK: channelKey(channelID).PK, Prefix: messagePrefix}
	for {
		page, err := s.table.Query(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("read the outbox: %w", err)
		}
		for _, item := range page.Items {
			seq, err := parseSeq(item.SK, messagePrefix)
			if err != nil {
				return nil, err
			}
			var c commandItem
			if err := Decode(item.Value, commandSchema, &c); err != nil {
				return nil, fmt.Errorf("outbox entry %d: %w", seq, err)
			}
			commands = append(commands, Command{ChannelID: channelID, Seq: seq, Kind: c.Kind, body: c.Body, wrapped: c.DataKey})
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return commands, nil
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
	return o.store.table.Write(ctx, Delete(messageKey(c.ChannelID, c.Seq), Any))
}
