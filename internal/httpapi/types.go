package httpapi

import (
	"io"
	"net/http"
	"reflect"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/registry"
	"theeye/internal/schema"
)

func typeRoutes() []route {
	typ := []param{
		{name: "category", in: "path", text: "percent-encoded", required: true},
		{name: "name", in: "path", text: "percent-encoded", required: true},
	}
	ok := func(status int, text string, body reflect.Type) []answer { return []answer{{status, text, body}} }
	return []route{
		{"GET", "/v1/types", forRead, (*Server).listTypes, doc{
			id: "listTypes", tag: "event types", summary: "All event types", answers: ok(200, "by category and name", schemaOf[TypesAnswer]())}},
		{"GET", "/v1/types/{category}/{name}", forRead, (*Server).getType, doc{
			id: "getType", tag: "event types", summary: "One event type", params: typ,
			answers: ok(200, "the version in force", schemaOf[Type]()), errors: []int{404}}},
		{"PUT", "/v1/types/{category}/{name}", forAdmin, (*Server).putType, doc{
			id: "putType", tag: "event types", summary: "Register a schema for the data of an event type", params: typ,
			text: "The body is a JSON Schema (2020-12). Each different schema is a new version, from 1.",
			body: schemaOf[map[string]any](), answers: ok(200, "the version in force", schemaOf[Type]()),
			errors: []int{409, 413, 422, 503}}},
		{"DELETE", "/v1/types/{category}/{name}", forAdmin, (*Server).deleteType, doc{
			id: "deleteType", tag: "event types", summary: "Check events of this type no longer", params: typ,
			answers: ok(204, "ended", nil), errors: []int{404, 503}}},
	}
}

// Type is the version in force of an event type.
type Type struct {
	Category  string         `json:"category"`
	Name      string         `json:"name"`
	Version   uint32         `json:"version"`
	Schema    jsontext.Value `json:"schema"`
	CreatedAt string         `json:"created_at" format:"date-time"`
}

// TypesAnswer lists event types.
type TypesAnswer struct {
	Types []Type `json:"types"`
}

func viewType(v *registry.TypeVersion) Type {
	return Type{v.Category, v.Name, v.Version, v.Schema, rfc3339(v.CreatedAt)}
}

func (s *Server) listTypes(c *call) error {
	return writeJSON(c.w, http.StatusOK, TypesAnswer{viewAll(s.opts.Registry.Types(), viewType)})
}

func (s *Server) getType(c *call) error {
	v, err := s.opts.Registry.TypeVersion(c.PathValue("category"), c.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, viewType(&v))
}

func (s *Server) putType(c *call) error {
	document, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxAdminBody))
	if err != nil {
		return problemf(http.StatusRequestEntityTooLarge, "a schema may have %d bytes", schema.MaxDocumentBytes)
	}
	v, _, err := s.opts.Registry.PutType(c.ctx(), c.PathValue("category"), c.PathValue("name"), document)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, viewType(&v))
}

func (s *Server) deleteType(c *call) error {
	if err := s.opts.Registry.DeleteType(c.ctx(), c.PathValue("category"), c.PathValue("name")); err != nil {
		return err
	}
	return noContent(c)
}
