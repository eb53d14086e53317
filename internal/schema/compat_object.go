package schema

import (
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// additional returns the schema that s applies to members that it does not name; nil means none.
func additional(s *jsonschema.Schema) *jsonschema.Schema {
	switch more := s.AdditionalProperties.(type) {
	case *jsonschema.Schema:
		return more
	case bool:
		if !more {
			return never(s, "additionalProperties")
		}
	}
	return nil
}

// never returns the schema for a keyword of s whose value is false.
func never(s *jsonschema.Schema, keyword string) *jsonschema.Schema {
	no := false
	return &jsonschema.Schema{Bool: &no, Location: s.Location + "/" + keyword, DraftVersion: s.DraftVersion}
}

// memberOf returns the schemas that s applies to the member with a name.
func memberOf(s *jsonschema.Schema, name string) []*jsonschema.Schema {
	var list []*jsonschema.Schema
	one, named := s.Properties[name]
	if named {
		list = append(list, one)
	}
	for pattern, one := range s.PatternProperties {
		if pattern.MatchString(name) {
			named = true
			list = append(list, one)
		}
	}
	if more := additional(s); !named && more != nil {
		list = append(list, more)
	}
	return list
}

// member returns the schemas that apply to the member with a name.
func (o known) member(name string) []*jsonschema.Schema {
	var list []*jsonschema.Schema
	for _, s := range o.schemas {
		list = append(list, memberOf(s, name)...)
	}
	return list
}

// names returns the names of all possible members; closed is false if they are not known.
func (o known) names() (names []string, closed bool) {
	for _, s := range o.schemas {
		if more, ok := s.AdditionalProperties.(bool); ok && !more && len(s.PatternProperties) == 0 {
			return slices.Sorted(maps.Keys(s.Properties)), true
		}
	}
	return nil, false
}

func (o known) requires(name string) bool {
	return o.some(func(s *jsonschema.Schema) bool { return slices.Contains(s.Required, name) })
}

// objects proves the keywords that apply to objects.
func (c *prover) objects(o known, m *jsonschema.Schema) bool {
	if o.types&objects == 0 {
		return true
	}
	ok := true
	for _, name := range m.Required {
		if !o.requires(name) {
			ok = c.no(m, "required", "property %s is now required and was not before", quote(name))
		}
	}
	ok = c.counts(o, m) && ok
	ok = c.members(o, m) && ok
	ok = c.others(o, m) && ok
	ok = c.propertyNames(o, m) && ok
	ok = c.dependencies(o, m) && ok
	if m.UnevaluatedProperties != nil && !always(m.UnevaluatedProperties) {
		ok = c.unclear(m, "unevaluatedProperties")
	}
	return ok
}

// always reports whether a schema is the literal true.
func always(s *jsonschema.Schema) bool { return s.Bool != nil && *s.Bool }

func (c *prover) counts(o known, m *jsonschema.Schema) bool {
	low := o.most(func(s *jsonschema.Schema) *int { return s.MinProperties })
	required := map[string]bool{}
	for _, s := range o.schemas {
		for _, name := range s.Required {
			required[name] = true
		}
	}
	if n := len(required); low == nil || *low < n {
		low = &n
	}
	high := o.least(func(s *jsonschema.Schema) *int { return s.MaxProperties })
	if names, closed := o.names(); closed && (high == nil || len(names) < *high) {
		n := len(names)
		high = &n
	}
	ok := c.least(m, "minProperties", m.MinProperties, low)
	return c.most(m, "maxProperties", m.MaxProperties, high) && ok
}

// members proves what m requires of the members that either side names.
func (c *prover) members(o known, m *jsonschema.Schema) bool {
	named := maps.Clone(m.Properties)
	if named == nil {
		named = map[string]*jsonschema.Schema{}
	}
	for _, s := range o.schemas {
		maps.Copy(named, s.Properties)
	}
	ok := true
	for _, name := range slices.Sorted(maps.Keys(named)) {
		asked := memberOf(m, name)
		if len(asked) == 0 {
			continue
		}
		before := c.known(o.member(name)...)
		if c.impossible(before, maxLookAhead) {
			continue
		}
		for _, s := range asked {
			if _, mine := m.Properties[name]; !mine && s.Bool != nil && !*s.Bool {
				ok = c.no(s, "", "property %s is no longer allowed", quote(name))
				continue
			}
			ok = c.child(before, s) && ok
		}
	}
	return ok
}

// others proves what m requires of members that neither side names: those that match one of its
// patterns, and all others.
func (c *prover) others(o known, m *jsonschema.Schema) bool {
	ok := true
	patterns := map[string]bool{}
	for _, pattern := range sortedPatterns(m) {
		patterns[pattern.String()] = true
		s := m.PatternProperties[pattern]
		ok = c.ofSome(o, s, func(old *jsonschema.Schema) []*jsonschema.Schema {
			for p, one := range old.PatternProperties {
				if p.String() == pattern.String() {
					return []*jsonschema.Schema{one}
				}
			}
			return choices(old, nil)
		}) && ok
	}
	if more := additional(m); more != nil {
		ok = c.ofSome(o, more, func(old *jsonschema.Schema) []*jsonschema.Schema { return choices(old, patterns) }) && ok
	}
	return ok
}

// choices returns schemas. Of these, old applies at least one to each member that it does not name
// and whose name matches none of the patterns; nil stands for a schema without requirements.
func choices(old *jsonschema.Schema, unmatched map[string]bool) []*jsonschema.Schema {
	list := []*jsonschema.Schema{additional(old)}
	for pattern, one := range old.PatternProperties {
		if !unmatched[pattern.String()] {
			list = append(list, one)
		}
	}
	return list
}

// ofSome proves n from one of the old schemas, for each of its choices.
func (c *prover) ofSome(o known, n *jsonschema.Schema, of func(*jsonschema.Schema) []*jsonschema.Schema) bool {
	if always(n) {
		return true
	}
	proof := func(s *jsonschema.Schema) bool {
		for _, choice := range of(s) {
			before := c.known()
			if choice != nil {
				before = c.known(choice)
			}
			if !c.child(before, n) {
				return false
			}
		}
		return true
	}
	for _, s := range o.schemas {
		if c.attempt(func() bool { return proof(s) }) {
			return true
		}
	}
	if n.Bool != nil && !*n.Bool {
		return c.no(n, "", "other properties are no longer allowed")
	}
	return c.no(n, "", "other properties were unrestricted before, or less restricted")
}

func sortedPatterns(s *jsonschema.Schema) []jsonschema.Regexp {
	return slices.SortedFunc(maps.Keys(s.PatternProperties), func(a, b jsonschema.Regexp) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
}

func (c *prover) propertyNames(o known, m *jsonschema.Schema) bool {
	if m.PropertyNames == nil {
		return true
	}
	if names, closed := o.names(); closed {
		for _, name := range names {
			if m.PropertyNames.Validate(name) != nil && !c.impossible(c.known(o.member(name)...), maxLookAhead) {
				return c.no(m, "propertyNames", "the name %s is no longer allowed", quote(name))
			}
		}
		return true
	}
	before := known{types: texts}
	for _, s := range o.schemas {
		if s.PropertyNames != nil {
			before = c.with(before, s.PropertyNames)
		}
	}
	return c.child(before, m.PropertyNames)
}

// dependencies proves what m requires if a member is present.
func (c *prover) dependencies(o known, m *jsonschema.Schema) bool {
	ok := true
	for _, name := range slices.Sorted(maps.Keys(m.DependentRequired)) {
		ok = c.namesBeside(o, m, name, m.DependentRequired[name]) && ok
	}
	for _, name := range slices.Sorted(maps.Keys(m.DependentSchemas)) {
		ok = c.schemaBeside(o, name, m.DependentSchemas[name]) && ok
	}
	for _, name := range slices.Sorted(maps.Keys(m.Dependencies)) {
		switch d := m.Dependencies[name].(type) {
		case []string:
			ok = c.namesBeside(o, m, name, d) && ok
		case *jsonschema.Schema:
			ok = c.schemaBeside(o, name, d) && ok
		}
	}
	return ok
}

func (c *prover) namesBeside(o known, m *jsonschema.Schema, name string, needed []string) bool {
	if c.impossible(c.known(o.member(name)...), maxLookAhead) {
		return true
	}
	ok := true
	for _, other := range needed {
		there := o.requires(other) || o.some(func(s *jsonschema.Schema) bool {
			list, _ := s.Dependencies[name].([]string)
			return slices.Contains(list, other) || slices.Contains(s.DependentRequired[name], other)
		})
		if !there {
			ok = c.no(m, "dependentRequired", "property %s is now required if %s is present", quote(other), quote(name))
		}
	}
	return ok
}

// schemaBeside proves a schema that applies if a member is present.
func (c *prover) schemaBeside(o known, name string, n *jsonschema.Schema) bool {
	if c.impossible(c.known(o.member(name)...), maxLookAhead) {
		return true
	}
	before := o
	for _, s := range o.schemas {
		if one := s.DependentSchemas[name]; one != nil {
			before = c.with(before, one)
		}
		if one, ok := s.Dependencies[name].(*jsonschema.Schema); ok {
			before = c.with(before, one)
		}
	}
	return c.holds(before, n)
}
