package httpapi

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
	"theeye/internal/registry"
	"theeye/internal/schema"
)

func typeRoutes() []route {
	typ := slices.Clip([]param{
		{name: "category", in: "path", text: "percent-encoded", required: true},
		{name: "name", in: "path", text: "percent-encoded", required: true},
	})
	ok := func(status int, text string, body reflect.Type) []answer { return []answer{{status, text, body}} }
	return []route{
		{"GET", "/v1/types", forRead, (*Server).listTypes, doc{
			id: "listTypes", tag: "event types", summary: "All event types", answers: ok(200, "by category and name", schemaOf[TypesAnswer]())}},
		{"GET", "/v1/types/{category}/{name}", forRead, (*Server).getType, doc{
			id: "getType", tag: "event types", summary: "One event type", params: typ,
			answers: ok(200, "the version in force", schemaOf[Type]()), errors: []int{404}}},
		{"PUT", "/v1/types/{category}/{name}", forAdmin, (*Server).putType, doc{
			id: "putType", tag: "event types", summary: "Register a schema for the data of an event type",
			text: "The body is a JSON Schema (2020-12). Each different schema is a new version, from 1; one that equals the version in force makes none. " +
				"A schema under which data may be refused that conforms to the version in force is refused with 409 and the reasons, unless force=1.",
			params: append(typ,
				param{name: "force", text: "`1`: put it even when it is not compatible with the version in force"},
				param{name: "dry_run", text: "`1`: answer what would be, and change nothing"}),
			body: schemaOf[map[string]any](), answers: ok(200, "the version in force; with dry_run the one that would be", schemaOf[TypePut]()),
			errors: []int{400, 409, 413, 422, 503}}},
		{"DELETE", "/v1/types/{category}/{name}", forAdmin, (*Server).deleteType, doc{
			id: "deleteType", tag: "event types", summary: "Check events of this type no longer", params: typ,
			answers: ok(204, "ended", nil), errors: []int{404, 503}}},
		{"GET", "/v1/types/{category}/{name}/versions", forRead, (*Server).listTypeVersions, doc{
			id: "listTypeVersions", tag: "event types", summary: "All versions that an event type ever had", params: typ,
			text:    "To go back to one, PUT its schema: it becomes a new version.",
			answers: ok(200, "oldest first", schemaOf[TypeVersionsAnswer]()), errors: []int{404}}},
		{"POST", "/v1/types/{category}/{name}/try", forAdmin, (*Server).tryType, doc{
			id: "tryType", tag: "event types", summary: "Try a draft of a schema against the newest events and rejections of its type",
			text:   "The body is a JSON Schema; nothing is changed. A rejection would pass when its body as it was sent would be accepted whole, not only by the schema.",
			params: append(typ, lastParam()), body: schemaOf[map[string]any](),
			answers: ok(200, "what it would do", schemaOf[TryAnswer]()), errors: []int{400, 413, 422, 503}}},
		{"POST", "/v1/types/{category}/{name}/propose", forAdmin, (*Server).proposeType, doc{
			id: "proposeType", tag: "event types", summary: "Draw a schema from the newest events of a type",
			text:    "The schema takes every event that it was drawn from, and evidence tells what each statement rests on. A type with no stored events is drawn from its rejections. Nothing is changed: PUT the schema to use it.",
			params:  append(typ, lastParam()),
			answers: ok(200, "the schema and its evidence", schemaOf[Proposal]()), errors: []int{400, 404, 503}}},
	}
}

// Type is the version in force of an event type.
type Type struct {
	Category  string         `json:"category"`
	Name      string         `json:"name"`
	Version   uint32         `json:"version"`
	Schema    jsontext.Value `json:"schema"`
	CreatedAt string         `json:"created_at" format:"date-time"`
	Author    *string        `json:"author" doc:"the id of the key that made the version; null when it is not known"`
}

// TypesAnswer lists event types.
type TypesAnswer struct {
	Types []Type `json:"types"`
}

// TypePut tells what became of a schema.
type TypePut struct {
	Type
	Made    bool            `json:"made" doc:"false when it equals the version in force"`
	DryRun  bool            `json:"dry_run"`
	Reasons []schema.Reason `json:"reasons" doc:"why it is not compatible with the version before; only with force"`

	Warnings []schema.Warning `json:"warnings" doc:"keywords and formats that are not known and are not checked, and whether no event can pass"`
}

// TypeVersion is one of the versions of an event type.
type TypeVersion struct {
	Version   uint32         `json:"version"`
	Schema    jsontext.Value `json:"schema"`
	CreatedAt string         `json:"created_at" format:"date-time"`
	Author    *string        `json:"author" doc:"the id of the key that made it; null when it is not known"`
	DeletedAt *string        `json:"deleted_at" format:"date-time" doc:"when the type was deleted, this being its version"`
}

// TypeVersionsAnswer lists the versions of an event type.
type TypeVersionsAnswer struct {
	Category string        `json:"category"`
	Name     string        `json:"name"`
	Versions []TypeVersion `json:"versions"`
}

func viewType(v *registry.TypeVersion) Type {
	return Type{v.Category, v.Name, v.Version, v.Schema, rfc3339(v.CreatedAt), orNull(v.Author)}
}

func viewTypeVersion(v *registry.TypeVersion) TypeVersion {
	t := TypeVersion{v.Version, v.Schema, rfc3339(v.CreatedAt), orNull(v.Author), nil}
	if v.DeletedAt != nil {
		at := rfc3339(*v.DeletedAt)
		t.DeletedAt = &at
	}
	return t
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
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

func (s *Server) listTypeVersions(c *call) error {
	category, name := c.PathValue("category"), c.PathValue("name")
	versions, err := s.opts.Registry.TypeVersions(category, name)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, TypeVersionsAnswer{category, name, viewAll(versions, viewTypeVersion)})
}

// maxSchemaBody is how much of a schema is read, in bytes. Much more than is taken,
// so that what is too large is refused like all other schemas.
const maxSchemaBody = 16 * schema.MaxDocumentBytes

// readSchema reads the body of a request as it is.
func readSchema(c *call) ([]byte, error) {
	document, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxSchemaBody))
	document = event.WithoutBOM(document)
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, problemf(http.StatusRequestEntityTooLarge, "the schema is larger than %s", sizeText(schema.MaxDocumentBytes))
	}
	if err != nil {
		return nil, err
	}
	return document, nil
}

// switches reads parameters that are 1, 0 or absent, and refuses others.
func switches(c *call, names ...string) (map[string]bool, error) {
	on, values := map[string]bool{}, c.URL.Query()
	for _, name := range names {
		switch values.Get(name) {
		case "1":
			on[name] = true
		case "0", "":
		default:
			return nil, problemf(http.StatusBadRequest, "%s must be 1 or 0, or be left out", name)
		}
	}
	return on, nil
}

func (s *Server) putType(c *call) error {
	on, err := switches(c, "force", "dry_run")
	if err != nil {
		return err
	}
	document, err := readSchema(c)
	if err != nil {
		return err
	}
	out, err := s.opts.Registry.ChangeType(c.ctx(), registry.TypeChange{
		Category: c.PathValue("category"), Name: c.PathValue("name"), Document: document,
		Author: c.who.KeyID, Force: on["force"], DryRun: on["dry_run"],
	})
	if err != nil {
		return err
	}
	answer := TypePut{viewType(&out.TypeVersion), out.Made, on["dry_run"], out.Breaks, out.Warnings}
	if answer.Warnings == nil {
		answer.Warnings = []schema.Warning{}
	}
	if answer.Reasons == nil {
		answer.Reasons = []schema.Reason{}
	}
	return writeJSON(c.w, http.StatusOK, answer)
}

func (s *Server) deleteType(c *call) error {
	if err := s.opts.Registry.DeleteType(c.ctx(), c.PathValue("category"), c.PathValue("name")); err != nil {
		return err
	}
	return noContent(c)
}
