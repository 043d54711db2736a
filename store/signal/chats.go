package signal

import (
	"context"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// chatSettings is what the account's own phone set for a chat.
type chatSettings struct {
	mutedUntil       int64 // seconds since 1970; 0: not muted
	forever          bool  // muted without an end
	pinned, archived bool
}

// Fields of chat settings.
const (
	chatMutedUntil fieldNumber = 1
	chatForever    fieldNumber = 2
	chatPinned     fieldNumber = 3
	chatArchived   fieldNumber = 4
	chatKnown      fieldNumber = 5 // so that settings that are all off are some
)

func (s chatSettings) encode() []byte {
	var e encoder
	e.number(chatMutedUntil, uint64(s.mutedUntil))
	e.truth(chatForever, s.forever)
	e.truth(chatPinned, s.pinned)
	e.truth(chatArchived, s.archived)
	e.truth(chatKnown, true)
	return e
}

// decodeChat returns settings that are all off when value is nil.
func decodeChat(value []byte) (s chatSettings, err error) {
	err = decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case chatMutedUntil:
			s.mutedUntil = int64(f.n)
		case chatForever:
			s.forever = true
		case chatPinned:
			s.pinned = true
		case chatArchived:
			s.archived = true
		case chatKnown:
		default:
			return false, nil
		}
		return true, nil
	})
	return s, err
}

func (c *Container) chats() shelf { return shelf{c, chatPrefix} }

func (c *Container) changeChat(ctx context.Context, chat types.JID, change func(*chatSettings)) error {
	var failed error
	err := c.chats().update(ctx, []string{part(chat.String())}, func(_ string, value []byte) []byte {
		settings, err := decodeChat(value)
		if err != nil {
			failed = err
			return value
		}
		change(&settings)
		return settings.encode()
	})
	if failed != nil {
		return failed
	}
	return err
}

func (c *Container) putMutedUntil(ctx context.Context, chat types.JID, until time.Time) error {
	return c.changeChat(ctx, chat, func(s *chatSettings) {
		s.forever = until.Equal(wastore.MutedForever)
		s.mutedUntil = 0
		if !s.forever && !until.IsZero() {
			s.mutedUntil = until.Unix()
		}
	})
}

func (c *Container) getChat(ctx context.Context, chat types.JID) (types.LocalChatSettings, error) {
	value, err := c.chats().get(ctx, part(chat.String()))
	if err != nil || value == nil {
		return types.LocalChatSettings{}, err
	}
	s, err := decodeChat(value)
	settings := types.LocalChatSettings{Found: true, Pinned: s.pinned, Archived: s.archived}
	switch {
	case s.forever:
		settings.MutedUntil = wastore.MutedForever
	case s.mutedUntil > 0:
		settings.MutedUntil = time.Unix(s.mutedUntil, 0)
	}
	return settings, err
}
