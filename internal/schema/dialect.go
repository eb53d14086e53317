package schema

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"theeye/internal/jsonx"
)

// CompileDraft is Compile for a schema that a user wants to register. It also refuses keywords that
// the dialect would silently ignore although another dialect of JSON Schema defines them: a schema
// that looks strict but is not would accept invalid events. Registered schemas are compiled with
// Compile, so this rule may become stricter.
func CompileDraft(category, name string, version uint32, document []byte) (*Type, error) {
	t, err := Compile(category, name, version, document)
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(document)
	if err != nil {
		return nil, err
	}
	g, err := newGraph(t.schema)
	if err != nil {
		return nil, err
	}
	for _, n := range g.nodes {
		object, ok := doc.at(n.at).(map[string]any)
		if !ok {
			continue
		}
		for _, keyword := range slices.Sorted(maps.Keys(object)) {
			if why := passedOver(keyword, object, n.schema.DraftVersion); why != "" {
				return nil, refuse(n.at+"/"+jsonx.EscapePointer(keyword), "%s", why)
			}
		}
	}
	t.warnings = warningsOf(doc, g, t.schema)
	return t, nil
}

// at returns the value at a JSON Pointer, or nil if there is none.
func (s *source) at(pointer string) any {
	v := s.value
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			return v
		}
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		v = child(v, token)
	}
	return v
}

// child returns a member of an object or an item of an array, or nil if there is none.
func child(parent any, token string) any {
	switch parent := parent.(type) {
	case map[string]any:
		return parent[token]
	case []any:
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(parent) {
			return parent[i]
		}
	}
	return nil
}

// passedOver says why a keyword has no effect in its dialect although it has one in another. It
// returns "" if the keyword has an effect, or is not a keyword of any dialect.
func passedOver(keyword string, beside map[string]any, draft int) string {
	const ours = "2020-12"
	name := map[int]string{6: "draft-06", 7: "draft-07", 2019: "2019-09", 2020: ours}[draft]
	instead := ""
	switch keyword {
	case "id":
		if _, text := beside[keyword].(string); text {
			instead = "use $id"
		}
	case "divisibleBy":
		instead = "use multipleOf"
	case "extends":
		instead = "use allOf"
	case "disallow":
		instead = "use not"
	case "additionalItems":
		if draft >= 2020 {
			instead = "use items together with prefixItems"
		}
	case "$dynamicRef":
		if draft < 2020 {
			instead = "use $ref"
		}
	case "prefixItems":
		if draft < 2020 {
			instead = "use items with a list, or the dialect " + ours
		}
	case "dependentRequired", "dependentSchemas":
		if draft < 2019 {
			instead = "use dependencies, or the dialect " + ours
		}
	case "unevaluatedItems", "unevaluatedProperties", "minContains", "maxContains":
		if draft < 2019 {
			instead = "take the dialect " + ours
		}
	case "if", "then", "else":
		if draft < 7 {
			instead = "take the dialect " + ours
		}
	}
	if instead != "" {
		return fmt.Sprintf("%s has no meaning in the dialect %s and would be ignored: %s", keyword, name, instead)
	}
	if _, reference := beside["$ref"]; reference && draft < 2019 && isAssertion(keyword) {
		return fmt.Sprintf("%s next to $ref has no meaning in the dialect %s and would be ignored: put both into allOf, or use the dialect %s", keyword, name, ours)
	}
	return ""
}

// isAssertion reports whether a keyword of draft-06 or draft-07 affects validation.
func isAssertion(keyword string) bool {
	return slices.Contains([]string{
		"type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
		"maxLength", "minLength", "pattern", "format", "items", "additionalItems", "maxItems", "minItems", "uniqueItems", "contains",
		"maxProperties", "minProperties", "required", "properties", "patternProperties", "additionalProperties", "dependencies", "propertyNames",
		"if", "then", "else", "allOf", "anyOf", "oneOf", "not",
	}, keyword)
}
