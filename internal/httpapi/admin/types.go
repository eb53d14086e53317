package admin

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/httpapi"
	"theeye/internal/jsonx"
	"theeye/internal/registry"
	"theeye/internal/schema"
)

func (h *Handlers) typeRoutes() []httpapi.Route {
	typ := slices.Clip([]httpapi.Param{
		{Name: "category", In: "path", Text: "percent-encoded", Required: true},
		{Name: "name", In: "path", Text: "percent-encoded", Required: true},
	})
	return []httpapi.Route{
		{Method: "GET", Path: "/v1/types", Access: httpapi.ForRead, Handle: h.listTypes, Doc: httpapi.Doc{
			ID: "listTypes", Tag: "event types", Summary: "All event types", Answers: []httpapi.Answer{httpapi.JSON[TypesAnswer](200, "by category and name")}}},
		{Method: "GET", Path: "/v1/types/{category}/{name}", Access: httpapi.ForRead, Handle: h.getType, Doc: httpapi.Doc{
			ID: "getType", Tag: "event types", Summary: "One event type", Params: typ,
			Answers: []httpapi.Answer{httpapi.JSON[Type](200, "the version in force")}, Errors: []int{404}}},
		{Method: "PUT", Path: "/v1/types/{category}/{name}", Access: httpapi.ForAdmin, Handle: h.putType, Doc: httpapi.Doc{
			ID: "putType", Tag: "event types", Summary: "Register a schema for the data of an event type",
			Text: "The body is a JSON Schema (2020-12). Each different schema becomes a new version, numbered from 1; one that equals the version in force does not. " +
				"A schema that may reject data that conforms to the version in force is refused with 409 and the reasons, unless force=1.",
			Params: append(typ,
				httpapi.Param{Name: "force", Text: "`1`: apply it even if it is not compatible with the version in force"},
				httpapi.Param{Name: "dry_run", Text: "`1`: only show what would be in force"}),
			Body: reflect.TypeFor[map[string]any](), Answers: []httpapi.Answer{httpapi.JSON[TypePut](200, "the version in force; with dry_run, the one that would be")},
			Errors: []int{400, 409, 413, 422, 503}}},
		{Method: "DELETE", Path: "/v1/types/{category}/{name}", Access: httpapi.ForAdmin, Handle: h.deleteType, Doc: httpapi.Doc{
			ID: "deleteType", Tag: "event types", Summary: "Delete the schema of an event type; its events are no longer validated", Params: typ,
			Answers: []httpapi.Answer{httpapi.Plain(204, "ended")}, Errors: []int{404, 503}}},
		{Method: "GET", Path: "/v1/types/{category}/{name}/versions", Access: httpapi.ForRead, Handle: h.listTypeVersions, Doc: httpapi.Doc{
			ID: "listTypeVersions", Tag: "event types", Summary: "All versions that an event type ever had", Params: typ,
			Text:    "To go back to one, PUT its schema: it becomes a new version.",
			Answers: []httpapi.Answer{httpapi.JSON[TypeVersionsAnswer](200, "oldest first")}, Errors: []int{404}}},
		{Method: "POST", Path: "/v1/types/{category}/{name}/try", Access: httpapi.ForAdmin, Handle: h.tryType, Doc: httpapi.Doc{
			ID: "tryType", Tag: "event types", Summary: "Try a draft of a schema against the newest events and rejections of its type",
			Text:   "The body is a JSON Schema; nothing is changed. A rejection would pass if its whole body, as it was sent, would be accepted, not only by the schema.",
			Params: append(typ, lastParam()), Body: reflect.TypeFor[map[string]any](),
			Answers: []httpapi.Answer{httpapi.JSON[TryAnswer](200, "what it would do")}, Errors: []int{400, 413, 422, 503}}},
		{Method: "POST", Path: "/v1/types/{category}/{name}/propose", Access: httpapi.ForAdmin, Handle: h.proposeType, Doc: httpapi.Doc{
			ID: "proposeType", Tag: "event types", Summary: "Derive a schema from the newest events of a type",
			Text:    "The schema accepts every event from which it was derived, and evidence says what each statement is based on. For a type without stored events, it is derived from the rejections. Nothing is changed: PUT the schema to use it.",
			Params:  append(typ, lastParam()),
			Answers: []httpapi.Answer{httpapi.JSON[Proposal](200, "the schema and its evidence")}, Errors: []int{400, 404, 503}}},
	}
}

// Type is the version in force of an event type.
type Type struct {
	Category  string         `json:"category"`
	Name      string         `json:"name"`
	Version   uint32         `json:"version"`
	Schema    jsontext.Value `json:"schema"`
	CreatedAt string         `json:"created_at" format:"date-time"`
	Author    *string        `json:"author" doc:"the id of the key that created the version; null if unknown"`
}

// TypesAnswer lists event types.
type TypesAnswer struct {
	Types []Type `json:"types"`
}

// TypePut says what became of a schema.
type TypePut struct {
	Type
	Made    bool            `json:"made" doc:"false if it equals the version in force"`
	DryRun  bool            `json:"dry_run"`
	Reasons []schema.Reason `json:"reasons" doc:"why it is not compatible with the previous version; only with force"`

	Warnings []schema.Warning `json:"warnings" doc:"unknown keywords and formats, which are not checked, and schemas that no event can pass"`
}

// TypeVersion is one of the versions of an event type.
type TypeVersion struct {
	Version   uint32         `json:"version"`
	Schema    jsontext.Value `json:"schema"`
	CreatedAt string         `json:"created_at" format:"date-time"`
	Author    *string        `json:"author" doc:"the id of the key that created it; null if unknown"`
	DeletedAt *string        `json:"deleted_at" format:"date-time" doc:"when the type was deleted, if this was its version"`
}

// TypeVersionsAnswer lists the versions of an event type.
type TypeVersionsAnswer struct {
	Category string        `json:"category"`
	Name     string        `json:"name"`
	Versions []TypeVersion `json:"versions"`
}

func toType(v *registry.TypeVersion) Type {
	return Type{v.Category, v.Name, v.Version, v.Schema, httpapi.FormatTime(v.CreatedAt), httpapi.TextOrNull(v.Author)}
}

func toTypeVersion(v *registry.TypeVersion) TypeVersion {
	t := TypeVersion{v.Version, v.Schema, httpapi.FormatTime(v.CreatedAt), httpapi.TextOrNull(v.Author), nil}
	if v.DeletedAt != nil {
		at := httpapi.FormatTime(*v.DeletedAt)
		t.DeletedAt = &at
	}
	return t
}

func (h *Handlers) listTypes(c *httpapi.Call) error {
	return c.WriteJSON(http.StatusOK, TypesAnswer{httpapi.MapSlice(h.opts.Registry.Types(), toType)})
}

func (h *Handlers) getType(c *httpapi.Call) error {
	v, err := h.opts.Registry.TypeVersion(c.PathValue("category"), c.PathValue("name"))
	if err != nil {
		return err
	}
	return c.WriteJSON(http.StatusOK, toType(&v))
}

func (h *Handlers) listTypeVersions(c *httpapi.Call) error {
	category, name := c.PathValue("category"), c.PathValue("name")
	versions, err := h.opts.Registry.TypeVersions(category, name)
	if err != nil {
		return err
	}
	return c.WriteJSON(http.StatusOK, TypeVersionsAnswer{category, name, httpapi.MapSlice(versions, toTypeVersion)})
}

// maxSchemaBody is the maximum size of a schema that is read, in bytes. It is much larger than what
// is accepted, so that a schema that is too large is refused like any other invalid one.
const maxSchemaBody = 16 * schema.MaxDocumentBytes

// readSchema reads the body of a request unchanged.
func readSchema(c *httpapi.Call) ([]byte, error) {
	document, err := io.ReadAll(http.MaxBytesReader(c.Writer(), c.Body, maxSchemaBody))
	document = jsonx.WithoutBOM(document)
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, httpapi.Problemf(http.StatusRequestEntityTooLarge, "the schema is larger than %s", httpapi.SizeText(schema.MaxDocumentBytes))
	}
	if err != nil {
		return nil, err
	}
	return document, nil
}

// switches reads parameters that must be 1, 0 or absent.
func switches(c *httpapi.Call, names ...string) (map[string]bool, error) {
	on, values := map[string]bool{}, c.URL.Query()
	for _, name := range names {
		switch values.Get(name) {
		case "1":
			on[name] = true
		case "0", "":
		default:
			return nil, httpapi.Problemf(http.StatusBadRequest, "%s must be 1 or 0, or be left out", name)
		}
	}
	return on, nil
}

func (h *Handlers) putType(c *httpapi.Call) error {
	on, err := switches(c, "force", "dry_run")
	if err != nil {
		return err
	}
	document, err := readSchema(c)
	if err != nil {
		return err
	}
	out, err := h.opts.Registry.ChangeType(c.Context(), registry.TypeChange{
		Category: c.PathValue("category"), Name: c.PathValue("name"), Document: document,
		Author: c.Principal.KeyID, Force: on["force"], DryRun: on["dry_run"],
	})
	if err != nil {
		return err
	}
	answer := TypePut{toType(&out.TypeVersion), out.Made, on["dry_run"], out.Breaks, out.Warnings}
	if answer.Warnings == nil {
		answer.Warnings = []schema.Warning{}
	}
	if answer.Reasons == nil {
		answer.Reasons = []schema.Reason{}
	}
	return c.WriteJSON(http.StatusOK, answer)
}

func (h *Handlers) deleteType(c *httpapi.Call) error {
	if err := h.opts.Registry.DeleteType(c.Context(), c.PathValue("category"), c.PathValue("name")); err != nil {
		return err
	}
	return c.NoContent()
}
