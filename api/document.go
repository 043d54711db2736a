package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/handlers"
)

const about = `WhatsApp connections as HTTP state that you poll.

Connect a channel with ` + "`POST /v1/companies/{companyId}/channels`" + `, poll it, show the QR code that appears in it, and it becomes ` + "`active`" + `. ` +
	`Every request but those of the service itself needs an API key: ` + "`Authorization: Bearer enl_…`" + `. ` +
	`What belongs to a company that the key does not reach is 404; what the key's role may not do is 403. ` +
	`Every failure is a problem (RFC 9457) with a stable ` + "`code`" + `. Unknown fields and query parameters are refused.`

// document is the framework's configuration, with all that the documents say
// beside the operations. The framework's own pages are off: its documents page
// loads scripts from elsewhere.
func document(version string) huma.Config {
	config := huma.Config{OpenAPI: &huma.OpenAPI{
		Info: &huma.Info{Title: "enlace", Version: version, Description: about, License: &huma.License{Name: "MPL-2.0", URL: "https://www.mozilla.org/MPL/2.0/"}},
		Tags: []*huma.Tag{
			{Name: "channels", Description: "A channel is one WhatsApp connection of a company, unique by type and name."},
			{Name: "linking", Description: "What a person does once to link an account: scan a QR code, or answer for its passkey."},
			{Name: "events", Description: "A channel's log: numbered, without gaps, kept for a month."},
			{Name: "keys", Description: "API keys, their roles and the companies that they reach."},
			{Name: "service", Description: "Whether the service is well. No key is needed."},
		},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				bearerScheme: {Type: "http", Scheme: "bearer", BearerFormat: "enl_<id>_<secret>", Description: "An API key."},
			},
		},
	}}
	config.OpenAPI.OnAddOperation = []huma.AddOpFunc{describeOperation}
	config.Formats = huma.DefaultFormats
	config.DefaultFormat = "application/json"
	config.AllowAdditionalPropertiesByDefault = true // answers may grow; requests say themselves that they may not
	return config
}

const bearerScheme = "apiKey"

// describeOperation adds to an operation what follows from its access: the key,
// the least role, and the problems by status.
func describeOperation(_ *huma.OpenAPI, op *huma.Operation) {
	access, _ := handlers.AccessOf(op)
	codes := slices.Clone(access.Codes)
	op.Security = []map[string][]string{}
	if !access.Public {
		op.Security = []map[string][]string{{bearerScheme: {}}}
		op.Description = strings.TrimSpace(op.Description + "\n\nLeast role: " + string(access.Least) + ".")
		codes = append(codes, enlace.CodeUnauthorized, enlace.CodeForbidden, enlace.CodeUnavailable, enlace.CodeInternal)
	}
	if strings.Contains(op.Path, "{companyId}") {
		codes = append(codes, enlace.CodeNotFound)
	}
	if len(op.Parameters) > 0 || op.RequestBody != nil {
		codes = append(codes, enlace.CodeInvalidRequest)
	}
	if op.RequestBody != nil {
		codes = append(codes, enlace.CodeBodyTooLarge, enlace.CodeUnsupportedMedia)
	}
	if unchanged := op.Responses[notModified]; unchanged != nil {
		unchanged.Headers = op.Responses["200"].Headers
	}
	describeParameters(op)
	describeProblems(op, codes)
}

// describeParameters documents the form of identifiers, which the edge checks
// before the framework sees the request.
func describeParameters(op *huma.Operation) {
	for _, p := range op.Parameters {
		if p.In == "path" {
			schema := *p.Schema
			schema.Pattern = "^[A-Za-z0-9_-]{1,64}$"
			p.Schema = &schema
		}
	}
}

func describeProblems(op *huma.Operation, codes []enlace.Code) {
	delete(op.Responses, "default")
	byStatus := map[int][]string{}
	for _, code := range codes {
		status := statuses[code]
		name := "`" + string(code) + "`"
		if !slices.Contains(byStatus[status], name) {
			byStatus[status] = append(byStatus[status], name)
		}
	}
	for status, names := range byStatus {
		slices.Sort(names)
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status) + ": " + strings.Join(names, ", ") + ".",
			Content:     map[string]*huma.MediaType{problemType: {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}},
		}
	}
}

// OpenAPI returns the API's description in OpenAPI 3.1 and, for tools that do
// not know it yet, in 3.0, both as indented JSON. version is the program's.
func OpenAPI(version string) (v31, v30 []byte, err error) {
	e := &edge{}
	_, operations := e.routes(Config{Version: version}.withDefaults())
	return render(operations.OpenAPI())
}

func render(document *huma.OpenAPI) (v31, v30 []byte, err error) {
	if v31, err = document.MarshalJSON(); err != nil {
		return nil, nil, fmt.Errorf("OpenAPI 3.1: %w", err)
	}
	if v30, err = downgrade(document); err != nil {
		return nil, nil, fmt.Errorf("OpenAPI 3.0: %w", err)
	}
	return indent(v31), indent(v30), nil
}

// downgrade is the framework's, and takes out a keyword that it leaves behind
// and 3.0 does not have.
func downgrade(document *huma.OpenAPI) ([]byte, error) {
	v30, err := document.Downgrade()
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(v30, &tree); err != nil {
		return nil, err
	}
	without(tree, "contentMediaType")
	return json.Marshal(tree)
}

func without(tree any, keyword string) {
	switch t := tree.(type) {
	case map[string]any:
		delete(t, keyword)
		for _, v := range t {
			without(v, keyword)
		}
	case []any:
		for _, v := range t {
			without(v, keyword)
		}
	}
}

func indent(document []byte) []byte {
	var b bytes.Buffer
	_ = json.Indent(&b, document, "", "  ") // it was made by an encoder
	b.WriteByte('\n')
	return b.Bytes()
}

// documents serves the descriptions and the page for people. They are made when
// one is first asked for: a process that starts for a single request pays nothing.
func (e *edge) documents(router *chi.Mux, document *huma.OpenAPI) {
	descriptions := sync.OnceValues(func() ([2][]byte, error) {
		v31, v30, err := render(document)
		return [2][]byte{v31, v30}, err
	})
	router.Get("/openapi.json", e.constant("application/json", func() ([]byte, error) {
		both, err := descriptions()
		return both[0], err
	}))
	router.Get("/openapi-3.0.json", e.constant("application/json", func() ([]byte, error) {
		both, err := descriptions()
		return both[1], err
	}))
	page := e.constant("text/html; charset=utf-8", sync.OnceValues(func() ([]byte, error) { return docsPage(document) }))
	router.Get("/docs", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		page(w, r)
	})
}

func (e *edge) constant(contentType string, body func() ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := body()
		if err != nil {
			e.write(w, r, problemOf(err))
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(b) // nobody is left to tell
	}
}
