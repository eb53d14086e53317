package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"theeye/internal/event"
	"theeye/internal/jsonx"
)

// MaxWarnings is the maximum number of warnings for one schema.
const MaxWarnings = 50

// Warning names something in a schema that has no effect, cannot be intended, or is too costly to
// check.
type Warning struct {
	Pointer string `json:"pointer" doc:"JSON Pointer into the schema"`
	Message string `json:"message"`
}

// Warnings returns the warnings for a schema that CompileDraft accepted, in the order of the
// document's subschemas: what has no effect, that no event can pass, and places that are too costly
// for events of ordinary size.
func (t *Type) Warnings() []Warning { return t.warnings }

// warningsOf examines all subschemas that affect validation.
func warningsOf(doc *source, g *graph, root *jsonschema.Schema) []Warning {
	var list []Warning
	if at, why := noEvent(root); why != "" {
		list = append(list, Warning{at, "no event can pass: " + why})
	}
	heavy := workWarnings(g)
	for _, n := range slices.SortedFunc(slices.Values(g.nodes), func(a, b *node) int { return strings.Compare(a.at, b.at) }) {
		object, ok := doc.at(n.at).(map[string]any)
		if !ok {
			continue
		}
		if message := heavy[n]; message != "" {
			list = append(list, Warning{n.at, message})
		}
		for _, keyword := range slices.Sorted(maps.Keys(object)) {
			if message := warningOf(keyword, object, n.schema); message != "" {
				list = append(list, Warning{n.at + "/" + jsonx.EscapePointer(keyword), message})
			}
		}
		if len(list) >= MaxWarnings {
			return list[:MaxWarnings]
		}
	}
	return list
}

func warningOf(keyword string, object map[string]any, s *jsonschema.Schema) string {
	name, isText := object[keyword].(string)
	switch {
	case keyword == "format" && isText && s.Format == nil:
		return fmt.Sprintf("the format %q is unknown and is ignored%s", shorten(name), meant(name, formats()))
	case keyword == "nullable":
		return `nullable is not a JSON Schema keyword and is ignored: add "null" to the types`
	case strings.HasPrefix(keyword, "x-"), slices.Contains(keywords(), keyword):
		return ""
	}
	return fmt.Sprintf("%q is not a JSON Schema keyword and is ignored%s", shorten(keyword), meant(keyword, keywords()))
}

func meant(word string, known []string) string {
	if near := event.Nearest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// workWarnings describes data of ordinary size that would exceed MaxWork and be rejected.
func workWarnings(g *graph) map[*node]string {
	warnings := map[*node]string{}
	for _, n := range g.nodes {
		n.sumWeights()
		most := MaxWork * patternRate / max(n.totalWeight[weightPattern], 1) // bytes of a text
		told := slices.ContainsFunc(n.inPlace, func(target *node) bool { return warnings[target] != "" })
		if most < commonText && !told && (n.schema.MaxLength == nil || *n.schema.MaxLength > most) {
			warnings[n] = fmt.Sprintf("a string of more than %d bytes here will be rejected, because its patterns would take too long: simplify them, or set maxLength", most)
		}
	}
	for _, n := range g.nodes {
		for _, target := range slices.Concat(n.rest, n.others, n.everyChild) {
			most := MaxWork / max(target.weight(map[*node]bool{}), 1)
			if most < commonValues && warnings[target] == "" {
				warnings[target] = fmt.Sprintf("an event with more than about %d values here will be rejected, because validating them would take too long: use fewer alternatives (anyOf, oneOf) and shorter enum lists", most)
			}
		}
	}
	return warnings
}

// weight is the approximate work for one value with every member that n describes.
func (n *node) weight(counted map[*node]bool) int {
	if counted[n] {
		return 0
	}
	counted[n] = true
	w := n.ownWeight.value()
	for _, target := range slices.Concat(append(slices.Collect(maps.Values(n.members)), append(n.prefix, n.inPlace)...)...) {
		w += target.weight(counted)
	}
	return w
}

// keywords returns the keywords of all dialects, including those that only describe. passedOver
// decides whether a dialect has a keyword.
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

// formats returns the formats that are checked.
func formats() []string {
	return []string{
		"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6",
		"uri", "uri-reference", "iri", "iri-reference", "uuid", "uri-template", "json-pointer", "relative-json-pointer", "regex", "period", "semver",
	}
}
