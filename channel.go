package enlace

import (
	"encoding/json"
	"time"
)

// ChannelType says how a channel connects.
type ChannelType string

// The channel types.
const (
	WhatsAppWeb     ChannelType = "WHATSAPP_WEB"
	WhatsAppBaileys ChannelType = "WHATSAPP_BAILEYS"
	WhatsAppCloud   ChannelType = "WHATSAPP_CLOUD"
)

// ChannelTypes lists every type there is, whether or not a program has a strategy for it.
func ChannelTypes() []ChannelType {
	return []ChannelType{WhatsAppWeb, WhatsAppBaileys, WhatsAppCloud}
}

// Status is the state of a channel that its caller polls for.
type Status string

// The statuses of a channel.
const (
	Connecting Status = "connecting"
	Active     Status = "active"
	Inactive   Status = "inactive"
	Failed     Status = "error"
)

// Reason says why a channel has its status; empty where the status says it all.
type Reason string

// The reasons, by the status they stand with.
const (
	// Connecting, with Channel.Reconnect: linked and coming back by itself.
	ReasonNetwork  Reason = "network"
	ReasonServer   Reason = "server"
	ReasonTakeover Reason = "takeover"

	// Inactive: nothing happens until somebody connects again.
	ReasonQRTimeout      Reason = "qr_timeout"
	ReasonPairingTimeout Reason = "pairing_timeout"
	ReasonDisconnected   Reason = "disconnected"
	ReasonLoggedOut      Reason = "logged_out"

	// Failed: somebody should look. A temporary ban ends by itself at Channel.Until.
	ReasonLocked                Reason = "locked"
	ReasonBanned                Reason = "banned"
	ReasonTemporaryBan          Reason = "temporary_ban"
	ReasonReplaced              Reason = "replaced"
	ReasonClientOutdated        Reason = "client_outdated"
	ReasonReconnectExhausted    Reason = "reconnect_exhausted"
	ReasonCredentialsUnreadable Reason = "credentials_unreadable"
	ReasonTypeNotAvailable      Reason = "type_not_available"
)

// Channel is one WhatsApp connection of a company, as its callers see it. It is
// unique by (CompanyID, Type, Name).
type Channel struct {
	ID        string      `json:"id"`
	CompanyID string      `json:"companyId"`
	Type      ChannelType `json:"type"`
	Name      string      `json:"name"`
	Status    Status      `json:"status"`
	Reason    Reason      `json:"reason,omitempty"`
	// Until is when a temporary ban ends and the channel is tried again.
	Until       *time.Time `json:"until,omitempty"`
	QR          *QR        `json:"qr,omitempty"`
	PairingCode string     `json:"pairingCode,omitempty"` // eight characters, to be typed on the phone
	Passkey     *Passkey   `json:"passkey,omitempty"`
	PhoneNumber string     `json:"phoneNumber,omitempty"` // digits, without +
	PushName    string     `json:"pushName,omitempty"`    // the name that the account shows to others
	LID         string     `json:"lid,omitempty"`         // the account's user id that hides its number, digits
	Reconnect   *Reconnect `json:"reconnect,omitempty"`
	LastError   *LastError `json:"lastError,omitempty"`
	Owner       string     `json:"owner,omitempty"` // the worker that runs it
	// Version counts the changes that a caller can see; it is the ETag.
	Version     int64      `json:"version"`
	CreatedAt   time.Time  `json:"createdAt"`
	UpdatedAt   time.Time  `json:"updatedAt"`
	ConnectedAt *time.Time `json:"connectedAt,omitempty"` // when it last became active
}

// QR is the code to be scanned now. It is a credential: whoever scans it links the account.
type QR struct {
	Code      string    `json:"code"`
	ExpiresAt time.Time `json:"expiresAt"`
	Attempt   int       `json:"attempt"` // 1 to Of
	Of        int       `json:"of"`
}

// Passkey is what WhatsApp asks of an account that is protected by a passkey:
// first a WebAuthn request to answer, then perhaps a code to compare with the
// phone's and confirm.
type Passkey struct {
	// Request is the PublicKeyCredentialRequestOptions object for navigator.credentials.get.
	Request   json.RawMessage `json:"request,omitempty"`
	Code      string          `json:"code,omitempty"`
	ExpiresAt time.Time       `json:"expiresAt"`
}

// Reconnect tells of a linked channel that comes back by itself, or of a new one that could not be reached yet.
type Reconnect struct {
	Attempt int       `json:"attempt"`       // tries so far in this round
	Max     int       `json:"max,omitempty"` // 0: there is no last try
	NextAt  time.Time `json:"nextAt"`
}

// LastError is what last went wrong, for people: Code is WhatsApp's number where there is one.
type LastError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// PairingMethod says how a new device is linked.
type PairingMethod string

// The pairing methods.
const (
	PairByQR   PairingMethod = "qr"
	PairByCode PairingMethod = "code"
)

// Pairing is how a channel without credentials is to be linked.
type Pairing struct {
	Method      PairingMethod `json:"method"`
	PhoneNumber string        `json:"phoneNumber,omitempty"` // for PairByCode: digits, without +
}

// Account is what is known of a channel's WhatsApp account; empty fields are not known.
type Account struct {
	PhoneNumber string // digits, without +
	LID         string // digits
	PushName    string
}
