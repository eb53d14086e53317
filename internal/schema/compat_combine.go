package schema

import (
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// combinations proves anyOf, oneOf, not and if. $ref and allOf are flattened.
func (c *prover) combinations(o known, m *jsonschema.Schema) bool {
	ok := c.anyOf(o, m)
	ok = c.oneOf(o, m) && ok
	ok = c.not(o, m) && ok
	return c.condition(o, m) && ok
}

func (c *prover) anyOf(o known, m *jsonschema.Schema) bool {
	if len(m.AnyOf) == 0 || o.some(func(s *jsonschema.Schema) bool { return c.sameLists(s.AnyOf, m.AnyOf) }) {
		return true
	}
	one := func(o known) bool {
		return slices.ContainsFunc(m.AnyOf, func(branch *jsonschema.Schema) bool {
			return c.attempt(func() bool { return c.holds(o, branch) })
		})
	}
	if one(o) {
		return true
	}
	for t := nulls; t <= objects; t <<= 1 { // by type
		part := o
		part.types = t
		if o.types&t != 0 && (o.types == t || !one(part)) {
			return c.no(m, "anyOf", "cannot be compared: no alternative was found that accepts everything accepted before (%s)", t)
		}
	}
	return true
}

// oneOf proves that one branch accepts the value, and that no other can.
func (c *prover) oneOf(o known, m *jsonschema.Schema) bool {
	if len(m.OneOf) == 0 || o.some(func(s *jsonschema.Schema) bool { return c.sameLists(s.OneOf, m.OneOf) }) {
		return true
	}
	for i, branch := range m.OneOf {
		alone := true
		for j, other := range m.OneOf {
			alone = alone && (i == j || c.impossible(c.with(o, other), maxLookAhead))
		}
		if alone && c.attempt(func() bool { return c.holds(o, branch) }) {
			return true
		}
	}
	return c.no(m, "oneOf", "cannot be compared: it is not certain that exactly one alternative accepts what was accepted before")
}

// not proves that the values that m excludes were excluded before.
func (c *prover) not(o known, m *jsonschema.Schema) bool {
	if m.Not == nil {
		return true
	}
	excluded := c.with(o, m.Not)
	if c.impossible(excluded, maxLookAhead) {
		return true
	}
	if o.some(func(s *jsonschema.Schema) bool {
		return s.Not != nil && c.attempt(func() bool { return c.holds(excluded, s.Not) })
	}) {
		return true
	}
	return c.no(m, "not", "cannot be compared: more may now be excluded (not)")
}

// condition proves if, then and else.
func (c *prover) condition(o known, m *jsonschema.Schema) bool {
	if m.If == nil || m.Then == nil && m.Else == nil {
		return true
	}
	yes, no := c.with(o, m.If), o
	for _, s := range o.schemas {
		if s.If == nil || !c.same(s.If, m.If) {
			continue
		}
		if s.Then != nil {
			yes = c.with(yes, s.Then)
		}
		if s.Else != nil {
			no = c.with(no, s.Else)
		}
	}
	ok := m.Then == nil || c.holds(yes, m.Then)
	if m.Else == nil || c.attempt(func() bool { return c.holds(o, m.If) }) {
		return ok
	}
	return c.holds(no, m.Else) && ok
}
