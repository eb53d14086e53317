package httpapi

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// checkParams refuses a query that is not as the document says of the route: a parameter that is
// ignored might be what makes a request harmless. The first Eye ignored what it did not know, and probes
// and scrapers send parameters that mean nothing to who is probed.
func checkParams(rt route, values url.Values) error {
	if rt.path == legacyPath || rt.access == open || rt.access == forMetric {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(rt.doc.params, func(p param) bool { return p.inQuery() && p.name == name })
		if i < 0 {
			return unknownParam(rt, name)
		}
		if fault := query.FaultOf(values[name], rt.doc.params[i].repeatable); fault != "" {
			return &query.ParamError{Parameter: name, Message: fault}
		}
	}
	return nil
}

func (p param) inQuery() bool { return p.in == "" || p.in == "query" }

func unknownParam(rt route, name string) error {
	var known []string
	for _, p := range rt.doc.params {
		if p.inQuery() {
			known = append(known, p.name)
		}
	}
	err := query.UnknownParam(name, known...)
	switch {
	case len(known) > 0:
	case rt.doc.body != nil:
		err.Message = "this request takes none, what it takes is in its body"
	default:
		err.Message = "this request takes none"
	}
	return err
}

// Next leads to the next page of a list that counts its items.
type Next struct {
	NextCursor *string `json:"next_cursor"`
}

func (n *Next) after(place uint64) {
	if place > 0 {
		text := strconv.FormatUint(place, 10)
		n.NextCursor = &text
	}
}

// params reads the parameters of a list that is no list of events, and keeps the
// first error.
type params struct {
	values map[string][]string
	err    error
}

func (p *params) fail(name, message string) {
	if p.err == nil {
		p.err = &query.ParamError{Parameter: name, Message: message}
	}
}

func (p *params) text(name string) string {
	if values := p.values[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func (p *params) time(name string) *time.Time {
	text := p.text(name)
	if text == "" {
		return nil
	}
	at, err := query.ParseTime(text, p.zone())
	if err != nil {
		p.fail(name, err.Error())
		return nil
	}
	t := at.Time()
	return &t
}

// zone returns that of times without one.
func (p *params) zone() *time.Location {
	text := p.text(query.TimeZoneParam)
	if text == "" {
		return time.UTC
	}
	zone, err := event.LoadZone(text)
	if err != nil {
		p.fail(query.TimeZoneParam, err.Error())
		return time.UTC
	}
	return zone
}

func (p *params) limit() int {
	text := p.text("limit")
	if text == "" {
		return query.DefaultLimit
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > query.MaxLimit {
		p.fail("limit", "must be an integer from 1 to "+strconv.Itoa(query.MaxLimit))
	}
	return n
}

const notThisCursor = "is not a cursor of this list; use next_cursor of the page before, or leave it out to begin again"

func (p *params) cursor() uint64 {
	text := p.text("cursor")
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 0 {
		p.fail("cursor", notThisCursor)
	}
	return n
}

// placeBehind returns the place behind a page that is not the last one.
func placeBehind[T any](p store.Page[T], after func(*T) query.After, descending bool) query.After {
	if p.SearchedTo != nil {
		return query.AfterTime(*p.SearchedTo, descending)
	}
	return after(&p.Items[len(p.Items)-1])
}
