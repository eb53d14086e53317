package schema

import (
	stdjson "encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// types is a set of types of JSON values. Numbers are divided into integers, such as 1.0, and
// others.
type types int

const (
	nulls types = 1 << iota
	booleans
	integers
	fractions
	texts
	arrays
	objects
	allTypes = nulls | booleans | integers | fractions | texts | arrays | objects
)

// String lists the types as JSON Schema calls them.
func (t types) String() string {
	var names []string
	for i, name := range []string{"null", "boolean", "integer", "number", "string", "array", "object"} {
		if t&(1<<i) != 0 && (name != "integer" || t&fractions == 0) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// typesOf returns the types that the keyword "type" of s allows.
func typesOf(s *jsonschema.Schema) types {
	switch {
	case s.Bool != nil && !*s.Bool:
		return 0
	case s.Types == nil:
		return allTypes
	}
	var t types
	for _, name := range s.Types.ToStrings() {
		t |= typesNamed(name)
	}
	return t
}

// typesNamed returns the types for a name in the keyword "type", or 0 if it is not the name of a
// type.
func typesNamed(name string) types {
	switch name {
	case "null":
		return nulls
	case "boolean":
		return booleans
	case "integer":
		return integers
	case "number":
		return integers | fractions
	case "string":
		return texts
	case "array":
		return arrays
	case "object":
		return objects
	}
	return 0
}

// known is what is known about a value: it conforms to all the schemas and has one of the types.
type known struct {
	schemas []*jsonschema.Schema // including those that they apply unconditionally
	types   types
	apart   []*jsonschema.Schema // their alternatives are among schemas already
}

// known returns what is known about a value that conforms to all of the schemas.
func (c *prover) known(schemas ...*jsonschema.Schema) known {
	return c.with(known{types: allTypes}, schemas...)
}

// with returns what is known if the value also conforms to more schemas.
func (c *prover) with(o known, more ...*jsonschema.Schema) known {
	next := known{schemas: slices.Clone(o.schemas), types: o.types, apart: o.apart}
	for _, s := range more {
		for _, m := range flatten(s) {
			if slices.Contains(next.schemas, m) {
				continue
			}
			next.schemas = append(next.schemas, m)
			next.types &= typesOf(m)
			if m.MultipleOf != nil && m.MultipleOf.IsInt() {
				next.types &^= fractions
			}
		}
	}
	return next
}

// flatten returns s and the schemas that it applies unconditionally, by $ref and allOf.
func flatten(s *jsonschema.Schema) []*jsonschema.Schema {
	var all []*jsonschema.Schema
	var add func(*jsonschema.Schema)
	add = func(s *jsonschema.Schema) {
		if s == nil || slices.Contains(all, s) {
			return
		}
		all = append(all, s)
		add(s.Ref)
		for _, part := range s.AllOf {
			add(part)
		}
	}
	add(s)
	return all
}

// key identifies what is known.
func (o known) key() string {
	names := make([]string, 0, len(o.schemas)+len(o.apart)+2)
	for _, s := range o.schemas {
		names = append(names, fmt.Sprintf("%p", s))
	}
	slices.Sort(names)
	names = append(names, strconv.Itoa(int(o.types)))
	for _, s := range o.apart {
		names = append(names, fmt.Sprintf("%p", s))
	}
	return strings.Join(names, ",")
}

func (o known) some(holds func(*jsonschema.Schema) bool) bool {
	return slices.ContainsFunc(o.schemas, holds)
}

// most and least return the largest and the smallest value of a number in the schemas, or nil if
// none has it.
func (o known) most(of func(*jsonschema.Schema) *int) *int {
	return o.extreme(of, func(a, b int) bool { return a > b })
}

func (o known) least(of func(*jsonschema.Schema) *int) *int {
	return o.extreme(of, func(a, b int) bool { return a < b })
}

func (o known) extreme(of func(*jsonschema.Schema) *int, better func(a, b int) bool) *int {
	var best *int
	for _, s := range o.schemas {
		if n := of(s); n != nil && (best == nil || better(*n, *best)) {
			best = n
		}
	}
	return best
}

// alternatives returns a schema whose anyOf or oneOf has not been expanded yet, and its branches,
// or nil if there is none.
func (o known) alternatives() (*jsonschema.Schema, []*jsonschema.Schema) {
	for _, s := range o.schemas {
		if slices.Contains(o.apart, s) {
			continue
		}
		if len(s.AnyOf) > 0 {
			return s, s.AnyOf
		}
		if len(s.OneOf) > 0 {
			return s, s.OneOf
		}
	}
	return nil, nil
}

// values returns all possible values, if enum or const leaves only a few.
func (c *prover) values(o known) (values []any, few bool) {
	for _, s := range o.schemas {
		switch {
		case s.Const != nil:
			values, few = []any{*s.Const}, true
		case s.Enum != nil && (!few || len(s.Enum.Values) < len(values)):
			values, few = s.Enum.Values, true
		}
	}
	if !few && o.types&^(nulls|booleans) == 0 {
		values, few = []any{nil, true, false}, true
	}
	if !few {
		return nil, false
	}
	var possible []any
	for _, v := range values {
		c.work += len(o.schemas)
		if !o.some(func(s *jsonschema.Schema) bool { return s.Validate(v) != nil }) && o.types&typeOf(v) != 0 {
			possible = append(possible, v)
		}
	}
	return possible, true
}

// edge is one end of a range of numbers.
type edge struct {
	at   *big.Rat // nil: no bound
	open bool     // at itself is excluded
}

// bound returns the tightest lower or upper bound of numbers. For integers, it is itself an
// integer.
func (o known) bound(lower bool) edge {
	var b edge
	take := func(at *big.Rat, open bool) {
		if at == nil {
			return
		}
		if o.types&fractions == 0 {
			at, open = nextInteger(at, open, lower), false
		}
		order := 1
		if b.at != nil {
			if order = at.Cmp(b.at); !lower {
				order = -order
			}
		}
		if order > 0 || order == 0 && open {
			b = edge{at, open}
		}
	}
	for _, s := range o.schemas {
		if lower {
			take(s.Minimum, false)
			take(s.ExclusiveMinimum, true)
		} else {
			take(s.Maximum, false)
			take(s.ExclusiveMaximum, true)
		}
	}
	return b
}

// nextInteger returns the first integer within a bound.
func nextInteger(at *big.Rat, open, lower bool) *big.Rat {
	floor := new(big.Int).Div(at.Num(), at.Denom()) // Euclidean: rounds down, as denominators are positive
	switch {
	case at.IsInt() && !open:
		return at
	case lower: // also for an integer that is excluded
		floor.Add(floor, big.NewInt(1))
	case at.IsInt():
		floor.Sub(floor, big.NewInt(1))
	}
	return new(big.Rat).SetInt(floor)
}

// typeOf returns the type of a decoded value.
func typeOf(v any) types {
	switch v.(type) {
	case nil:
		return nulls
	case bool:
		return booleans
	case string:
		return texts
	case []any:
		return arrays
	case map[string]any:
		return objects
	}
	return integers | fractions
}

func encode(v any) []byte {
	b, err := stdjson.Marshal(v) // it knows its own numbers
	if err != nil {
		return []byte("a value")
	}
	return b
}
