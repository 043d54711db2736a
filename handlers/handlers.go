// Package handlers has the operations of the HTTP API, one file for each
// resource: what a request must look like, what it asks of the store and the
// queue, and what the answer says. Who may call an operation is declared here
// and enforced at the edge; errors go out as they come from the store, and the
// edge turns their codes into problems.
package handlers

import (
	"context"
	"log/slog"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/store"
)

// Config is what the operations need.
type Config struct {
	Store *store.Store
	Queue queue.Queue          // where connect jobs go
	Types []enlace.ChannelType // that some worker of this installation can connect
	Log   *slog.Logger
	// MaxHold caps what Prefer: wait may ask for.
	MaxHold time.Duration
	// Draining ends every hold when it is done, because the server goes away.
	Draining context.Context
}

type handlers struct {
	Config
}

// Register adds all operations to api.
func Register(api huma.API, config Config) {
	h := &handlers{config}
	h.registerChannels(api)
	h.registerLifecycle(api)
	h.registerQR(api)
	h.registerPasskey(api)
	h.registerEvents(api)
	h.registerMessages(api)
	h.registerKeys(api)
	h.registerWorkers(api)
	h.registerHealth(api)
	describe(api.OpenAPI().Components.Schemas)
}

type callerKey struct{}

// WithCaller returns a context that says by whose key a request is made.
func WithCaller(ctx context.Context, key store.APIKey) context.Context {
	return context.WithValue(ctx, callerKey{}, key)
}

// caller returns the key of a request. Without one it is a key that may nothing.
func caller(ctx context.Context) store.APIKey {
	key, _ := ctx.Value(callerKey{}).(store.APIKey)
	return key
}

// seesSecrets reports whether the caller may see what links an account.
func seesSecrets(ctx context.Context) bool { return caller(ctx).Role.Includes(store.Operator) }
