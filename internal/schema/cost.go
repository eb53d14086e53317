package schema

import (
	stdjson "encoding/json"
	"fmt"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"theeye/internal/event"
	"theeye/internal/jsonx"
)

// cost bounds the work of one check: for each depth of data, the maximum work of the schema for a
// single value there. The root has depth 0. The last entry applies to all greater depths.
//
// It is an upper bound for all data, computed by walking the graph of the schema: for the value at
// depth 0, the root and everything that it applies in place are evaluated; for a value one level
// deeper, everything that these apply to one name or index; and so on. Nested anyOf, and references
// that double at each level, therefore double the weight, and are refused before any data arrives.
type cost struct{ weights []weight }

// measure computes the cost of a schema, and refuses a schema that exceeds a limit.
func measure(g *graph, root *jsonschema.Schema) (cost, error) {
	m := meter{nodes: g.nodes, reach: make([]weight, len(g.nodes))}
	start := g.index[root].place
	var c cost
	for depth := 0; depth <= MaxDataDepth; depth++ {
		before := slices.Clone(m.reach)
		if err := m.descend(depth); err != nil {
			return cost{}, err
		}
		reached := m.reach[start]
		most := reached
		if depth == 0 { // the work of each subschema for its own value; reported here, because its place is known
			for _, l := range m.reach {
				most = most.max(l)
			}
		}
		if most[weightSteps] > MaxSteps {
			return cost{}, refuse(m.first(func(l weight) bool { return l[weightSteps] > MaxSteps }), "validating one value at depth %d would take more than %d steps: too many alternatives (anyOf, oneOf) or references apply there", MaxSteps, depth)
		}
		if most[weightPattern] > MaxPatternLoad {
			return cost{}, refuse(m.first(func(l weight) bool { return l[weightPattern] > MaxPatternLoad }), "the patterns for one value at depth %d take more than %d steps: use fewer or simpler ones", depth, MaxPatternLoad)
		}
		c.weights = append(c.weights, reached)
		if depth >= 2 && slices.Equal(before, m.reach) {
			break // all greater depths are the same
		}
	}
	return c, nil
}

// maxMeasure bounds the work of measuring itself.
const maxMeasure = 5_000_000

// meter computes, for increasing depth, the weight of each node for a value at that depth below the
// value to which the node is applied.
type meter struct {
	nodes []*node
	reach []weight // by place; for the previous depth
	work  int
}

// first returns the JSON Pointer of the innermost subschema for whose weight over returns true.
// In-place targets precede the nodes that apply them.
func (m *meter) first(over func(weight) bool) string {
	for i, l := range m.reach {
		if over(l) {
			return m.nodes[i].at
		}
	}
	return ""
}

// sumWeights computes the weight of n for its own value. The nodes that n applies in place must
// already have theirs.
func (n *node) sumWeights() {
	n.totalWeight = n.ownWeight
	for _, target := range n.inPlace {
		n.totalWeight = n.totalWeight.plus(target.totalWeight)
	}
}

// children holds weights by name and index, and for names and indexes without an entry.
type children struct {
	members map[string]weight
	other   weight
	items   []weight
	rest    weight
}

func (m *meter) descend(depth int) error {
	if depth == 0 {
		for i, n := range m.nodes {
			n.sumWeights()
			m.reach[i] = n.totalWeight
		}
		return nil
	}
	next := make([]weight, len(m.reach))
	below := make([]children, len(m.reach))
	for i, n := range m.nodes {
		c := m.own(n, depth)
		for _, target := range n.inPlace {
			m.merge(&c, &below[target.place])
		}
		if m.work > maxMeasure {
			return refuse("", "the schema is too complex: too many references and alternatives share properties")
		}
		below[i] = c
		next[i] = c.most()
	}
	m.reach = next
	return nil
}

// own returns the weights of what n itself applies to its members and items.
func (m *meter) own(n *node, depth int) children {
	var always weight
	for _, target := range n.everyChild {
		always = always.plus(m.reach[target.place])
	}
	if n.rehashed {
		always = always.plus(weight{weightSteps: 2, weightValue: workHash, weightNumber: 2 * workNumber, weightBytes: 2})
	}
	ofNames := weight{}
	if depth == 1 {
		if n.rescanned {
			always = always.plus(weight{weightSteps: n.totalWeight[weightSteps], weightValue: n.totalWeight[weightValue] / 4})
		}
		ofNames = n.nameWeight
		for _, target := range n.everyName { // checked twice, see names.go
			ofNames = ofNames.plus(target.totalWeight.times(2))
		}
		ofNames[weightValue] += ofNames[weightText] // the name costs this in addition to its value
	}
	sum := func(base weight, targets []*node) weight {
		for _, target := range targets {
			base = base.plus(m.reach[target.place])
		}
		m.work += 1 + len(targets)
		return base
	}
	c := children{
		other: sum(always.plus(ofNames), n.others),
		rest:  sum(always, n.rest),
	}
	if len(n.members) > 0 {
		c.members = make(map[string]weight, len(n.members))
		for name, targets := range n.members {
			c.members[name] = sum(always.plus(ofNames), targets)
		}
	}
	for _, targets := range n.prefix {
		c.items = append(c.items, sum(always, targets))
	}
	return c
}

// merge adds the weights of an in-place target for the same members and items.
func (m *meter) merge(c, o *children) {
	m.work += len(c.members) + len(o.members) + len(c.items) + len(o.items)
	if c.members == nil && len(o.members) > 0 {
		c.members = make(map[string]weight, len(o.members))
	}
	for name, l := range c.members {
		if _, both := o.members[name]; !both {
			c.members[name] = l.plus(o.other)
		}
	}
	for name, l := range o.members {
		mine, both := c.members[name]
		if !both {
			mine = c.other
		}
		c.members[name] = mine.plus(l)
	}
	for i := range max(len(c.items), len(o.items)) {
		mine, theirs := c.rest, o.rest
		if i < len(o.items) {
			theirs = o.items[i]
		}
		if i < len(c.items) {
			c.items[i] = c.items[i].plus(theirs)
		} else {
			c.items = append(c.items, mine.plus(theirs))
		}
	}
	c.other = c.other.plus(o.other)
	c.rest = c.rest.plus(o.rest)
}

func (c *children) most() weight {
	l := c.other.max(c.rest)
	for _, member := range c.members {
		l = l.max(member)
	}
	for _, item := range c.items {
		l = l.max(item)
	}
	return l
}

// outgrows reports whether large data that could be checked before may now take too long. The root
// is ignored, because it is a single value.
func (c cost) outgrows(before cost) bool {
	for depth := 1; depth < max(len(c.weights), len(before.weights)); depth++ {
		if work := c.value(depth); work >= 2*before.value(depth) && work*commonValues > MaxWork {
			return true
		}
	}
	return false
}

func (c cost) at(depth int) weight { return c.weights[min(depth, len(c.weights)-1)] }

// value is weight.value for one value at a depth.
func (c cost) value(depth int) int { return c.at(depth).value() * farther(depth, 0) }

// farther is the factor by which a value costs more than at the root, because its place is written
// if it is wrong. path is the length of the place in bytes.
func farther(depth, path int) int { return 1 + depth/16 + path/256 }

// scan returns a problem if data must not be validated, because it is too deep, contains a number
// that is too large, or would take too long.
func (c cost) scan(data any) *event.Problem {
	s := scanner{cost: c}
	s.value(data, 0, 0)
	if s.problem == nil && s.work > MaxWork {
		s.fail(TooMuchWork)
	}
	return s.problem
}

// TooMuchWork is the message of the problem that a check would take more than MaxWork.
const TooMuchWork = "the data is too large to validate: that would take more than 1,000,000 steps, about 50 ms. Send less data per event, or simplify the schema where most of the data is: fewer alternatives (anyOf, oneOf), shorter enum lists, simpler patterns"

// scanner adds up the work of a check, and stops when it exceeds MaxWork.
type scanner struct {
	cost    cost
	work    int
	problem *event.Problem
}

func (s *scanner) fail(message string) {
	p := violation(dataPointer, message)
	s.problem = &p
}

// value adds the work for v, whose place has path bytes.
func (s *scanner) value(v any, depth, path int) {
	l := s.cost.at(depth)
	s.work += l[weightValue] * farther(depth, path)
	switch v := v.(type) {
	case string:
		s.work += l[weightText] + l.ofBytes(v)
		if l[weightRegex] > 0 {
			s.work += l[weightRegex] * regexWork(v)
		}
	case stdjson.Number:
		s.work += l[weightNumber] * sizeOf(v)
		if !numberInRange(string(v)) {
			s.fail(fmt.Sprintf("a number may have at most %d digits and an exponent of at most %d", jsonx.MaxNumberDigits, jsonx.MaxNumberExponent))
		}
	case map[string]any:
		s.work += l[weightObject] + len(v)*l[weightMember]*farther(0, path)
		if s.tooDeep(depth) {
			return
		}
		names := s.cost.at(depth + 1)
		for name, member := range v {
			if s.work += names.ofBytes(name); s.work > MaxWork {
				return
			}
			if s.value(member, depth+1, path+len(name)); s.problem != nil {
				s.problem.Pointer = dataPointer + "/" + jsonx.EscapePointer(name) + s.problem.Pointer[len(dataPointer):]
				return
			}
		}
	case []any:
		if s.tooDeep(depth) {
			return
		}
		for i, item := range v {
			if s.work > MaxWork {
				return
			}
			if s.value(item, depth+1, path); s.problem != nil {
				s.problem.Pointer = fmt.Sprintf("%s/%d%s", dataPointer, i, s.problem.Pointer[len(dataPointer):])
				return
			}
		}
	}
}

// ofBytes is the part of the work that grows with the length of a text.
func (l weight) ofBytes(text string) int {
	return len(text)*l[weightPattern]/patternRate + len(text)*l[weightBytes]/64
}

func (s *scanner) tooDeep(depth int) bool {
	if depth >= MaxDataDepth {
		s.fail(fmt.Sprintf("objects and arrays may be nested at most %d levels deep", MaxDataDepth))
		return true
	}
	return false
}
