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

	"theeye/internal/jsonx"
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
	texts   map[string]int // which of the texts was the last, and so the oldest, of a value; nil when varied
	varied  bool           // there were too many values, or a long one
	misfits int            // a bit for each format that some text does not have
}

// Add looks at the data of one event, in the form that Check takes. The newest event comes first.
// It reports false for what no schema takes: too deep, or with a number out of range.
func (p *Proposer) Add(data any) bool {
	s := scanner{cost: cost{weights: []weight{{}}}}
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
	if s.texts[v] = s.types[texts]; len(s.texts) > maxProposedEnum || len(v) > maxProposedText {
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
		s := d.draft(&p.root, "", "", 0)
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

// draft describes a shape at a place of the schema. Name is that of the member, or of the one whose
// items these are.
func (d *drafter) draft(s *shape, at, name string, depth int) map[string]any {
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
		d.texts(s, at, name, doc)
	}
	if s.items != nil && depth < d.deepest {
		doc["items"] = d.draft(s.items, at+"/items", name, depth+1)
	}
	if s.types[objects] > 0 {
		d.members(s, at, doc, depth)
	}
	return doc
}

// texts states a format or an enum where there is enough evidence.
func (d *drafter) texts(s *shape, at, name string, doc map[string]any) {
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
	if !d.enums || s.varied || len(s.texts) < 2 || n < minEvidence*len(s.texts) || n+s.types[nulls] < s.seen {
		return
	}
	if s.growing() || isOpen(name) || hasOpen(s.texts) {
		return
	}
	values := []any{}
	for _, text := range slices.Sorted(maps.Keys(s.texts)) {
		values = append(values, text)
	}
	if s.types[nulls] > 0 {
		values = append(values, nil)
	}
	doc["enum"] = values
	d.state(at, fmt.Sprintf("enum: %d values", len(values)), s.seen, s.seen)
}

// growing reports whether one of the values came first in the newest tenth: others will come, then.
func (s *shape) growing() bool {
	newest := slices.Min(slices.Collect(maps.Values(s.texts)))
	return 10*(newest-1) < s.types[texts]
}

// openNames are the last words of names whose values are not among a few: others will come than
// those that were seen.
func openNames() []string {
	return []string{
		"id", "ids", "uuid", "guid", "key", "token", "hash", "checksum", "digest", "signature", "secret", "nonce", "session", "cookie", "fingerprint",
		"name", "username", "hostname", "filename", "nickname", "title", "label", "slug", "tag", "brand", "model", "product", "campaign",
		"path", "url", "uri", "href", "link", "referrer", "referer", "page", "host", "domain", "ip", "address", "addr", "port",
		"email", "mail", "phone", "user", "author", "owner", "customer", "account", "agent", "ua", "browser", "os",
		"query", "search", "term", "keyword", "text", "message", "comment", "description", "note", "subject", "body", "content", "error",
		"file", "version", "release", "build", "code", "sku", "ean", "isbn", "barcode", "serial", "number", "coupon", "voucher",
		"street", "city", "town", "zip", "postcode", "region", "country", "locale", "language",
	}
}

// isOpen reports whether a member's name tells that its values are not among a few.
func isOpen(name string) bool {
	words := wordsOf(name)
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	return slices.Contains(openNames(), last) || slices.Contains(openNames(), strings.TrimSuffix(last, "s"))
}

// wordsOf returns the words of a name in lower case: of session_token, sessionToken and
// SessionTOKEN they are session and token.
func wordsOf(name string) (words []string) {
	runes := []rune(name)
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
		}
		word = nil
	}
	for i, r := range runes {
		upper := unicode.IsUpper(r)
		switch {
		case !unicode.IsLetter(r): // digits too: line2
			end()
			continue
		case upper && i > 0 && !unicode.IsUpper(runes[i-1]), // sessionToken
			upper && i+2 < len(runes) && unicode.IsLower(runes[i+1]) && unicode.IsLower(runes[i+2]): // URLPath, but not IDs
			end()
		}
		word = append(word, r)
	}
	end()
	return words
}

// hasOpen reports whether values tell that others will come: paths, URLs, addresses, ids, and texts
// with a running number.
func hasOpen(values map[string]int) bool {
	numbered := map[string]bool{} // without their digits
	for text := range values {
		if strings.ContainsAny(text, `/\@?&=#`) {
			return true
		}
		if strings.IndexFunc(text, unicode.IsDigit) < 0 {
			continue
		}
		rest := strings.Join(strings.FieldsFunc(text, unicode.IsDigit), "0")
		if numbered[rest] || strings.Trim(text, "0123456789abcdefABCDEF-") == "" {
			return true
		}
		numbered[rest] = true
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
		below := at + "/properties/" + jsonx.EscapePointer(name)
		switch {
		case m.seen == n && d.free[depth]:
			d.state(below, "not required: large data would take too long to validate", n, n)
		case m.seen == n:
			required = append(required, name)
			d.state(below, "required", n, n)
		case s.crowded || !d.optional:
			continue
		default:
			d.state(below, "optional", m.seen, n)
		}
		if depth < d.deepest {
			properties[name] = d.draft(m, below, name, depth+1)
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
