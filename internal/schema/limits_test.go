package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"theeye/internal/schema"
)

// Schemas whose cost doubles with depth are refused, however small they are.
func TestDoublingIsRefused(t *testing.T) {
	doubling := `"z":{"type":"string"}`
	for i := range 25 {
		next := fmt.Sprintf("a%d", i+1)
		if i == 24 {
			next = "z"
		}
		doubling += fmt.Sprintf(`,"a%d":{"anyOf":[{"$ref":"#/$defs/%[2]s"},{"$ref":"#/$defs/%[2]s"}]}`, i, next)
	}
	nested := `{"type":"string"}`
	for range 9 {
		nested = `{"anyOf":[` + nested + `,` + nested + `]}`
	}
	for name, document := range map[string]string{
		"anyOf in anyOf":           nested,
		"references":               `{"$ref":"#/$defs/a0","$defs":{` + doubling + `}}`,
		"references of a property": `{"properties":{"x":{"$ref":"#/$defs/a0"}},"$defs":{` + doubling + `}}`,
		"by depth":                 `{"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["x"]},{"properties":{"a":{"$ref":"#"}},"required":["y"]}]}`,
		"by depth, any name":       `{"allOf":[{"additionalProperties":{"$ref":"#"}},{"patternProperties":{"a":{"$ref":"#"}}}]}`,
		"by depth, items":          `{"allOf":[{"items":{"$ref":"#"}},{"prefixItems":[true,{"$ref":"#"}]}]}`,
		"by depth, contains":       `{"items":{"$ref":"#"},"contains":{"$ref":"#"}}`,
		"by two levels":            `{"properties":{"a":{"allOf":[{"items":{"$ref":"#"}},{"items":{"$ref":"#"}}]}}}`,
		"by dependence":            `{"dependentSchemas":{"a":{"properties":{"b":{"$ref":"#"}}}},"properties":{"b":{"$ref":"#"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := schema.Compile("c", "n", 1, []byte(document))
			var refused *schema.CompileError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, "steps") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// For every accepted schema, a check of the largest data takes at most a small multiple of the time
// for the largest conforming data of a simple schema. Data that would take longer is refused.
func TestLargestData(t *testing.T) {
	one, long := json.Number("1"), strings.Repeat("a", 250_000)
	nestedIn := func(depth int, v any) any {
		for range depth {
			v = []any{v}
		}
		return v
	}
	texts := `{"items":{"type":"string"}}`
	union := `{"anyOf":[` + numbered(100, `{"enum":["x%d",1,2,3,4,5]}`) + `]}`
	plain, most := compile(t, texts), array(99_000, "a")
	control := func() time.Duration {
		start := time.Now()
		if problems := plain.Check(most); problems != nil {
			t.Fatal(problems)
		}
		return time.Since(start)
	}
	for _, tt := range []struct {
		name, schema string
		data         any
		passes       bool // the validator sees it
	}{
		{"all items wrong", texts, array(99_000, one), true},
		{"more items", texts, array(128_000, one), false},
		{"all items computed", `{"items":{"type":"number","minimum":0,"multipleOf":0.001}}`, array(17_000, one), true},
		{"large numbers", `{"items":{"multipleOf":1.234567890123456789012345678901234567891e-300}}`, array(6_000, json.Number("1.234567890123456789012345678901234567891e-308")), true},
		{"more of them", `{"items":{"multipleOf":0.001}}`, array(30_000, json.Number("1e-308")), false},
		{"all items of an enum", `{"items":{"enum":[` + numbered(500, "%d") + `]}}`, array(128_000, json.Number("99999")), false},
		{"texts of an enum of long ones", `{"items":{"enum":[` + numbered(1000, `"`+strings.Repeat("x", 240)+`%d"`) + `]}}`, array(3_000, "ab"), true},
		{"a union for each item", `{"items":` + union + `}`, array(128_000, "z"), false},
		{"a union for some items", `{"items":` + union + `}`, array(900, "z"), true},
		{"oneOf for some items", `{"items":{"oneOf":[` + numbered(100, `{"maxLength":%d}`) + `]}}`, array(900, "z"), true},
		{"all items deep", `{"items":{"$ref":"#"},"not":{"type":"number"}}`, nestedIn(60, array(8_000, one)), true},
		{"more deep items", `{"items":{"$ref":"#"},"not":{"type":"number"}}`, nestedIn(60, array(60_000, one)), false},
		{"items below a long name", `{"additionalProperties":` + texts + `}`, map[string]any{strings.Repeat("n", 100_000): array(20_000, one)}, false},
		{"names required everywhere", `{"items":{"required":[` + numbered(900, `"n%d"`) + `]}}`, array(85_000, map[string]any{}), false},
		{"members that nothing describes", `{"allOf":[` + numbered(90, `{"minProperties":%d}`) + `]}`, members(20_000), false},
		{"patterns", `{"items":{"pattern":"(.*a){30}b"}}`, array(1, long), false},
		{"a shorter text", `{"items":{"pattern":"(.*a){30}b"}}`, array(1, long[:50_000]), true},
		{"large patterns", `{"items":{"pattern":"(x?a?){200}b"}}`, array(1, long), false},
		{"patterns of names", `{"patternProperties":{"(.*a){30}b":true}}`, map[string]any{long: true}, false},
		{"a long pattern of the sender", `{"items":{"format":"regex"}}`, array(1, strings.Repeat("x{1000}", 30_000)), true},
		{"large patterns of the sender", `{"items":{"format":"regex"}}`, array(25_000, "x{999}"), false},
		{"some of them", `{"items":{"format":"regex"}}`, array(90, "x{999}"), true},
		{"the same text many times", `{"allOf":[` + numbered(90, `{"maxLength":%d}`) + `]}`, long, false},
		{"unique items", `{"uniqueItems":true}`, collisions(3500), true},
		{"short unique items", `{"uniqueItems":true}`, trees(10_000), true},
		{"short lists of unique items", `{"items":{"uniqueItems":true}}`, array(1_000, distinct(20)), true},
		{"unevaluated", `{"items":{"$ref":"#"},"unevaluatedItems":false,"allOf":[` + numbered(90, `{"prefixItems":[{"maximum":%d}]}`) + `]}`, array(100_000, one), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			typ := compile(t, tt.schema)
			most := 20 * control()
			start := time.Now()
			problems := typ.Check(tt.data)
			took := time.Since(start)
			most = max(most, 20*control())
			t.Logf("%v of at most %v, %d problems %.120v", took, most, len(problems), problems)
			if took > most {
				t.Errorf("took %v, the control a twentieth of %v", took, most)
			}
			if passes := len(problems) != 1 || problems[0].Message != schema.TooMuchWork; passes != tt.passes {
				t.Errorf("seen by the validator: %v", passes)
			}
			if typ.Failures() != 0 {
				t.Error("the validator panicked")
			}
		})
	}
}

func array(n int, item any) any { return slices.Repeat([]any{item}, n) }

func distinct(n int) any {
	var all []any
	for i := range n {
		all = append(all, json.Number(strconv.Itoa(i)))
	}
	return all
}

func members(n int) any {
	all := map[string]any{}
	for i := range n {
		all[strconv.Itoa(i)] = true
	}
	return all
}

// trees returns different lists of lists with equal numbers of brackets.
func trees(n int) any {
	var forests func(nodes, n int) []any
	forests = func(nodes, n int) (all []any) {
		if nodes == 0 {
			return []any{[]any{}}
		}
		for i := range nodes {
			for _, first := range forests(i, n) {
				for _, rest := range forests(nodes-1-i, n) {
					if all = append(all, append([]any{first}, rest.([]any)...)); len(all) == n {
						return all
					}
				}
			}
		}
		return all
	}
	return forests(11, n)
}

// Items are compared by their exact values.
func TestUniqueItems(t *testing.T) {
	typ := compile(t, `{"uniqueItems":true}`)
	for data, unique := range map[string]bool{
		`[]`: true, `[1]`: true, `[1,2]`: true, `[1,1.0]`: false, `[1,10e-1]`: false, `[0,-0]`: false, `[1,-1]`: true, `[1,"1"]`: true, `[1,true]`: true, `[0,false,null,"",[],{}]`: true,
		`[null,null]`: false, `[[],[[]],[[],[]]]`: true, `[[[],[]],[[[]]]]`: true, `["a",["a"],"a"]`: false, `[["a","b"],["ab"],["a\",\"b"]]`: true,
		`[{"a":1,"b":2},{"b":2,"a":1}]`: false, `[{"a":1},{"a":1.0}]`: false, `[{"a":1},{"a":1,"b":1}]`: true, `[{"a":"b"},{"ab":""}]`: true, `[{"a":[1,2]},{"a":[2,1]}]`: true,
	} {
		problems := typ.Check(decode(t, data))
		if (len(problems) == 0) != unique {
			t.Errorf("%s: %v", data, problems)
		}
	}
	if p := typ.Check(decode(t, `[3,1,2,1,3]`)); len(p) != 1 || !strings.Contains(p[0].Message, "1 and 3") {
		t.Errorf("got %v", p)
	}
	if p := compile(t, `{"not":{"uniqueItems":true}}`).Check(decode(t, `[1,1]`)); p != nil {
		t.Errorf("got %v", p)
	}
}

// collisions returns different lists of texts whose concatenations have the same hash.
func collisions(n int) any {
	var all []any
	for i := range n {
		var item []any
		text := ""
		for bit := range 14 {
			text += "x"
			if i>>bit&1 == 1 {
				item = append(item, text)
				text = ""
			} else {
				text += "\x04"
			}
		}
		all = append(all, append(item, text))
	}
	return all
}

func TestDataTheValidatorMustNotSee(t *testing.T) {
	deep := any(true)
	for range schema.MaxDataDepth + 1 {
		deep = map[string]any{"a": deep}
	}
	endless := map[string]any{}
	endless["a"] = endless
	typ := compile(t, `{"properties":{"n":{"maximum":5}}}`)
	for name, data := range map[string]any{
		"a number that panics":   map[string]any{"n": json.Number("1e1000001")},
		"a number that is slow":  map[string]any{"n": json.Number("1e999999")},
		"a number of no form":    map[string]any{"n": json.Number("one hundred thousand and one")},
		"many digits":            map[string]any{"n": json.Number(strings.Repeat("9", 41))},
		"deep data":              deep,
		"data that holds itself": endless,
	} {
		t.Run(name, func(t *testing.T) {
			if problems := typ.Check(data); len(problems) != 1 || !strings.HasPrefix(problems[0].Pointer, "/data") {
				t.Errorf("got %v", problems)
			}
		})
	}
	if p := typ.Check(map[string]any{"a/b": []any{json.Number("1e400")}}); len(p) != 1 || p[0].Pointer != "/data/a~1b/0" {
		t.Errorf("got %v", p)
	}
	if typ.Failures() != 0 {
		t.Error("the validator panicked")
	}
}

// A panic during a check becomes a problem and is counted.
func TestPanicsAreProblems(t *testing.T) {
	typ := compile(t, `{"properties":{"n":{"maximum":5}}}`)
	problems := typ.Check(map[string]any{"n": json.Number("x")}) // short, so not scanned; the library takes it for a number
	if len(problems) != 1 || problems[0].Pointer != "/data" || typ.Failures() != 1 {
		t.Errorf("got %v, %d failures", problems, typ.Failures())
	}
}

func TestChecksAtTheSameTime(t *testing.T) {
	typ := compile(t, typical)
	good, bad := decode(t, typicalData), decode(t, `{"host":1}`)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if len(typ.Check(good)) != 0 || len(typ.Check(bad)) == 0 {
					t.Error("a check at the same time as others has another result")
					return
				}
			}
		})
	}
	wg.Wait()
}

const (
	typical = `{"type":"object","required":["host","path","form"],"additionalProperties":false,"properties":{
		"host":{"type":"string","maxLength":253},
		"path":{"type":"string","pattern":"^/"},
		"element":{"enum":["button","link","image","form"]},
		"width":{"type":"integer","minimum":0},
		"form":{"type":"object","required":["first_name"],"properties":{
			"first_name":{"type":"string","minLength":1},"last_name":{"type":"string"}}}}}`
	typicalData = `{"host":"www.consumeraffairs.com","path":"/solar/quotes","element":"button","width":1280,
		"form":{"first_name":"John","last_name":"Doe"}}`
)

func BenchmarkCheck(b *testing.B) {
	for name, data := range map[string]string{"conforms": typicalData, "two problems": `{"host":"x","path":"y","form":{}}`} {
		b.Run(name, func(b *testing.B) {
			typ, v := compile(b, typical), decode(b, data)
			b.ReportAllocs()
			for b.Loop() {
				typ.Check(v)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		compile(b, typical)
	}
}
