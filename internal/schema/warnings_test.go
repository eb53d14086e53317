package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/schema"
)

// What has no effect in a schema is reported, with the most similar known word.
func TestWarnings(t *testing.T) {
	const none = "no event can pass"
	for document, want := range map[string][]string{
		`{"type":"object","properties":{"a":{"type":"string","minlength":2}}}`: {`/properties/a/minlength "minlength" is not a JSON Schema keyword and is ignored; did you mean "minLength"?`},
		`{"properties":{"a":{"format":"Date-Time"},"b":{"format":"phone"}}}`: {
			`/properties/a/format the format "Date-Time" is unknown and is ignored; did you mean "date-time"?`,
			`/properties/b/format the format "phone" is unknown and is ignored`,
		},
		`{"properties":{"a":{"type":"string","nullable":true}}}`: {`/properties/a/nullable nullable is not a JSON Schema keyword and is ignored: add "null" to the types`},
		`{"items":{"require":["a"]},"allOf":[{"propertys":{}}]}`: {`/allOf/0/propertys "propertys" is not a JSON Schema keyword and is ignored; did you mean "properties"?`, `/items/require "require" is not a JSON Schema keyword and is ignored; did you mean "required"?`},
		`{"$ref":"#/$defs/a","$defs":{"a":{"foo":1,"bar":2}}}`:   {`/$defs/a/bar "bar" is not a JSON Schema keyword and is ignored`, `/$defs/a/foo "foo" is not a JSON Schema keyword and is ignored`},
		`false`:                             {none},
		`{"type":"array"}`:                  {none},
		`{"allOf":[{},{"type":"string"}]}`:  {none},
		`{"anyOf":[false,{"type":"null"}]}`: {none},
		`{"$ref":"#/$defs/a","$defs":{"a":{"type":"integer"}}}`: {none},
		`{"not":{}}`:                         {none},
		`{"not":true}`:                       {none},
		`{"not":{"type":["object","null"]}}`: {none},
		`{"enum":[]}`:                        {none},
		`{"enum":[1,"a"]}`:                   {none},
		`{"const":{"a":1},"enum":[{"a":2}]}`: {none},
		`{"oneOf":[{"not":{}},{"enum":[]}]}`: {none},
		`{"type":"object","required":["a"],"properties":{"b":{}},"additionalProperties":false}`: {`/required no event can pass: property 'a' is required, but no value is allowed for it`},
		`{"required":["b","a"],"properties":{"a":{"not":{}}}}`:                                  {`/required no event can pass: property 'a' is required, but no value is allowed for it`},
		`{"required":["a"],"properties":{"a":{"enum":[]}}}`:                                     {`/required no event can pass: property 'a' is required, but no value is allowed for it`},
		`{"required":["a"],"properties":{"a":{"type":"integer","minimum":3,"maximum":2}}}`:      {`/required no event can pass: property 'a' is required, but no value is allowed for it`},
		`{"required":["a"],"properties":{"a":{"anyOf":[false,{"enum":[]}]}}}`:                   {`/required no event can pass: property 'a' is required, but no value is allowed for it`},
		`{"allOf":[{"$ref":"#/$defs/a"}],"properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"a":{"required":["a"]},"b":{"type":"object","required":["x"],"additionalProperties":false}}}`: {
			`/$defs/a/required no event can pass: property 'a' is required, but no value is allowed for it`,
		},
		`{"properties":{"a":{"pattern":"(x?y?){200}b"}}}`: {
			`/properties/a a string of more than 6650 bytes here will be rejected, because its patterns would take too long: simplify them, or set maxLength`,
		},
		`{"items":{"properties":{"a":{"anyOf":[` + numbered(100, `{"const":%d}`) + `]}}}}`: {
			`/items an event with more than about 226 values here will be rejected, because validating them would take too long: use fewer alternatives (anyOf, oneOf) and shorter enum lists`,
		},
		// None of these has warnings.
		`{"properties":{"a":{"pattern":"(x?y?){200}b","maxLength":900}}}`:                                       nil,
		`{"properties":{"a":{"anyOf":[` + numbered(100, `{"const":%d}`) + `]}},"items":{"enum":[1,2,"a","b"]}}`: nil,
		`true`:                       nil,
		`{}`:                         nil,
		`{"not":{"required":["a"]}}`: nil,
		`{"not":{"type":"array"}}`:   nil,
		`{"not":{"not":{}}}`:         nil,
		`{"properties":{"a":{"not":{}},"b":{"enum":[]}}}`:                                                                                                                                                nil, // these properties must be absent
		`{"required":["a"],"patternProperties":{"^a":{}},"additionalProperties":false}`:                                                                                                                  nil,
		`{"required":["a"],"properties":{"a":{"anyOf":[false,{"enum":[1]}]}}}`:                                                                                                                           nil,
		`{"type":"object","required":["next"],"properties":{"next":{"type":["object","null"],"required":["next"],"properties":{"next":{"$ref":"#"}}}}}`:                                                  nil,
		`{"anyOf":[false,{"type":"object"}],"properties":{"a":{"$ref":"#"}}}`:                                                                                                                            nil,
		`{"const":{"minlength":1},"enum":[{"minlength":1}],"default":{"bar":1},"examples":[{"baz":1}],"x-owner":"me","properties":{"minlength":true},"$comment":"c"}`:                                    nil,
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

// Every keyword and format that counts as known exists, and the number of warnings is bounded.
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

// The sizes in a warning are those that are rejected.
func TestWarnedSizes(t *testing.T) {
	pattern := compile(t, `{"properties":{"a":{"pattern":"(x?y?){200}b"}}}`)
	items := compile(t, `{"items":{"properties":{"a":{"anyOf":[`+numbered(100, `{"const":%d}`)+`]}}}}`)
	item := map[string]any{"a": json.Number("-1")}
	for name, c := range map[string]struct {
		typ      *schema.Type
		data     any
		rejected bool
	}{
		"a text":         {pattern, map[string]any{"a": strings.Repeat("x", 6600)}, false},
		"a longer text":  {pattern, map[string]any{"a": strings.Repeat("x", 6700)}, true},
		"a list":         {items, array(220, item), false},
		"a longer list":  {items, array(235, item), true},
		"a list of none": {items, array(20_000, map[string]any{}), false},
	} {
		problems := c.typ.Check(c.data)
		if rejected := len(problems) == 1 && problems[0].Message == schema.TooMuchWork; rejected != c.rejected {
			t.Errorf("%s: %.200v", name, problems)
		}
	}
}

// A schema in which everything is required, and may recurse indefinitely, is examined quickly.
func TestEmptyIsBounded(t *testing.T) {
	const names = 200
	document := `{"type":"object","required":[` + numbered(names, `"p%d"`) + `],"properties":{` + numbered(names, `"p%d":{"$ref":"#"}`) + `},"anyOf":[` + numbered(100, `{"required":["p%d"]}`) + `]}`
	typ, err := schema.CompileDraft("c", "n", 1, []byte(document))
	if err != nil || len(typ.Warnings()) != 0 {
		t.Errorf("%v, %v", typ.Warnings(), err)
	}
}
