package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// graph is a compiled schema as a graph of subschemas. Each node has the subschemas that it applies
// to the same value (inPlace), to members of an object and to items of an array.
type graph struct {
	nodes   []*node // in-place targets precede the nodes that apply them
	index   map[*jsonschema.Schema]*node
	pending []*node // found, and to be visited
}

// node is one subschema.
type node struct {
	schema      *jsonschema.Schema
	at          string // JSON Pointer into the document
	place       int    // in graph.nodes
	ownWeight   weight // of the node itself
	totalWeight weight // including everything that it applies in place
	inPlace     []*node

	members    map[string][]*node // by name, including patterns that match the name
	others     []*node            // for a member whose name is not in members
	everyName  []*node            // for the names of members
	nameWeight weight             // of each name itself
	prefix     [][]*node          // by index
	rest       []*node            // items after the prefix
	everyChild []*node            // for unevaluated…, contains
	rehashed   bool               // uniqueItems: everything below is serialized
	rescanned  bool               // unevaluated…: each subschema copies the names

	state int // of the search for cycles
}

const (
	unvisited = iota
	visiting
	visited
)

// newGraph visits everything that the root reaches, and refuses what must not be used.
func newGraph(root *jsonschema.Schema) (*graph, error) {
	g := &graph{index: map[*jsonschema.Schema]*node{}}
	g.node(root)
	for len(g.pending) > 0 {
		if len(g.index) > MaxSubschemas {
			return nil, refuse("", "the schema has more than %d subschemas", MaxSubschemas)
		}
		n := g.pending[0]
		g.pending = g.pending[1:]
		if err := g.visit(n); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// node returns the node for s, and creates it if necessary.
func (g *graph) node(s *jsonschema.Schema) *node {
	n := g.index[s]
	if n == nil {
		n = &node{schema: s, at: documentPointer(s.Location)}
		g.index[s] = n
		g.pending = append(g.pending, n)
	}
	return n
}

func (g *graph) list(schemas ...*jsonschema.Schema) []*node {
	var nodes []*node
	for _, s := range schemas {
		if s != nil {
			nodes = append(nodes, g.node(s))
		}
	}
	return nodes
}

// outsideError reports a reference to one of the library's own documents.
type outsideError struct{ location string }

func (e *outsideError) Error() string {
	return fmt.Sprintf("a reference points to %s: references must stay within the document", e.location)
}

// visit completes n, after all nodes that n applies in place.
func (g *graph) visit(n *node) error {
	switch n.state {
	case visited:
		return nil
	case visiting:
		return refuse(n.at, "the references form a cycle that reads no data")
	}
	n.state = visiting
	if !strings.HasPrefix(n.schema.Location, rootURL+"#") {
		return &outsideError{n.schema.Location}
	}
	if err := n.checkKeywords(); err != nil {
		return err
	}
	n.inPlace = g.list(inPlace(n.schema)...)
	for _, target := range n.inPlace {
		if err := g.visit(target); err != nil {
			return err
		}
	}
	n.state = visited
	n.place = len(g.nodes)
	g.nodes = append(g.nodes, n)
	g.members(n)
	g.items(n)
	return nil
}

// inPlace returns the subschemas that s applies to the same value.
func inPlace(s *jsonschema.Schema) []*jsonschema.Schema {
	list := slices.Concat(s.AllOf, s.AnyOf, s.OneOf)
	for _, one := range []*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else} {
		if one != nil {
			list = append(list, one)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.DependentSchemas)) {
		list = append(list, s.DependentSchemas[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.Dependencies)) {
		if one, ok := s.Dependencies[name].(*jsonschema.Schema); ok {
			list = append(list, one)
		}
	}
	return list
}

// members finds what n applies to the members of an object.
func (g *graph) members(n *node) {
	s := n.schema
	for expression, target := range s.PatternProperties {
		n.others = append(n.others, g.list(target)...)
		n.nameWeight = n.nameWeight.plus(patternWeight(expression))
	}
	if more, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
		n.others = append(n.others, g.list(more)...)
	}
	n.members = make(map[string][]*node, len(s.Properties))
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		n.members[name] = g.list(s.Properties[name])
		for expression, target := range s.PatternProperties {
			if expression.MatchString(name) {
				n.members[name] = append(n.members[name], g.list(target)...)
			}
		}
	}
	n.everyName = g.list(s.PropertyNames)
}

// items finds what n applies to the items of an array.
func (g *graph) items(n *node) {
	s := n.schema
	switch items := s.Items.(type) { // before 2020-12
	case *jsonschema.Schema:
		n.rest = g.list(items)
	case []*jsonschema.Schema:
		for _, item := range items {
			n.prefix = append(n.prefix, g.list(item))
		}
	}
	if more, ok := s.AdditionalItems.(*jsonschema.Schema); ok {
		n.rest = append(n.rest, g.list(more)...)
	}
	for _, item := range s.PrefixItems {
		n.prefix = append(n.prefix, g.list(item))
	}
	n.rest = append(n.rest, g.list(s.Items2020)...)
	n.everyChild = g.list(s.Contains, s.UnevaluatedItems, s.UnevaluatedProperties)
	n.rehashed = unique(s)
	n.rescanned = s.UnevaluatedItems != nil || s.UnevaluatedProperties != nil
}

// checkKeywords checks the limits of one subschema, and computes its weight.
func (n *node) checkKeywords() error {
	s := n.schema
	switch {
	case s.DraftVersion < 6:
		return refuse(n.at+"/$schema", "the dialect draft-04 is not supported: %s", dialects)
	case s.DynamicRef != nil:
		return refuse(n.at+"/$dynamicRef", "$dynamicRef is not supported: use $ref")
	case s.RecursiveRef != nil:
		return refuse(n.at+"/$recursiveRef", "$recursiveRef is not supported: use $ref")
	}
	for keyword, branches := range map[string]int{"anyOf": len(s.AnyOf), "oneOf": len(s.OneOf), "allOf": len(s.AllOf)} {
		if branches > MaxBranches {
			return refuse(n.at+"/"+keyword, "%s has %d branches; at most %d are allowed", keyword, branches, MaxBranches)
		}
	}
	if s.Enum != nil && len(s.Enum.Values) > MaxEnum {
		return refuse(n.at+"/enum", "enum has %d values; at most %d are allowed", len(s.Enum.Values), MaxEnum)
	}
	n.ownWeight = weightOf(s)
	return nil
}
