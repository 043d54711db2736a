package enlace

import (
	"encoding/json"
	"time"
)

// EventName says what happened.
type EventName string

// The events of a channel's life.
const (
	EventConnecting   EventName = "channel.connecting"
	EventTaken        EventName = "channel.taken"
	EventQR           EventName = "channel.qr"
	EventPairingCode  EventName = "channel.pairing_code"
	EventPasskey      EventName = "channel.passkey"
	EventReady        EventName = "channel.ready"
	EventReconnecting EventName = "channel.reconnecting"
	EventInactive     EventName = "channel.inactive"
	EventError        EventName = "channel.error"
	EventLoggedOut    EventName = "channel.logged_out"

	EventMessageReceived    EventName = "message.received"
	EventMessageSent        EventName = "message.sent" // by the account's own phone
	EventMessageStatus      EventName = "message.status"
	EventMessageUnavailable EventName = "message.unavailable"
	EventMessageReaction    EventName = "message.reaction"
	EventMessageEdited      EventName = "message.edited"
	EventMessageRevoked     EventName = "message.revoked"
)

// Event is one numbered, immutable entry of a channel's log. Numbers begin at 1
// and have no gaps, so a reader that has seen n asks for what is after n and can
// miss nothing.
type Event struct {
	Seq       int64           `json:"seq"`
	Event     EventName       `json:"event"`
	CompanyID string          `json:"companyId"`
	ChannelID string          `json:"channelId"`
	At        time.Time       `json:"at"`
	Data      json.RawMessage `json:"data"`
	Cursor    string          `json:"cursor,omitempty"` // on merged feeds: where to go on after this event
}
