package api

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/handlers"
	"github.com/enlacehq/enlace/store"
)

// guard stands before every operation: it checks the identifiers in the path,
// whose key the caller has, whether the key reaches the company and whether its
// role is large enough, in this order. Nothing of another company's is told from
// what does not exist.
type guard struct {
	api   huma.API
	store *store.Store
}

func (g *guard) admit(ctx huma.Context, next func(huma.Context)) {
	access, ok := handlers.AccessOf(ctx.Operation())
	if !ok {
		panic("operation without access: " + ctx.Operation().OperationID)
	}
	if access.Public {
		next(ctx)
		return
	}
	key, err := g.check(ctx, access.Least)
	if err != nil {
		if enlace.CodeOf(err) == enlace.CodeUnauthorized {
			ctx.SetHeader("WWW-Authenticate", "Bearer")
		}
		_ = huma.WriteErr(g.api, ctx, http.StatusInternalServerError, "", err)
		return
	}
	next(huma.WithContext(ctx, handlers.WithCaller(ctx.Context(), key)))
}

func (g *guard) check(ctx huma.Context, least store.Role) (store.APIKey, error) {
	key, err := g.store.Authenticate(ctx.Context(), bearer(ctx.Header("Authorization")))
	if err != nil {
		return store.APIKey{}, err
	}
	for _, name := range pathIDs {
		if id := ctx.Param(name); id != "" && !enlace.ValidID(id) {
			return store.APIKey{}, enlace.Errorf(enlace.CodeInvalidRequest, "%s must be 1 to 64 of A–Z, a–z, 0–9, _ and -", name)
		}
	}
	if company := ctx.Param("companyId"); company != "" && !key.Reaches(company) {
		return store.APIKey{}, enlace.Errorf(enlace.CodeNotFound, "no such company")
	}
	if !key.Role.Includes(least) {
		return store.APIKey{}, enlace.Errorf(enlace.CodeForbidden, "this needs a key of role %s; this one is of role %s", least, key.Role)
	}
	return key, nil
}

// pathIDs are the path parameters that are identifiers: all of them.
var pathIDs = []string{"companyId", "channelId", "keyId"}

// bearer returns the token of an Authorization header, empty if it has none.
func bearer(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
