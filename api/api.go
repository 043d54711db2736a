// Package api is the HTTP edge: it routes requests to the operations of package
// handlers, lets in who may, bounds what is read, and turns every failure into
// a problem with a stable code. It holds no state but the store's key cache.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/handlers"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/store"
)

// DefaultMaxHold caps what a caller may ask for with Prefer: wait.
const DefaultMaxHold = 60 * time.Second

// Config is what the API needs. Store and Queue must be there.
type Config struct {
	Store *store.Store
	Queue queue.Queue
	// Types are the channel types that some worker of this installation can
	// connect; asking for another is refused.
	Types   []enlace.ChannelType
	Log     *slog.Logger // slog.Default when nil
	Version string       // of the program, for the documents
	// MaxHold caps Prefer: wait; DefaultMaxHold when 0. Where a waiting request
	// costs as much as a working one, make it small.
	MaxHold time.Duration
	// Draining, when it is done, ends every held request with what there is, so
	// that a server which shuts down need not wait for them. Requests that do not
	// hold are not touched. Never, when nil.
	Draining context.Context
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.MaxHold == 0 {
		c.MaxHold = DefaultMaxHold
	}
	if c.Draining == nil {
		c.Draining = context.Background()
	}
	return c
}

// New returns the API. A server in front of it may bound the reading of headers
// and idle connections, but not the writing of answers: a held request writes
// late.
func New(c Config) http.Handler {
	c = c.withDefaults()
	e := &edge{log: c.Log}
	router, operations := e.routes(c)
	e.documents(router, operations.OpenAPI())
	return e.outermost(router)
}

// edge is what all requests share.
type edge struct{ log *slog.Logger }

// routes returns a router with all operations on it.
func (e *edge) routes(c Config) (*chi.Mux, huma.API) {
	router := chi.NewRouter()
	router.Use(middleware.GetHead)
	router.NotFound(e.unknownPath)
	router.MethodNotAllowed(e.wrongMethod)
	config := document(c.Version)
	config.Transformers = []huma.Transformer{e.finish}
	operations := humachi.New(router, config)
	guard := &guard{api: operations, store: c.Store}
	operations.UseMiddleware(guard.admit)
	handlers.Register(operations, handlers.Config{
		Store: c.Store, Queue: c.Queue, Types: c.Types, Log: c.Log, MaxHold: c.MaxHold, Draining: c.Draining,
	})
	return router, operations
}
