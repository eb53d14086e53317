package schema_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theeye/internal/schema"
)

func TestRefusedSchemas(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(secret, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, document, pointer, reason string }{
		{"nothing", ``, "", "the document is empty"},
		{"no JSON", `{"type":}`, "/type", "not JSON at line 1, column 9"},
		{"two values", `{} {}`, "", "more than one JSON value"},
		{"a duplicate key", `{"type":"object","type":"string"}`, "/type", `the key "type" occurs twice`},
		{"a trailing comma", "{\n\"type\":\"object\",\n}", "", "not JSON at line 2, column 16: a member is missing after the comma"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "", "this is UTF-16; JSON is sent as UTF-8"},
		{"bad UTF-8", "{\"title\":\"\xff\"}", "/title", "UTF-8"},
		{"an array", `[]`, "", "a schema must be a JSON object"},
		{"null", `null`, "", "a schema must be a JSON object"},
		{"a type that does not exist", `{"properties":{"a":{"type":"text"}}}`, "/properties/a/type", `"text" is not a type; the types are array, boolean, integer, null, number, object, string`},
		{"a misspelt type", `{"properties":{"a":{"type":"strng"}}}`, "/properties/a/type", `"strng" is not a type; did you mean "string"?`},
		{"a type in capitals", `{"properties":{"a":{"type":"String"}}}`, "/properties/a/type", `"String" is not a type; did you mean "string"?`},
		{"a misspelt type in a list", `{"properties":{"type":{"type":["null","interger"]}}}`, "/properties/type/type", `"interger" is not a type; did you mean "integer"?`},
		{"a misspelt type of draft-07", `{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"nubmer"}]}`, "/items", `"nubmer" is not a type; did you mean "number"?`},
		{"a property type", `{"properties":{"type":"strng"}}`, "/properties/type", "must be a boolean or an object, not a string"},
		{"no type", `{"type":{}}`, "/type", "matches none of the alternatives"},
		{"alternatives below", `{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":["b",1]}}`, "/dependencies/a", "must be a string, not a number at /dependencies/a/1"},
		{"properties that are none", `{"properties":[]}`, "/properties", "must be an object, not an array"},
		{"a negative length", `{"minLength":-1}`, "/minLength", "must be at least 0"},
		{"a huge length", `{"properties":{"a":{"minLength":1e300}}}`, "/properties/a/minLength", "too large"},
		{"a number out of range", `{"const":1e1000001}`, "/const", "exponent"},
		{"a long number", `{"maximum":` + strings.Repeat("1", 41) + `}`, "/maximum", "40 digits"},
		{"multiples of zero", `{"multipleOf":0}`, "/multipleOf", "must be greater than 0"},
		{"a wrong pattern", `{"properties":{"a":{"pattern":"("}}}`, "/properties/a/pattern", "missing closing )"},
		{"look-ahead", `{"pattern":"^(?!x)"}`, "/pattern", "invalid"},
		{"a long pattern", `{"pattern":"` + strings.Repeat("a", 2000) + `"}`, "/pattern", "1024 are allowed"},
		{"a large pattern", `{"pattern":"(x{1000}){3}"}`, "/pattern", ""},
		{"a wrong pattern of names", `{"patternProperties":{"(":true}}`, "/patternProperties/(", ""},
		{"draft-04", `{"$schema":"http://json-schema.org/draft-04/schema#"}`, "/$schema", "not supported"},
		{"draft-04 inside", `{"$defs":{"a":{"id":"a","$schema":"http://json-schema.org/draft-04/schema#"}},"$ref":"a"}`, "/$defs/a/$schema", "not supported"},
		{"an unknown dialect", `{"$schema":"https://example.com/schema"}`, "/$schema", "not supported"},
		{"a dialect in a file", `{"$schema":"file://` + secret + `"}`, "/$schema", "not supported"},
		{"a reference to a file", `{"properties":{"a":{"$ref":"file://` + secret + `"}}}`, "/properties/a/$ref", "outside this document"},
		{"a reference to a path", `{"$ref":"` + secret + `"}`, "/$ref", "outside this document"},
		{"a reference to a neighbour", `{"$id":"file://` + filepath.Dir(secret) + `/x.json","$ref":"schema.json"}`, "/$ref", "outside this document"},
		{"a reference to the network", `{"$ref":"https://example.com/a.json"}`, "/$ref", "outside this document"},
		{"a reference to the metaschema", `{"properties":{"a":{"$ref":"https://json-schema.org/draft/2020-12/schema"}}}`, "/properties/a/$ref", "within the document"},
		{"an unknown dialect inside", `{"$defs":{"a":{"$id":"a","$schema":"https://example.com/schema#"}},"$ref":"a"}`, "/$defs/a/$schema", "not supported"},
		{"another event type", `{"properties":{"a":{"$ref":"/v1/types/page%20interaction/pageview"}}}`, "/properties/a/$ref", "outside this document"},
		{"a Boolean bound of draft-04", `{"properties":{"n":{"minimum":0,"exclusiveMinimum":true}}}`, "/properties/n/exclusiveMinimum", "must be a number, not a boolean"},
		{"required of draft-03", `{"properties":{"n":{"required":true}}}`, "/properties/n/required", "must be an array, not a boolean"},
		{"any type of draft-03", `{"properties":{"n":{"type":"any"}}}`, "/properties/n/type", `"any" is not a type`},
		{"items of draft-07", `{"properties":{"n":{"items":[{}]}}}`, "/properties/n/items", "must be a boolean or an object"},
		{"a reference to nothing", `{"properties":{"a":{"$ref":"#/$defs/b"}}}`, "/properties/a/$ref", "has no target"},
		{"a reference to no anchor", `{"properties":{"a":{"$ref":"#b"}}}`, "/properties/a/$ref", "has no target"},
		{"a reference to itself", `{"$ref":"#"}`, "", "cycle"},
		{"references in a circle", `{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}},"properties":{"x":{"$ref":"#/$defs/a"}}}`, "/$defs/a", "cycle"},
		{"a dynamic reference", `{"$dynamicRef":"#a","$dynamicAnchor":"a"}`, "/$dynamicRef", "use $ref"},
		{"a recursive reference", `{"$schema":"https://json-schema.org/draft/2019-09/schema","properties":{"a":{"$recursiveRef":"#"}}}`, "/properties/a/$recursiveRef", "use $ref"},
		{"a large document", `{"title":"` + strings.Repeat("x", schema.MaxDocumentBytes) + `"}`, "", "262144 are allowed"},
		{"a deep document", strings.Repeat(`{"not":`, schema.MaxDepth) + `{}` + strings.Repeat(`}`, schema.MaxDepth), strings.Repeat("/not", schema.MaxDepth), "deeper than 64"},
		{"a very deep document", strings.Repeat(`[`, 100_000), strings.Repeat("/0", schema.MaxDepth), "deeper than 64"},
		{"many values", `{"enum":[` + strings.Repeat("1,", schema.MaxValues) + `1]}`, "", "more than 20000 values"},
		{"many objects", `{"default":[` + strings.Repeat("{},", schema.MaxObjects) + `{}]}`, "", "more than 4000 objects"},
		{"many subschemas", `{"properties":{` + numbered(schema.MaxSubschemas+1, `"p%d":{}`) + `}}`, "", "more than 2000 subschemas"},
		{"a large enum", `{"enum":[` + numbered(schema.MaxEnum+1, `"v%d"`) + `]}`, "/enum", "at most 1000"},
		{"many branches", `{"anyOf":[` + numbered(schema.MaxBranches+1, `{"const":%d}`) + `]}`, "/anyOf", "at most 100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			typ, err := schema.Compile("c", "n", 1, []byte(tt.document))
			var refused *schema.CompileError
			if !errors.As(err, &refused) || typ != nil {
				t.Fatalf("got %v, %v", typ, err)
			}
			if refused.Pointer != tt.pointer || !strings.Contains(refused.Reason, tt.reason) {
				t.Errorf("got %q %q, want %q %q", refused.Pointer, refused.Reason, tt.pointer, tt.reason)
			}
			if strings.Contains(err.Error(), "eye:") {
				t.Errorf("the text shows what is internal: %v", err)
			}
		})
	}
}

// numbered returns n copies of a text, each with its number, separated by commas.
func numbered(n int, format string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, ",")
}

func TestAcceptedSchemas(t *testing.T) {
	for name, document := range map[string]string{
		"many properties":       `{"properties":{` + numbered(schema.MaxSubschemas-1, `"p%d":{}`) + `}}`,
		"a large enum":          `{"enum":[` + numbered(schema.MaxEnum, `"v%d"`) + `]}`,
		"a union":               `{"oneOf":[` + numbered(schema.MaxBranches, `{"required":["kind"],"properties":{"kind":{"const":"k%d"}}}`) + `]}`,
		"a long text":           `{"pattern":"^.{0,1000}$"}`,
		"a tree":                `{"$defs":{"node":{"oneOf":[{"type":"string"},{"type":"array","items":{"$ref":"#/$defs/node"}},{"type":"object","additionalProperties":{"$ref":"#/$defs/node"}}]}},"$ref":"#/$defs/node"}`,
		"a recursive union":     `{"$defs":{"e":{"oneOf":[{"properties":{"and":{"items":{"$ref":"#/$defs/e"}}}},{"properties":{"or":{"items":{"$ref":"#/$defs/e"}}}},{"properties":{"not":{"$ref":"#/$defs/e"}}}]}},"$ref":"#/$defs/e"}`,
		"unused dynamic anchor": `{"$dynamicAnchor":"a","type":"object"}`,
		"a keyword as property": `{"properties":{"$ref":{"type":"string"},"propertyNames":{"type":"string"},"minLength":{"const":1}}}`,
		"the newest dialect":    `{"$schema":"https://json-schema.org/draft/2020-12/schema"}`,
	} {
		t.Run(name, func(t *testing.T) { compile(t, document) })
	}
}
