package httpapi

import (
	"slices"
	"strconv"
	"time"

	"theeye/internal/event"
	"theeye/internal/query"
)

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

func (p *params) only(known ...string) {
	for name, values := range p.values {
		switch {
		case !slices.Contains(known, name):
			if p.err == nil {
				p.err = query.UnknownParam(name, known...)
			}
		case len(values) > 1:
			p.fail(name, "may be given only once")
		case values[0] == "":
			p.fail(name, "it is empty; give it a value, or leave it out")
		}
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

func (p *params) cursor() uint64 {
	text := p.text("cursor")
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 0 {
		p.fail("cursor", "is not a cursor of this list; use next_cursor of the page before, or leave it out to begin again")
	}
	return n
}
