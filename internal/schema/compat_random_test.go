package schema_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"theeye/internal/schema"
)

// What is called compatible must be: no value may conform to the old schema and
// not to the new one. Pairs are made by changing a schema a little, and values
// by following one of the two, so that both verdicts and both outcomes are common;
// how common is asserted too.
func TestCompatibleMeansThatNothingBreaks(t *testing.T) {
	var compatible, breaking, conforming, refuted atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		d := drawer{t}
		for range 10 {
			before := d.root()
			after := d.changed(before, 3)
			if d.chance(2) {
				before, after = after, before // what was taken away is put there
			}
			a, errA := schema.Compile("c", "n", 1, text(before))
			b, errB := schema.Compile("c", "n", 2, text(after))
			if errA != nil || errB != nil {
				continue
			}
			if again, _ := schema.Compile("c", "n", 2, text(before)); again.Breaks(a) != nil {
				t.Fatalf("not compatible with itself: %s\n%v", text(before), again.Breaks(a))
			}
			reasons := b.Breaks(a)
			broken := false
			for range 12 {
				guide := before
				if d.chance(3) {
					guide = after
				}
				v := value(text(d.value(guide, guide, 4)))
				if a.Check(v) != nil {
					continue
				}
				conforming.Add(1)
				problems := b.Check(v)
				broken = broken || problems != nil
				if problems != nil && reasons == nil {
					t.Fatalf("called compatible, but %s\nconforms to %s\nand not to  %s\n%v", text(v), text(before), text(after), problems)
				}
			}
			if reasons == nil {
				compatible.Add(1)
			} else if breaking.Add(1); broken {
				refuted.Add(1)
			}
		}
	})
	counts := fmt.Sprintf("%d pairs compatible, %d breaking (%d of them shown by a value), %d values conformed to the old schema",
		compatible.Load(), breaking.Load(), refuted.Load(), conforming.Load())
	t.Log(counts)
	if compatible.Load() < 50 || refuted.Load() < 20 || conforming.Load() < 500 {
		t.Error("too little was tried: " + counts)
	}
}

func text(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func value(document []byte) any {
	v, ok := tryDecode(string(document))
	if !ok {
		panic("no JSON")
	}
	return v
}

// drawer draws schemas and values from a small world, in which they meet often.
type drawer struct{ t *rapid.T }

type object = map[string]any

func (d drawer) below(n int) int   { return rapid.IntRange(0, n-1).Draw(d.t, "n") }
func (d drawer) chance(n int) bool { return d.below(n) == 0 }

func oneOf[T any](d drawer, list ...T) T { return list[d.below(len(list))] }

func (d drawer) name() string { return oneOf(d, "a", "b", "ab", "c") }

func (d drawer) atom() any {
	return oneOf[any](d, nil, true, false, 0, 1, 2, 3, -1, 0.5, 1.5, 2.5, "", "a", "b", "ab", "abc", "2021-01-01", "192.0.2.1")
}

func (d drawer) root() any {
	s := d.schema(3)
	if s, ok := s.(object); ok {
		s["$defs"] = object{"d": d.schema(2)}
		if d.chance(5) {
			s["$schema"] = "http://json-schema.org/draft-07/schema#"
		}
	}
	return s
}

func (d drawer) schema(depth int) any {
	if depth == 0 || d.chance(12) {
		return oneOf[any](d, true, object{}, object{"type": d.types()}, false)
	}
	s := object{}
	for range 1 + d.below(3) {
		maps.Copy(s, d.keyword(depth-1))
	}
	return s
}

func (d drawer) types() any {
	all := []string{"object", "string", "integer", "number", "array", "null", "boolean"}
	first, second := oneOf(d, all...), oneOf(d, all...)
	if first == second || d.chance(2) {
		return first
	}
	return []string{first, second}
}

func (d drawer) keyword(depth int) object {
	sub := func() any { return d.schema(depth) }
	count := func() int { return d.below(4) }
	bound := func() any { return oneOf[any](d, -1, 0, 0.5, 1, 2, 2.5) }
	list := func() []any {
		branches := []any{sub()}
		for d.chance(2) && len(branches) < 3 {
			branches = append(branches, sub())
		}
		return branches
	}
	switch d.below(36) {
	case 0, 1, 2:
		return object{"type": d.types()}
	case 3:
		return object{"enum": []any{d.atom(), d.atom(), d.atom()}}
	case 4:
		return object{"const": d.atom()}
	case 5:
		return object{oneOf(d, "minimum", "maximum"): bound()}
	case 6:
		return object{oneOf(d, "exclusiveMinimum", "exclusiveMaximum"): bound()}
	case 7:
		return object{"multipleOf": oneOf[any](d, 0.5, 1, 2, 1.5)}
	case 8:
		return object{oneOf(d, "minLength", "maxLength"): count()}
	case 9:
		return object{"pattern": oneOf(d, "^a", "b$", "^[0-9]")}
	case 10:
		return object{"format": oneOf(d, "date", "ipv4", "colour")}
	case 11, 12, 13, 14:
		return object{"properties": object{d.name(): sub(), d.name(): sub()}}
	case 15, 16:
		return object{"required": slices.Compact([]string{d.name()})}
	case 17, 18:
		return object{"additionalProperties": sub()}
	case 19:
		return object{"patternProperties": object{oneOf(d, "^a", "b$"): sub()}}
	case 20:
		return object{"propertyNames": sub()}
	case 21:
		return object{oneOf(d, "minProperties", "maxProperties"): count()}
	case 22:
		return object{"dependentRequired": object{d.name(): []string{d.name()}}}
	case 23:
		return object{"dependentSchemas": object{d.name(): sub()}}
	case 24:
		return object{"items": sub()}
	case 25:
		return object{"prefixItems": list()}
	case 26:
		return object{oneOf(d, "minItems", "maxItems"): count(), "uniqueItems": d.chance(2)}
	case 27:
		return object{"contains": sub(), oneOf(d, "minContains", "maxContains"): count()}
	case 28:
		return object{"anyOf": list()}
	case 29:
		return object{"oneOf": list()}
	case 30:
		return object{"allOf": list()}
	case 31:
		return object{"not": sub()}
	case 32: // of draft-07; in others it is no schema
		return object{"items": list(), "additionalItems": sub()}
	case 33:
		return object{"dependencies": object{d.name(): oneOf[any](d, sub(), []string{d.name()})}}
	case 34:
		return object{"if": sub(), oneOf(d, "then", "else"): sub()}
	}
	return oneOf(d, object{"$ref": "#/$defs/d"}, object{oneOf(d, "unevaluatedProperties", "unevaluatedItems"): false})
}

// changed returns a schema with one change at a random place.
func (d drawer) changed(s any, depth int) any {
	o, ok := s.(object)
	if !ok {
		return d.schema(depth)
	}
	next := maps.Clone(o)
	if len(o) == 0 {
		return d.keyword(depth)
	}
	keyword := oneOf(d, slices.Sorted(maps.Keys(o))...)
	switch d.below(6) {
	case 0:
		delete(next, keyword)
	case 1:
		maps.Copy(next, d.keyword(depth))
	default:
		next[keyword] = d.changedValue(keyword, o[keyword], depth)
	}
	return next
}

// changedValue changes what a keyword says.
func (d drawer) changedValue(keyword string, v any, depth int) any {
	switch v := v.(type) {
	case object:
		if keyword == "properties" || keyword == "patternProperties" || keyword == "$defs" || keyword == "dependentSchemas" {
			next := maps.Clone(v)
			if name := oneOf(d, slices.Sorted(maps.Keys(v))...); d.chance(4) && len(v) > 1 {
				delete(next, name)
			} else {
				next[name] = d.changed(v[name], depth-1)
			}
			if d.chance(4) && keyword == "properties" {
				next[d.name()] = d.schema(1)
			}
			return next
		}
		if keyword == "dependentRequired" || keyword == "dependencies" {
			return object{d.name(): []string{d.name()}}
		}
		return d.changed(v, max(depth-1, 1))
	case []any:
		next := slices.Clone(v)
		i := d.below(len(v))
		switch {
		case keyword == "enum":
			next[i] = d.atom()
		case d.chance(4) && len(v) > 1:
			return slices.Delete(next, i, i+1)
		case d.chance(4):
			return append(next, d.schema(1))
		default:
			next[i] = d.changed(v[i], max(depth-1, 1))
		}
		return next
	case bool:
		return !v
	case int:
		return max(v+oneOf(d, -1, 1), 0)
	}
	if keyword == "type" {
		return d.types()
	}
	for range 20 {
		if other, ok := d.keyword(depth)[keyword]; ok {
			return other
		}
	}
	return v
}

// value returns a value that often conforms to a schema.
func (d drawer) value(s, root any, depth int) any {
	o, ok := s.(object)
	if !ok || d.chance(8) || depth == 0 {
		return d.any(depth)
	}
	if v, ok := o["const"]; ok && !d.chance(6) {
		return v
	}
	if list, ok := o["enum"].([]any); ok && !d.chance(6) {
		return oneOf(d, list...)
	}
	if _, ok := o["$ref"]; ok && !d.chance(4) {
		defs, _ := root.(object)["$defs"].(object) // none where the reference is to something else
		return d.value(defs["d"], root, depth-1)
	}
	for _, keyword := range []string{"anyOf", "oneOf", "allOf"} {
		if list, ok := o[keyword].([]any); ok && d.chance(2) {
			return d.value(oneOf(d, list...), root, depth-1)
		}
	}
	for _, keyword := range []string{"if", "then", "else", "not"} {
		if sub, ok := o[keyword]; ok && d.chance(3) {
			return d.value(sub, root, depth-1)
		}
	}
	switch d.kind(o) {
	case "object":
		return d.object(o, root, depth-1)
	case "array":
		return d.array(o, root, depth-1)
	case "string":
		return oneOf(d, "", "a", "ab", "abc", "b", "aab", "2021-01-01", "192.0.2.1")
	case "number", "integer":
		return oneOf[any](d, -1, 0, 1, 2, 3, 0.5, 1.5, 2.5, -0.5)
	case "boolean":
		return d.chance(2)
	}
	return nil
}

func (d drawer) kind(o object) string {
	switch v := o["type"].(type) {
	case string:
		return v
	case []string:
		return oneOf(d, v...)
	}
	for _, keyword := range []string{"properties", "items", "contains", "prefixItems"} {
		if _, ok := o[keyword]; ok {
			return map[bool]string{true: "object", false: "array"}[keyword == "properties"]
		}
	}
	return oneOf(d, "object", "object", "array", "string", "number", "null", "boolean")
}

func (d drawer) object(o object, root any, depth int) any {
	properties, _ := o["properties"].(object)
	patterns, _ := o["patternProperties"].(object)
	v := object{}
	names := []string{d.name()}
	if required, ok := o["required"].([]string); ok {
		names = append(names, required...)
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if d.chance(2) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if d.chance(3) {
		names = names[1:]
	}
	for _, name := range names {
		s, ok := properties[name]
		if !ok {
			s = o["additionalProperties"]
			for _, pattern := range slices.Sorted(maps.Keys(patterns)) {
				s = patterns[pattern]
			}
		}
		v[name] = d.value(s, root, depth)
	}
	return v
}

func (d drawer) array(o object, root any, depth int) any {
	v := []any{}
	prefix, _ := o["prefixItems"].([]any)
	if list, ok := o["items"].([]any); ok {
		prefix = list
	}
	for i := range d.below(4) {
		s := o["items"]
		if _, list := s.([]any); list {
			s = o["additionalItems"]
		}
		if i < len(prefix) {
			s = prefix[i]
		} else if c, ok := o["contains"]; ok && d.chance(2) {
			s = c
		}
		v = append(v, d.value(s, root, depth))
	}
	return v
}

func (d drawer) any(depth int) any {
	if depth <= 0 || d.chance(2) {
		return d.atom()
	}
	if d.chance(2) {
		return []any{d.atom(), d.atom()}[:d.below(3)]
	}
	return object{d.name(): d.any(depth - 1), d.name(): d.atom()}
}
