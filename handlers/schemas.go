package handlers

import (
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
)

// member is what the documents say of a member of the vocabulary's types. It
// stands here, and not beside the types, because they know of no transport.
type member struct {
	doc     string
	example any
	enum    []any
	object  bool // any JSON object
}

var members = map[string]map[string]member{
	"Channel": {
		"id":          {doc: "Begins with ch_.", example: "ch_2x7c9k4m0q8v5t1w3z6y"},
		"companyId":   {doc: "The company that the channel belongs to.", example: "acme"},
		"type":        {doc: "How the channel connects.", example: enlace.WhatsAppWeb, enum: channelTypes()},
		"name":        {doc: "Tells apart a company's channels of one type.", example: "default"},
		"status":      {doc: "connecting: asked for, or linked and coming back by itself (reconnect); active: linked and live; inactive: rests until somebody connects it; error: see reason.", example: enlace.Connecting, enum: []any{enlace.Connecting, enlace.Active, enlace.Inactive, enlace.Failed}},
		"reason":      {doc: "Why. Connecting: network, server, takeover. Inactive: qr_timeout, pairing_timeout, disconnected, logged_out. Error: locked, banned, temporary_ban, replaced, client_outdated, reconnect_exhausted, credentials_unreadable, type_not_available. There may come more.", example: enlace.ReasonQRTimeout},
		"until":       {doc: "When a temporary ban ends and the channel is tried again."},
		"qr":          {doc: "The QR code to scan now. Not shown to viewers."},
		"pairingCode": {doc: "The code to type on the phone. Not shown to viewers.", example: "ABCD-EFGH"},
		"passkey":     {doc: "What WhatsApp asks of an account that is protected by a passkey. Not shown to viewers."},
		"phoneNumber": {doc: "The account's number, digits without +.", example: "14155550123"},
		"pushName":    {doc: "The name that the account shows to others.", example: "Acme Support"},
		"lid":         {doc: "The account's user id that hides its number, digits.", example: "123456789012345"},
		"reconnect":   {doc: "The channel is tried again by itself."},
		"lastError":   {doc: "What last went wrong, for people."},
		"owner":       {doc: "The worker that runs the channel."},
		"version":     {doc: "Counts the changes that a caller can see; the ETag.", example: 7},
		"createdAt":   {doc: "When the channel was created."},
		"updatedAt":   {doc: "When the version last changed."},
		"connectedAt": {doc: "When the channel last became active."},
	},
	"QR": {
		"code":      {doc: "The text that the QR code encodes. Whoever scans it links the account."},
		"expiresAt": {doc: "When the next code takes its place."},
		"attempt":   {doc: "Which code of the series this is, from 1.", example: 1},
		"of":        {doc: "How many there are before the channel becomes inactive, reason qr_timeout.", example: 6},
	},
	"Passkey": {
		"request":   {doc: "PublicKeyCredentialRequestOptions in JSON, for navigator.credentials.get({publicKey}).", object: true},
		"code":      {doc: "To be compared with the phone's, and confirmed.", example: "ABCD-EFGH"},
		"expiresAt": {doc: "When it is too late."},
	},
	"Reconnect": {
		"attempt": {doc: "Tries so far in this round.", example: 2},
		"max":     {doc: "How many there will be; left out when there is no last one.", example: 10},
		"nextAt":  {doc: "When the next try begins."},
	},
	"LastError": {
		"code":    {doc: "WhatsApp's own number where there is one.", example: "503"},
		"message": {doc: "One sentence."},
	},
	"Event": {
		"seq":       {doc: "The event's number in its channel's log: from 1, without gaps.", example: 14},
		"event":     {doc: "What happened. There may come names that a caller does not know: ignore them.", example: enlace.EventReady},
		"companyId": {doc: "The company that the channel belongs to.", example: "acme"},
		"channelId": {doc: "The channel that it happened to.", example: "ch_2x7c9k4m0q8v5t1w3z6y"},
		"at":        {doc: "When it was written."},
		"data":      {doc: "An object that depends on the event. Of channel events: the channel's members that changed, with status always among them, and null for one that went.", object: true},
		"cursor":    {doc: "On feeds that merge several logs: where to go on after this event."},
	},
	"Message": {
		"id":         {doc: "Begins with msg_.", example: "msg_4f"},
		"whatsappId": {doc: "WhatsApp's id of the message, chosen before it is sent.", example: "3EB0C767D097B7C7C03012"},
		"channelId":  {doc: "The channel that sends it.", example: "ch_2x7c9k4m0q8v5t1w3z6y"},
		"direction":  {doc: "Always out: received messages are in the channel's events.", example: "out"},
		"message":    {doc: "As it was posted."},
		"status":     {doc: "queued, sending, sent, delivered, read, played; or failed. It moves forward only.", example: enlace.Sent, enum: []any{enlace.Queued, enlace.Sending, enlace.Sent, enlace.Delivered, enlace.Read, enlace.Played, enlace.MessageFailed}},
		"statuses":   {doc: "Each step, and when."},
		"error":      {doc: "Why it failed."},
		"createdAt":  {doc: "When it was posted."},
		"expiresAt":  {doc: "When it fails if it is still queued."},
	},
	"StatusChange": {
		"status": {doc: "As the message's status.", example: enlace.Sent},
		"at":     {doc: "When it was reached."},
	},
	"MessageError": {
		"code":    {doc: "expired, cancelled, outcome_unknown, recipient_not_on_whatsapp, refused_by_whatsapp, channel_not_active.", example: enlace.CodeExpired},
		"message": {doc: "One sentence."},
	},
	"Outgoing": {
		"messaging_product": {doc: "whatsapp, if anything."},
		"recipient_type":    {doc: "individual or group."},
		"to":                {doc: "As it was posted.", example: "+14155550123"},
		"type":              {doc: "text.", example: enlace.TypeText},
		"text":              {doc: "The content of type text."},
		"context":           {doc: "The message that it answers."},
	},
	"Text": {
		"body":        {doc: "The text.", example: "Your order is on its way."},
		"preview_url": {doc: "As it was posted."},
	},
	"ReplyTo": {
		"message_id": {doc: "Its id.", example: "3EB0C767D097B7C7C030"},
	},
	"APIKey": keyMembers,
	"NewKey": keyMembers,
}

var keyMembers = map[string]member{
	"id":        {doc: "Begins with key_.", example: "key_0a1b2c3d4e5f6g7h8j9k"},
	"name":      {doc: "For people: where the key is used.", example: "dashboard"},
	"role":      {doc: "What the key may do; each role may all that the one before it may.", example: "operator", enum: []any{"viewer", "operator", "admin"}},
	"companies": {doc: "The companies that the key reaches; \"*\" alone means all.", example: []string{"acme"}},
	"createdAt": {doc: "When the key was made."},
}

var exampleTime = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// examples are whole objects, where the examples of members do not go together.
var examples = map[string]any{
	"Channel": enlace.Channel{
		ID: "ch_2x7c9k4m0q8v5t1w3z6y", CompanyID: "acme", Type: enlace.WhatsAppWeb, Name: enlace.DefaultName, Status: enlace.Connecting,
		QR:      &enlace.QR{Code: "https://wa.me/settings/linked_devices#2@…", ExpiresAt: exampleTime.Add(time.Minute), Attempt: 1, Of: 6},
		Version: 2, CreatedAt: exampleTime.Add(-time.Second), UpdatedAt: exampleTime,
	},
	"Event": enlace.Event{
		Seq: 14, Event: enlace.EventReady, CompanyID: "acme", ChannelID: "ch_2x7c9k4m0q8v5t1w3z6y", At: exampleTime,
		Data: json.RawMessage(`{"status":"active","phoneNumber":"14155550123","connectedAt":"2026-01-31T12:00:00Z"}`),
	},
	"ConnectRequest": ConnectRequest{Type: enlace.WhatsAppWeb},
	"PasskeyAnswer": PasskeyAnswer{
		ID: "Y3JlZGVudGlhbA", RawID: "Y3JlZGVudGlhbA", Type: "public-key",
		Response: PasskeyAssertion{ClientDataJSON: "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0", AuthenticatorData: "YXV0aGVudGljYXRvcg", Signature: "c2lnbmF0dXJl"},
	},
	"PairingRequest": PairingRequest{Method: enlace.PairByCode, PhoneNumber: "14155550123"},
}

func channelTypes() []any {
	var types []any
	for _, t := range enlace.ChannelTypes() {
		types = append(types, t)
	}
	return types
}

// describe adds to the schemas of the vocabulary's types what their declarations
// do not say. That unknown members are allowed goes without saying, and makes
// generators write code for them where it is said.
func describe(registry huma.Registry) {
	for name, schema := range registry.Map() {
		if schema.AdditionalProperties == true {
			schema.AdditionalProperties = nil
		}
		if example, ok := examples[name]; ok {
			schema.Examples = []any{example}
		}
		for property, m := range members[name] {
			s := schema.Properties[property]
			s.Description = m.doc
			if m.example != nil {
				s.Examples = []any{m.example}
			}
			if m.enum != nil {
				s.Enum = m.enum
			}
			if m.object {
				s.Type = huma.TypeObject
			}
		}
	}
}
