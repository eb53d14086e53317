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

// Evidence says what a statement of a proposed schema is based on.
type Evidence struct {
	Pointer    string `json:"pointer" doc:"JSON Pointer into the schema"`
	Statement  string `json:"statement" doc:"as in required, optional, type: string, format: uuid, enum: 3 values"`
	Seen       int    `json:"seen" doc:"how many values agree with the statement"`
	Of         int    `json:"of" doc:"how many values there were"`
	Exceptions int    `json:"exceptions" doc:"of minus seen; greater than 0 only for properties that the schema leaves optional"`
}

// Proposer derives a schema from the data of events: types, required properties, formats, small
// enums, members and items. Check accepts all data that was added: the schema makes no statement
// that has an exception, or with which large data would take too long to check. Properties that
// were not seen are allowed.
//
// The limits in limits.go bound its memory, whatever is added: what exceeds them is not described,
// and is therefore allowed. It is not safe for concurrent use.
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

// proposedFormats returns the formats to look for, in this order; a text may have several.
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

// shape summarizes the values at one place of the data.
type shape struct {
	seen    int
	types   map[types]int
	members map[string]*shape
	crowded bool // there were more members than those in members
	items   *shape
	texts   map[string]int // for each value, the number of the last text with it, which is the oldest; nil if varied
	varied  bool           // there were too many values, or a long one
	misfits int            // a bit for each format that some text lacks
}

// Add adds the data of one event, in the format that Check accepts. The newest event must be added
// first. Add returns false for data that no schema accepts, because it is too deep or has a number
// out of range.
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

// countByDepth counts the values of v by depth, as deep as there are counts.
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

// room reserves room for one more place, if there is any. Once there is none, there is none later,
// so a place that is described has seen all its values.
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

// numberType distinguishes integers from other numbers as the validator does: 1.0 is an integer.
func numberType(n stdjson.Number) types {
	if !strings.ContainsAny(string(n), ".eE") {
		return integers
	}
	if r, ok := new(big.Rat).SetString(string(n)); ok && r.IsInt() {
		return integers
	}
	return fractions
}

// Proposal is a schema with the evidence for it.
type Proposal struct {
	Events   int        // that were examined
	Schema   []byte     // a JSON Schema
	Evidence []Evidence // in the order of places
}

// Propose returns a schema for everything that was added. It omits what would make the schema too
// large, or a check of what was added too slow.
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
			return Proposal{}, fmt.Errorf("derive a schema from %d events: %w", p.events, err)
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
			return Proposal{}, fmt.Errorf("derive a schema from %d events: %w", p.events, err)
		}
	}
}

// heaviest returns the depth at which a check takes the most work, and whether the check of an
// added event may exceed MaxWork. Proposals have no patterns.
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
	optional bool                       // describe members that some objects lack
	free     [maxProposedDepth + 1]bool // depths at which nothing is required
	deepest  int                        // the greatest depth that is described
	evidence []Evidence
}

// relieve omits what makes values at a depth expensive.
func (d *drafter) relieve(depth int) {
	if d.free[depth] {
		d.deepest = depth - 1
	}
	d.free[depth] = true
}

func (d *drafter) state(at, statement string, seen, of int) {
	d.evidence = append(d.evidence, Evidence{at, statement, seen, of, of - seen})
}

// draft describes a shape at a place of the schema. name is that of the member, or of the list
// whose items these are.
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

// texts states a format or an enum if there is enough evidence.
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

// growing reports whether a value first occurred in the newest tenth of the texts, so that further
// values are likely.
func (s *shape) growing() bool {
	newest := slices.Min(slices.Collect(maps.Values(s.texts)))
	return 10*(newest-1) < s.types[texts]
}

// openNames returns the last words of names whose values are open: values other than those that
// were seen are likely.
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

// isOpen reports whether a member's name suggests that its values are open.
func isOpen(name string) bool {
	words := wordsOf(name)
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	return slices.Contains(openNames(), last) || slices.Contains(openNames(), strings.TrimSuffix(last, "s"))
}

// wordsOf returns the words of a name in lower case. The words of session_token, sessionToken and
// SessionTOKEN are session and token.
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

// hasOpen reports whether values suggest that others will follow: paths, URLs, addresses, ids, and
// texts with a running number.
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

// members states the properties. An object with too many names is treated as a table whose names
// are data: only the properties that all objects have are described.
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
