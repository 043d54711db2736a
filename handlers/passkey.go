package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func (h *handlers) registerPasskey(api huma.API) {
	codes := []enlace.Code{enlace.CodeNotFound, enlace.CodeNoPasskey}
	register(api, Access{Least: store.Operator, Codes: codes}, huma.Operation{
		OperationID: "answerPasskey", Method: http.MethodPost, Path: channelPath + "/passkey", DefaultStatus: http.StatusAccepted, Tags: []string{tagLinking},
		Summary: "Answer the passkey request",
		Description: "For an account that is protected by a passkey the channel shows `passkey.request`: give it to `navigator.credentials.get({publicKey})` in a browser " +
			"and post what `credential.toJSON()` returns. It is kept sealed for at most two minutes.",
	}, h.answerPasskey)
	register(api, Access{Least: store.Operator, Codes: codes}, huma.Operation{
		OperationID: "confirmPasskey", Method: http.MethodPost, Path: channelPath + "/passkey/confirm", DefaultStatus: http.StatusAccepted, Tags: []string{tagLinking},
		Summary:     "Confirm that the phone shows the same code",
		Description: "After the answer the channel may show `passkey.code`. Confirm it once a person has seen the same code on the phone.",
	}, h.confirmPasskey)
}

type passkeyInput struct {
	ChannelPath
	Body PasskeyAnswer
}

// PasskeyAnswer is a WebAuthn assertion, as a browser's credential.toJSON() gives
// it. What it holds beyond these members is not needed, and dropped.
type PasskeyAnswer struct {
	_        struct{}         `additionalProperties:"true"`
	ID       string           `json:"id" minLength:"1" maxLength:"2048" doc:"The credential's id."`
	RawID    string           `json:"rawId" minLength:"1" maxLength:"2048" pattern:"^[A-Za-z0-9_-]+$" doc:"The same in base64url."`
	Type     string           `json:"type" enum:"public-key" example:"public-key"`
	Response PasskeyAssertion `json:"response"`
}

// PasskeyAssertion is what the authenticator signed, in base64url.
type PasskeyAssertion struct {
	_                 struct{} `additionalProperties:"true"`
	ClientDataJSON    string   `json:"clientDataJSON" minLength:"1" maxLength:"16384" pattern:"^[A-Za-z0-9_-]+$"`
	AuthenticatorData string   `json:"authenticatorData" minLength:"1" maxLength:"16384" pattern:"^[A-Za-z0-9_-]+$"`
	Signature         string   `json:"signature" minLength:"1" maxLength:"16384" pattern:"^[A-Za-z0-9_-]+$"`
	UserHandle        string   `json:"userHandle,omitempty" maxLength:"2048" pattern:"^[A-Za-z0-9_-]*$"`
}

func (h *handlers) answerPasskey(ctx context.Context, in *passkeyInput) (*acceptedOutput, error) {
	answer, err := json.Marshal(in.Body)
	if err != nil {
		return nil, fmt.Errorf("encode passkey answer: %w", err)
	}
	channel, err := h.Store.AnswerPasskey(ctx, in.CompanyID, in.ChannelID, answer)
	if err != nil {
		return nil, err
	}
	return h.accepted(ctx, channel), nil
}

func (h *handlers) confirmPasskey(ctx context.Context, in *channelInput) (*acceptedOutput, error) {
	channel, err := h.Store.ConfirmPasskey(ctx, in.CompanyID, in.ChannelID)
	if err != nil {
		return nil, err
	}
	return h.accepted(ctx, channel), nil
}
