package api

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsHTML string

// docsPage renders the description for people, as one page that needs nothing
// from anywhere else and runs no script.
func docsPage(document *huma.OpenAPI) ([]byte, error) {
	page, err := template.New("docs").Funcs(template.FuncMap{"prose": prose}).Parse(docsHTML)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := page.Execute(&b, newDocs(document)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

type docs struct {
	Title, Version, About string
	Groups                []docsGroup
}

type docsGroup struct {
	Name, About string
	Operations  []docsOperation
}

type docsOperation struct {
	*huma.Operation
	Body    string // an example, in JSON
	Curl    string
	Answers []docsAnswer
}

type docsAnswer struct {
	Status, About, Example string
	Headers                []string
}

func newDocs(document *huma.OpenAPI) docs {
	d := docs{Title: document.Info.Title, Version: document.Info.Version, About: document.Info.Description}
	operations := operationsOf(document)
	for _, tag := range document.Tags {
		group := docsGroup{Name: tag.Name, About: tag.Description}
		for _, op := range operations {
			if slices.Contains(op.Tags, tag.Name) {
				group.Operations = append(group.Operations, newDocsOperation(document.Components.Schemas, op))
			}
		}
		d.Groups = append(d.Groups, group)
	}
	return d
}

// operationsOf lists the operations by path, and by method in the usual order.
func operationsOf(document *huma.OpenAPI) []*huma.Operation {
	var operations []*huma.Operation
	for _, item := range document.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				operations = append(operations, op)
			}
		}
	}
	slices.SortFunc(operations, func(a, b *huma.Operation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(slices.Index(methodOrder, a.Method), slices.Index(methodOrder, b.Method)))
	})
	return operations
}

var methodOrder = []string{http.MethodPost, http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete}

func newDocsOperation(schemas huma.Registry, op *huma.Operation) docsOperation {
	d := docsOperation{Operation: op}
	if op.RequestBody != nil {
		d.Body = indented(example(schemas, op.RequestBody.Content["application/json"].Schema))
	}
	d.Curl = curl(op, d.Body)
	for status, response := range op.Responses {
		answer := docsAnswer{Status: status, About: response.Description}
		if content := response.Content["application/json"]; content != nil && status < "300" {
			answer.Example = indented(example(schemas, content.Schema))
		}
		for name := range response.Headers {
			answer.Headers = append(answer.Headers, name)
		}
		slices.Sort(answer.Headers)
		d.Answers = append(d.Answers, answer)
	}
	slices.SortFunc(d.Answers, func(a, b docsAnswer) int { return cmp.Compare(a.Status, b.Status) })
	return d
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// curl is a command line that calls the operation.
func curl(op *huma.Operation, body string) string {
	path := pathParameter.ReplaceAllStringFunc(op.Path, func(placeholder string) string {
		for _, p := range op.Parameters {
			if p.In == "path" && "{"+p.Name+"}" == placeholder && len(p.Schema.Examples) > 0 {
				if s, ok := p.Schema.Examples[0].(string); ok {
					return s
				}
			}
		}
		return placeholder
	})
	var b strings.Builder
	b.WriteString("curl")
	if op.Method != http.MethodGet {
		b.WriteString(" -X " + op.Method)
	}
	if len(op.Security) > 0 {
		b.WriteString(` -H "Authorization: Bearer $KEY"`)
	}
	if body != "" {
		b.WriteString(` -H "Content-Type: application/json"`)
	}
	b.WriteString(` "$ENLACE` + path + `"`)
	if body != "" {
		b.WriteString(" -d '" + body + "'")
	}
	return b.String()
}

// example builds a value of a schema from the examples in it; an optional member
// without one is left out.
func example(schemas huma.Registry, s *huma.Schema) any {
	if s.Ref != "" {
		s = schemas.SchemaFromRef(s.Ref)
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Type == huma.TypeArray:
		if item := example(schemas, s.Items); item != nil {
			return []any{item}
		}
		return []any{}
	case s.Type == huma.TypeObject:
		object := map[string]any{}
		for name, member := range s.Properties {
			value := example(schemas, member)
			if value == nil && slices.Contains(s.Required, name) {
				value = placeholder(member)
			}
			if value != nil {
				object[name] = value
			}
		}
		if len(object) == 0 {
			return nil
		}
		return object
	default:
		return nil
	}
}

func placeholder(s *huma.Schema) any {
	switch {
	case s.Format == "date-time":
		return "2026-01-31T12:00:00Z"
	case s.Type == huma.TypeString:
		return "…"
	case s.Type == huma.TypeInteger:
		return 1
	default:
		return map[string]any{}
	}
}

func indented(v any) string {
	if v == nil {
		return ""
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return strconv.Quote(err.Error())
	}
	return strings.TrimSpace(b.String())
}

var codeSpan = regexp.MustCompile("`([^`]*)`")

// prose is text with code spans and paragraphs, as it stands in the description.
func prose(text string) template.HTML {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		escaped := template.HTMLEscapeString(paragraph)
		b.WriteString("<p>" + codeSpan.ReplaceAllString(escaped, "<code>$1</code>") + "</p>\n")
	}
	return template.HTML(b.String()) // escaped above
}
