package handlers

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func (h *handlers) registerQR(api huma.API) {
	register(api, Access{Least: store.Operator, Codes: []enlace.Code{enlace.CodeNotFound, enlace.CodeNoQR, enlace.CodeNotAcceptable}}, huma.Operation{
		OperationID: "getChannelQR", Method: http.MethodGet, Path: channelPath + "/qr", Tags: []string{tagLinking},
		Summary: "Get the QR code to scan",
		Description: "In the form that `Accept` asks for: a PNG image if it does not say, an SVG image, text that a dark terminal shows and a phone scans, or JSON with the code itself. " +
			"The code is a credential: whoever scans it links the account. It changes; `qr.attempt` of the channel counts. `no_qr` says why there is none and, in `Retry-After`, when to look again.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The code that is to be scanned now.",
			Headers:     map[string]*huma.Param{},
			Content: map[string]*huma.MediaType{
				typePNG:  {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
				typeSVG:  {Schema: &huma.Schema{Type: huma.TypeString}},
				typeText: {Schema: &huma.Schema{Type: huma.TypeString}},
				typeJSON: {Schema: api.OpenAPI().Components.Schemas.Schema(qrType, true, "")},
			},
		}},
	}, h.getQR)
}

type getQRInput struct {
	ChannelPath
	Accept string `header:"Accept" doc:"image/png, image/svg+xml, text/plain or application/json." example:"image/png"`
}

type qrOutput struct {
	ContentType  string `header:"Content-Type" hidden:"true"`
	RetryAfter   int    `header:"Retry-After" doc:"Seconds after which the code may have changed."`
	Vary         string `header:"Vary" hidden:"true"`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         []byte
}

func (h *handlers) getQR(ctx context.Context, in *getQRInput) (*qrOutput, error) {
	contentType, ok := negotiate(in.Accept, qrTypes)
	if !ok {
		return nil, enlace.Errorf(enlace.CodeNotAcceptable, "a QR code comes as image/png, image/svg+xml, text/plain or application/json")
	}
	channel, err := h.Store.Channel(ctx, in.CompanyID, in.ChannelID)
	if err != nil {
		return nil, err
	}
	if channel.QR == nil || !time.Now().Before(channel.QR.ExpiresAt) {
		headers := http.Header{"Retry-After": {strconv.Itoa(*retryAfter(channel))}}
		return nil, huma.ErrorWithHeaders(enlace.Errorf(enlace.CodeNoQR, "%s", whyNoQR(channel)), headers)
	}
	body, err := render(*channel.QR, contentType)
	if err != nil {
		return nil, err
	}
	return &qrOutput{ContentType: contentType, RetryAfter: retryConnecting, Vary: "Accept", CacheControl: private, Body: body}, nil
}

func render(qr enlace.QR, contentType string) ([]byte, error) {
	if contentType == typeJSON {
		return json.Marshal(qr)
	}
	drawing, err := draw(qr.Code)
	if err != nil {
		return nil, err
	}
	switch contentType {
	case typeSVG:
		return drawing.svg(), nil
	case typeText:
		return drawing.text(), nil
	default:
		return drawing.png(), nil
	}
}

// whyNoQR says, to people, why there is no code to scan and what to do.
func whyNoQR(c enlace.Channel) string {
	switch c.Status {
	case enlace.Active:
		return "the channel is active: there is nothing to scan"
	case enlace.Inactive:
		return "the channel is inactive (" + string(c.Reason) + "): connect it first"
	case enlace.Failed:
		return "the channel is in error (" + string(c.Reason) + "): connect it again first"
	}
	switch {
	case c.Reason != "":
		return "the channel is linked and reconnecting (" + string(c.Reason) + "): there is nothing to scan"
	case c.PairingCode != "":
		return "the channel is linked by a pairing code: type the channel's pairingCode on the phone"
	case c.Passkey != nil:
		return "WhatsApp asks for the account's passkey: answer the channel's passkey"
	case c.QR != nil:
		return "the code has expired and the next one is not there yet"
	case c.Reconnect != nil:
		return "WhatsApp could not be reached yet: it is tried again at " + c.Reconnect.NextAt.Format(time.RFC3339)
	default:
		return "no code is there yet: it is on its way, or the account has just accepted"
	}
}
