package signal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/enlacehq/enlace/store"
)

// Message secrets ride in the row of their sender until there are so many, or
// until they would make its item dearer to write.
const secretsPerItem = 20

const (
	// unit is how many bytes of an item are written at one price.
	unit = 1024
	// itemOverhead is about what an item has besides keys and contents: the names
	// of its attributes, its version and write id, what sealing adds.
	itemOverhead = 60
)

// crowded reports whether secrets make r's item dearer to write than it is without
// them, after a message came in or after one went out.
func (c *Container) crowded(r *row, secrets []secret) bool {
	if len(secrets) >= secretsPerItem {
		return true
	}
	size := 0
	for _, s := range secrets {
		var e encoder
		e.element(rowSecret, s.encode())
		size += len(e)
	}
	bare := r.clone()
	bare.secrets = nil
	received := itemOverhead + len(c.hotPK()) + len(r.sk) + len(bare.encode())
	bare.pending = nil
	sent := itemOverhead + len(c.hotPK()) + len(r.sk) + len(bare.encode())
	return units(received+size) > units(received) || units(sent+size) > units(sent)
}

func units(bytes int) int { return (bytes + unit - 1) / unit }

// secretUser names a sender in sort keys: by LID where it is known.
func (c *Container) secretUser(sender types.JID) types.JID {
	sender = sender.ToNonAD()
	if lid := c.lidOf(sender); sender.Server == types.DefaultUserServer && !lid.IsEmpty() {
		return lid
	}
	return sender
}

func (c *Container) secretRow(sender types.JID) string {
	return addressSK(c.secretUser(sender).SignalAddress().String())
}

func (c *Container) newSecret(chat, sender types.JID, id types.MessageID, key []byte) secret {
	return secret{
		chat: chat.ToNonAD().String(), sender: sender.ToNonAD().String(), id: id,
		key: slices.Clone(key), stored: c.cfg.Now().Unix(),
	}
}

// putSecret keeps a message's secret with its sender's row. The first one of a
// message counts.
func (c *Container) putSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, key []byte) error {
	if !isSecret(id, key) {
		return nil
	}
	sk := c.secretRow(sender)
	r, err := c.row(ctx, sk)
	if err != nil {
		return err
	}
	fresh := c.newSecret(chat, sender, id, key)
	var full, inRow []secret
	c.seat(sk, func(waiting *rider) {
		inRow = leaveOut(r.secrets, waiting.moved)
		there := slices.Concat(inRow, waiting.secrets)
		if slices.ContainsFunc(there, fresh.sameMessage) {
			return
		}
		waiting.secrets = append(waiting.secrets, fresh)
		if all := append(there, fresh); c.crowded(r, all) {
			full = all
		}
	})
	if full == nil {
		return nil
	}
	if err := c.writeSecrets(ctx, c.secretUser(sender), full); err != nil {
		return err
	}
	c.seat(sk, func(waiting *rider) {
		waiting.secrets = leaveOut(waiting.secrets, full)
		waiting.moved = slices.Concat(waiting.moved, inRow)
	})
	return nil
}

func (s secret) sameMessage(o secret) bool {
	return s.chat == o.chat && s.sender == o.sender && s.id == o.id
}

// writeSecrets puts secrets of one sender into an item of their own.
func (c *Container) writeSecrets(ctx context.Context, sender types.JID, secrets []secret) error {
	return c.write(ctx, c.secretsOp(sender, secrets))
}

const secretsItem fieldNumber = 1

func (c *Container) secretsOp(sender types.JID, secrets []secret) store.Op {
	var e encoder
	for _, s := range secrets {
		e.element(secretsItem, s.encode())
	}
	now := c.cfg.Now()
	sk := fmt.Sprintf("%s%013d#%08x", c.secretsOf(sender), now.UnixMilli(), rand.Uint32())
	item := c.item(c.bulkPK(), sk, e)
	item.Expires = now.Add(secretLife)
	return store.Put(item, store.Any)
}

func (c *Container) secretsOf(sender types.JID) string {
	return secretPrefix + part(sender.SignalAddressUser()) + "#"
}

// putSecrets keeps many secrets at once: those of a history.
func (c *Container) putSecrets(ctx context.Context, inserts []wastore.MessageSecretInsert) error {
	bySender := make(map[types.JID][]secret)
	for _, insert := range inserts {
		if !isSecret(insert.ID, insert.Secret) {
			continue
		}
		sender := c.secretUser(insert.Sender)
		bySender[sender] = append(bySender[sender], c.newSecret(insert.Chat, insert.Sender, insert.ID, insert.Secret))
	}
	var ops []store.Op
	for sender, secrets := range bySender {
		for chunk := range slices.Chunk(secrets, secretsPerItem) {
			ops = append(ops, c.secretsOp(sender, chunk))
		}
	}
	for chunk := range slices.Chunk(ops, store.MaxOps) {
		if err := c.write(ctx, chunk...); err != nil {
			return err
		}
	}
	return nil
}

// getSecret looks for a message by either JID of its chat and of its sender.
func (c *Container) getSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) ([]byte, types.JID, error) {
	chat, sender = chat.ToNonAD(), sender.ToNonAD()
	chats := []string{chat.String(), c.alternate(chat).String()}
	senders := []types.JID{sender}
	if other := c.alternate(sender); !other.IsEmpty() {
		senders = append(senders, other)
	}
	find := func(secrets []secret) *secret {
		for i, s := range secrets {
			if s.id == id && slices.Contains(chats, s.chat) &&
				slices.ContainsFunc(senders, func(j types.JID) bool { return j.String() == s.sender }) {
				return &secrets[i]
			}
		}
		return nil
	}
	found, err := c.searchSecrets(ctx, senders, find)
	if err != nil || found == nil {
		return nil, types.EmptyJID, err
	}
	stored, err := types.ParseJID(found.sender)
	return found.key, stored, err
}

// searchSecrets looks at what is in memory or in rows first, then at the items,
// the newest first: most edits follow soon.
func (c *Container) searchSecrets(ctx context.Context, senders []types.JID, find func([]secret) *secret) (*secret, error) {
	for _, sender := range senders {
		sk := addressSK(sender.SignalAddress().String())
		if waiting := c.riderOf(sk); waiting != nil {
			if found := find(waiting.secrets); found != nil {
				return found, nil
			}
		}
		r, err := c.row(ctx, sk)
		if err != nil {
			return nil, err
		}
		if found := find(r.secrets); found != nil {
			return found, nil
		}
	}
	var found *secret
	for _, sender := range senders {
		q := store.Query{PK: c.bulkPK(), Prefix: c.secretsOf(sender), Descending: true, Limit: 50}
		err := c.each(ctx, q, func(item store.Item) (bool, error) {
			secrets, err := c.openSecrets(item)
			found = find(secrets)
			return found == nil, err
		})
		if err != nil || found != nil {
			return found, err
		}
	}
	return nil, nil
}

func (c *Container) openSecrets(item store.Item) (secrets []secret, err error) {
	value, err := c.open(item)
	if err != nil {
		return nil, err
	}
	err = decode(value, func(number fieldNumber, f field) (bool, error) {
		if number != secretsItem {
			return false, nil
		}
		s, err := decodeSecret(f.b)
		secrets = append(secrets, s)
		return true, err
	})
	return secrets, err
}
