package schema_test

import (
	"strings"
	"testing"

	"theeye/internal/schema"
)

// The table of compatible changes in docs/guides/types.md describes these. "forth" is the verdict
// on replacing the first schema by the second, "back" on the reverse: empty for compatible,
// otherwise the pointer and the beginning of the first reason.
func TestCompatibility(t *testing.T) {
	tests := []struct{ name, a, b, forth, back string }{
		{"nothing changes", `{"type":"object","required":["a"]}`, `{"required":["a"],"type":"object"}`, "", ""},
		{"words for people", `{"title":"a"}`, `{"title":"b","description":"c","examples":[1],"default":2,"$comment":"d"}`, "", ""},
		{"a format that is not asserted", `{}`, `{"format":"colour"}`, "", ""},

		// Properties.
		{"a required property", `{"properties":{"a":true}}`, `{"properties":{"a":true},"required":["a"]}`, "/required property 'a' is now required", ""},
		{"an optional property, closed", `{"properties":{"a":{}},"additionalProperties":false}`, `{"properties":{"a":{},"b":{}},"additionalProperties":false}`, "", "/additionalProperties property 'b' is no longer allowed"},
		{"an optional property, open", `{"properties":{"a":{}}}`, `{"properties":{"a":{},"b":{"type":"string"}}}`, "/properties/b/type no longer accepted", ""},
		{"an optional property that takes anything, open", `{"properties":{"a":{}}}`, `{"properties":{"a":{},"b":true}}`, "", ""},
		{"an optional property out of bounded others", `{"additionalProperties":{"type":"string"}}`, `{"properties":{"b":{"type":"string"}},"additionalProperties":{"type":"string"}}`, "", ""},
		{"other properties end", `{"properties":{"a":{}}}`, `{"properties":{"a":{}},"additionalProperties":false}`, "/additionalProperties other properties are no longer allowed", ""},
		{"other properties are bounded", `{}`, `{"additionalProperties":{"type":"string"}}`, "/additionalProperties other properties", ""},
		{"other properties are bounded less", `{"additionalProperties":{"type":"integer"}}`, `{"additionalProperties":{"type":"number"}}`, "", "/additionalProperties other properties"},
		{"a deep property", `{"properties":{"a":{"properties":{"b":{"maximum":5}}}}}`, `{"properties":{"a":{"properties":{"b":{"maximum":4}}}}}`, "/properties/a/properties/b/maximum maximum is now 4", ""},
		{"a name with a slash", `{"properties":{"a/b":{"type":["string","null"]}}}`, `{"properties":{"a/b":{"type":"string"}}}`, "/properties/a~1b/type no longer accepted: null", ""},
		{"a pattern of names", `{"patternProperties":{"^x-":{"type":"string"}},"additionalProperties":false}`, `{"patternProperties":{"^x-":{"type":["string","null"]}},"additionalProperties":false}`, "", "/patternProperties/^x- other properties"},
		{"another pattern of names", `{"patternProperties":{"^x-":{}},"additionalProperties":false}`, `{"patternProperties":{"^y-":{}},"additionalProperties":false}`, "/additionalProperties other properties", "/additionalProperties other properties"},
		{"names", `{"propertyNames":{"maxLength":5}}`, `{"propertyNames":{"maxLength":4}}`, "/propertyNames/maxLength maxLength was 5", ""},
		{"names of a closed object", `{"properties":{"ab":{}},"additionalProperties":false}`, `{"properties":{"ab":{}},"additionalProperties":false,"propertyNames":{"maxLength":2}}`, "", ""},
		{"how many", `{"maxProperties":3}`, `{"maxProperties":2,"minProperties":1}`, "/minProperties minProperties was 0", ""},
		{"how many, as required", `{"type":"object","required":["a","b"]}`, `{"type":"object","minProperties":2}`, "", "/required property 'a'"},
		{"required beside another", `{}`, `{"dependentRequired":{"a":["b"]}}`, "/dependentRequired property 'b' is now required if 'a' is present", ""},
		{"required beside another, always there", `{"required":["b"]}`, `{"dependentRequired":{"a":["b"]}}`, "", "/required property 'b'"},
		{"a schema beside another", `{"dependentSchemas":{"a":{"required":["b"]}}}`, `{"dependentSchemas":{"a":{"required":["b","c"]}}}`, "/dependentSchemas/a/required property 'c'", ""},

		// Types and values.
		{"a type less", `{"type":["string","number"]}`, `{"type":"string"}`, "/type no longer accepted: number", ""},
		{"integers alone", `{"type":"number"}`, `{"type":"integer"}`, "/type numbers other than integers", ""},
		{"a type at all", `{}`, `{"type":"object"}`, "/type no longer accepted: null, boolean, number, string, array", ""},
		{"an enum", `{"type":"string"}`, `{"enum":["a","b"]}`, "/enum now only some values", ""},
		{"an enum of fewer", `{"enum":["a","b","c"]}`, `{"enum":["a","b"]}`, `/enum "c" is no longer accepted`, ""},
		{"an enum that ends", `{"enum":["a","b"]}`, `{"type":"string"}`, "", "/enum now only some values"},
		{"an enum and a length", `{"enum":["a","bb"]}`, `{"type":"string","maxLength":1}`, `/type "bb" is no longer accepted`, "/enum now only some values"},
		{"a constant of an enum", `{"const":1.0}`, `{"enum":[1,2]}`, "", "/const 2 is no longer accepted"},
		{"booleans one by one", `{"type":"boolean"}`, `{"enum":[true,false]}`, "", ""},

		// Numbers.
		{"a minimum", `{}`, `{"minimum":0}`, "/minimum minimum is now 0; there was none before", ""},
		{"a minimum where there are no numbers", `{"type":"string"}`, `{"type":"string","minimum":0}`, "", ""},
		{"an exclusive minimum of integers", `{"type":"integer","exclusiveMinimum":0}`, `{"type":"integer","minimum":1}`, "", ""},
		{"an exclusive minimum of numbers", `{"exclusiveMinimum":0}`, `{"minimum":0}`, "", "/exclusiveMinimum exclusiveMinimum is now 0"},
		{"multiples", `{"multipleOf":0.5}`, `{"multipleOf":0.25}`, "", "/multipleOf numbers must now be multiples of 0.5"},
		{"multiples of integers", `{"type":"integer"}`, `{"type":"integer","multipleOf":0.5}`, "", ""},
		{"multiples of one are integers", `{"multipleOf":1}`, `{"type":["null","boolean","integer","string","array","object"]}`, "", ""},

		// Texts.
		{"lengths", `{"minLength":1,"maxLength":5}`, `{"minLength":2,"maxLength":6}`, "/minLength minLength was 1 and is now 2", "/maxLength maxLength was 6 and is now 5"},
		{"a pattern", `{"pattern":"^a"}`, `{"pattern":"^b"}`, `/pattern strings must now match "^b"`, `/pattern strings must now match "^a"`},
		{"a pattern that ends", `{"pattern":"^a"}`, `{"type":["null","boolean","number","string","array","object"]}`, "", "/pattern strings must now match"},
		{"a format", `{"type":"string"}`, `{"type":"string","format":"uuid"}`, "/format strings must now be a uuid", ""},
		{"a format where there are no texts", `{"type":"number"}`, `{"type":"number","format":"uuid"}`, "", ""},

		// Arrays.
		{"items", `{"items":{"type":"string"}}`, `{"items":{"type":["string","null"]}}`, "", "/items/type no longer accepted: null"},
		{"items of an array that is always empty", `{"maxItems":0}`, `{"items":{"type":"string"}}`, "", "/maxItems maxItems is now 0"},
		{"the first items", `{"prefixItems":[{"type":"string"}],"items":{"type":"number"}}`, `{"items":{"type":["string","number"]}}`, "", "/prefixItems/0/type no longer accepted: number"},
		{"the first items alone", `{"prefixItems":[true],"items":false}`, `{"maxItems":1}`, "/maxItems maxItems is now 1", ""},
		{"unique items", `{}`, `{"uniqueItems":true}`, "/uniqueItems items must now be unique", ""},
		{"certain items", `{"contains":{"const":1},"minContains":2}`, `{"contains":{"type":"number"}}`, "", "/contains certain items"},
		{"at most so many of a kind", `{"contains":{"type":"number"},"maxContains":2}`, `{"contains":{"type":"integer"},"minContains":0,"maxContains":2}`, "", "/contains certain items"},
		{"items of an old dialect", `{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"string"}],"additionalItems":false}`, `{"prefixItems":[{"type":"string"}],"items":false}`, "", ""},

		// Combinations.
		{"a reference to the same", `{"properties":{"a":{"type":"string"}}}`, `{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"type":"string"}}}`, "", ""},
		{"a definition changes", `{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"type":"string"}}}`, `{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"type":"number"}}}`, "/$defs/a/type no longer accepted: string", "/$defs/a/type no longer accepted: number"},
		{"a definition that nothing uses", `{"$defs":{"a":{"type":"string"}}}`, `{"$defs":{"a":{"type":"number"}}}`, "", ""},
		{"a tree", `{"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"l":{"$ref":"#/$defs/t"}},"additionalProperties":false}}}`, `{"$ref":"#/$defs/u","$defs":{"u":{"type":["object","null"],"properties":{"l":{"$ref":"#/$defs/u"}},"additionalProperties":false}}}`, "", "/$defs/t/type no longer accepted: null"},
		{"one schema more in allOf", `{"allOf":[{"minimum":1}]}`, `{"allOf":[{"minimum":1},{"maximum":5}]}`, "/allOf/1/maximum maximum is now 5", ""},
		{"allOf together", `{"allOf":[{"type":"string"},{"minLength":2}]}`, `{"type":"string","minLength":2}`, "", ""},
		{"an alternative more", `{"anyOf":[{"type":"string"}]}`, `{"anyOf":[{"type":"string"},{"type":"null"}]}`, "", "/anyOf cannot be compared"},
		{"alternatives or types", `{"type":["string","null"]}`, `{"anyOf":[{"type":"string"},{"type":"null"}]}`, "", ""},
		{"other alternatives, some wider", `{"anyOf":[{"type":"integer"},{"type":"string","maxLength":3}]}`, `{"anyOf":[{"type":"string"},{"type":"number"}]}`, "", "/anyOf cannot be compared"},
		{"exactly one, by a constant", `{"oneOf":[{"required":["k"],"properties":{"k":{"const":"a"}},"type":"object"}]}`, `{"oneOf":[{"required":["k"],"properties":{"k":{"const":"a"}},"type":"object"},{"required":["k"],"properties":{"k":{"const":"b"}},"type":"object"}]}`, "", "/oneOf cannot be compared"},
		{"exactly one, that may be two", `{"oneOf":[{"type":"string"}]}`, `{"oneOf":[{"type":"string"},{"minLength":3}]}`, "/oneOf cannot be compared", "/oneOf cannot be compared"},
		{"more is excluded", `{"not":{"const":1}}`, `{"not":{"enum":[1,2]}}`, "/not cannot be compared", ""},
		{"nothing is excluded any more", `{"not":{"const":1}}`, `{}`, "", "/not cannot be compared"},
		{"a condition", `{"if":{"required":["a"]},"then":{"required":["b"]}}`, `{"if":{"required":["a"]},"then":{"required":["b","c"]}}`, "/then/required property 'c'", ""},
		{"a condition that always held", `{"required":["b"]}`, `{"if":{"required":["a"]},"then":{"required":["b"]}}`, "", "/required property 'b'"},
		{"unevaluated, the same", `{"allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":false}`, `{"allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":false,"title":"x"}`, "", ""},
		{"unevaluated, another", `{"allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":false}`, `{"allOf":[{"properties":{"a":{},"b":{}}}],"unevaluatedProperties":false}`, "/unevaluatedProperties cannot be compared", "/unevaluatedProperties cannot be compared"},
		{"everything", `{}`, `true`, "", ""},
		{"nothing", `{"type":"string"}`, `false`, " values that were accepted here are no longer allowed", ""},
		{"a property that cannot be there", `{"properties":{"a":false}}`, `{"properties":{"a":{"type":"string"}}}`, "", "/properties/a values that were accepted here are no longer allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := compile(t, tt.a), compile(t, tt.b)
			judged(t, "forth", b.Breaks(a), tt.forth)
			judged(t, "back", a.Breaks(b), tt.back)
			if reasons := a.Breaks(a); reasons != nil {
				t.Errorf("not compatible with itself: %v", reasons)
			}
		})
	}
	t.Logf("%d pairs, each both ways", len(tests))
}

func judged(t *testing.T, way string, got []schema.Reason, want string) {
	t.Helper()
	text := ""
	if len(got) > 0 {
		text = got[0].Pointer + " " + got[0].Reason
	}
	if (want == "") != (text == "") || !strings.HasPrefix(text, want) {
		t.Errorf("%s: got %q, want %q", way, got, want)
	}
}

// A comparison that would take too many steps ends, and the verdict is then not "compatible".
func TestJudgingEnds(t *testing.T) {
	branch := func(extra string) string {
		return `{"anyOf":[` + numbered(30, `{"properties":{"p%d":{"anyOf":[{"$ref":"#"},{"minLength":1},{"maxLength":9}]}}`+extra+`}`) + `]}`
	}
	a, err := schema.Compile("c", "n", 1, []byte(branch("")))
	if err != nil {
		t.Fatal(err)
	}
	b, err := schema.Compile("c", "n", 2, []byte(branch(`,"minProperties":1`)))
	if err != nil {
		t.Fatal(err)
	}
	reasons := b.Breaks(a)
	if len(reasons) != 1 || reasons[0].Reason != "cannot be compared: the two schemas are too complex" {
		t.Errorf("got %v", reasons)
	}
}

// A version that this server cannot use accepts nothing.
func TestAfterAVersionThatCannotBeUsed(t *testing.T) {
	before := schema.Unusable("c", "n", 1, &schema.CompileError{Reason: "too old"})
	now := compile(t, `{"type":"object"}`)
	if reasons := now.Breaks(before); reasons != nil {
		t.Errorf("got %v", reasons)
	}
	if reasons := before.Breaks(now); len(reasons) != 1 {
		t.Errorf("got %v", reasons)
	}
}

// A large schema of an ordinary form is compared within the limit of steps.
func TestALargeSchemaIsJudged(t *testing.T) {
	properties := numbered(900, `"p%d":{"type":"object","required":["a"],"properties":{"a":{"type":"string","maxLength":9}},"additionalProperties":false}`)
	values := numbered(schema.MaxEnum, `"v%d"`)
	a := compile(t, `{"type":"object","properties":{"kind":{"enum":[`+values[:len(values)-7]+`]},`+properties+`},"additionalProperties":false}`)
	b := compile(t, `{"type":"object","properties":{"kind":{"enum":[`+values+`]},"more":{},`+properties+`},"additionalProperties":false}`)
	if reasons := b.Breaks(a); reasons != nil {
		t.Errorf("got %v", reasons)
	}
}

// Data that could be checked before must not become too large for its schema.
func TestCompatibilityOfLargeData(t *testing.T) {
	anyOf := func(n int) string { return `{"anyOf":[true` + strings.Repeat(",true", n-1) + `]}` }
	for name, c := range map[string]struct {
		before, now string
		breaks      bool
	}{
		"a hundred alternatives for items": {`{"properties":{"big":{"type":"array"}}}`, `{"properties":{"big":{"type":"array","items":` + anyOf(100) + `}}}`, true},
		"a few":                            {`{"properties":{"big":{"type":"array"}}}`, `{"properties":{"big":{"type":"array","items":` + anyOf(10) + `}}}`, false},
		"a hundred for the root":           {`{}`, anyOf(100), false},
		"an optional property": {
			`{"properties":{"a":{"type":"string"}},"additionalProperties":false}`,
			`{"properties":{"a":{"type":"string"},"b":{"required":["c","d"],"properties":{"c":{"enum":["x","y"]}}}},"additionalProperties":false}`, false,
		},
		"one more of many": {`{"items":` + anyOf(99) + `}`, `{"items":` + anyOf(100) + `}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			reasons := compile(t, c.now).Breaks(compile(t, c.before))
			if (reasons != nil) != c.breaks || c.breaks && !strings.HasPrefix(reasons[0].Reason, "cannot be compared: large data") {
				t.Errorf("%v", reasons)
			}
		})
	}
}
