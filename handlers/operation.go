package handlers

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// MaxBody is the largest request body that is read, in bytes.
const MaxBody = 1 << 20

// bodyTimeout bounds the reading of a body, so that a caller who dribbles does
// not hold a connection for ever. The deadline stays on the connection: an
// operation that reads a body and then holds must lift it.
const bodyTimeout = 30 * time.Second

// Access is what the edge must know of an operation.
type Access struct {
	// Least is the least role that may call it.
	Least store.Role
	// Codes are the errors of its own, besides those that Least and its input bring along.
	Codes []enlace.Code
	// Public operations need no key.
	Public bool
}

const accessMetadata = "access"

// AccessOf returns the access of an operation that this package registered.
func AccessOf(op *huma.Operation) (Access, bool) {
	access, ok := op.Metadata[accessMetadata].(Access)
	return access, ok
}

// register adds an operation. Query parameters that it does not have are refused
// as unknown fields of bodies are: a caller who misspells one is told.
func register[I, O any](api huma.API, access Access, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	if access.Public == (access.Least != "") {
		panic("operation " + op.OperationID + " must be public or have a least role")
	}
	op.Metadata = map[string]any{accessMetadata: access}
	op.MaxBodyBytes = MaxBody + 1 // at which huma refuses
	op.BodyReadTimeout = bodyTimeout
	op.RejectUnknownQueryParameters = true
	huma.Register(api, op, handle)
}

// The tags that group the operations in the documents.
const (
	tagChannels = "channels"
	tagLinking  = "linking"
	tagEvents   = "events"
	tagMessages = "messages"
	tagKeys     = "keys"
	tagService  = "service"
)

// CompanyPath and ChannelPath are the identifiers in paths. Their form is
// checked at the edge, before anything is looked up.
type CompanyPath struct {
	CompanyID string `path:"companyId" maxLength:"64" doc:"The company's id: A–Z, a–z, 0–9, _ and -." example:"acme"`
}

type ChannelPath struct {
	CompanyPath
	ChannelID string `path:"channelId" maxLength:"64" doc:"The channel's id." example:"ch_2x7c9k4m0q8v5t1w3z6y"`
}

// private keeps answers out of every cache: they hold secrets, or are one
// company's alone.
const private = "private, no-store"
