package handlers

import (
	"context"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

const (
	messagesPath = channelPath + "/messages"
	messagePath  = messagesPath + "/{messageId}"
)

func (h *handlers) registerMessages(api huma.API) {
	register(api, Access{Least: store.Operator, Codes: []enlace.Code{
		enlace.CodeNotFound, enlace.CodeChannelNotActive, enlace.CodeIdempotencyKeyReused, enlace.CodeUnsupportedByType, enlace.CodeRecipientIsSender,
	}}, huma.Operation{
		OperationID: "sendMessage", Method: http.MethodPost, Path: messagesPath, DefaultStatus: http.StatusAccepted, Tags: []string{tagMessages},
		Summary: "Send a message",
		Description: "The body is the message object of Meta's Cloud API, and `ttl`. The message is stored before the answer and sent in order per recipient; " +
			"poll it at `Location`, or follow the channel's `message.status` events. With an `Idempotency-Key` a repeated request within 24 hours is the same message.",
	}, h.sendMessage)
	register(api, Access{Least: store.Viewer, Codes: []enlace.Code{enlace.CodeNotFound, enlace.CodeInvalidCursor}}, huma.Operation{
		OperationID: "listMessages", Method: http.MethodGet, Path: messagesPath, Tags: []string{tagMessages},
		Summary:     "List a channel's sent messages",
		Description: "Oldest first, of the last 30 days. Go on with `after` = the `next` of the answer before; an answer without `next` is the last. Received messages are in the channel's events.",
	}, h.listMessages)
	register(api, Access{Least: store.Viewer, Codes: []enlace.Code{enlace.CodeNotFound, enlace.CodeMessageNotFound}}, huma.Operation{
		OperationID: "getMessage", Method: http.MethodGet, Path: messagePath, Tags: []string{tagMessages},
		Summary:     "Get a sent message",
		Description: "By its id or by WhatsApp's. With `If-None-Match` and `Prefer: wait=25` the answer is held until the message has moved on.",
		Responses: map[string]*huma.Response{
			"304": {Description: "Not Modified: the message is as the `If-None-Match` says."},
		},
	}, h.getMessage)
	register(api, Access{Least: store.Operator, Codes: []enlace.Code{enlace.CodeNotFound, enlace.CodeMessageNotFound, enlace.CodeNotCancellable}}, huma.Operation{
		OperationID: "cancelMessage", Method: http.MethodDelete, Path: messagePath, Tags: []string{tagMessages},
		Summary:     "Cancel a message that is still queued",
		Description: "The message becomes `failed`, code `cancelled`. What is on its way already is 409 `not_cancellable`.",
	}, h.cancelMessage)
	register(api, Access{Least: store.Operator, Codes: []enlace.Code{enlace.CodeNotFound, enlace.CodeMessageNotFound, enlace.CodeChannelNotActive}}, huma.Operation{
		OperationID: "markMessageRead", Method: http.MethodPost, Path: messagePath + "/read", DefaultStatus: http.StatusAccepted, Tags: []string{tagMessages},
		Summary:     "Mark a received message as read",
		Description: "`messageId` is the `id` in a `message.received` event, `seq` that event's number; without it the newest 500 events are searched. `typing` also shows the sender that an answer is being written.",
	}, h.markMessageRead)
}

type sendMessageInput struct {
	ChannelPath
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names the request: repeated with the same body it is the same message, with another body it is refused." example:"order-4711-shipped"`
	Body           SendMessageRequest
	RawBody        []byte
}

// SendMessageRequest is a message to be sent: the Cloud API's message object.
type SendMessageRequest struct {
	_                struct{}      `additionalProperties:"false"`
	MessagingProduct string        `json:"messaging_product,omitempty" enum:"whatsapp" doc:"As Meta defines it." example:"whatsapp"`
	RecipientType    string        `json:"recipient_type,omitempty" enum:"individual,group" doc:"As Meta defines it; individual if it is left out." example:"individual"`
	To               string        `json:"to" minLength:"1" maxLength:"64" doc:"A phone number with its country code, the id of a user (…@lid), or the id of a group." example:"+1 415 555 0123"`
	Type             string        `json:"type,omitempty" default:"text" enum:"text,image,video,audio,document,sticker,location,contacts,reaction,interactive,template" doc:"text; the others are not available on channels of this installation." example:"text"`
	Text             *TextContent  `json:"text,omitempty" doc:"The content of type text."`
	Context          *ReplyContext `json:"context,omitempty" doc:"Makes the message an answer to another one."`
	TTL              int           `json:"ttl,omitempty" minimum:"1" maximum:"1209600" doc:"For how many seconds the message may stay queued; then it fails, code expired. 86400, a day, if it is left out." example:"3600"`
	Image            any           `json:"image,omitempty" hidden:"true"`
	Video            any           `json:"video,omitempty" hidden:"true"`
	Audio            any           `json:"audio,omitempty" hidden:"true"`
	Document         any           `json:"document,omitempty" hidden:"true"`
	Sticker          any           `json:"sticker,omitempty" hidden:"true"`
	Location         any           `json:"location,omitempty" hidden:"true"`
	Contacts         any           `json:"contacts,omitempty" hidden:"true"`
	Reaction         any           `json:"reaction,omitempty" hidden:"true"`
	Interactive      any           `json:"interactive,omitempty" hidden:"true"`
	Template         any           `json:"template,omitempty" hidden:"true"`
}

// TextContent is the content of a text message.
type TextContent struct {
	_          struct{} `additionalProperties:"false"`
	Body       string   `json:"body" doc:"The text, at most 4096 characters." example:"Your order is on its way."`
	PreviewURL bool     `json:"preview_url,omitempty" doc:"As Meta defines it; linked devices send no previews."`
}

// ReplyContext names the message that is answered.
type ReplyContext struct {
	_         struct{} `additionalProperties:"false"`
	MessageID string   `json:"message_id" minLength:"1" maxLength:"128" doc:"Its id: a received message's, or that of a sent one." example:"3EB0C767D097B7C7C030"`
}

// maxText is the most characters of a text, as the Cloud API has it.
const maxText = 4096

// request turns what the caller posts into what the store takes.
func (r SendMessageRequest) request() (store.PostRequest, error) {
	if r.Type != enlace.TypeText {
		return store.PostRequest{}, enlace.Errorf(enlace.CodeUnsupportedByType, "channels of this type cannot send messages of type %s", r.Type)
	}
	for _, other := range []any{r.Image, r.Video, r.Audio, r.Document, r.Sticker, r.Location, r.Contacts, r.Reaction, r.Interactive, r.Template} {
		if other != nil {
			return store.PostRequest{}, enlace.Errorf(enlace.CodeInvalidRequest, "a message of type %s has no other content", r.Type)
		}
	}
	switch {
	case r.Text == nil || r.Text.Body == "":
		return store.PostRequest{}, enlace.Errorf(enlace.CodeInvalidRequest, "text.body must not be empty")
	case utf8.RuneCountInString(r.Text.Body) > maxText:
		return store.PostRequest{}, enlace.Errorf(enlace.CodeInvalidRequest, "text.body has more than %d characters", maxText)
	}
	m := enlace.Outgoing{MessagingProduct: r.MessagingProduct, RecipientType: r.RecipientType, To: r.To, Type: r.Type, Text: &enlace.Text{Body: r.Text.Body, PreviewURL: r.Text.PreviewURL}}
	if r.Context != nil {
		m.Context = &enlace.ReplyTo{MessageID: r.Context.MessageID}
	}
	return store.PostRequest{Message: m, TTL: time.Duration(r.TTL) * time.Second}, nil
}

type messageOutput struct {
	Status            int
	Location          string `header:"Location" doc:"The message's path."`
	RetryAfter        *int   `header:"Retry-After" nullable:"false" doc:"Seconds after which a poll is worth while."`
	ETag              string `header:"ETag" doc:"Changes with the message's status."`
	PreferenceApplied string `header:"Preference-Applied" doc:"The wait that was granted." example:"wait=25"`
	CacheControl      string `header:"Cache-Control" hidden:"true"`
	Body              enlace.Message
}

func (h *handlers) sendMessage(ctx context.Context, in *sendMessageInput) (*messageOutput, error) {
	if !utf8.Valid(in.RawBody) {
		// It would be sent with replacement characters in place of what was meant.
		return nil, enlace.Errorf(enlace.CodeInvalidRequest, "the body must be JSON in UTF-8")
	}
	request, err := in.Body.request()
	if err != nil {
		return nil, err
	}
	request.IdempotencyKey, request.Body = in.IdempotencyKey, slices.Clone(in.RawBody)
	m, err := h.Store.PostMessage(ctx, in.CompanyID, in.ChannelID, request)
	if err != nil {
		return nil, err
	}
	return messageAnswer(http.StatusAccepted, in.CompanyID, m), nil
}

func messageAnswer(status int, company string, m enlace.Message) *messageOutput {
	out := &messageOutput{
		Status: status, CacheControl: private, Body: m,
		Location: "/v1/companies/" + company + "/channels/" + m.ChannelID + "/messages/" + m.ID,
		ETag:     etag(int64(len(m.Statuses))), // all that changes in a message comes with a status
	}
	if m.Status.Waits() {
		out.RetryAfter = new(1)
	}
	return out
}

type listMessagesInput struct {
	ChannelPath
	To    string `query:"to" maxLength:"64" doc:"Only messages to this recipient."`
	After string `query:"after" maxLength:"64" doc:"The next of the answer before."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many messages at most."`
}

type listMessagesOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         MessageList
}

// MessageList is a part of a channel's sent messages.
type MessageList struct {
	Messages []enlace.Message `json:"messages" doc:"Oldest first."`
	Next     string           `json:"next,omitempty" doc:"The after of the next request; left out at the end of the list."`
}

func (h *handlers) listMessages(ctx context.Context, in *listMessagesInput) (*listMessagesOutput, error) {
	to := ""
	if in.To != "" {
		var ok bool
		if to, ok = enlace.NormalRecipient(in.To, enlace.Individual); !ok {
			if to, ok = enlace.NormalRecipient(in.To, enlace.Group); !ok {
				return nil, enlace.Errorf(enlace.CodeInvalidRequest, "to must be a phone number with its country code, or the id of a user or a group")
			}
		}
	}
	messages, next, err := h.Store.Messages(ctx, in.CompanyID, in.ChannelID, to, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return &listMessagesOutput{CacheControl: private, Body: MessageList{messages, next}}, nil
}

// MessagePath names a message.
type MessagePath struct {
	ChannelPath
	MessageID string `path:"messageId" maxLength:"128" doc:"The message's id, or WhatsApp's." example:"msg_4f"`
}

type getMessageInput struct {
	MessagePath
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag that the caller has: 304 while the message has not moved on."`
	Prefer      string `header:"Prefer" doc:"wait=N holds a 304 back for up to N seconds until the message moves on; it needs If-None-Match." example:"wait=25"`
}

func (h *handlers) getMessage(ctx context.Context, in *getMessageInput) (*messageOutput, error) {
	wait := time.Duration(0)
	if in.IfNoneMatch != "" && in.IfNoneMatch != anyTag {
		wait = preferredWait(in.Prefer, h.MaxHold)
	}
	held, cancel := h.hold(ctx, wait)
	defer cancel()
	watch := h.Store.WatchChannel(in.ChannelID) // before the first read, so that no change falls between
	defer watch.Stop()
	for {
		m, err := h.Store.Message(ctx, in.CompanyID, in.ChannelID, in.MessageID)
		if err != nil {
			return nil, err
		}
		out := messageAnswer(http.StatusOK, in.CompanyID, m)
		out.PreferenceApplied = applied(wait)
		if in.IfNoneMatch == "" || noneMatch(in.IfNoneMatch, out.ETag) {
			return out, nil
		}
		if wait == 0 || watch.Wait(held) != nil {
			out.Status = http.StatusNotModified
			return out, nil
		}
	}
}

type messageInput struct {
	MessagePath
}

func (h *handlers) cancelMessage(ctx context.Context, in *messageInput) (*messageOutput, error) {
	m, err := h.Store.Cancel(ctx, in.CompanyID, in.ChannelID, in.MessageID)
	if err != nil {
		return nil, err
	}
	return messageAnswer(http.StatusOK, in.CompanyID, m), nil
}

type markReadInput struct {
	MessagePath
	Body *MarkReadRequest `required:"false"`
}

// MarkReadRequest says where the message is found.
type MarkReadRequest struct {
	_      struct{} `additionalProperties:"false"`
	Seq    int64    `json:"seq,omitempty" minimum:"1" doc:"The number of its message.received event." example:"14"`
	Typing bool     `json:"typing,omitempty" doc:"Also show that an answer is being written."`
}

type markReadOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         MarkReadAnswer
}

// MarkReadAnswer is the Cloud API's.
type MarkReadAnswer struct {
	Success bool `json:"success" doc:"True: the mark is on its way."`
}

func (h *handlers) markMessageRead(ctx context.Context, in *markReadInput) (*markReadOutput, error) {
	var body MarkReadRequest
	if in.Body != nil {
		body = *in.Body
	}
	if err := h.Store.MarkRead(ctx, in.CompanyID, in.ChannelID, in.MessageID, body.Seq, body.Typing); err != nil {
		return nil, err
	}
	return &markReadOutput{CacheControl: private, Body: MarkReadAnswer{Success: true}}, nil
}
