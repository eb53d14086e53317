package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/schema"
)

func compile(t testing.TB, document string) *schema.Type {
	t.Helper()
	typ, err := schema.Compile("page interaction", "pageview", 1, []byte(document))
	if err != nil {
		t.Fatalf("compile %s: %v", document, err)
	}
	return typ
}

func decode(t testing.TB, text string) any {
	t.Helper()
	v, ok := tryDecode(text)
	if !ok {
		t.Fatalf("no JSON: %s", text)
	}
	return v
}

func tryDecode(text string) (v any, ok bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return v, d.Decode(&v) == nil
}

func lines(problems []event.Problem) []string {
	var l []string
	for _, p := range problems {
		l = append(l, p.Pointer+": "+p.Message)
	}
	return l
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name, schema, data string
		want               []string
	}{
		{"conforms", `{"type":"object","required":["path"]}`, `{"path":"/"}`, nil},
		{"the empty schema takes all", `{}`, `{"path":1}`, nil},
		{"true takes all", `true`, `[]`, nil},
		{"false takes nothing", `false`, `{}`, []string{"/data: not allowed: the schema is false"}},
		{"missing property", `{"required":["path"]}`, `{}`, []string{"/data/path: missing property 'path'"}},
		{"each missing property", `{"required":["path","host"]}`, `{}`,
			[]string{"/data/host: missing property 'host'", "/data/path: missing property 'path'"}},
		{"missing property below", `{"properties":{"form":{"required":["a/b"]}}}`, `{"form":{}}`,
			[]string{"/data/form/a~1b: missing property 'a/b'"}},
		{"each extra property", `{"properties":{"a":true},"additionalProperties":false}`, `{"a":1,"b~":2,"it's":3}`,
			[]string{"/data/b~0: property 'b~' is not allowed (additionalProperties)", `/data/it's: property 'it\'s' is not allowed (additionalProperties)`}},
		{"unevaluated property", `{"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false}`, `{"a":1,"b":2}`,
			[]string{"/data/b: property 'b' is not allowed (unevaluatedProperties)"}},
		{"a property that must not be", `{"properties":{"a":false}}`, `{"a":1}`, []string{"/data/a: property 'a' is not allowed: its schema is false (properties)"}},
		{"properties of a kind that must not be", `{"patternProperties":{"^items$":false,"^/":{"properties":{"properties":false}}}}`, `{"items":1,"/":{"properties":1}}`,
			[]string{"/data/items: property 'items' is not allowed: its schema is false (patternProperties)", "/data/~1/properties: property 'properties' is not allowed: its schema is false (properties)"}},
		{"items that must not be", `{"properties":{"a":{"prefixItems":[true],"items":false},"b":{"prefixItems":[false]},"c":{"unevaluatedItems":false}}}`, `{"a":[1,2],"b":[1],"c":[1]}`,
			[]string{"/data/a/1: item 1 is not allowed (items)", "/data/b/0: item 0 is not allowed (prefixItems)", "/data/c/0: item 0 is not allowed (unevaluatedItems)"}},
		{"what a condition forbids", `{"if":{"required":["a"]},"then":false}`, `{"a":1}`, []string{"/data: not allowed here: the schema is false (then)"}},
		{"what a reference forbids", `{"$defs":{"never":false},"properties":{"a":{"$ref":"#/$defs/never"}}}`, `{"a":1}`, []string{"/data/a: not allowed here: the schema is false ($defs)"}},
		{"type", `{"properties":{"a":{"type":"string"},"b":{"type":["integer","null"]}}}`, `{"a":1,"b":1.5}`,
			[]string{"/data/a: must be a string, not a number", "/data/b: must be null or an integer, not 1.5"}},
		{"a number that is no integer", `{"properties":{"a":{"type":"integer"},"b":{"items":{"type":"integer"}},"c":{"type":"string"}}}`, `{"a":2.50,"b":[1,[],0.123456789012345678901234567890123456789],"c":2.5}`,
			[]string{"/data/a: must be an integer, not 2.50", "/data/b/1: must be an integer, not an array", "/data/b/2: must be an integer, not 0.12345678901234567890123456789012345…", "/data/c: must be a string, not a number"}},
		{"1.0 is an integer", `{"properties":{"a":{"type":"integer"}}}`, `{"a":1.0}`, nil},
		{"enum", `{"properties":{"a":{"enum":["x","y",1]}}}`, `{"a":"z"}`, []string{"/data/a: must be one of 'x', 'y', 1"}},
		{"const", `{"properties":{"a":{"const":"x"}}}`, `{"a":"z"}`, []string{"/data/a: must be 'x'"}},
		{"enum of any values", `{"properties":{"a":{"enum":[1,null,true,{"b":[1,"<"]}]}}}`, `{"a":"z"}`, []string{"/data/a: must be one of 1, null, true, {\"b\":[1,\"<\"]}"}},
		{"const of a list", `{"properties":{"a":{"const":[1,null]}}}`, `{"a":"z"}`, []string{"/data/a: must be [1,null]"}},
		{"pattern", `{"properties":{"a":{"pattern":"^/"}}}`, `{"a":"z"}`, []string{"/data/a: 'z' does not match the pattern '^/'"}},
		{"lengths count characters", `{"properties":{"a":{"maxLength":3},"b":{"minLength":2}}}`, `{"a":"äöü","b":"ß"}`,
			[]string{"/data/b: must have at least 2 characters, not 1"}},
		{"bounds", `{"properties":{"a":{"minimum":10},"b":{"exclusiveMaximum":1},"c":{"multipleOf":0.01}}}`, `{"a":9,"b":1,"c":1.234}`,
			[]string{"/data/a: must be at least 10, not 9", "/data/b: must be less than 1, not 1", "/data/c: must be a multiple of 0.01, which 1.234 is not"}},
		{"numbers are exact", `{"properties":{"a":{"maximum":9007199254740992}}}`, `{"a":9007199254740993}`,
			[]string{"/data/a: must be at most 9007199254740992, not 9007199254740993"}},
		{"items", `{"properties":{"a":{"items":{"type":"string"},"maxItems":1}}}`, `{"a":["x",2]}`,
			[]string{"/data/a: must have at most 1 item, not 2", "/data/a/1: must be a string, not a number"}},
		{"unique items", `{"properties":{"a":{"uniqueItems":true}}}`, `{"a":[1,2,1.0]}`, []string{"/data/a: items 0 and 2 are equal, but all must differ (uniqueItems)"}},
		{"contains", `{"properties":{"a":{"contains":{"const":1}}}}`, `{"a":[2,3]}`, []string{"/data/a: no item matches contains"}},
		{"how many items", `{"properties":{"a":{"contains":{"type":"string"},"minContains":2},"b":{"contains":{"type":"string"},"maxContains":1}}}`, `{"a":["x"],"b":["x","y"]}`,
			[]string{"/data/a: at least 2 items must match contains (minContains), not 1", "/data/b: at most 1 item may match contains (maxContains), not 2"}},
		{"dependent property", `{"dependentRequired":{"card":["name"]}}`, `{"card":1}`,
			[]string{"/data/name: missing property 'name', which 'card' requires"}},
		{"allOf tells each fault", `{"allOf":[{"required":["a"]},{"required":["b"]}]}`, `{}`,
			[]string{"/data/a: missing property 'a'", "/data/b: missing property 'b'"}},
		{"a fault told twice is told once", `{"allOf":[{"required":["a"]},{"required":["a"]}]}`, `{}`, []string{"/data/a: missing property 'a'"}},
		{"anyOf", `{"properties":{"a":{"anyOf":[{"type":"string"},{"properties":{"b":{"type":"null"}}}]}}}`, `{"a":{"b":1}}`,
			[]string{"/data/a: matches none of the alternatives (anyOf): (1) must be a string, not an object; (2) must be null, not a number at /data/a/b"}},
		{"oneOf, none", `{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{}`,
			[]string{"/data: matches none of the alternatives (oneOf): (1) missing property 'a' at /data/a; (2) missing property 'b' at /data/b"}},
		{"oneOf, two", `{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1,"b":1}`,
			[]string{"/data: matches alternatives 1 and 2, but exactly one must match (oneOf)"}},
		{"many alternatives", `{"anyOf":[{"type":"null"},{"type":"null"},{"type":"null"},{"type":"null"},{"type":"null"},{"type":"null"},{"type":"null"}]}`, `{}`,
			[]string{"/data: matches none of the alternatives (anyOf): (1) must be null, not an object; (2) must be null, not an object; (3) must be null, not an object; (4) must be null, not an object; (5) must be null, not an object; and 2 more"}},
		{"not", `{"not":{"required":["a"]}}`, `{"a":1}`, []string{"/data: matches a schema that excludes it (not)"}},
		{"if and then", `{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}`, `{"a":1}`,
			[]string{"/data/b: missing property 'b'"}},
		{"property names", `{"properties":{"a":{"propertyNames":{"pattern":"^[a-z]+$"}},"b":{"type":"object"}}}`, `{"a":{"A":1,"ok":2},"b":{}}`,
			[]string{"/data/a/A: the property name 'A' is not allowed: 'A' does not match the pattern '^[a-z]+$'"}},
		{"ref", `{"$defs":{"path":{"type":"string"}},"properties":{"a":{"$ref":"#/$defs/path"}}}`, `{"a":1}`,
			[]string{"/data/a: must be a string, not a number"}},
		{"anchor", `{"$defs":{"p":{"$anchor":"path","type":"string"}},"properties":{"a":{"$ref":"#path"}}}`, `{"a":1}`,
			[]string{"/data/a: must be a string, not a number"}},
		{"id inside the document", `{"$id":"https://shop.example/view.json","$defs":{"p":{"$id":"path.json","type":"string"}},"properties":{"a":{"$ref":"path.json"},"b":{"$ref":"https://shop.example/view.json#/$defs/p"}}}`, `{"a":1,"b":2}`,
			[]string{"/data/a: must be a string, not a number", "/data/b: must be a string, not a number"}},
		{"recursion", `{"properties":{"next":{"$ref":"#"}},"additionalProperties":false}`, `{"next":{"next":{"x":1}}}`,
			[]string{"/data/next/next/x: property 'x' is not allowed (additionalProperties)"}},
		{"formats are asserted", `{"properties":{"t":{"format":"date-time"},"u":{"format":"uuid"},"m":{"format":"email"}}}`, `{"t":"yesterday","u":"1","m":"jo@example.com"}`,
			[]string{"/data/t: 'yesterday' does not have the format date-time: use RFC 3339, such as 2026-01-01T10:00:00Z",
				"/data/u: '1' does not have the format uuid: must have 5 elements; use one such as 123e4567-e89b-12d3-a456-426614174000"}},
		{"formats of no text hold", `{"properties":{"t":{"format":"date-time"}}}`, `{"t":1}`, nil},
		{"unknown formats hold", `{"properties":{"t":{"format":"int32"}}}`, `{"t":"x"}`, nil},
		{"draft-07", `{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"s":{"type":"string"}},"properties":{"a":{"items":[{"$ref":"#/definitions/s"}],"additionalItems":false}}}`, `{"a":[1,2]}`,
			[]string{"/data/a: the last item is not allowed (additionalItems)", "/data/a/0: must be a string, not a number"}},
		{"draft-07, dependencies", `{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":["b"],"c":{"required":["d"]}}}`, `{"a":1,"c":1}`,
			[]string{"/data/b: missing property 'b', which 'a' requires", "/data/d: missing property 'd'"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problems := compile(t, tt.schema).Check(decode(t, tt.data))
			if diff := cmp.Diff(tt.want, lines(problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			for _, p := range problems {
				if p.Code != event.SchemaViolation {
					t.Errorf("code %q", p.Code)
				}
			}
		})
	}
}

func TestProblemsAreBoundedAndOrdered(t *testing.T) {
	typ := compile(t, `{"additionalProperties":{"type":"string"}}`)
	data := map[string]any{}
	var pointers []string
	for i := range 500 {
		name := fmt.Sprintf("n%d", i)
		data[name] = true
		pointers = append(pointers, "/data/"+name)
	}
	slices.Sort(pointers)
	for range 5 { // members are visited in random order
		var got []string
		for _, p := range typ.Check(data) {
			got = append(got, p.Pointer)
		}
		if diff := cmp.Diff(pointers[:schema.MaxProblems], got); diff != "" {
			t.Fatalf("pointers (-want +got):\n%s", diff)
		}
	}
}

func TestMessagesAreBounded(t *testing.T) {
	long := strings.Repeat("ä", 100_000)
	names := `"` + strings.Repeat(`x","`, 500) + `y"`
	typ := compile(t, `{"properties":{"p":{"pattern":"^a"},"f":{"format":"uri"},"e":{"enum":[`+names+`]}},"additionalProperties":false}`)
	problems := typ.Check(map[string]any{"p": long, "f": long, "e": "z", long: 1})
	if len(problems) != 4 {
		t.Errorf("%d problems", len(problems))
	}
	for _, p := range problems {
		if len(p.Message) > schema.MaxMessageBytes || strings.ContainsRune(p.Message, '\uFFFD') {
			t.Errorf("message of %d bytes: %.80s", len(p.Message), p.Message)
		}
	}
}

// The place that is reported for propertyNames must not depend on what is checked after it.
func TestPlacesOfPropertyNames(t *testing.T) {
	typ := compile(t, `{"additionalProperties":{"propertyNames":{"maxLength":1},"properties":{"x":{"type":"string"}}}}`)
	data, want := map[string]any{}, []string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		data[name] = map[string]any{"long": 1, "x": "y"}
		want = append(want, "/data/"+name+"/long")
	}
	for range 20 {
		var got []string
		for _, p := range typ.Check(data) {
			got = append(got, p.Pointer)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("pointers (-want +got):\n%s", diff)
		}
	}
}

func TestUnusable(t *testing.T) {
	typ := schema.Unusable("c", "n", 7, errors.New("written by a newer server"))
	got := lines(typ.Check(map[string]any{}))
	want := []string{"/data: version 7 of the schema cannot be used by this server: written by a newer server"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The message for a value without the format shows an example, and uses no terms of Go.
func TestFormatAdvice(t *testing.T) {
	for _, format := range schema.Formats() {
		if format == "regex" {
			continue
		}
		typ := compile(t, fmt.Sprintf(`{"properties":{"a":{"format":%q}}}`, format))
		_, example, ok := strings.Cut(typ.Check(map[string]any{"a": "\\ {%"})[0].Message, " such as ")
		if !ok || typ.Check(map[string]any{"a": example}) != nil {
			t.Errorf("%s: the example %q does not have it", format, example)
		}
	}
	const dateTime = "; use RFC 3339, such as 2026-01-01T10:00:00Z"
	for _, test := range [][3]string{
		{"date-time", "2026-01-01 10:00", ": use RFC 3339, such as 2026-01-01T10:00:00Z"},
		{"date-time", "2026-02-30T10:00:00Z", ": day out of range" + dateTime},
		{"date-time", "2026-01-01T25:00:00Z", ": hour/min/sec out of range" + dateTime},
		{"date", "01.02.2026", ": use RFC 3339, such as 2026-01-01"},
		{"ipv6", "1::g", ": use an address such as 2001:db8::1"},
		{"uri", "http://a b/", ": use an absolute one, such as https://example.com/path"},
		{"uri", "/path", ": relative url; use an absolute one, such as https://example.com/path"},
		{"email", "jo", ": missing @; use an address such as name@example.com"},
	} {
		typ := compile(t, fmt.Sprintf(`{"properties":{"a":{"format":%q}}}`, test[0]))
		want := "'" + test[1] + "' does not have the format " + test[0] + test[2]
		if got := typ.Check(map[string]any{"a": test[1]}); len(got) != 1 || got[0].Message != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}
