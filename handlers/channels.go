package handlers

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

const (
	channelsPath = "/v1/companies/{companyId}/channels"
	channelPath  = channelsPath + "/{channelId}"
)

func (h *handlers) registerChannels(api huma.API) {
	register(api, Access{Least: store.Operator, Codes: []enlace.Code{enlace.CodeChannelActive, enlace.CodeTypeNotAvailable}}, huma.Operation{
		OperationID: "connectChannel", Method: http.MethodPost, Path: channelsPath, DefaultStatus: http.StatusAccepted, Tags: []string{tagChannels},
		Summary: "Connect a channel",
		Description: "Asks for the channel of this company, type and name. One that does not exist is created; one that is `inactive` or in `error` is connected again; " +
			"one that is `connecting` already is answered as it is. Then poll the channel at `Location`: its QR code appears in `qr`.",
	}, h.connectChannel)
	register(api, Access{Least: store.Viewer, Codes: []enlace.Code{enlace.CodeInvalidCursor}}, huma.Operation{
		OperationID: "listChannels", Method: http.MethodGet, Path: channelsPath, Tags: []string{tagChannels},
		Summary:     "List a company's channels",
		Description: "By type and name. Go on with `after` = the `next` of the answer before; an answer without `next` is the last.",
	}, h.listChannels)
	register(api, Access{Least: store.Viewer, Codes: []enlace.Code{enlace.CodeNotFound}}, huma.Operation{
		OperationID: "getChannel", Method: http.MethodGet, Path: channelPath, Tags: []string{tagChannels},
		Summary: "Get a channel",
		Description: "The `ETag` is the channel's version, which counts the changes that a caller can see. Poll with `If-None-Match`: 304 means that nothing changed. " +
			"With `Prefer: wait=25` beside it the answer is held until something does, so that one request at a time is enough to follow a channel. " +
			"Otherwise come again after `Retry-After` seconds. A viewer sees no `qr`, `pairingCode` and `passkey`.",
		Responses: map[string]*huma.Response{
			"304": {Description: "Not Modified: the version in `If-None-Match` is the current one."},
		},
	}, h.getChannel)
}

type connectInput struct {
	CompanyPath
	Body ConnectRequest
}

// ConnectRequest asks for a channel.
type ConnectRequest struct {
	_       struct{}           `additionalProperties:"false"`
	Type    enlace.ChannelType `json:"type" enum:"WHATSAPP_WEB,WHATSAPP_BAILEYS,WHATSAPP_CLOUD" doc:"How the channel connects." example:"WHATSAPP_WEB"`
	Name    string             `json:"name,omitempty" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" doc:"Tells apart a company's channels of one type; \"default\" if it is left out." example:"support"`
	Pairing *PairingRequest    `json:"pairing,omitempty" doc:"How to link a new device, if one must be linked; by QR code if it is left out."`
	Cloud   map[string]any     `json:"cloud,omitempty" doc:"For WHATSAPP_CLOUD only."`
}

// PairingRequest says how a new device is to be linked.
type PairingRequest struct {
	_           struct{}             `additionalProperties:"false"`
	Method      enlace.PairingMethod `json:"method" enum:"qr,code" doc:"By a QR code to scan, or by a code to type on the phone." example:"qr"`
	PhoneNumber string               `json:"phoneNumber,omitempty" pattern:"^\\+?[1-9][0-9]{6,14}$" doc:"The account's number with its country code, digits; needed for method \"code\"." example:"14155550123"`
}

// request turns what the caller asks for into what the store takes.
func (r ConnectRequest) request(company string) (store.ConnectRequest, error) {
	if r.Cloud != nil && r.Type != enlace.WhatsAppCloud {
		return store.ConnectRequest{}, enlace.Errorf(enlace.CodeInvalidRequest, "cloud belongs to channels of type %s", enlace.WhatsAppCloud)
	}
	request := store.ConnectRequest{CompanyID: company, Type: r.Type, Name: r.Name}
	if r.Pairing == nil {
		return request, nil
	}
	number := strings.TrimPrefix(r.Pairing.PhoneNumber, "+")
	switch {
	case r.Pairing.Method == enlace.PairByCode && number == "":
		return store.ConnectRequest{}, enlace.Errorf(enlace.CodeInvalidRequest, "pairing.phoneNumber is needed for pairing by code")
	case r.Pairing.Method == enlace.PairByQR && number != "":
		return store.ConnectRequest{}, enlace.Errorf(enlace.CodeInvalidRequest, "pairing.phoneNumber is for pairing by code only")
	}
	request.Pairing = &enlace.Pairing{Method: r.Pairing.Method, PhoneNumber: number}
	return request, nil
}

type acceptedOutput struct {
	Location     string `header:"Location" doc:"The channel's path." example:"/v1/companies/acme/channels/ch_2x7c9k4m0q8v5t1w3z6y"`
	RetryAfter   *int   `header:"Retry-After" nullable:"false" doc:"Seconds after which a poll is worth while."`
	ETag         string `header:"ETag" doc:"The channel's version."`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         enlace.Channel
}

// accepted is the answer to what was asked of a channel.
func (h *handlers) accepted(ctx context.Context, channel enlace.Channel) *acceptedOutput {
	return &acceptedOutput{
		Location:     locationOf(channel),
		RetryAfter:   retryAfter(channel),
		ETag:         etag(channel.Version),
		CacheControl: private,
		Body:         shown(ctx, channel),
	}
}

func locationOf(c enlace.Channel) string {
	return "/v1/companies/" + c.CompanyID + "/channels/" + c.ID
}

func (h *handlers) connectChannel(ctx context.Context, in *connectInput) (*acceptedOutput, error) {
	request, err := in.Body.request(in.CompanyID)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(h.Types, request.Type) {
		return nil, enlace.Errorf(enlace.CodeTypeNotAvailable, "this installation cannot connect channels of type %s", request.Type)
	}
	channel, err := h.Store.Connect(ctx, request)
	if err != nil {
		return nil, err
	}
	h.wakeWorkers(ctx, channel)
	return h.accepted(ctx, channel), nil
}

// sendTimeout bounds the sending of a job, in which the caller waits.
const sendTimeout = 5 * time.Second

// wakeWorkers sends a connect job. It is a wake-up: without it the workers find
// the channel a little later, so that the caller need not hear of a failure. It
// does not end when the caller goes away, since the channel is written already.
func (h *handlers) wakeWorkers(ctx context.Context, channel enlace.Channel) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	if err := h.Queue.Send(ctx, enlace.Job{ChannelID: channel.ID}); err != nil {
		h.Log.Warn("connect job not sent; workers will find the channel by themselves", "company", channel.CompanyID, "channel", channel.ID, "error", err)
	}
}

type listChannelsInput struct {
	CompanyPath
	After string `query:"after" maxLength:"256" doc:"The next of the answer before."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many channels at most."`
}

type listChannelsOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         ChannelList
}

// ChannelList is a part of a company's channels.
type ChannelList struct {
	Channels []enlace.Channel `json:"channels" doc:"By type and name."`
	Next     string           `json:"next,omitempty" doc:"The after of the next request; left out at the end of the list."`
}

func (h *handlers) listChannels(ctx context.Context, in *listChannelsInput) (*listChannelsOutput, error) {
	channels, next, err := h.Store.Channels(ctx, in.CompanyID, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	for i := range channels {
		channels[i] = shown(ctx, channels[i])
	}
	return &listChannelsOutput{CacheControl: private, Body: ChannelList{channels, next}}, nil
}

type getChannelInput struct {
	ChannelPath
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag of the version that the caller has: 304 while it is the current one."`
	Prefer      string `header:"Prefer" doc:"wait=N holds a 304 back for up to N seconds until the channel changes; it needs If-None-Match." example:"wait=25"`
}

type channelOutput struct {
	Status            int
	ETag              string `header:"ETag" doc:"The channel's version." example:"\"7\""`
	RetryAfter        *int   `header:"Retry-After" nullable:"false" doc:"Seconds after which a poll is worth while."`
	PreferenceApplied string `header:"Preference-Applied" doc:"The wait that was granted." example:"wait=25"`
	CacheControl      string `header:"Cache-Control" hidden:"true"`
	Body              enlace.Channel
}

func (h *handlers) getChannel(ctx context.Context, in *getChannelInput) (*channelOutput, error) {
	wait := time.Duration(0)
	if in.IfNoneMatch != "" && in.IfNoneMatch != anyTag {
		wait = preferredWait(in.Prefer, h.MaxHold)
	}
	changed := func(c enlace.Channel) bool {
		return in.IfNoneMatch == "" || noneMatch(in.IfNoneMatch, etag(c.Version))
	}
	channel, err := h.awaitChannel(ctx, in.ChannelPath, wait, changed)
	if err != nil {
		return nil, err
	}
	out := &channelOutput{
		Status:            http.StatusOK,
		ETag:              etag(channel.Version),
		RetryAfter:        retryAfter(channel),
		PreferenceApplied: applied(wait),
		CacheControl:      private,
	}
	if !changed(channel) {
		out.Status = http.StatusNotModified
		return out, nil
	}
	out.Body = shown(ctx, channel)
	return out, nil
}

// awaitChannel reads a channel, until it is as the caller wants it or the wait is over.
func (h *handlers) awaitChannel(ctx context.Context, path ChannelPath, wait time.Duration, wanted func(enlace.Channel) bool) (enlace.Channel, error) {
	if wait == 0 {
		return h.Store.Channel(ctx, path.CompanyID, path.ChannelID)
	}
	held, cancel := h.hold(ctx, wait)
	defer cancel()
	watch := h.Store.WatchChannel(path.ChannelID) // before the first read, so that no change falls between
	defer watch.Stop()
	for {
		channel, err := h.Store.Channel(ctx, path.CompanyID, path.ChannelID)
		if err != nil || wanted(channel) {
			return channel, err
		}
		if watch.Wait(held) != nil {
			return channel, nil
		}
	}
}

// shown is the channel as the caller may see it.
func shown(ctx context.Context, c enlace.Channel) enlace.Channel {
	if !seesSecrets(ctx) {
		c.QR, c.PairingCode, c.Passkey = nil, "", nil
	}
	return c
}

// The seconds after which a channel is worth another look: while it connects its
// codes roll; then only what happens at WhatsApp, or somebody's wish, changes it.
const (
	retryConnecting = 1
	retrySettled    = 30
)

func retryAfter(c enlace.Channel) *int {
	seconds := retrySettled
	if c.Status == enlace.Connecting {
		seconds = retryConnecting
	}
	return &seconds
}
