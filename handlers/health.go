package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
)

func (h *handlers) registerHealth(api huma.API) {
	register(api, Access{Public: true}, huma.Operation{
		OperationID: "health", Method: http.MethodGet, Path: "/healthz", Tags: []string{tagService},
		Summary: "Whether the process is alive",
	}, h.health)
	register(api, Access{Public: true, Codes: []enlace.Code{enlace.CodeUnavailable}}, huma.Operation{
		OperationID: "ready", Method: http.MethodGet, Path: "/readyz", Tags: []string{tagService},
		Summary: "Whether the process can serve: its store answers, and it is not going away",
	}, h.ready)
}

type healthOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         Health
}

// Health is the answer of a process that is well.
type Health struct {
	Status string `json:"status" enum:"ok" example:"ok"`
}

func healthy() *healthOutput { return &healthOutput{CacheControl: private, Body: Health{Status: "ok"}} }

func (h *handlers) health(context.Context, *struct{}) (*healthOutput, error) { return healthy(), nil }

// readyTimeout is how long a store may take to answer and still count as there.
const readyTimeout = 2 * time.Second

func (h *handlers) ready(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	if h.Draining.Err() != nil {
		return nil, enlace.Errorf(enlace.CodeUnavailable, "the server is going away")
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := h.Store.Ping(ctx); err != nil {
		h.Log.Warn("not ready: the store does not answer", "error", err)
		return nil, enlace.Errorf(enlace.CodeUnavailable, "the store does not answer")
	}
	return healthy(), nil
}
