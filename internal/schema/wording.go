package schema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// wrongType says what is wrong with the value of the keyword type if it names a type that does not
// exist. It returns "" if something else is wrong.
func wrongType(value any) string {
	names := []any{value}
	if list, ok := value.([]any); ok {
		names = list
	}
	known := []string{"array", "boolean", "integer", "null", "number", "object", "string"}
	for _, one := range names {
		name, ok := one.(string)
		if !ok {
			return ""
		}
		if typesNamed(name) != 0 {
			continue
		}
		advice := meant(name, known)
		if advice == "" {
			advice = "; the types are " + strings.Join(known, ", ")
		}
		return fmt.Sprintf("%q is not a type%s", excerpt(name), advice)
	}
	return ""
}

// forbidden says which keyword has the schema false, which accepts nothing.
func forbidden(v *jsonschema.ValidationError) string {
	last := ""
	if n := len(v.InstanceLocation); n > 0 {
		last = v.InstanceLocation[n-1]
	}
	switch keyword := keywordAt(documentPointer(v.SchemaURL)); keyword {
	case "":
		return "not allowed: the schema is false"
	case "properties", "patternProperties":
		return fmt.Sprintf("property %s is not allowed: its schema is false (%s)", quote(last), keyword)
	case "additionalProperties", "unevaluatedProperties":
		return fmt.Sprintf("property %s is not allowed (%s)", quote(last), keyword)
	case "items", "prefixItems", "additionalItems", "unevaluatedItems":
		return fmt.Sprintf("item %s is not allowed (%s)", last, keyword)
	default:
		return fmt.Sprintf("not allowed here: the schema is false (%s)", keyword)
	}
}

// keywordAt returns the keyword whose schema is at a place of a document, or "" for the document
// itself.
func keywordAt(place string) (keyword string) {
	tokens := strings.Split(place, "/")[1:]
	for i := 0; i < len(tokens); i++ {
		keyword = tokens[i]
		switch keyword {
		case "properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions", "allOf", "anyOf", "oneOf", "prefixItems":
			i++ // a name, or an index
		case "items":
			if i+1 < len(tokens) {
				if _, err := strconv.Atoi(tokens[i+1]); err == nil {
					i++
				}
			}
		}
	}
	return keyword
}

// formatAdvice says what is wrong with a text, if that is known in plain words, and shows an
// example of the format.
func formatAdvice(k *kind.Format) string {
	advice := ""
	if k.Err != nil {
		if why := plainReason(k.Err.Error()); why != "" {
			advice = ": " + why
		}
	}
	example := map[string]string{
		"date-time": "RFC 3339, such as 2026-01-01T10:00:00Z", "date": "RFC 3339, such as 2026-01-01", "time": "RFC 3339, such as 10:00:00Z",
		"duration": "ISO 8601, such as P1DT12H", "period": "ISO 8601, such as 2026-01-01T10:00:00Z/P1D",
		"email": "an address such as name@example.com", "hostname": "a name such as www.example.com",
		"ipv4": "an address such as 192.0.2.1", "ipv6": "an address such as 2001:db8::1",
		"uri": "an absolute one, such as https://example.com/path", "iri": "an absolute one, such as https://example.com/path",
		"uri-reference": "one such as /path?a=1", "iri-reference": "one such as /path?a=1", "uri-template": "one such as /users/{id}",
		"uuid": "one such as 123e4567-e89b-12d3-a456-426614174000", "semver": "one such as 1.2.3",
		"json-pointer": "one such as /a/0", "relative-json-pointer": "one such as 1/a",
	}[k.Want]
	switch {
	case example == "":
		return advice
	case advice == "":
		return ": use " + example
	}
	return advice + "; use " + example
}

// plainReason returns a reason of the library without details for programmers; it may be empty.
func plainReason(why string) string {
	if strings.HasSuffix(why, " out of range") {
		if i := strings.LastIndex(why, ": "); i >= 0 {
			return why[i+len(": "):]
		}
		return why
	}
	for _, programmers := range []string{"less than ", "parsing time ", "parse ", "ParseAddr", "percent decode failed"} {
		if strings.Contains(why, programmers) {
			return ""
		}
	}
	return why
}
