package httpapi

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

//go:generate go run theeye/internal/httpapi/generate ../../api/openapi.yaml

// idText represents a UUID in the document.
type idText string

// Schema implements huma.SchemaProvider.
func (idText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}

// OpenAPI returns the document for routes and for the routes that every server has. It does not
// need a running node.
func OpenAPI(routes []Route) *huma.OpenAPI {
	routes = slices.Concat(routes, new(Server).operationRoutes())
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[jsontext.Value](), reflect.TypeFor[any]())
	registry.RegisterTypeAlias(reflect.TypeFor[uuid.UUID](), reflect.TypeFor[idText]())
	api := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "The Eye", Version: "1",
			Description: "Collects the events of web applications, stores them and lets people query them.",
			License:     &huma.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		Servers: []*huma.Server{
			{URL: "/", Description: "the server that serves this document"},
			{URL: "http://127.0.0.1:8080", Description: "eye serve at its default address"},
		},
		// In the order in which a newcomer needs them.
		Tags: []*huma.Tag{
			{Name: "intake", Description: "Sending events."},
			{Name: "reading", Description: "Events, sessions, counts and receipts."},
			{Name: "feed", Description: "Everything that was stored, in the order in which it was stored, to be read or watched."},
			{Name: "rejections", Description: "Rejected events, and replays of them."},
			{Name: "event types", Description: "Categories and names of events, and the JSON Schemas of their data."},
			{Name: "applications and keys", Description: "Who may send and read; settings and the audit log."},
			{Name: "logins", Description: "The sign-in of people at the web page."},
			{Name: "backup", Description: "The requests that eye backup makes."},
			{Name: "operation", Description: "Health, metrics, and this document."},
		},
		Components: &huma.Components{
			Schemas: registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer": {Type: "http", Scheme: "bearer", Description: "a key of The Eye"},
				"basic":  {Type: "http", Scheme: "basic", Description: "the key as the user name"},
				"login":  {Type: "apiKey", In: "cookie", Name: secureCookie, Description: "the login of a person at the web page; without TLS, the cookie has another name"},
			},
		},
	}
	if slices.ContainsFunc(routes, func(rt Route) bool { return rt.Doc.Tag == legacyTag }) {
		api.Tags = append(api.Tags, &huma.Tag{Name: legacyTag, Description: "The address of the service that The Eye replaces, for its existing callers."})
	}
	for _, rt := range routes {
		if !rt.Doc.Hidden {
			api.AddOperation(operation(rt, registry))
		}
	}
	for _, schema := range registry.Map() {
		withoutNullLists(schema)
	}
	return api
}

// withoutNullLists makes arrays not nullable: no answer has null in place of a list, and no body
// may have it.
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

func operation(rt Route, registry huma.Registry) *huma.Operation {
	op := &huma.Operation{
		Method: rt.Method, Path: strings.TrimSuffix(rt.Path, "{$}"), OperationID: rt.Doc.ID, Tags: []string{rt.Doc.Tag},
		Summary: rt.Doc.Summary, Description: rt.Doc.Text, Responses: map[string]*huma.Response{},
	}
	for _, p := range rt.Doc.Params {
		op.Parameters = append(op.Parameters, parameter(p))
	}
	if rt.Doc.Body != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: registry.Schema(rt.Doc.Body, true, ""), Examples: examples(rt.Doc.Examples)},
		}}
		if rt.Doc.NDJSON != "" {
			op.RequestBody.Content["application/x-ndjson"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}, Example: rt.Doc.NDJSON}
		}
	}
	for _, a := range rt.Doc.Answers {
		r := &huma.Response{Description: a.Text}
		if a.Body == nil && rt.Doc.MediaTypes != nil {
			r.Content = map[string]*huma.MediaType{}
			for _, t := range rt.Doc.MediaTypes {
				r.Content[t] = &huma.MediaType{}
			}
		}
		if a.Body != nil {
			r.Content = map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(a.Body, true, "")}}
		}
		op.Responses[strconv.Itoa(a.Status)] = r
	}
	media, details := "application/problem+json", reflect.TypeFor[ProblemDetails]()
	if rt.Errors != nil {
		media, details = "application/json", rt.Errors.Body
	}
	errors := append([]int{http.StatusBadRequest}, rt.Doc.Errors...) // of a malformed query
	if strings.Contains(rt.Path, "{") || slices.ContainsFunc(rt.Doc.Params, func(p Param) bool { return p.Name == "app" }) {
		errors = append(errors, http.StatusNotFound)
	}
	op.Security = []map[string][]string{}
	op.Extensions = map[string]any{"x-access": rt.Access.String()}
	if rt.Access != Open {
		op.Security = []map[string][]string{{"bearer": {}}, {"basic": {}}}
		if rt.Access != ForWrite {
			op.Security = append(op.Security, map[string][]string{"login": {}})
		}
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

// String returns the name of an access in the document, or "" for Undeclared.
func (a Access) String() string {
	return map[Access]string{Open: "open", ForWrite: "write", ForRead: "read", ForAdmin: "admin", ForMetrics: "metrics"}[a]
}

func parameter(p Param) *huma.Param {
	schema := &huma.Schema{Type: huma.TypeString}
	if p.Number {
		schema.Type = huma.TypeInteger
	}
	for _, v := range p.Enum {
		schema.Enum = append(schema.Enum, v)
	}
	if p.Repeatable {
		schema = &huma.Schema{Type: huma.TypeArray, Items: schema}
	}
	in := p.In
	if in == "" {
		in = "query"
	}
	return &huma.Param{Name: p.Name, In: in, Description: p.Text, Required: p.Required, Schema: schema}
}
