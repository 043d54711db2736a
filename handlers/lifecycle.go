package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func (h *handlers) registerLifecycle(api huma.API) {
	register(api, Access{Least: store.Operator, Codes: []enlace.Code{enlace.CodeNotFound}}, huma.Operation{
		OperationID: "disconnectChannel", Method: http.MethodPost, Path: channelPath + "/disconnect", DefaultStatus: http.StatusAccepted, Tags: []string{tagChannels},
		Summary:     "Disconnect a channel",
		Description: "Closes the connection and keeps the credentials: the channel becomes `inactive`, reason `disconnected`, and connects again without a QR code.",
	}, h.disconnectChannel)
	register(api, Access{Least: store.Admin, Codes: []enlace.Code{enlace.CodeNotFound}}, huma.Operation{
		OperationID: "logoutChannel", Method: http.MethodPost, Path: channelPath + "/logout", DefaultStatus: http.StatusAccepted, Tags: []string{tagChannels},
		Summary:     "Log a channel out",
		Description: "Unlinks the device at WhatsApp and forgets the credentials: the channel becomes `inactive`, reason `logged_out`, and needs a new QR code to connect again.",
	}, h.logoutChannel)
	register(api, Access{Least: store.Admin, Codes: []enlace.Code{enlace.CodeNotFound}}, huma.Operation{
		OperationID: "deleteChannel", Method: http.MethodDelete, Path: channelPath, DefaultStatus: http.StatusAccepted, Tags: []string{tagChannels},
		Summary:     "Delete a channel",
		Description: "The channel is unknown from now on and its name is free. In the background its device is unlinked, as far as that can be done, and all that is stored of it is wiped.",
	}, h.deleteChannel)
}

type channelInput struct {
	ChannelPath
}

func (h *handlers) disconnectChannel(ctx context.Context, in *channelInput) (*acceptedOutput, error) {
	channel, err := h.Store.Disconnect(ctx, in.CompanyID, in.ChannelID)
	if err != nil {
		return nil, err
	}
	return h.accepted(ctx, channel), nil
}

func (h *handlers) logoutChannel(ctx context.Context, in *channelInput) (*acceptedOutput, error) {
	channel, err := h.Store.Logout(ctx, in.CompanyID, in.ChannelID)
	if err != nil {
		return nil, err
	}
	return h.accepted(ctx, channel), nil
}

type deletedOutput struct {
	CacheControl string         `header:"Cache-Control" hidden:"true"`
	Body         enlace.Channel // as it was
}

func (h *handlers) deleteChannel(ctx context.Context, in *channelInput) (*deletedOutput, error) {
	channel, err := h.Store.Delete(ctx, in.CompanyID, in.ChannelID)
	if err != nil {
		return nil, err
	}
	return &deletedOutput{CacheControl: private, Body: channel}, nil
}
