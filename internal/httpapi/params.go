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

// checkParams refuses a query that does not match the document of the route: a parameter that is
// ignored might be the one that makes a request harmless. Open routes and /metrics are exempt,
// because probes and scrapers send parameters of their own, and so may callers of the legacy
// path.
func checkParams(rt Route, values url.Values) error {
	if rt.Access == Open || rt.Access == ForMetrics {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(rt.Doc.Params, func(p Param) bool { return p.inQuery() && p.Name == name })
		if i < 0 {
			return unknownParam(rt, name)
		}
		if fault := query.FaultOf(values[name], rt.Doc.Params[i].Repeatable); fault != "" {
			return &query.ParamError{Parameter: name, Message: fault}
		}
	}
	return nil
}

func unknownParam(rt Route, name string) error {
	var known []string
	for _, p := range rt.Doc.Params {
		if p.inQuery() {
			known = append(known, p.Name)
		}
	}
	err := query.UnknownParam(name, known...)
	switch {
	case len(known) > 0:
	case rt.Doc.Body != nil:
		err.Message = "this request takes no parameters; everything is in its body"
	default:
		err.Message = "this request takes no parameters"
	}
	return err
}

// Next is the part of a list's answer that leads to the next page.
type Next struct {
	NextCursor *string `json:"next_cursor"`
}

// SetNext sets the cursor of the next page; 0 means that there is none.
func (n *Next) SetNext(place uint64) {
	if place > 0 {
		text := strconv.FormatUint(place, 10)
		n.NextCursor = &text
	}
}

// Params returns a reader of the query's parameters.
func (c *Call) Params() ParamReader { return ParamReader{values: c.URL.Query()} }

// ParamReader reads the parameters of routes that do not select events. It keeps the first error.
type ParamReader struct {
	Err    error
	values map[string][]string
}

// Fail sets Err unless it is already set.
func (p *ParamReader) Fail(name, message string) {
	if p.Err == nil {
		p.Err = &query.ParamError{Parameter: name, Message: message}
	}
}

// Text returns a parameter, or "" if it is missing.
func (p *ParamReader) Text(name string) string {
	if values := p.values[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Time returns a time, or nil if it is missing.
func (p *ParamReader) Time(name string) *time.Time {
	text := p.Text(name)
	if text == "" {
		return nil
	}
	at, err := query.ParseTime(text, p.Zone())
	if err != nil {
		p.Fail(name, err.Error())
		return nil
	}
	t := at.Time()
	return &t
}

// Zone returns the time zone for times without one.
func (p *ParamReader) Zone() *time.Location {
	text := p.Text(query.TimeZoneParam)
	if text == "" {
		return time.UTC
	}
	zone, err := event.LoadZone(text)
	if err != nil {
		p.Fail(query.TimeZoneParam, err.Error())
		return time.UTC
	}
	return zone
}

// Limit returns the maximum number of items of a page.
func (p *ParamReader) Limit() int {
	text := p.Text("limit")
	if text == "" {
		return query.DefaultLimit
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > query.MaxLimit {
		p.Fail("limit", "must be an integer from 1 to "+strconv.Itoa(query.MaxLimit))
	}
	return n
}

// NotThisCursor is the message for a cursor that does not belong to a list.
const NotThisCursor = "is not a cursor of this list; use next_cursor of the previous page, or omit it to start again"

// Cursor returns the place where the page begins, or 0 for the first page.
func (p *ParamReader) Cursor() uint64 {
	text := p.Text("cursor")
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 0 {
		p.Fail("cursor", NotThisCursor)
	}
	return n
}

// CursorAfter returns the place after a page that is not the last one.
func CursorAfter[T any](p store.Page[T], after func(*T) query.After, descending bool) query.After {
	if p.SearchedTo != nil {
		return query.AfterTime(*p.SearchedTo, descending)
	}
	return after(&p.Items[len(p.Items)-1])
}
