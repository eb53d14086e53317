package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"theeye/internal/event"
)

// MaxWarnings is how many warnings of one schema are told.
const MaxWarnings = 50

// Warning tells what in a schema has no effect, or none that can be meant.
type Warning struct {
	Pointer string `json:"pointer" doc:"JSON Pointer into the schema"`
	Message string `json:"message"`
}

// Warnings returns what a schema that CompileDraft took has and does not judge by, in the order of the
// document's subschemas, and whether no event can pass it.
func (t *Type) Warnings() []Warning { return t.warnings }

// warningsOf looks at all subschemas that judge something.
func warningsOf(doc *source, g *graph, root *jsonschema.Schema) []Warning {
	var list []Warning
	if !takesObjects(root, maxDepth) {
		list = append(list, Warning{"", "no event can pass: data is always an object, and this schema takes none"})
	}
	for _, n := range slices.SortedFunc(slices.Values(g.nodes), func(a, b *node) int { return strings.Compare(a.at, b.at) }) {
		object, ok := doc.at(n.at).(map[string]any)
		if !ok {
			continue
		}
		for _, keyword := range slices.Sorted(maps.Keys(object)) {
			if message := warningOf(keyword, object, n.schema); message != "" {
				list = append(list, Warning{n.at + "/" + escape(keyword), message})
			}
			if len(list) == MaxWarnings {
				return list
			}
		}
	}
	return list
}

func warningOf(keyword string, object map[string]any, s *jsonschema.Schema) string {
	name, isText := object[keyword].(string)
	switch {
	case keyword == "format" && isText && s.Format == nil:
		return fmt.Sprintf("the format %q is not known and is not checked%s", shorten(name), meant(name, formats()))
	case keyword == "nullable":
		return `nullable is no keyword of JSON Schema and is not checked: write "null" among the types`
	case strings.HasPrefix(keyword, "x-"), slices.Contains(keywords(), keyword):
		return ""
	}
	return fmt.Sprintf("%q is no keyword of JSON Schema and is not checked%s", shorten(keyword), meant(keyword, keywords()))
}

func meant(word string, known []string) string {
	if near := event.Nearest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// takesObjects reports false only for a schema that no object can pass.
func takesObjects(s *jsonschema.Schema, depth int) bool {
	if s == nil || depth == 0 {
		return true
	}
	if typesOf(s)&objects == 0 {
		return false
	}
	for _, part := range append(slices.Clone(s.AllOf), s.Ref) {
		if !takesObjects(part, depth-1) {
			return false
		}
	}
	takes := func(one *jsonschema.Schema) bool { return takesObjects(one, depth-1) }
	return (len(s.AnyOf) == 0 || slices.ContainsFunc(s.AnyOf, takes)) && (len(s.OneOf) == 0 || slices.ContainsFunc(s.OneOf, takes))
}

// maxDepth bounds how deep takesObjects looks: references may go round.
const maxDepth = 50

// keywords are those of all dialects, with those that only describe. A dialect's own are judged by passedOver.
func keywords() []string {
	return []string{
		"$schema", "$id", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary", "$comment", "$defs", "definitions",
		"type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength", "pattern",
		"maxItems", "minItems", "uniqueItems", "maxContains", "minContains", "maxProperties", "minProperties", "required", "dependentRequired", "dependencies",
		"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "prefixItems", "items", "additionalItems", "contains",
		"properties", "patternProperties", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties",
		"title", "description", "default", "deprecated", "readOnly", "writeOnly", "examples", "format", "contentEncoding", "contentMediaType", "contentSchema",
	}
}

// formats are those that are checked.
func formats() []string {
	return []string{
		"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6",
		"uri", "uri-reference", "iri", "iri-reference", "uuid", "uri-template", "json-pointer", "relative-json-pointer", "regex", "period", "semver",
	}
}
