package schema

import (
	stdjson "encoding/json"
	"strconv"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// counter counts the evaluations of subschemas in a check.
type counter struct{ n int }

func (c *counter) Validate(*jsonschema.ValidatorContext, any) { c.n++ }

func (c *counter) vocabulary() *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{
		URL: "test:///count",
		Compile: func(*jsonschema.CompilerContext, map[string]any) (jsonschema.SchemaExt, error) {
			return c, nil
		},
	}
}

// The cost of a schema is never less than the work of the validator. This test is internal, because
// outside the package only a time is promised.
func TestCostIsAnUpperBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		definitions := map[string]any{}
		for i := range 3 {
			definitions[strconv.Itoa(i)] = drawSchema(t, 2)
		}
		document := map[string]any{"$defs": definitions, "allOf": []any{drawSchema(t, 3)}}
		text, err := stdjson.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		typ, err := Compile("c", "n", 1, text)
		if err != nil {
			t.Skip(err)
		}
		doc, err := parseDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		var count counter
		c := newCompiler(doc)
		c.RegisterVocabulary(count.vocabulary())
		c.AssertVocabs()
		counting, err := c.Compile(rootURL)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			data := drawData(t, 4)
			count.n = 0
			_ = counting.Validate(data)
			s := scanner{cost: typ.cost}
			s.value(data, 0, 0)
			if count.n > s.work {
				t.Fatalf("%d evaluations, the cost said %d\nschema %s\ndata %v", count.n, s.work, text, data)
			}
		}
	})
}

func drawNames(t *rapid.T) []string {
	return rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "ab", "c"}), rapid.ID).Draw(t, "names")
}

func drawSchema(t *rapid.T, depth int) any {
	if depth == 0 {
		return map[string]any{"maxProperties": 2, "maxItems": 2}
	}
	below := func() any { return drawSchema(t, depth-1) }
	list := func() []any {
		l := []any{below()}
		for rapid.Bool().Draw(t, "more") {
			l = append(l, below())
		}
		return l
	}
	s := map[string]any{"minProperties": 0}
	for range rapid.IntRange(1, 3).Draw(t, "keywords") {
		switch rapid.SampledFrom([]string{"list", "one", "ref", "properties", "pattern", "names", "prefix", "dependent"}).Draw(t, "keyword") {
		case "list":
			s[rapid.SampledFrom([]string{"allOf", "anyOf", "oneOf"}).Draw(t, "list")] = list()
		case "one":
			s[rapid.SampledFrom([]string{"not", "if", "then", "else", "items", "contains", "additionalProperties", "unevaluatedProperties", "unevaluatedItems"}).Draw(t, "one")] = below()
		case "ref":
			s["$ref"] = "#/$defs/" + rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, "ref")
		case "properties":
			properties := map[string]any{}
			for _, name := range drawNames(t) {
				properties[name] = below()
			}
			s["properties"] = properties
		case "pattern":
			s["patternProperties"] = map[string]any{"^a": below(), "b": below()}
		case "names":
			s["propertyNames"] = below()
		case "prefix":
			s["prefixItems"] = list()
		case "dependent":
			s["dependentSchemas"] = map[string]any{"a": below()}
		}
	}
	return s
}

func drawData(t *rapid.T, depth int) any {
	kind := rapid.SampledFrom([]string{"object", "array", "text", "number"}).Draw(t, "kind")
	if depth == 0 || kind == "text" {
		return "x"
	}
	switch kind {
	case "object":
		o := map[string]any{}
		for _, name := range drawNames(t) {
			o[name] = drawData(t, depth-1)
		}
		return o
	case "array":
		var a []any
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			a = append(a, drawData(t, depth-1))
		}
		return a
	}
	return stdjson.Number("1.5")
}
