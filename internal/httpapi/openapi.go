package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"theeye/internal/query"
)

//go:generate go run theeye/internal/httpapi/generate ../../api/openapi.yaml

func pathID(text string) param { return param{name: "id", in: "path", text: text, required: true} }

func appParam() param {
	return param{name: "app", text: "any of these applications; for keys of all applications", repeatable: true}
}

func timeZoneParam() param {
	return param{name: query.TimeZoneParam, text: "an IANA name like Europe/Berlin, of times without a zone; by default that of the key's application, for keys of all applications UTC"}
}

func limitParam() param {
	return param{name: "limit", text: "1 to " + strconv.Itoa(query.MaxLimit) + ", default " + strconv.Itoa(query.DefaultLimit), number: true}
}

func cursorParam() param {
	return param{name: "cursor", text: "next_cursor of the page before; the other parameters must stay as they were"}
}

// idText stands for a UUID in the document.
type idText string

// Schema implements huma.SchemaProvider.
func (idText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}

// OpenAPI returns the document of all routes.
func OpenAPI(legacy bool) *huma.OpenAPI {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(schemaOf[jsontext.Value](), schemaOf[any]())
	registry.RegisterTypeAlias(schemaOf[uuid.UUID](), schemaOf[idText]())
	api := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "The Eye", Version: "1",
			Description: "Collects the events of web applications, stores them and lets people query them.",
			License:     &huma.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		Servers: []*huma.Server{
			{URL: "/", Description: "the server that this document comes from"},
			{URL: "http://127.0.0.1:8080", Description: "eye serve with its default address"},
		},
		// In the order in which a newcomer needs them.
		Tags: []*huma.Tag{
			{Name: "intake", Description: "Sending events."},
			{Name: "reading", Description: "Events, sessions, counts and receipts."},
			{Name: "rejections", Description: "Events that were refused, and replaying them."},
			{Name: "event types", Description: "Categories and names, and the JSON Schemas of their data."},
			{Name: "applications and keys", Description: "Who may send and read, settings, and the audit trail."},
			{Name: "backup", Description: "What eye backup fetches."},
			{Name: "operation", Description: "Health, metrics, and this document."},
		},
		Components: &huma.Components{
			Schemas: registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer": {Type: "http", Scheme: "bearer", Description: "a key of The Eye"},
				"basic":  {Type: "http", Scheme: "basic", Description: "the key as user name"},
			},
		},
	}
	s := &Server{}
	if legacy {
		s.opts.LegacyApp = "legacy"
		api.Tags = append(api.Tags, &huma.Tag{Name: legacyTag, Description: "The one address of the service that The Eye replaces, as its callers know it."})
	}
	for _, rt := range s.routes() {
		if !rt.doc.hidden {
			api.AddOperation(operation(rt, registry))
		}
	}
	for _, schema := range registry.Map() {
		withoutNullLists(schema)
	}
	return api
}

// withoutNullLists states that a list is a list: no answer has null for one, and no body may.
func withoutNullLists(schema *huma.Schema) {
	if schema == nil {
		return
	}
	if schema.Type == huma.TypeArray {
		schema.Nullable = false
	}
	withoutNullLists(schema.Items)
	for _, property := range schema.Properties {
		withoutNullLists(property)
	}
}

func operation(rt route, registry huma.Registry) *huma.Operation {
	op := &huma.Operation{
		Method: rt.method, Path: strings.TrimSuffix(rt.path, "{$}"), OperationID: rt.doc.id, Tags: []string{rt.doc.tag},
		Summary: rt.doc.summary, Description: rt.doc.text, Responses: map[string]*huma.Response{},
	}
	for _, p := range rt.doc.params {
		op.Parameters = append(op.Parameters, parameter(p))
	}
	if rt.doc.body != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: registry.Schema(rt.doc.body, true, ""), Examples: examples(rt.doc.examples)},
		}}
		if rt.doc.lines != "" {
			op.RequestBody.Content["application/x-ndjson"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}, Example: rt.doc.lines}
		}
	}
	for _, a := range rt.doc.answers {
		r := &huma.Response{Description: a.text}
		if a.body == nil && rt.doc.answerTypes != nil {
			r.Content = map[string]*huma.MediaType{}
			for _, t := range rt.doc.answerTypes {
				r.Content[t] = &huma.MediaType{}
			}
		}
		if a.body != nil {
			r.Content = map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(a.body, true, "")}}
		}
		op.Responses[strconv.Itoa(a.status)] = r
	}
	media, details := "application/problem+json", schemaOf[ProblemDetails]()
	if rt.path == legacyPath {
		media, details = "application/json", schemaOf[LegacyMessage]()
	}
	errors := append([]int{http.StatusBadRequest}, rt.doc.errors...) // of a query that is not well-formed
	if strings.Contains(rt.path, "{") || slices.ContainsFunc(rt.doc.params, func(p param) bool { return p.name == "app" }) {
		errors = append(errors, http.StatusNotFound)
	}
	op.Security = []map[string][]string{}
	op.Extensions = map[string]any{"x-access": accessName(rt.access)}
	if rt.access != open {
		op.Security = []map[string][]string{{"bearer": {}}, {"basic": {}}}
		errors = append([]int{http.StatusUnauthorized, http.StatusForbidden}, errors...)
	}
	for _, status := range errors {
		key := strconv.Itoa(status)
		if op.Responses[key] == nil {
			op.Responses[key] = &huma.Response{
				Description: http.StatusText(status),
				Content:     map[string]*huma.MediaType{},
			}
		}
		op.Responses[key].Content[media] = &huma.MediaType{Schema: registry.Schema(details, true, "")}
	}
	return op
}

func examples(values map[string]any) map[string]*huma.Example {
	named := map[string]*huma.Example{}
	for name, value := range values {
		named[name] = &huma.Example{Value: value}
	}
	return named
}

func accessName(a access) string {
	return map[access]string{open: "open", forWrite: "write", forRead: "read", forAdmin: "admin", forMetric: "metrics"}[a]
}

func parameter(p param) *huma.Param {
	schema := &huma.Schema{Type: huma.TypeString}
	if p.number {
		schema.Type = huma.TypeInteger
	}
	for _, v := range p.enum {
		schema.Enum = append(schema.Enum, v)
	}
	if p.repeatable {
		schema = &huma.Schema{Type: huma.TypeArray, Items: schema}
	}
	in := p.in
	if in == "" {
		in = "query"
	}
	return &huma.Param{Name: p.name, In: in, Description: p.text, Required: p.required, Schema: schema}
}

// exact is the parameter that names one session in a query.
const exact = "exact"

func exactParam(required bool) param {
	return param{name: exact, required: required, enum: []string{"1"}, text: "1: the session with this very id"}
}
