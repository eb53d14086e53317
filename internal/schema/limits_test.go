package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"theeye/internal/schema"
)

// slow is far more than any check may take here, also under the race detector
// and beside others: what the bounds are for took seconds to minutes.
const slow = 10 * time.Second

// Schemas whose cost doubles are refused however small they are.
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
			start := time.Now()
			_, err := schema.Compile("c", "n", 1, []byte(document))
			var refused *schema.CompileError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, "steps") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > slow {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Whatever schema is accepted, a check of the largest data ends soon.
func TestLargestDataIsCheckedSoon(t *testing.T) {
	array := func(n int, item any) any {
		items := make([]any, n)
		for i := range items {
			items[i] = item
		}
		return items
	}
	nestedIn := func(depth int, v any) any {
		for range depth {
			v = []any{v}
		}
		return v
	}
	one := json.Number("1")
	long := strings.Repeat("a", 250_000)
	union := `{"anyOf":[` + numbered(100, `{"enum":["x%d",1,2,3,4,5]}`) + `]}`
	tests := []struct {
		name, schema string
		data         any
	}{
		{"all items wrong", `{"items":{"type":"string"}}`, array(128_000, one)},
		{"all items computed", `{"items":{"type":"number","minimum":0,"multipleOf":0.001}}`, array(128_000, one)},
		{"all items of an enum", `{"items":{"enum":[` + numbered(500, "%d") + `]}}`, array(128_000, json.Number("99999"))},
		{"a union for each item", `{"items":` + union + `}`, array(128_000, "z")},
		{"a union for some items", `{"items":` + union + `}`, array(1500, "z")},
		{"all items deep", `{"items":{"$ref":"#"},"not":{"type":"number"}}`, nestedIn(60, array(60_000, one))},
		{"names required everywhere", `{"items":{"required":[` + numbered(900, `"n%d"`) + `]}}`, array(85_000, map[string]any{})},
		{"patterns", `{"items":{"pattern":"(.*a){30}b"}}`, array(1, long)},
		{"large patterns", `{"items":{"pattern":"(x?a?){200}b"}}`, array(1, long)},
		{"a pattern of the sender", `{"items":{"format":"regex"}}`, array(1, strings.Repeat("x{1000}", 30_000))},
		{"unique items", `{"uniqueItems":true}`, collisions(3500)},
		{"unevaluated", `{"items":{"$ref":"#"},"unevaluatedItems":false,"allOf":[` + numbered(90, `{"prefixItems":[{"maximum":%d}]}`) + `]}`, array(100_000, one)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			typ := compile(t, tt.schema)
			start := time.Now()
			problems := typ.Check(tt.data)
			took := time.Since(start)
			t.Logf("%v, %d problems %.120v", took, len(problems), problems)
			if took > slow {
				t.Errorf("took %v", took)
			}
			if typ.Failures() != 0 {
				t.Error("the validator panicked")
			}
		})
	}
}

// collisions returns different lists of texts that the library gives one hash.
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

// A panic in the middle of a check is a problem and is counted.
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
