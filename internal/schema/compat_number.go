package schema

import (
	"math/big"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// numbers proves the keywords that apply to numbers.
func (c *prover) numbers(o known, m *jsonschema.Schema) bool {
	if o.types&(integers|fractions) == 0 {
		return true
	}
	ok := true
	for _, end := range []struct {
		keyword string
		at      *big.Rat
		open    bool
		lower   bool
	}{
		{"minimum", m.Minimum, false, true}, {"exclusiveMinimum", m.ExclusiveMinimum, true, true},
		{"maximum", m.Maximum, false, false}, {"exclusiveMaximum", m.ExclusiveMaximum, true, false},
	} {
		if end.at == nil {
			continue
		}
		was := o.bound(end.lower)
		if was.at == nil {
			ok = c.no(m, end.keyword, "%s is now %s; there was none before", end.keyword, decimal(end.at))
			continue
		}
		order := was.at.Cmp(end.at)
		if !end.lower {
			order = -order
		}
		if order < 0 || order == 0 && end.open && !was.open {
			ok = c.no(m, end.keyword, "%s is now %s, which is stricter than before (%s)", end.keyword, decimal(end.at), decimal(was.at))
		}
	}
	return c.multiples(o, m) && ok
}

func (c *prover) multiples(o known, m *jsonschema.Schema) bool {
	if m.MultipleOf == nil {
		return true
	}
	multiple := func(of *big.Rat) bool { return new(big.Rat).Quo(of, m.MultipleOf).IsInt() }
	if o.types&fractions == 0 && multiple(big.NewRat(1, 1)) {
		return true
	}
	if o.some(func(s *jsonschema.Schema) bool { return s.MultipleOf != nil && multiple(s.MultipleOf) }) {
		return true
	}
	return c.no(m, "multipleOf", "numbers must now be multiples of %s", decimal(m.MultipleOf))
}
