package handlers

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func (h *handlers) registerWorkers(api huma.API) {
	register(api, Access{Least: store.Admin}, huma.Operation{
		OperationID: "listWorkers", Method: http.MethodGet, Path: "/v1/workers", Tags: []string{tagService},
		Summary: "List the workers",
		Description: "The processes that own channels, oldest first. They work for all companies: a key that is limited to some is refused (403). " +
			"A worker that died without taking leave stands here until it is taken for dead.",
	}, h.listWorkers)
}

type listWorkersOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         WorkerList
}

// WorkerList is the workers of the installation.
type WorkerList struct {
	Workers []Worker `json:"workers"`
}

// Worker is a process that owns channels.
type Worker struct {
	ID          string            `json:"id" doc:"Begins with wk_: new at every start." example:"wk_2x7c9k4m0q8v5t1w3z6y"`
	State       store.WorkerState `json:"state" enum:"live,draining" doc:"draining: it is leaving, and takes no channels." example:"live"`
	StartedAt   time.Time         `json:"startedAt" doc:"When it started."`
	Channels    int               `json:"channels" doc:"How many channels it owned at its last heartbeat." example:"120"`
	MaxChannels int               `json:"maxChannels,omitempty" doc:"How many it owns at most; left out when there is no limit." example:"500"`
}

func (h *handlers) listWorkers(ctx context.Context, _ *struct{}) (*listWorkersOutput, error) {
	if !caller(ctx).Reaches(store.AllCompanies) {
		return nil, enlace.Errorf(enlace.CodeForbidden, "workers are shown to keys for all companies only")
	}
	found, err := h.Store.Workers(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Worker, 0, len(found))
	for _, w := range found {
		list = append(list, Worker{ID: w.ID, State: w.State, StartedAt: w.StartedAt, Channels: w.Channels, MaxChannels: w.Limit})
	}
	slices.SortStableFunc(list, func(a, b Worker) int { return a.StartedAt.Compare(b.StartedAt) })
	return &listWorkersOutput{CacheControl: private, Body: WorkerList{list}}, nil
}
