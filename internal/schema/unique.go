package schema

import (
	stdjson "encoding/json"
	"maps"
	"math/big"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// uniqueItems replaces the library's check, which compares all pairs of items of a short array, and
// the items of a long one whose hashes are equal: a sender can choose items that all have equal
// hashes.
type uniqueItems struct{}

// replaceUnique puts uniqueItems into a compiled schema.
func replaceUnique(g *graph) {
	for _, n := range g.nodes {
		if n.schema.UniqueItems {
			n.schema.UniqueItems = false
			n.schema.Extensions = append(n.schema.Extensions, uniqueItems{})
		}
	}
}

// unique reports whether s requires unique items.
func unique(s *jsonschema.Schema) bool {
	return s.UniqueItems || slices.Contains(s.Extensions, jsonschema.SchemaExt(uniqueItems{}))
}

// Validate reports the first two items of an array that are equal.
func (uniqueItems) Validate(ctx *jsonschema.ValidatorContext, v any) {
	array, ok := v.([]any)
	if !ok || len(array) < 2 {
		return
	}
	seen := make(map[string]int, len(array))
	var b []byte
	for i, item := range array {
		b = appendExact(b[:0], item)
		if first, again := seen[string(b)]; again {
			ctx.AddError(&kind.UniqueItems{Duplicates: [2]int{first, i}})
			return
		}
		seen[string(b)] = i
	}
}

// appendExact serializes a value so that two results are equal exactly if the values are equal
// according to JSON Schema.
func appendExact(b []byte, v any) []byte {
	text := func(b []byte, s string) []byte {
		return append(append(strconv.AppendInt(b, int64(len(s)), 10), ':'), s...)
	}
	switch v := v.(type) {
	case nil:
		return append(b, 'n')
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return text(append(b, '"'), v)
	case stdjson.Number:
		exact := string(v)
		if r, ok := new(big.Rat).SetString(exact); ok {
			exact = r.RatString()
		}
		return text(append(b, '0'), exact)
	case []any:
		b = append(b, '[')
		for _, item := range v {
			b = appendExact(b, item)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for _, name := range slices.Sorted(maps.Keys(v)) {
			b = appendExact(text(b, name), v[name])
		}
		return append(b, '}')
	}
	return b
}
