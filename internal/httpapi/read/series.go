package read

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/store"
)

// MaxSeriesPoints bounds the points of a series, including those that are filled in.
const MaxSeriesPoints = 10_000

// SeriesAnswer is counts over time.
type SeriesAnswer struct {
	Interval string        `json:"interval"`
	TimeZone string        `json:"time_zone,omitzero" doc:"the time zone in which steps begin; absent for UTC"`
	Series   []SeriesGroup `json:"series"`
}

// SeriesGroup is one line of a series.
type SeriesGroup struct {
	Group  string        `json:"group" doc:"the value of the group; empty without group_by"`
	Points []SeriesPoint `json:"points"`
}

// SeriesPoint is one step.
type SeriesPoint struct {
	At    string `json:"at" format:"date-time" doc:"the start of the step, in UTC"`
	Count int64  `json:"count"`
}

func (h *Handlers) series(c *httpapi.Call) error {
	r, err := h.read(c, query.Events, "interval", "group_by")
	if err != nil {
		return err
	}
	defer r.cancel()
	spec := store.Series{Interval: store.Hour, Group: store.Group(r.values.Get("group_by")), MaxPoints: MaxSeriesPoints, Zone: r.Zone}
	if text := r.values.Get("interval"); text != "" {
		spec.Interval = store.Interval(text)
	}
	if spec.Interval.Micros() == 0 {
		return &query.ParamError{Parameter: "interval", Message: "must be minute, hour or day"}
	}
	if !slices.Contains([]store.Group{store.ByNothing, store.ByCategory, store.ByName, store.ByApp, store.ByStatus}, spec.Group) {
		return &query.ParamError{Parameter: "group_by", Message: "must be category, name, app or status"}
	}
	if spec.Group == store.ByStatus && r.Where != nil {
		return &query.ParamError{Parameter: "where", Message: "cannot be combined with group_by=status, because rejections may have no fields"}
	}
	points, err := h.opts.Reader.Series(r.ctx, r.Query, spec)
	if err != nil {
		return err
	}
	if len(points) == 0 && spec.Group == store.ByNothing && r.From != nil && r.To != nil && *r.From < *r.To {
		points = []store.Point{{At: spec.Steps().Begin(*r.From)}} // no events, but the steps are known
	}
	groups, err := fillSeries(points, spec.Steps(), r.From, r.To)
	if err != nil {
		return err
	}
	a := SeriesAnswer{Interval: string(spec.Interval), Series: groups}
	if name := r.Zone.String(); name != time.UTC.String() {
		a.TimeZone = name
	}
	return c.StreamJSON(a)
}

// fillSeries fills in empty steps. All groups have the same steps: from the first counted one to
// the last, or within the requested bounds.
func fillSeries(points []store.Point, steps event.Steps, from, to *event.Micros) ([]SeriesGroup, error) {
	groups := []SeriesGroup{}
	if len(points) == 0 {
		return groups, nil
	}
	first, last := points[0].At, points[0].At
	names := 1
	for i, p := range points {
		first, last = min(first, p.At), max(last, p.At)
		if i > 0 && p.Group != points[i-1].Group {
			names++
		}
	}
	if from != nil {
		first = steps.Begin(*from)
	}
	if to != nil && *to > 0 {
		last = steps.Begin(*to - 1)
	}
	var begins []event.Micros
	for at := first; at <= last && len(begins)*names <= MaxSeriesPoints; at = steps.Next(at) {
		begins = append(begins, at)
	}
	if len(begins)*names > MaxSeriesPoints {
		return nil, httpapi.Problemf(http.StatusBadRequest, "this series would have more than %d points: narrow from and to, choose a wider interval, or filter the groups", MaxSeriesPoints)
	}
	for len(points) > 0 {
		g := SeriesGroup{Group: points[0].Group, Points: make([]SeriesPoint, len(begins))}
		for i, at := range begins {
			g.Points[i].At = at.String()
			if len(points) > 0 && points[0].Group == g.Group && points[0].At == at {
				g.Points[i].Count = points[0].Count
				points = points[1:]
			}
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// ValuesAnswer is the most frequent values of a field.
type ValuesAnswer struct {
	Field  string  `json:"field"`
	Values []Value `json:"values"`
	Other  int64   `json:"other" doc:"how often the field has a value that is not listed"`
}

// Value is one value with its count.
type Value struct {
	Value string `json:"value" doc:"a string as its content, a number as its exact value, everything else as JSON"`
	Type  string `json:"type,omitzero" enum:"number,boolean,object,array" doc:"the JSON type; absent for a string"`
	Count int64  `json:"count"`
}

func toValue(f query.Field, v *store.Value) Value {
	view := Value{Value: valueText(f, v.Value), Count: v.Count}
	if v.Type != query.String {
		view.Type = string(v.Type)
	}
	return view
}

// valueText returns a value of a field in the format that it has in events; the store has times as
// numbers.
func valueText(f query.Field, text string) string {
	if f.Name != query.OccurredAt && f.Name != query.ReceivedAt && f.Name != query.SentAt {
		return text
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return text
	}
	return event.Micros(n).String()
}

func (h *Handlers) values(c *httpapi.Call) error {
	r, err := h.read(c, query.Events, query.LimitParam, "field")
	if err != nil {
		return err
	}
	defer r.cancel()
	text := r.values.Get("field")
	if text == "" {
		return &query.ParamError{Parameter: "field", Message: "is required: name a field of the event, or data.path"}
	}
	field, err := query.ParseField(text, query.Events)
	if err != nil {
		return &query.ParamError{Parameter: "field", Message: err.Error()}
	}
	values, err := h.opts.Reader.Values(r.ctx, r.Query, field)
	if err != nil {
		return err
	}
	httpapi.KeepPage(r.memory, values.Top, (*store.Value).Size)
	return c.StreamJSON(ValuesAnswer{text, httpapi.MapSlice(values.Top, func(v *store.Value) Value { return toValue(field, v) }), values.Other})
}
