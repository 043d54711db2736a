package whatsapptest

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"slices"
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
	if err := s.sendHistory(d.phone, d.id, waHistorySync.HistorySync_INITIAL_BOOTSTRAP, s.allChats(d.phone)); err != nil {
		s.log.Error("no history", "error", err)
	}
}

// answerHistory gives a device the messages of a chat that came before one that
// it has.
func (s *Server) answerHistory(p *phone, e envelope, request *waE2E.PeerDataOperationRequestMessage_HistorySyncOnDemandRequest) {
	chat, err := types.ParseJID(request.GetChatJID())
	if err != nil {
		return
	}
	var chats []*waHistorySync.Conversation
	if other := s.user(chat); other != nil {
		for _, c := range s.known(p) {
			if c.GetID() == other.lidJID(0).String() {
				chats = append(chats, before(c, request.GetOldestMsgID(), int(request.GetOnDemandMsgCount())))
			}
		}
	}
	if err := s.sendHistory(p, e.sender.id, waHistorySync.HistorySync_ON_DEMAND, chats); err != nil {
		s.log.Error("no history", "error", err)
	}
}

// before leaves of a conversation the last count messages before one.
func before(c *waHistorySync.Conversation, id string, count int) *waHistorySync.Conversation {
	end := slices.IndexFunc(c.Messages, func(m *waHistorySync.HistorySyncMsg) bool { return m.GetMessage().GetKey().GetID() == id })
	if end < 0 {
		end = len(c.Messages)
	}
	c.Messages = c.Messages[max(end-count, 0):end]
	return c
}

// sendHistory puts conversations into a file and tells a device of it.
func (s *Server) sendHistory(p *phone, device uint16, kind waHistorySync.HistorySync_HistorySyncType, chats []*waHistorySync.Conversation) error {
	content, err := historyFile(kind, chats)
	if err != nil {
		return err
	}
	file, err := s.putFile(content, "WhatsApp History Keys")
	if err != nil {
		return err
	}
	s.tellDevice(p, device, &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION.Enum(),
		HistorySyncNotification: &waE2E.HistorySyncNotification{
			FileSHA256:    file.hash,
			FileLength:    proto.Uint64(uint64(file.length)),
			MediaKey:      file.key,
			FileEncSHA256: file.sealedHash,
			DirectPath:    proto.String(file.path),
			SyncType:      waE2E.HistorySyncType(kind).Enum(),
			ChunkOrder:    proto.Uint32(1),
			Progress:      proto.Uint32(100),
		},
	})
	return nil
}

// allChats are the made-up conversations, then those that the phone has.
func (s *Server) allChats(p *phone) []*waHistorySync.Conversation {
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
	return append(chats, s.known(p)...)
}

// historyFile is a marshalled and compressed HistorySync.
func historyFile(kind waHistorySync.HistorySync_HistorySyncType, chats []*waHistorySync.Conversation) ([]byte, error) {
	raw, err := proto.Marshal(&waHistorySync.HistorySync{
		SyncType:      kind.Enum(),
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
