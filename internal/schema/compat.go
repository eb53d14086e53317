package schema

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"theeye/internal/jsonx"
)

// Reason says why a schema is not compatible with the previous one.
type Reason struct {
	Pointer string `json:"pointer" doc:"JSON Pointer into the new schema"`
	Reason  string `json:"reason" doc:"what was allowed and no longer is, or what cannot be compared"`
}

// Breaks returns the reasons why data that conforms to before may not conform to t. It returns nil
// only if it is proven that Check accepts with t all data that it accepts with before. What the
// proof does not understand counts as breaking, with a reason that begins "cannot be compared".
//
// The limit MaxWork of Check is taken into account only roughly: a version counts as breaking if
// values at some depth take at least twice the steps, and commonValues of them would exceed
// MaxWork. Data that is closer to MaxWork may conform to before and still be too large for t.
//
// Breaks returns at most MaxReasons reasons, in the order of the new schema's keywords. It takes at
// most MaxCompareTime and is safe for concurrent use.
func (t *Type) Breaks(before *Type) (reasons []Reason) {
	if before.unusable != "" {
		return nil // no data conformed
	}
	c := prover{deadline: time.Now().Add(MaxCompareTime), proven: map[string]bool{}, equal: map[pair]bool{}}
	defer func() {
		if r := recover(); r != nil {
			reasons = []Reason{{"", fmt.Sprintf("cannot be compared: %v", r)}}
		}
	}()
	if t.unusable != "" {
		return []Reason{{"", t.unusable}}
	}
	ok := c.child(c.known(before.schema), t.schema)
	switch {
	case c.over():
		return []Reason{{"", "cannot be compared: the two schemas are too complex"}}
	case ok && t.cost.outgrows(before.cost):
		return []Reason{{"", "cannot be compared: large data might take too long to validate: more alternatives, references or required names apply at one place"}}
	case ok:
		return nil
	}
	return c.reasons[:min(len(c.reasons), MaxReasons)]
}

// prover proves statements of the form "every value that conforms to all of the old schemas
// conforms to the new one". Each rule is an implication; a statement that no rule proves counts as
// false.
//
// A statement about members or items may be used while it is being proven, because values are
// finite: the proof is by induction on their size. A statement about the same value may not.
type prover struct {
	deadline time.Time
	work     int
	reasons  []Reason
	proven   map[string]bool // statements that are proven, or being proven
	log      []string        // the keys of proven, in the order in which they were added
	equal    map[pair]bool
}

type pair [2]*jsonschema.Schema

// over reports whether the comparison has exceeded a limit.
func (c *prover) over() bool {
	c.work++
	return c.work > maxComparisons || c.work%64 == 0 && c.stop()
}

func (c *prover) stop() bool {
	if time.Now().After(c.deadline) {
		c.work = maxComparisons
	}
	return c.work >= maxComparisons
}

// no records a reason and returns false.
func (c *prover) no(s *jsonschema.Schema, keyword, format string, args ...any) bool {
	r := Reason{documentPointer(s.Location), shorten(fmt.Sprintf(format, args...))}
	if keyword != "" {
		r.Pointer += "/" + jsonx.EscapePointer(keyword)
	}
	if !slices.Contains(c.reasons, r) {
		c.reasons = append(c.reasons, r)
	}
	return false
}

// unclear is no for a difference that is not understood.
func (c *prover) unclear(s *jsonschema.Schema, keyword string) bool {
	return c.no(s, keyword, "cannot be compared: %s differs", keyword)
}

// attempt tries a proof whose failure is not a reason yet.
func (c *prover) attempt(proof func() bool) bool {
	reasons, mark := len(c.reasons), len(c.log)
	ok := proof()
	c.reasons = c.reasons[:reasons]
	if !ok {
		c.forget(mark)
	}
	return ok
}

// forget discards what was proven with the help of a proof that failed.
func (c *prover) forget(mark int) {
	for _, key := range c.log[mark:] {
		delete(c.proven, key)
	}
	c.log = c.log[:mark]
}

// child proves a statement about a part of the current value.
func (c *prover) child(o known, n *jsonschema.Schema) bool {
	key := fmt.Sprintf("%s %p", o.key(), n)
	if c.proven[key] {
		return true
	}
	mark := len(c.log)
	c.proven[key] = true
	c.log = append(c.log, key)
	if !c.holds(o, n) {
		c.forget(mark)
		return false
	}
	return true
}

// holds proves a statement about the current value: directly, or separately for each alternative of
// the old schemas.
func (c *prover) holds(o known, n *jsonschema.Schema) bool {
	if c.over() || c.impossible(o, maxLookAhead) {
		return c.work < maxComparisons
	}
	reasons := len(c.reasons)
	mark := len(c.log)
	if c.direct(o, n) {
		c.reasons = c.reasons[:reasons]
		return true
	}
	c.forget(mark)
	s, branches := o.alternatives()
	if s == nil {
		return false
	}
	told := slices.Clone(c.reasons)
	for _, branch := range branches {
		with := c.with(o, branch)
		with.apart = append(slices.Clone(o.apart), s)
		if !c.holds(with, n) {
			c.reasons = told
			c.forget(mark)
			return false
		}
	}
	c.reasons = c.reasons[:reasons]
	return true
}

// direct proves each keyword of n, and of the schemas that n applies unconditionally.
func (c *prover) direct(o known, n *jsonschema.Schema) bool {
	if values, few := c.values(o); few {
		return c.each(values, n)
	}
	ok := true
	for _, m := range flatten(n) {
		if slices.ContainsFunc(o.schemas, func(s *jsonschema.Schema) bool { return c.same(s, m) }) {
			continue
		}
		for _, rule := range []func(*prover, known, *jsonschema.Schema) bool{
			(*prover).general, (*prover).numbers, (*prover).texts,
			(*prover).objects, (*prover).arrays, (*prover).combinations,
		} {
			ok = rule(c, o, m) && ok
		}
	}
	return ok
}

// each validates each of the few possible values.
func (c *prover) each(values []any, n *jsonschema.Schema) bool {
	for _, v := range values {
		if c.over() {
			return false
		}
		if n.Validate(v) != nil {
			keyword := ""
			switch {
			case n.Enum != nil:
				keyword = "enum"
			case n.Const != nil:
				keyword = "const"
			case n.Types != nil:
				keyword = "type"
			}
			return c.no(n, keyword, "%s is no longer accepted", literal(v))
		}
	}
	return true
}

// general proves the keywords that apply to all values.
func (c *prover) general(o known, m *jsonschema.Schema) bool {
	ok := true
	if m.Bool != nil && !*m.Bool {
		return c.no(m, "", "values that were accepted here are no longer allowed")
	}
	if lost := o.types &^ typesOf(m); lost != 0 {
		if lost == fractions && o.types&integers != 0 {
			ok = c.no(m, "type", "numbers other than integers are no longer accepted")
		} else {
			ok = c.no(m, "type", "no longer accepted: %s", lost)
		}
	}
	switch {
	case m.Enum != nil:
		ok = c.no(m, "enum", "now only some values are accepted (enum)")
	case m.Const != nil:
		ok = c.no(m, "const", "now only one value is accepted (const)")
	}
	for keyword, there := range map[string]bool{
		"$dynamicRef": m.DynamicRef != nil, "$recursiveRef": m.RecursiveRef != nil,
		"contentEncoding": m.ContentEncoding != nil, "contentMediaType": m.ContentMediaType != nil, "contentSchema": m.ContentSchema != nil,
	} {
		if there {
			ok = c.unclear(m, keyword)
		}
	}
	for _, extension := range m.Extensions {
		switch extension.(type) {
		case propertyNames, uniqueItems: // proven with their keywords
		default:
			ok = c.unclear(m, "$schema")
		}
	}
	return ok
}

// texts proves the keywords that apply to strings.
func (c *prover) texts(o known, m *jsonschema.Schema) bool {
	if o.types&texts == 0 {
		return true
	}
	ok := c.least(m, "minLength", m.MinLength, o.most(func(s *jsonschema.Schema) *int { return s.MinLength }))
	ok = c.most(m, "maxLength", m.MaxLength, o.least(func(s *jsonschema.Schema) *int { return s.MaxLength })) && ok
	if m.Pattern != nil && !o.some(func(s *jsonschema.Schema) bool { return s.Pattern != nil && s.Pattern.String() == m.Pattern.String() }) {
		ok = c.no(m, "pattern", "strings must now match %q", excerpt(m.Pattern.String()))
	}
	if m.Format != nil && !o.some(func(s *jsonschema.Schema) bool { return s.Format != nil && s.Format.Name == m.Format.Name }) {
		ok = c.no(m, "format", "strings must now be a %s (format)", m.Format.Name)
	}
	return ok
}

// least proves a lower bound of a count from the known one; nil means no bound.
func (c *prover) least(m *jsonschema.Schema, keyword string, now, before *int) bool {
	was := 0
	if before != nil {
		was = *before
	}
	if now == nil || *now <= was {
		return true
	}
	return c.no(m, keyword, "%s was %d and is now %d", keyword, was, *now)
}

// most proves an upper bound of a count from the known one; nil means no bound.
func (c *prover) most(m *jsonschema.Schema, keyword string, now, before *int) bool {
	switch {
	case now == nil || before != nil && *before <= *now:
		return true
	case before == nil:
		return c.no(m, keyword, "%s is now %d; there was none before", keyword, *now)
	}
	return c.no(m, keyword, "%s was %d and is now %d", keyword, *before, *now)
}

// literal formats a value for a sentence.
func literal(v any) string {
	return excerpt(strings.TrimSpace(string(encode(v))))
}
