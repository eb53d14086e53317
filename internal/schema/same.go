package schema

import (
	"math/big"
	"reflect"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// saysNothing returns the fields of a compiled schema that do not affect validation.
func saysNothing() []string {
	return []string{
		"Location", "ID", "Anchor", "RecursiveAnchor", "DynamicAnchor",
		"Title", "Description", "Default", "Comment", "ReadOnly", "WriteOnly", "Examples", "Deprecated",
	}
}

// same reports whether two schemas have the same structure, and therefore validate alike. It
// compares all fields of the library's type, including those that a later version adds.
func (c *prover) same(a, b *jsonschema.Schema) bool {
	if equal, known := c.equal[pair{a, b}]; known {
		return equal
	}
	met := map[pair]bool{}
	equal := sameSchemas(a, b, met)
	c.work += len(met)
	c.equal[pair{a, b}] = equal
	return equal
}

func (c *prover) sameLists(a, b []*jsonschema.Schema) bool {
	return slices.EqualFunc(a, b, c.same)
}

// sameSchemas treats pairs that it has met before as equal: if they are not, the first comparison
// reports it.
func sameSchemas(a, b *jsonschema.Schema, met map[pair]bool) bool {
	if a == b || met[pair{a, b}] {
		return true
	}
	if a == nil || b == nil || len(met) > maxComparisons/10 {
		return false
	}
	met[pair{a, b}] = true
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range x.NumField() {
		field := x.Type().Field(i)
		if !field.IsExported() || slices.Contains(saysNothing(), field.Name) {
			continue
		}
		if !sameFields(x.Field(i).Interface(), y.Field(i).Interface(), met) {
			return false
		}
	}
	return true
}

func sameFields(a, b any, met map[pair]bool) bool {
	switch a := a.(type) {
	case *jsonschema.Schema:
		b, ok := b.(*jsonschema.Schema)
		return ok && sameSchemas(a, b, met)
	case []*jsonschema.Schema:
		b, ok := b.([]*jsonschema.Schema)
		return ok && slices.EqualFunc(a, b, func(x, y *jsonschema.Schema) bool { return sameSchemas(x, y, met) })
	case map[string]*jsonschema.Schema:
		b, ok := b.(map[string]*jsonschema.Schema)
		return ok && sameMaps(a, b, met)
	case map[string]any: // dependencies
		b, ok := b.(map[string]any)
		return ok && sameMaps(a, b, met)
	case map[jsonschema.Regexp]*jsonschema.Schema:
		b, ok := b.(map[jsonschema.Regexp]*jsonschema.Schema)
		return ok && sameMaps(byText(a), byText(b), met)
	case jsonschema.Regexp:
		b, ok := b.(jsonschema.Regexp)
		return ok && a.String() == b.String()
	case *jsonschema.Format:
		b, ok := b.(*jsonschema.Format)
		return ok && (a == b || a != nil && b != nil && a.Name == b.Name)
	case *big.Rat:
		b, ok := b.(*big.Rat)
		return ok && (a == b || a != nil && b != nil && a.Cmp(b) == 0)
	case []jsonschema.SchemaExt:
		b, ok := b.([]jsonschema.SchemaExt)
		return ok && slices.EqualFunc(a, b, func(x, y jsonschema.SchemaExt) bool {
			if x == jsonschema.SchemaExt(uniqueItems{}) {
				return x == y
			}
			one, ok := x.(propertyNames)
			other, alike := y.(propertyNames)
			return ok && alike && sameSchemas(one.schema, other.schema, met)
		})
	}
	return reflect.DeepEqual(a, b)
}

func sameMaps[V any](a, b map[string]V, met map[pair]bool) bool {
	if len(a) != len(b) || (a == nil) != (b == nil) {
		return false
	}
	for name, x := range a {
		if y, ok := b[name]; !ok || !sameFields(x, y, met) {
			return false
		}
	}
	return true
}

func byText(m map[jsonschema.Regexp]*jsonschema.Schema) map[string]*jsonschema.Schema {
	named := make(map[string]*jsonschema.Schema, len(m))
	for pattern, s := range m {
		named[pattern.String()] = s
	}
	return named
}
