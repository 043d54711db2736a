package enlace

import (
	"strings"
	"time"
)

// MessageStatus says how far a sent message has come. It only moves forward, and
// may jump.
type MessageStatus string

// The statuses of a sent message, in their order; MessageFailed ends it.
const (
	Queued        MessageStatus = "queued"    // stored, and still to be cancelled
	Sending       MessageStatus = "sending"   // handed to WhatsApp, which has not answered yet
	Sent          MessageStatus = "sent"      // WhatsApp has it
	Delivered     MessageStatus = "delivered" // the recipient's device has it
	Read          MessageStatus = "read"
	Played        MessageStatus = "played" // a voice note was listened to
	MessageFailed MessageStatus = "failed"
)

var messageOrder = map[MessageStatus]int{Queued: 1, Sending: 2, Sent: 3, Delivered: 4, Read: 5, Played: 6}

// Next reports whether a message may go from s to next: forward along the order,
// or to failed as long as nobody has received it.
func (s MessageStatus) Next(next MessageStatus) bool {
	if next == MessageFailed {
		return s == Queued || s == Sending || s == Sent
	}
	return s != MessageFailed && messageOrder[next] > messageOrder[s]
}

// Waits reports whether the message still asks something of the channel's owner.
func (s MessageStatus) Waits() bool { return s == Queued || s == Sending }

// Message is a message that a caller sent.
type Message struct {
	ID         string         `json:"id"`
	WhatsAppID string         `json:"whatsappId"` // chosen before it is sent, so that it can be sent again under it
	ChannelID  string         `json:"channelId"`
	Direction  string         `json:"direction"` // "out"
	Message    Outgoing       `json:"message"`
	Status     MessageStatus  `json:"status"`
	Statuses   []StatusChange `json:"statuses"`
	Error      *MessageError  `json:"error,omitempty"`
	CreatedAt  time.Time      `json:"createdAt"`
	ExpiresAt  time.Time      `json:"expiresAt"` // what is still queued then fails
}

// StatusChange is one step of a message.
type StatusChange struct {
	Status MessageStatus `json:"status"`
	At     time.Time     `json:"at"`
}

// MessageError says why a message failed.
type MessageError struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// The codes with which messages fail.
const (
	CodeExpired          Code = "expired"                   // queued for longer than its ttl
	CodeCancelled        Code = "cancelled"                 // by its caller
	CodeOutcomeUnknown   Code = "outcome_unknown"           // sent again and again for 14 days, never answered
	CodeNotOnWhatsApp    Code = "recipient_not_on_whatsapp" // the number has no account
	CodeRefused          Code = "refused_by_whatsapp"       // WhatsApp's server said no
	CodeChannelNotActive Code = "channel_not_active"        // the channel stopped taking messages
)

// The recipient types of an Outgoing.
const (
	Individual = "individual"
	Group      = "group"
)

// TypeText is the type of a text message.
const TypeText = "text"

// Outgoing is the message object of Meta's Cloud API, as its callers post it.
type Outgoing struct {
	MessagingProduct string   `json:"messaging_product,omitempty"` // "whatsapp", if anything
	RecipientType    string   `json:"recipient_type,omitempty"`    // Individual if empty
	To               string   `json:"to"`                          // a phone number, a user id (…@lid) or a group's id
	Type             string   `json:"type"`
	Text             *Text    `json:"text,omitempty"`
	Context          *ReplyTo `json:"context,omitempty"`
}

// Text is the content of a text message.
type Text struct {
	Body       string `json:"body"`
	PreviewURL bool   `json:"preview_url,omitempty"` // taken as the Cloud API takes it; linked devices send no previews
}

// ReplyTo names the message that is answered.
type ReplyTo struct {
	MessageID string `json:"message_id"`
}

// NormalRecipient returns to as it is sent to: the digits of a phone number
// without punctuation, or a JID as it is. ok is false if it is neither.
func NormalRecipient(to, recipientType string) (normal string, ok bool) {
	user, server, isJID := strings.Cut(to, "@")
	if !isJID {
		user = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(strings.TrimPrefix(strings.TrimSpace(to), "+"))
		if recipientType == Group {
			return user + "@g.us", validDigits(user, 5, 32)
		}
		return user, validDigits(user, 5, 15)
	}
	switch server {
	case "s.whatsapp.net":
		return user, recipientType != Group && validDigits(user, 5, 15)
	case "lid":
		return to, recipientType != Group && validDigits(user, 5, 20)
	case "g.us":
		return to, recipientType == Group && validDigits(strings.ReplaceAll(user, "-", ""), 5, 40)
	}
	return "", false
}

func validDigits(s string, least, most int) bool {
	if len(s) < least || len(s) > most {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}
