package handlers

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

const keysPath = "/v1/keys"

func (h *handlers) registerKeys(api huma.API) {
	register(api, Access{Least: store.Admin}, huma.Operation{
		OperationID: "createKey", Method: http.MethodPost, Path: keysPath, DefaultStatus: http.StatusCreated, Tags: []string{tagKeys},
		Summary: "Make an API key",
		Description: "The key itself stands in `key` of this answer and can never be seen again. " +
			"A caller whose own key is limited to some companies can make keys for those companies only (403 otherwise).",
	}, h.createKey)
	register(api, Access{Least: store.Admin}, huma.Operation{
		OperationID: "listKeys", Method: http.MethodGet, Path: keysPath, Tags: []string{tagKeys},
		Summary:     "List the API keys",
		Description: "Those that reach no company which the caller's own key does not reach.",
	}, h.listKeys)
	register(api, Access{Least: store.Admin, Codes: []enlace.Code{enlace.CodeNotFound}}, huma.Operation{
		OperationID: "deleteKey", Method: http.MethodDelete, Path: keysPath + "/{keyId}", DefaultStatus: http.StatusNoContent, Tags: []string{tagKeys},
		Summary:     "Revoke an API key",
		Description: "It is refused after a minute at the latest. A key that the caller does not see listed is not found; a key may revoke itself.",
	}, h.deleteKey)
}

type createKeyInput struct {
	Body KeyRequest
}

// KeyRequest asks for an API key.
type KeyRequest struct {
	_         struct{}   `additionalProperties:"false"`
	Name      string     `json:"name,omitempty" maxLength:"100" doc:"For people: where the key is used." example:"dashboard"`
	Role      store.Role `json:"role" enum:"viewer,operator,admin" doc:"What the key may do; each role may all that the one before it may." example:"operator"`
	Companies []string   `json:"companies" minItems:"1" maxItems:"100" uniqueItems:"true" pattern:"^([A-Za-z0-9_-]{1,64}|\\*)$" doc:"The companies that the key reaches; \"*\" alone means all." example:"acme"`
}

type createKeyOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         NewKey
}

// NewKey is an API key that was just made, with its secret.
type NewKey struct {
	store.APIKey
	Key string `json:"key" doc:"The key, for Authorization: Bearer. It is shown this once." example:"enl_0a1b2c3d4e5f6g7h8j9k_…"`
}

func (h *handlers) createKey(ctx context.Context, in *createKeyInput) (*createKeyOutput, error) {
	key := store.APIKey{Name: in.Body.Name, Role: in.Body.Role, Companies: in.Body.Companies}
	if slices.Contains(key.Companies, store.AllCompanies) && len(key.Companies) > 1 {
		return nil, enlace.Errorf(enlace.CodeInvalidRequest, "companies is either a list of companies or %q alone", store.AllCompanies)
	}
	if !within(key, caller(ctx)) {
		return nil, enlace.Errorf(enlace.CodeForbidden, "a key that is limited to some companies makes keys for those companies only")
	}
	token := store.NewToken()
	key, err := h.Store.PutKey(ctx, token, key)
	if err != nil {
		return nil, err
	}
	return &createKeyOutput{CacheControl: private, Body: NewKey{APIKey: key, Key: token}}, nil
}

type listKeysOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         KeyList
}

// KeyList is the API keys that the caller may manage.
type KeyList struct {
	Keys []store.APIKey `json:"keys"`
}

func (h *handlers) listKeys(ctx context.Context, _ *struct{}) (*listKeysOutput, error) {
	keys, err := h.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	by := caller(ctx)
	keys = slices.DeleteFunc(keys, func(key store.APIKey) bool { return !within(key, by) })
	return &listKeysOutput{CacheControl: private, Body: KeyList{keys}}, nil
}

type deleteKeyInput struct {
	KeyID string `path:"keyId" maxLength:"64" doc:"The key's id." example:"key_0a1b2c3d4e5f6g7h8j9k"`
}

func (h *handlers) deleteKey(ctx context.Context, in *deleteKeyInput) (*struct{}, error) {
	keys, err := h.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	by := caller(ctx)
	at := slices.IndexFunc(keys, func(key store.APIKey) bool { return key.ID == in.KeyID && within(key, by) })
	if at < 0 {
		return nil, enlace.Errorf(enlace.CodeNotFound, "no such key")
	}
	return nil, h.Store.DeleteKey(ctx, in.KeyID)
}

// within reports whether key reaches no company that by does not reach.
func within(key, by store.APIKey) bool {
	for _, company := range key.Companies {
		if company == store.AllCompanies && !slices.Contains(by.Companies, store.AllCompanies) || !by.Reaches(company) {
			return false
		}
	}
	return true
}
