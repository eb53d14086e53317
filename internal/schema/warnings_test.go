package schema_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/schema"
)

// What a schema has and does not judge by is told, with the nearest that is known.
func TestWarnings(t *testing.T) {
	const none = "no event can pass"
	for document, want := range map[string][]string{
		`{"type":"object","properties":{"a":{"type":"string","minlength":2}}}`: {`/properties/a/minlength "minlength" is no keyword of JSON Schema and is not checked; did you mean "minLength"?`},
		`{"properties":{"a":{"format":"Date-Time"},"b":{"format":"phone"}}}`: {
			`/properties/a/format the format "Date-Time" is not known and is not checked; did you mean "date-time"?`,
			`/properties/b/format the format "phone" is not known and is not checked`,
		},
		`{"properties":{"a":{"type":"string","nullable":true}}}`: {`/properties/a/nullable nullable is no keyword of JSON Schema and is not checked: write "null" among the types`},
		`{"items":{"require":["a"]},"allOf":[{"propertys":{}}]}`: {`/allOf/0/propertys "propertys" is no keyword of JSON Schema and is not checked; did you mean "properties"?`, `/items/require "require" is no keyword of JSON Schema and is not checked; did you mean "required"?`},
		`{"$ref":"#/$defs/a","$defs":{"a":{"foo":1,"bar":2}}}`:   {`/$defs/a/bar "bar" is no keyword of JSON Schema and is not checked`, `/$defs/a/foo "foo" is no keyword of JSON Schema and is not checked`},
		`false`:                             {none},
		`{"type":"array"}`:                  {none},
		`{"allOf":[{},{"type":"string"}]}`:  {none},
		`{"anyOf":[false,{"type":"null"}]}`: {none},
		`{"$ref":"#/$defs/a","$defs":{"a":{"type":"integer"}}}`: {none},
		// None of these has any.
		`true`: nil,
		`{}`:   nil,
		`{"anyOf":[false,{"type":"object"}],"properties":{"a":{"$ref":"#"}}}`:                                                                                                                            nil,
		`{"const":{"minlength":1},"enum":[{"foo":1}],"default":{"bar":1},"examples":[{"baz":1}],"x-owner":"me","properties":{"minlength":true},"$comment":"c"}`:                                          nil,
		`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"type":["string","null"],"format":"email"}},"properties":{"a":{"$ref":"#/definitions/a"}},"dependencies":{"a":["b"]}}`: nil,
	} {
		typ, err := schema.CompileDraft("c", "n", 1, []byte(document))
		if err != nil {
			t.Errorf("%s: %v", document, err)
			continue
		}
		var got []string
		for _, w := range typ.Warnings() {
			if strings.HasPrefix(w.Message, none) && w.Pointer == "" {
				w.Message = none
			}
			got = append(got, strings.TrimSpace(w.Pointer+" "+w.Message))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", document, diff)
		}
	}
}

// Every keyword and format that counts as known is one, and there are not too many warnings.
func TestWhatIsKnown(t *testing.T) {
	for _, format := range schema.Formats() {
		typ, err := schema.CompileDraft("c", "n", 1, fmt.Appendf(nil, `{"format":%q}`, format))
		if err != nil || len(typ.Warnings()) != 0 {
			t.Errorf("%s: %v, %v", format, typ.Warnings(), err)
		}
	}
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, `,"zz%d":1`, i)
	}
	typ, err := schema.CompileDraft("c", "n", 1, []byte(`{"type":"object"`+many.String()+`}`))
	if err != nil || len(typ.Warnings()) != schema.MaxWarnings {
		t.Errorf("%d warnings, %v", len(typ.Warnings()), err)
	}
}
