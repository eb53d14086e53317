package query

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// ParamError says which parameter of a request is invalid and what is allowed.
type ParamError struct {
	Parameter string
	Message   string
	Unknown   bool // there is no such parameter
}

// Error returns the parameter and the message.
func (e *ParamError) Error() string {
	if e.Unknown {
		return fmt.Sprintf("unknown parameter %q; %s", e.Parameter, e.Message)
	}
	return "parameter " + e.Parameter + ": " + e.Message
}

// UnknownParam returns the error for an unknown parameter.
func UnknownParam(name string, known ...string) *ParamError {
	e := &ParamError{Parameter: shorten(strings.ToValidUTF8(name, "\uFFFD")), Unknown: true}
	e.Message = "known are " + strings.Join(known, ", ")
	if near := event.Nearest(name, known); near != "" {
		e.Message = fmt.Sprintf("did you mean %q? Known are %s", near, strings.Join(known, ", "))
	}
	return e
}

// Parameters that Parse reads if the endpoint has them.
const (
	OrderParam  = "order"  // asc or desc
	LimitParam  = "limit"  // 1 to MaxLimit
	CursorParam = "cursor" // only its form is checked; see Query.Resume
)

// TimeZoneParam names the time zone of times without one.
const TimeZoneParam = "time_zone"

// Parse reads the parameters of a request into a Query. It always accepts the filters of the kind;
// also names the other parameters of the endpoint: OrderParam, LimitParam and CursorParam, which
// Parse reads, and parameters that the caller reads, which may not be repeated or empty.
//
// Times without a zone are in the zone of the parameter time_zone, or else in zone.
//
// By default, events are listed oldest first, sessions and rejections newest first. Apps contains
// the requested applications; the caller restricts them to those the key may see, and then calls
// Resume. Every error is a *ParamError.
func Parse(values url.Values, kind Kind, zone *time.Location, also ...string) (Query, error) {
	p := parser{values: values, kind: kind, zone: zone}
	p.checkNames(also)
	p.readZone()
	q := Query{
		Apps:       p.texts("app"),
		SessionIDs: p.texts("session_id"),
		Categories: p.texts("category"),
		Names:      p.texts("name"),
		Codes:      p.texts("code"),
		Pointers:   p.texts("pointer"),
		Replayed:   p.yesNo("replayed"),
		From:       p.time("from"),
		To:         p.time("to"),
		Zone:       p.zone,
		Where:      p.conditions("where"),
		Descending: p.descending(),
		Limit:      p.limit(),
	}
	q.EventIDs, q.EventTexts = p.eventIDs()
	if q.From != nil && q.To != nil && *q.From > *q.To {
		p.fail("from", "it is after to")
	}
	for _, code := range q.Codes {
		if near := event.Nearest(code, event.Codes()); near != "" && !slices.Contains(event.Codes(), code) {
			p.fail("code", fmt.Sprintf("%q is not a problem code; did you mean %q?", shorten(code), near))
		}
	}
	for _, pointer := range q.Pointers {
		if !strings.HasPrefix(pointer, "/") {
			p.fail("pointer", fmt.Sprintf("a JSON Pointer begins with /; did you mean %q?", "/"+shorten(pointer)))
		}
	}
	if text := p.one(CursorParam); text != "" {
		if _, err := decodeCursor(text, kind); err != nil {
			p.fail(CursorParam, err.Error())
		}
	}
	if p.err != nil {
		return Query{}, p.err
	}
	return q, nil
}

// Resume returns the query, continued after the place of its cursor, or q itself without a cursor.
// q.Apps must already be restricted to what the key may see: a cursor is valid for the
// applications, filters and order for which it was created, with any limit. The error is a
// *ParamError.
func (q Query) Resume(kind Kind, text string) (Query, error) {
	if text == "" {
		return q, nil
	}
	c, err := decodeCursor(text, kind)
	if err == nil && c.filter != fingerprint(q, kind) {
		err = errOtherFilter
	}
	if err != nil {
		return Query{}, &ParamError{Parameter: CursorParam, Message: err.Error()}
	}
	q.After, q.Horizon = &c.after, c.horizon
	return q, nil
}

// filterParams returns the names of the filters of a kind.
func filterParams(kind Kind) []string {
	names := []string{"app", "session_id", "category", "name", "from", "to", TimeZoneParam, "where"}
	if kind == Rejections {
		names = append(names, "code", "pointer", "event_id", "replayed")
	}
	return names
}

func repeatable(name string) bool {
	switch name {
	case "app", "session_id", "category", "name", "where", "code", "pointer", "event_id":
		return true
	}
	return false
}

// parser reads parameters and keeps the first error. checkNames removes parameters that it refuses
// from values.
type parser struct {
	values url.Values
	kind   Kind
	zone   *time.Location
	err    *ParamError
}

func (p *parser) fail(name, message string) {
	if p.err == nil {
		p.err = &ParamError{Parameter: name, Message: message}
	}
}

// checkNames refuses parameters that are unknown, empty, repeated, or not a text that an event
// could contain.
func (p *parser) checkNames(also []string) {
	known := append(filterParams(p.kind), also...)
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		values := p.values[name]
		switch {
		case !slices.Contains(known, name):
			if p.err == nil {
				p.err = UnknownParam(name, known...)
			}
		default:
			if fault := FaultOf(values, repeatable(name)); fault != "" {
				p.fail(name, fault)
			}
		}
	}
}

// FaultOf says what is wrong with the values of a parameter, regardless of its meaning. It returns
// "" if nothing is wrong.
func FaultOf(values []string, repeatable bool) string {
	switch {
	case len(values) > 1 && !repeatable:
		return "may be given only once"
	case len(values) > MaxValues:
		return fmt.Sprintf("may be given at most %d times", MaxValues)
	case slices.Contains(values, ""):
		return "it is empty; give it a value or omit it"
	case slices.ContainsFunc(values, NotText):
		return "must be UTF-8 without NUL characters"
	}
	return ""
}

// NotText reports whether a value is not a text that an event could contain.
func NotText(value string) bool { return !utf8.ValidString(value) || strings.ContainsRune(value, 0) }

// one returns the value of a parameter, or "" if it is absent.
func (p *parser) one(name string) string {
	if p.err != nil {
		return ""
	}
	return p.values.Get(name)
}

func (p *parser) texts(name string) []string {
	if p.err != nil {
		return nil
	}
	return slices.Clone(p.values[name])
}

// eventIDs separates UUIDs from other ids that clients gave to events.
func (p *parser) eventIDs() (ids []uuid.UUID, texts []string) {
	for _, text := range p.texts(EventID) {
		if id, ok := event.ParseUUID(text); ok {
			ids = append(ids, id)
		} else {
			texts = append(texts, text)
		}
	}
	return ids, texts
}

func (p *parser) yesNo(name string) *bool {
	var yes bool
	switch p.one(name) {
	case "":
		return nil
	case "true":
		yes = true
	case "false":
	default:
		p.fail(name, "must be true or false")
	}
	return &yes
}

func (p *parser) readZone() {
	text := p.one(TimeZoneParam)
	if text == "" {
		return
	}
	zone, err := event.LoadZone(text)
	if err != nil {
		p.fail(TimeZoneParam, err.Error())
		return
	}
	p.zone = zone
}

func (p *parser) time(name string) *event.Micros {
	text := p.one(name)
	if text == "" {
		return nil
	}
	at, err := ParseTime(text, p.zone)
	if err != nil {
		p.fail(name, err.Error())
	}
	return &at
}

func (p *parser) conditions(name string) []Condition {
	texts := p.texts(name)
	if len(texts) > MaxConditions {
		p.fail(name, fmt.Sprintf("may be given at most %d times", MaxConditions))
		return nil
	}
	var conditions []Condition
	for _, text := range texts {
		c, err := parseCondition(text, p.kind, p.zone)
		if err != nil {
			p.fail(name, err.Error())
			return nil
		}
		conditions = append(conditions, c)
	}
	return conditions
}

func (p *parser) descending() bool {
	switch p.one(OrderParam) {
	case "":
		return p.kind != Events
	case "asc":
		return false
	case "desc":
		return true
	}
	p.fail(OrderParam, "must be asc or desc")
	return false
}

func (p *parser) limit() int {
	text := p.one(LimitParam)
	if text == "" {
		return DefaultLimit
	}
	n, err := strconv.Atoi(text)
	if err != nil || leadingDigits(text) != len(text) || n < 1 || n > MaxLimit {
		p.fail(LimitParam, fmt.Sprintf("must be an integer from 1 to %d", MaxLimit))
	}
	return n
}
