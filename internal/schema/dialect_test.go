package schema_test

import (
	"errors"
	"strings"
	"testing"

	"theeye/internal/schema"
)

// A keyword that the dialect would silently ignore is refused, but not one that it defines, or that
// no dialect defines.
func TestKeywordsOfOtherDialects(t *testing.T) {
	const seven, six = `"$schema":"http://json-schema.org/draft-07/schema#",`, `"$schema":"http://json-schema.org/draft-06/schema#",`
	const nineteen = `"$schema":"https://json-schema.org/draft/2019-09/schema",`
	for _, tt := range []struct{ document, pointer, reason string }{
		{`{"id":"https://example.com/a"}`, "/id", "use $id"},
		{`{"properties":{"id":{"type":"string"}}}`, "", ""},
		{`{"properties":{"n":{"divisibleBy":2}}}`, "/properties/n/divisibleBy", "use multipleOf"},
		{`{"extends":{"type":"object"}}`, "/extends", "use allOf"},
		{`{"disallow":"string"}`, "/disallow", "use not"},
		{`{"items":{"additionalItems":false}}`, "/items/additionalItems", "use items together with prefixItems"},
		{`{` + seven + `"items":[{}],"additionalItems":false}`, "", ""},
		{`{` + nineteen + `"properties":{"a":{"$dynamicRef":"#"}}}`, "/properties/a/$dynamicRef", "use $ref"},
		{`{` + seven + `"prefixItems":[{}]}`, "/prefixItems", "draft-07"},
		{`{` + seven + `"dependentRequired":{"a":["b"]}}`, "/dependentRequired", "use dependencies"},
		{`{"dependencies":{"a":["b"]}}`, "", ""}, // still judged
		{`{` + seven + `"unevaluatedProperties":false}`, "/unevaluatedProperties", "2020-12"},
		{`{` + nineteen + `"unevaluatedProperties":false}`, "", ""},
		{`{` + seven + `"contains":{},"minContains":2}`, "/minContains", "2020-12"},
		{`{` + six + `"if":{},"then":false}`, "/if", "draft-06"},
		{`{` + seven + `"if":{},"then":{}}`, "", ""},
		{`{` + seven + `"definitions":{"a":{}},"properties":{"x~y":{"$ref":"#/definitions/a","minLength":2}}}`, "/properties/x~0y/minLength", "next to $ref"},
		{`{` + seven + `"definitions":{"a":{}},"properties":{"x":{"$ref":"#/definitions/a","description":"d"}}}`, "", ""},
		{`{"definitions":{"a":{}},"properties":{"x":{"$ref":"#/definitions/a","minLength":2}}}`, "", ""},
		{`{"const":{"id":"x","divisibleBy":1},"x-owner":"me"}`, "", ""},
		{`{"$defs":{"unused":{"divisibleBy":2}}}`, "", ""},
		{`true`, "", ""},
	} {
		typ, err := schema.CompileDraft("c", "n", 1, []byte(tt.document))
		var refused *schema.CompileError
		switch {
		case tt.reason == "" && (err != nil || typ == nil):
			t.Errorf("%s: %v", tt.document, err)
		case tt.reason != "" && (!errors.As(err, &refused) || refused.Pointer != tt.pointer || !strings.Contains(refused.Reason, tt.reason)):
			t.Errorf("%s: %v", tt.document, err)
		}
		if _, err := schema.Compile("c", "n", 1, []byte(tt.document)); err != nil {
			t.Errorf("%s was registered once and cannot be used any more: %v", tt.document, err)
		}
	}
	if _, err := schema.CompileDraft("c", "n", 1, []byte(`{"type":1}`)); err == nil {
		t.Error("what Compile refuses was taken")
	}
}
