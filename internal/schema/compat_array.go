package schema

import (
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// itemsOf returns the schemas that s applies to the first items, and the one that it applies to the
// rest; nil means none.
func itemsOf(s *jsonschema.Schema) (first []*jsonschema.Schema, rest *jsonschema.Schema) {
	switch items := s.Items.(type) { // before 2020-12
	case *jsonschema.Schema:
		return nil, items
	case []*jsonschema.Schema:
		switch more := s.AdditionalItems.(type) {
		case *jsonschema.Schema:
			return items, more
		case bool:
			if !more {
				return items, never(s, "additionalItems")
			}
		}
		return items, nil
	}
	return s.PrefixItems, s.Items2020
}

// item returns the schemas that apply to the item at an index.
func (o known) item(index int) []*jsonschema.Schema {
	var list []*jsonschema.Schema
	for _, s := range o.schemas {
		first, rest := itemsOf(s)
		switch {
		case index < len(first):
			list = append(list, first[index])
		case rest != nil:
			list = append(list, rest)
		}
	}
	return list
}

// arrays proves the keywords that apply to arrays.
func (c *prover) arrays(o known, m *jsonschema.Schema) bool {
	if o.types&arrays == 0 {
		return true
	}
	high := o.least(func(s *jsonschema.Schema) *int { return s.MaxItems })
	ok := c.least(m, "minItems", m.MinItems, o.most(func(s *jsonschema.Schema) *int { return s.MinItems }))
	ok = c.most(m, "maxItems", m.MaxItems, high) && ok
	if unique(m) && (high == nil || *high > 1) && !o.some(unique) {
		ok = c.no(m, "uniqueItems", "items must now be unique")
	}
	ok = c.items(o, m, high) && ok
	ok = c.contains(o, m) && ok
	if m.UnevaluatedItems != nil && !always(m.UnevaluatedItems) {
		ok = c.unclear(m, "unevaluatedItems")
	}
	return ok
}

// items proves what m requires of each item; high is the maximum number of items.
func (c *prover) items(o known, m *jsonschema.Schema, high *int) bool {
	first, rest := itemsOf(m)
	last := len(first) // from here on, all items have the same schemas on both sides
	for _, s := range o.schemas {
		one, _ := itemsOf(s)
		last = max(last, len(one))
	}
	ok := true
	for i := 0; i <= last; i++ {
		n := rest
		if i < len(first) {
			n = first[i]
		}
		if n == nil {
			continue
		}
		if high != nil && i >= *high {
			break
		}
		before := c.known(o.item(i)...)
		if c.impossible(before, maxLookAhead) {
			break // there are no more items
		}
		ok = c.child(before, n) && ok
	}
	return ok
}

// contains proves contains, minContains and maxContains.
func (c *prover) contains(o known, m *jsonschema.Schema) bool {
	if m.Contains == nil {
		return true
	}
	low, high := fewest(m), m.MaxContains
	enough := low == 0 || o.some(func(s *jsonschema.Schema) bool {
		return s.Contains != nil && fewest(s) >= low && c.attempt(func() bool { return c.child(c.known(s.Contains), m.Contains) })
	})
	few := high == nil || o.some(func(s *jsonschema.Schema) bool {
		return s.MaxItems != nil && *s.MaxItems <= *high ||
			s.Contains != nil && s.MaxContains != nil && *s.MaxContains <= *high && c.attempt(func() bool { return c.child(c.known(m.Contains), s.Contains) })
	})
	if !enough {
		return c.no(m, "contains", "certain items are now required (contains)")
	}
	if !few {
		return c.no(m, "maxContains", "fewer of certain items are now allowed (maxContains)")
	}
	return true
}

// fewest returns the minimum number of items that must match contains.
func fewest(s *jsonschema.Schema) int {
	if s.MinContains != nil {
		return *s.MinContains
	}
	return 1
}
