package store

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/enlacehq/enlace"
)

// told is a status of a message that stands in the channel's log. Its event is
// written first, and alone: in one Write with the message both would cost twice as
// much. A message may therefore be behind the log, after a crash or a failed write.
type told struct {
	status enlace.MessageStatus
	at     time.Time
}

// toldKept is how many messages are looked for in the log after a claim. Statuses
// are told one after the other, so hardly more than one is behind.
const toldKept = 50

// tell notes what an event of the log says of a message.
func (i *identities) tell(seq int64, now told) {
	if before, known := i.told[seq]; !known || before.status.Next(now.status) {
		i.told[seq] = now
	}
}

// catchUp moves a message on to what the log says of it, and reports whether it
// was behind. What is not behind is forgotten: the message says it itself.
func (i *identities) catchUp(seq int64, m *storedMessage) bool {
	known, ok := i.told[seq]
	if ok && m.to(known.status, known.at) {
		return true
	}
	delete(i.told, seq)
	return false
}

// tells returns what a message.status event says that was written without its
// message. A message fails in the same Write as its event.
func (e *eventItem) tells() (seq int64, what told, ok bool) {
	if e.Event != enlace.EventMessageStatus {
		return 0, told{}, false
	}
	var data struct {
		MessageID string `json:"messageId"`
		Status    struct {
			Status enlace.MessageStatus `json:"status"`
		} `json:"status"`
	}
	if json.Unmarshal(e.Data, &data) != nil || data.Status.Status == enlace.MessageFailed {
		return 0, told{}, false
	}
	seq, err := strconv.ParseInt(strings.TrimPrefix(data.MessageID, enlace.MessagePrefix), 36, 64)
	return seq, told{data.Status.Status, e.At}, err == nil
}
