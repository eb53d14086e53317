package schema

import (
	"slices"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxLookAhead is the number of levels of members that impossible examines.
const maxLookAhead = 3

// impossible returns true if no value can be as o says. False means nothing.
func (c *prover) impossible(o known, depth int) bool {
	if o.types == 0 || c.excluded(o) {
		return true
	}
	if values, few := c.values(o); few && len(values) == 0 {
		return true
	}
	if o.types&^(integers|fractions) == 0 {
		low, high := o.bound(true), o.bound(false)
		if low.at != nil && high.at != nil {
			order := low.at.Cmp(high.at)
			return order > 0 || order == 0 && (low.open || high.open)
		}
	}
	if o.types != objects || depth == 0 {
		return false
	}
	_, name := c.missing(o, func(member known) bool { return c.impossible(member, depth-1) })
	return name != ""
}

// excluded reports whether a not excludes every value of the types of o.
func (c *prover) excluded(o known) bool {
	return o.some(func(s *jsonschema.Schema) bool {
		return s.Not != nil && c.attempt(func() bool { return c.direct(known{types: o.types}, s.Not) })
	})
}

// missing returns a required property for which, according to cannot, no value is possible, with
// the schema that requires it.
func (c *prover) missing(o known, cannot func(known) bool) (*jsonschema.Schema, string) {
	for _, s := range o.schemas {
		for _, name := range s.Required {
			if c.over() {
				return nil, ""
			}
			if cannot(c.known(o.member(name)...)) {
				return s, name
			}
		}
	}
	return nil, ""
}

// maxEmptyWork bounds the search of noEvent, in the steps of maxComparisons.
const maxEmptyWork = 5_000

// noEvent says why no object can conform to a schema, and at which place of it. why is empty if it
// finds no reason. It examines types, values, bounds, not and required properties, and the
// alternatives of each anyOf and oneOf separately.
func noEvent(root *jsonschema.Schema) (at, why string) {
	c := prover{deadline: time.Now().Add(MaxCompareTime), work: maxComparisons - maxEmptyWork, proven: map[string]bool{}, equal: map[pair]bool{}}
	o := c.known(root)
	o.types &= objects
	if !c.empty(o, maxLookAhead) {
		return "", ""
	}
	s, name := c.missing(o, func(member known) bool { return c.empty(member, maxLookAhead) })
	if s == nil {
		return "", "data is always an object, and this schema accepts none"
	}
	return documentPointer(s.Location) + "/required", "property " + quote(name) + " is required, but no value is allowed for it"
}

// empty is impossible, but also examines whether all alternatives are impossible.
func (c *prover) empty(o known, depth int) bool {
	if c.over() || depth == 0 {
		return false
	}
	if c.impossible(o, depth) {
		return true
	}
	for _, s := range o.schemas {
		if slices.Contains(o.apart, s) {
			continue
		}
		for _, branches := range [][]*jsonschema.Schema{s.AnyOf, s.OneOf} {
			with := o
			with.apart = append(slices.Clone(o.apart), s)
			if len(branches) > 0 && !slices.ContainsFunc(branches, func(branch *jsonschema.Schema) bool { return !c.empty(c.with(with, branch), depth-1) }) {
				return true
			}
		}
	}
	if o.types != objects {
		return false
	}
	_, name := c.missing(o, func(member known) bool { return c.empty(member, depth-1) })
	return name != ""
}
