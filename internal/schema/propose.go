package schema

import (
	stdjson "encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Evidence says what a statement of a proposed schema rests on.
type Evidence struct {
	Pointer    string `json:"pointer" doc:"JSON Pointer into the schema"`
	Statement  string `json:"statement" doc:"as in required, optional, type: string, format: uuid, enum: 3 values"`
	Seen       int    `json:"seen" doc:"how many values are as the statement says"`
	Of         int    `json:"of" doc:"how many values there were"`
	Exceptions int    `json:"exceptions" doc:"of less seen; only for statements that the schema does not make: what is optional"`
}

// Proposer draws a schema from the data of events: types, what is required,
// formats, small enums, members and items. The schema conforms to all data that
// was added, as Check judges it: a statement with a single exception is not
// made, nor one under which large data would take too long. It stays open:
// properties that were not seen are allowed.
//
// Its memory is bounded by the limits in limits.go, whatever is added: what is
// beyond is not described, and so allowed. It must not be used concurrently.
type Proposer struct {
	root    shape
	events  int
	places  int
	most    [maxProposedDepth + 1]int // values of one event, by depth
	formats []format
}

type format struct {
	name   string
	schema *jsonschema.Schema
}

// proposedFormats are looked for in this order; a text may have several.
func proposedFormats() []string { return []string{"date-time", "date", "uuid", "email", "uri"} }

// NewProposer returns a proposer that has seen nothing.
func NewProposer() (*Proposer, error) {
	p := &Proposer{}
	for _, name := range proposedFormats() {
		s, err := compile(&source{value: map[string]any{"format": name}})
		if err != nil {
			return nil, fmt.Errorf("compile the format %s: %w", name, err)
		}
		p.formats = append(p.formats, format{name, s})
	}
	return p, nil
}

// shape is what was seen at one place of the data.
type shape struct {
	seen    int
	types   map[types]int
	members map[string]*shape
	crowded bool // members were met that are not in members
	items   *shape
	texts   map[string]int // nil when there were too many, or a long one
	varied  bool
	newest  int // which of the texts brought the last new one of texts
	misfits int // a bit for each format that some text does not have
}

// Add looks at the data of one event, in the form that Check takes. It reports
// false for what no schema takes: too deep, or with a number out of range.
func (p *Proposer) Add(data any) bool {
	s := scanner{cost: cost{loads: []load{{}}}}
	if s.value(data, 0, 0); s.problem != nil {
		return false
	}
	p.events++
	p.add(&p.root, data, 0)
	var counts [maxProposedDepth + 1]int
	countByDepth(data, counts[:])
	for depth, n := range counts {
		p.most[depth] = max(p.most[depth], n)
	}
	return true
}

// countByDepth adds the values of v, as deep as there are counts.
func countByDepth(v any, counts []int) {
	if len(counts) == 0 {
		return
	}
	counts[0]++
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			countByDepth(item, counts[1:])
		}
	case map[string]any:
		for _, member := range v {
			countByDepth(member, counts[1:])
		}
	}
}

func (p *Proposer) add(s *shape, v any, depth int) {
	if s.types == nil {
		s.types = map[types]int{}
	}
	s.seen++
	switch v := v.(type) {
	case stdjson.Number:
		s.types[numberType(v)]++
	case string:
		s.types[texts]++
		p.text(s, v)
	case []any:
		s.types[arrays]++
		for _, item := range v {
			if s.items == nil && !p.room(depth) {
				break
			}
			if s.items == nil {
				s.items = &shape{}
			}
			p.add(s.items, item, depth+1)
		}
	case map[string]any:
		s.types[objects]++
		for _, name := range slices.Sorted(maps.Keys(v)) {
			p.member(s, name, v[name], depth)
		}
	default:
		s.types[typeOf(v)]++
	}
}

func (p *Proposer) member(s *shape, name string, v any, depth int) {
	m := s.members[name]
	if m == nil {
		if len(name) > maxProposedName || len(s.members) >= maxProposedNames || !p.room(depth) {
			s.crowded = true
			return
		}
		if s.members == nil {
			s.members = map[string]*shape{}
		}
		m = &shape{}
		s.members[name] = m
	}
	p.add(m, v, depth+1)
}

// room takes room for one place more, if there is any. There is none again later,
// so that a place that is described has seen all its values.
func (p *Proposer) room(depth int) bool {
	if depth >= maxProposedDepth || p.places >= maxProposedPlaces {
		return false
	}
	p.places++
	return true
}

func (p *Proposer) text(s *shape, v string) {
	for i, f := range p.formats {
		if s.misfits&(1<<i) == 0 && (f.schema.Validate(v) != nil || f.name == "uri" && !strings.Contains(v, "://")) {
			s.misfits |= 1 << i
		}
	}
	if s.varied {
		return
	}
	if s.texts == nil {
		s.texts = map[string]int{}
	}
	if s.texts[v] == 0 {
		s.newest = s.types[texts]
	}
	if s.texts[v]++; len(s.texts) > maxProposedEnum || len(v) > maxProposedText {
		s.texts, s.varied = nil, true
	}
}

// numberType tells integers, as the validator does: 1.0 is one.
func numberType(n stdjson.Number) types {
	if !strings.ContainsAny(string(n), ".eE") {
		return integers
	}
	if r, ok := new(big.Rat).SetString(string(n)); ok && r.IsInt() {
		return integers
	}
	return fractions
}

// Proposal is a schema with what it rests on.
type Proposal struct {
	Events   int        // that were looked at
	Schema   []byte     // a JSON Schema
	Evidence []Evidence // in the order of places
}

// Propose returns the schema of all that was added. What would make it too large,
// or a check of what was added too long, is left out.
func (p *Proposer) Propose() (Proposal, error) {
	d := drafter{formats: p.formats, enums: true, optional: true, deepest: maxProposedDepth}
	for {
		d.evidence = nil
		s := d.draft(&p.root, "", 0)
		s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
		document, err := stdjson.MarshalIndent(s, "", "  ")
		if err == nil && len(document) > MaxDocumentBytes {
			document, err = stdjson.Marshal(s)
		}
		if err != nil {
			return Proposal{}, fmt.Errorf("draw a schema from %d events: %w", p.events, err)
		}
		t, err := Compile("", "", 0, document)
		switch {
		case err == nil:
			depth, over := p.heaviest(t.cost)
			if !over {
				return Proposal{p.events, document, d.evidence}, nil
			}
			d.relieve(depth)
		case d.enums:
			d.enums = false
		case d.optional:
			d.optional = false
		case d.deepest > 0:
			d.deepest--
		default:
			return Proposal{}, fmt.Errorf("draw a schema from %d events: %w", p.events, err)
		}
	}
}

// heaviest returns the depth at which a check takes most work, and whether one of
// an event that was added may take more than MaxWork. Proposals have no patterns.
func (p *Proposer) heaviest(c cost) (depth int, over bool) {
	sum, most := 0, 0
	for i, n := range p.most {
		work := n * c.value(i)
		if sum += work; work > most {
			depth, most = i, work
		}
	}
	return depth, sum > MaxWork
}

// drafter writes the schema of a shape.
type drafter struct {
	formats  []format
	enums    bool
	optional bool                       // members that some lack are described
	free     [maxProposedDepth + 1]bool // depths at which nothing is required
	deepest  int                        // that is described
	evidence []Evidence
}

// relieve leaves out what makes values at a depth expensive.
func (d *drafter) relieve(depth int) {
	if d.free[depth] {
		d.deepest = depth - 1
	}
	d.free[depth] = true
}

func (d *drafter) state(at, statement string, seen, of int) {
	d.evidence = append(d.evidence, Evidence{at, statement, seen, of, of - seen})
}

func (d *drafter) draft(s *shape, at string, depth int) map[string]any {
	doc := map[string]any{}
	if s == nil || s.seen == 0 {
		return doc
	}
	var all types
	for t := range s.types {
		all |= t
	}
	names := strings.Split(all.String(), ", ")
	doc["type"] = names
	if len(names) == 1 {
		doc["type"] = names[0]
	}
	d.state(at, "type: "+all.String(), s.seen, s.seen)
	if s.types[texts] > 0 {
		d.texts(s, at, doc, all)
	}
	if s.items != nil && depth < d.deepest {
		doc["items"] = d.draft(s.items, at+"/items", depth+1)
	}
	if s.types[objects] > 0 {
		d.members(s, at, doc, depth)
	}
	return doc
}

// texts states a format or an enum where there is enough evidence.
func (d *drafter) texts(s *shape, at string, doc map[string]any, all types) {
	n := s.types[texts]
	if n >= minEvidence {
		for i, f := range d.formats {
			if s.misfits&(1<<i) == 0 {
				doc["format"] = f.name
				d.state(at, "format: "+f.name, n, n)
				return
			}
		}
	}
	if !d.enums || s.varied || len(s.texts) < 2 || n < minEvidence*len(s.texts) || all&^(texts|nulls) != 0 {
		return
	}
	if 10*s.newest > 9*n || isOpen(at[strings.LastIndexByte(at, '/')+1:], s.texts) {
		return
	}
	values := []any{}
	for _, text := range slices.Sorted(maps.Keys(s.texts)) {
		values = append(values, text)
	}
	if all&nulls != 0 {
		values = append(values, nil)
	}
	doc["enum"] = values
	d.state(at, fmt.Sprintf("enum: %d values", len(values)), s.seen, s.seen)
}

// isOpen reports whether a member's name or its values tell that others will come: those that were
// seen are then no enum. Paths, URLs, addresses, ids and names are of this kind.
func isOpen(name string, values map[string]int) bool {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '_' || r == '-' || r == '.' || r == ' ' })
	if len(words) > 0 && slices.Contains([]string{
		"id", "ids", "uuid", "key", "token", "hash", "name", "title", "label", "path", "url", "uri", "href", "link", "referrer", "referer", "page",
		"email", "mail", "phone", "user", "username", "author", "query", "search", "text", "message", "comment", "description", "file", "filename", "version",
	}, words[len(words)-1]) || strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "ID") || strings.HasSuffix(name, "Name") || strings.HasSuffix(name, "Url") || strings.HasSuffix(name, "URL") {
		return true
	}
	for text := range values {
		if strings.ContainsAny(text, `/\@?&=#`) || strings.IndexFunc(text, unicode.IsDigit) >= 0 && strings.Trim(text, "0123456789abcdefABCDEF-") == "" {
			return true
		}
	}
	return false
}

// members states the properties. An object with too many names is taken for a
// table whose names are data: only what all of them have is described.
func (d *drafter) members(s *shape, at string, doc map[string]any, depth int) {
	properties, required := map[string]any{}, []string{}
	n := s.types[objects]
	for _, name := range slices.Sorted(maps.Keys(s.members)) {
		m := s.members[name]
		below := at + "/properties/" + escape(name)
		switch {
		case m.seen == n && d.free[depth]:
			d.state(below, "not required: large data would take too long to be checked", n, n)
		case m.seen == n:
			required = append(required, name)
			d.state(below, "required", n, n)
		case s.crowded || !d.optional:
			continue
		default:
			d.state(below, "optional", m.seen, n)
		}
		if depth < d.deepest {
			properties[name] = d.draft(m, below, depth+1)
		}
	}
	if s.crowded {
		d.state(at, fmt.Sprintf("open: more names than are described (%d in one object, %d places in all)", maxProposedNames, maxProposedPlaces), n, n)
	}
	if len(properties) > 0 {
		doc["properties"] = properties
	}
	if len(required) > 0 {
		doc["required"] = required
	}
}
