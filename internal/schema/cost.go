package schema

import (
	stdjson "encoding/json"
	"fmt"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"theeye/internal/event"
)

// cost bounds what one check does: per depth of data, the most that the schema
// does with any single value there. The root has depth 0. Behind the last
// entry all are like it.
//
// It is an upper bound over all data, found by walking the graph of the
// schema: at a value of depth 0 the root and all that it applies in place are
// evaluated; for a value one deeper, all that these apply to one name or index,
// and so on. So anyOf in anyOf, and references that meet twice at each level,
// show as a load that doubles, and are refused before any data comes.
type cost struct{ loads []load }

// measure computes the cost of a schema, and refuses one that is over a bound.
func measure(root *jsonschema.Schema) (cost, error) {
	g, err := newGraph(root)
	if err != nil {
		return cost{}, err
	}
	m := meter{nodes: g.nodes, reach: make([]load, len(g.nodes))}
	start := g.index[root].place
	var c cost
	for depth := 0; depth <= MaxDataDepth; depth++ {
		before := slices.Clone(m.reach)
		if err := m.descend(depth); err != nil {
			return cost{}, err
		}
		reached := m.reach[start]
		most := reached
		if depth == 0 { // what any subschema does with its own value shows later, at some depth: told here it has a place
			for _, l := range m.reach {
				most = most.max(l)
			}
		}
		if most.steps > MaxSteps {
			return cost{}, refuse(m.first(func(l load) bool { return l.steps > MaxSteps }), "the schema takes more than %d steps for one value at depth %d: too many alternatives (anyOf, oneOf) or references meet there", MaxSteps, depth)
		}
		if most.pattern > MaxPatternLoad {
			return cost{}, refuse(m.first(func(l load) bool { return l.pattern > MaxPatternLoad }), "the patterns for one value at depth %d take more than %d steps: use fewer or simpler ones", depth, MaxPatternLoad)
		}
		c.loads = append(c.loads, reached)
		if depth >= 2 && slices.Equal(before, m.reach) {
			break // and so for ever
		}
	}
	return c, nil
}

// maxMeasure bounds the work of measuring itself.
const maxMeasure = 5_000_000

// meter computes, for growing depth, the load of each node on a value that
// lies so deep below the value it is applied to.
type meter struct {
	nodes []*node
	reach []load // by place; of the depth before
	work  int
}

// first returns the JSON Pointer of the innermost subschema whose load is over a
// bound; in-place targets stand before those that apply them.
func (m *meter) first(over func(load) bool) string {
	for i, l := range m.reach {
		if over(l) {
			return m.nodes[i].at
		}
	}
	return ""
}

// children are loads by name and index, and of what has no entry.
type children struct {
	members map[string]load
	other   load
	items   []load
	rest    load
}

func (m *meter) descend(depth int) error {
	if depth == 0 {
		for i, n := range m.nodes {
			n.total = n.own
			for _, target := range n.inPlace {
				n.total = limited(n.total.plus(target.total))
			}
			m.reach[i] = n.total
		}
		return nil
	}
	next := make([]load, len(m.reach))
	below := make([]children, len(m.reach))
	for i, n := range m.nodes {
		c := m.own(n, depth)
		for _, target := range n.inPlace {
			m.merge(&c, &below[target.place])
		}
		if m.work > maxMeasure {
			return refuse("", "the schema is too intricate: too many references and alternatives share properties")
		}
		below[i] = c
		next[i] = c.most()
	}
	m.reach = next
	return nil
}

// own returns what n itself applies to its members and items.
func (m *meter) own(n *node, depth int) children {
	var always load
	for _, target := range n.everyChild {
		always = always.plus(m.reach[target.place])
	}
	if n.rehashed {
		always.steps += 2
	}
	ofNames := load{}
	if depth == 1 {
		if n.rescanned {
			always.steps += n.total.steps
		}
		ofNames = n.namesOwn
		for _, target := range n.everyName { // checked twice, see names.go
			ofNames = ofNames.plus(target.total).plus(target.total)
		}
	}
	sum := func(base load, targets []*node) load {
		for _, target := range targets {
			base = base.plus(m.reach[target.place])
		}
		m.work += 1 + len(targets)
		return limited(base)
	}
	c := children{
		other: sum(always.plus(ofNames), n.others),
		rest:  sum(always, n.rest),
	}
	if len(n.members) > 0 {
		c.members = make(map[string]load, len(n.members))
		for name, targets := range n.members {
			c.members[name] = sum(always.plus(ofNames), targets)
		}
	}
	for _, targets := range n.prefix {
		c.items = append(c.items, sum(always, targets))
	}
	return c
}

// merge adds what an in-place target does to the same members and items.
func (m *meter) merge(c, o *children) {
	m.work += len(c.members) + len(o.members) + len(c.items) + len(o.items)
	if c.members == nil && len(o.members) > 0 {
		c.members = make(map[string]load, len(o.members))
	}
	for name, l := range c.members {
		if _, both := o.members[name]; !both {
			c.members[name] = limited(l.plus(o.other))
		}
	}
	for name, l := range o.members {
		mine, both := c.members[name]
		if !both {
			mine = c.other
		}
		c.members[name] = limited(mine.plus(l))
	}
	for i := range max(len(c.items), len(o.items)) {
		mine, theirs := c.rest, o.rest
		if i < len(o.items) {
			theirs = o.items[i]
		}
		if i < len(c.items) {
			c.items[i] = limited(c.items[i].plus(theirs))
		} else {
			c.items = append(c.items, limited(mine.plus(theirs)))
		}
	}
	c.other = limited(c.other.plus(o.other))
	c.rest = limited(c.rest.plus(o.rest))
}

func (c *children) most() load {
	l := c.other.max(c.rest)
	for _, member := range c.members {
		l = l.max(member)
	}
	for _, item := range c.items {
		l = l.max(item)
	}
	return l
}

// limited keeps loads that double at each level from overflowing.
func limited(l load) load {
	return load{min(l.steps, 1<<30), min(l.pattern, 1<<30)}
}

// outgrows reports whether large data that was checked before may take too long now.
// The root is a single value.
func (c cost) outgrows(before cost) bool {
	now, then := scanner{cost: c}, scanner{cost: before}
	for depth := 1; depth < max(len(c.loads), len(before.loads)); depth++ {
		if steps := now.steps(depth); steps >= 2*then.steps(depth) && steps*commonValues > MaxWork {
			return true
		}
	}
	return false
}

// bytesPerStep is how many bytes times instructions of patterns take as long
// as one step.
const bytesPerStep = 64

// scan returns a problem when the validator must not see data: it is too deep,
// holds a number that is too large, or would take too long.
func (c cost) scan(data any) *event.Problem {
	s := scanner{cost: c}
	s.value(data, 0)
	if s.problem == nil && s.work > MaxWork {
		s.fail(fmt.Sprintf("the data is too large for its schema to be checked (%d steps, at most %d are taken)", s.work, MaxWork))
	}
	return s.problem
}

type scanner struct {
	cost    cost
	work    int
	problem *event.Problem
}

func (s *scanner) load(depth int) load {
	return s.cost.loads[min(depth, len(s.cost.loads)-1)]
}

// steps is the work for one value.
func (s *scanner) steps(depth int) int {
	return s.load(depth).steps * (1 + depth/16) // a deep place costs more to name
}

func (s *scanner) fail(message string) {
	p := violation(dataPointer, message)
	s.problem = &p
}

func (s *scanner) value(v any, depth int) {
	l := s.load(depth)
	s.work += s.steps(depth)
	switch v := v.(type) {
	case string:
		s.work += len(v) * l.pattern / bytesPerStep
	case stdjson.Number:
		if !numberInRange(string(v)) {
			s.fail(fmt.Sprintf("a number may have %d digits and an exponent of at most %d", MaxNumberDigits, MaxExponent))
		}
	case map[string]any:
		if depth >= MaxDataDepth {
			s.fail(fmt.Sprintf("objects and arrays may lie %d deep in one another", MaxDataDepth))
			return
		}
		names := s.load(depth + 1).pattern
		for name, member := range v {
			if s.work += len(name) * names / bytesPerStep; s.work > MaxWork {
				return
			}
			if s.value(member, depth+1); s.problem != nil {
				s.problem.Pointer = dataPointer + "/" + escape(name) + s.problem.Pointer[len(dataPointer):]
				return
			}
		}
	case []any:
		if depth >= MaxDataDepth {
			s.fail(fmt.Sprintf("objects and arrays may lie %d deep in one another", MaxDataDepth))
			return
		}
		for i, item := range v {
			if s.work > MaxWork {
				return
			}
			if s.value(item, depth+1); s.problem != nil {
				s.problem.Pointer = fmt.Sprintf("%s/%d%s", dataPointer, i, s.problem.Pointer[len(dataPointer):])
				return
			}
		}
	}
}
