package signal

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"go.mau.fi/whatsmeow/types"

	"github.com/enlacehq/enlace/store"
)

const outgoingLife = 7 * 24 * time.Hour

// putBuffered keeps the plaintext of the message that is being decrypted in the
// row whose ratchet it was decrypted with.
func (c *Container) putBuffered(ctx context.Context, hash [32]byte, plaintext []byte, server time.Time) error {
	add := func(r *row) error {
		fresh := pending{
			hash: hash, plaintext: append([]byte{}, plaintext...), writer: c.writer,
			server: server.Unix(), stored: c.cfg.Now().UnixMilli(),
		}
		if at := r.find(hash); at >= 0 {
			r.pending[at] = fresh
		} else {
			r.pending = append(r.pending, fresh)
		}
		return nil
	}
	if b := batchOf(ctx); b != nil && b.last != nil {
		return add(b.last.next)
	}
	return c.change(ctx, eventPrefix+hex.EncodeToString(hash[:]), add)
}

var errNoOutgoing = answer{errors.New("no such outgoing message")}

func outgoingSK(chat types.JID, id types.MessageID) string {
	return outgoingPrefix + part(id) + "#" + part(chat.String())
}

// Fields of an outgoing message.
const (
	outgoingFormat    fieldNumber = 1
	outgoingPlaintext fieldNumber = 2
)

func (c *Container) addOutgoing(ctx context.Context, chat types.JID, id types.MessageID, format string, plaintext []byte) error {
	var e encoder
	e.text(outgoingFormat, format)
	e.bytes(outgoingPlaintext, plaintext)
	item := c.item(c.bulkPK(), outgoingSK(chat, id), e)
	item.Expires = c.cfg.Now().Add(outgoingLife)
	return c.write(ctx, store.Put(item, store.Any))
}

func (c *Container) getOutgoing(ctx context.Context, chat, altChat types.JID, id types.MessageID) (format string, plaintext []byte, err error) {
	sks := []string{outgoingSK(chat, id)}
	if altChat != chat {
		sks = append(sks, outgoingSK(altChat, id))
	}
	items, err := c.getMany(ctx, c.bulkPK(), sks)
	if err != nil {
		return "", nil, err
	}
	for _, sk := range sks {
		item, there := items[sk]
		if !there {
			continue
		}
		value, err := c.open(item)
		if err != nil {
			return "", nil, err
		}
		plaintext = []byte{}
		err = decode(value, func(number fieldNumber, f field) (bool, error) {
			switch number {
			case outgoingFormat:
				format = string(f.b)
			case outgoingPlaintext:
				plaintext = f.b
			default:
				return false, nil
			}
			return true, nil
		})
		return format, plaintext, err
	}
	return "", nil, errNoOutgoing
}
