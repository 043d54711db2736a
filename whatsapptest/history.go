package whatsapptest

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// madeUpPerChat is how many made-up messages a conversation of the history has.
const madeUpPerChat = 50

// shareHistory has a phone offer a new device its history, once: a file that
// the device may fetch.
func (s *Server) shareHistory(d *device) {
	if d.history || s.opts.History == 0 {
		return
	}
	d.history = true
	s.state.touch()
	content, err := s.history(d.phone)
	if err != nil {
		s.log.Error("no history", "error", err)
		return
	}
	file, err := s.putFile(content, "WhatsApp History Keys")
	if err != nil {
		s.log.Error("no history", "error", err)
		return
	}
	s.tellDevice(d.phone, d.id, &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION.Enum(),
		HistorySyncNotification: &waE2E.HistorySyncNotification{
			FileSHA256:    file.hash,
			FileLength:    proto.Uint64(uint64(file.length)),
			MediaKey:      file.key,
			FileEncSHA256: file.sealedHash,
			DirectPath:    proto.String(file.path),
			SyncType:      waE2E.HistorySyncType_INITIAL_BOOTSTRAP.Enum(),
			ChunkOrder:    proto.Uint32(1),
			Progress:      proto.Uint32(100),
		},
	})
}

// history makes the file: the made-up messages, then those that the phone has.
func (s *Server) history(p *phone) ([]byte, error) {
	var chats []*waHistorySync.Conversation
	at := time.Now().Add(-24 * time.Hour).Unix()
	for left := max(s.opts.History, 0); left > 0; left -= madeUpPerChat {
		n := len(chats)
		chat := types.NewJID(fmt.Sprintf("1999%08d", n), types.HiddenUserServer)
		messages := make([]*waHistorySync.HistorySyncMsg, min(left, madeUpPerChat))
		for i := range messages {
			messages[i] = past(chat, fmt.Sprintf("HISTORY%d.%d", n, i), fmt.Sprintf("Message %d of long ago", i), at+int64(i))
		}
		chats = append(chats, &waHistorySync.Conversation{ID: proto.String(chat.String()), Messages: messages})
	}
	chats = append(chats, s.known(p)...)
	raw, err := proto.Marshal(&waHistorySync.HistorySync{
		SyncType:      waHistorySync.HistorySync_INITIAL_BOOTSTRAP.Enum(),
		Conversations: chats,
		ChunkOrder:    proto.Uint32(1),
		Progress:      proto.Uint32(100),
	})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	if _, err := z.Write(raw); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// known are the direct messages that a phone has received, by chat.
func (s *Server) known(p *phone) []*waHistorySync.Conversation {
	byChat := make(map[string]*waHistorySync.Conversation)
	var chats []*waHistorySync.Conversation
	for _, m := range p.inbox.list {
		sender := s.phones[m.From]
		if m.Group != "" || sender == nil {
			continue
		}
		chat := sender.lidJID(0)
		if byChat[m.From] == nil {
			byChat[m.From] = &waHistorySync.Conversation{ID: proto.String(chat.String())}
			chats = append(chats, byChat[m.From])
		}
		byChat[m.From].Messages = append(byChat[m.From].Messages, past(chat, m.ID, m.Text, m.At.Unix()))
	}
	return chats
}

// past is a message of the history.
func past(chat types.JID, id, words string, at int64) *waHistorySync.HistorySyncMsg {
	return &waHistorySync.HistorySyncMsg{Message: &waWeb.WebMessageInfo{
		Key: &waCommon.MessageKey{
			RemoteJID: proto.String(chat.String()), FromMe: proto.Bool(false), ID: proto.String(id),
		},
		Message:          &waE2E.Message{Conversation: proto.String(words)},
		MessageTimestamp: proto.Uint64(uint64(at)),
	}}
}
