package demo

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// Sessions is how many sessions the history has.
const Sessions = 6000

const (
	campaignSessions = 260
	formLost         = 40 * time.Minute // how long the form lacks a field

	// requestSpan is for how long a page gathers events before it sends them.
	requestSpan = 4 * time.Second
)

// History says which week to make up. The same history has the same events.
type History struct {
	Seed uint64
	// Until is its end. Days and nights are those of its location, whose offset to UTC must not
	// change in the week before.
	Until time.Time
}

// From is the beginning of the week.
func (h History) From() time.Time { return h.Until.Add(-7 * 24 * time.Hour) }

// Arrival is a request to the intake: a batch as one application sends it.
type Arrival struct {
	App        string
	Body       []byte
	ReceivedAt time.Time // no two have the same
	Events     int       // in the body
}

// week is a week of traffic.
type week struct {
	stories  stories
	arrivals []Arrival // by time of receipt
	rest     []planned // of visitors who are still there at the end, by time
}

// newWeek makes up the traffic of a week.
func newWeek(h History) (*week, error) {
	t := newTraffic(h.Seed, false)
	t.stories = h.stories()
	w := &week{stories: t.stories}
	for n := range Sessions {
		at := t.stories.campaign.From.Add(t.between(0, t.stories.campaign.To.Sub(t.stories.campaign.From)))
		if n >= campaignSessions {
			at = t.begins(h)
		}
		if err := w.add(t, t.visit(at), h.Until); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(w.rest, func(a, b planned) int { return a.at.Compare(b.at) })
	slices.SortStableFunc(w.arrivals, func(a, b Arrival) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	for i := range w.arrivals[1:] {
		if before, a := w.arrivals[i].ReceivedAt, &w.arrivals[i+1]; !a.ReceivedAt.After(before) {
			a.ReceivedAt = before.Add(time.Microsecond)
		}
	}
	return w, nil
}

// stories returns when something goes wrong: on the week's Tuesday, on a working day at least two
// days ago, and since two days and two hours.
func (h History) stories() stories {
	var s stories
	lost := h.tuesday()
	s.form = span{lost, lost.Add(formLost)}
	s.campaign = span{lost.Add(-8 * time.Minute), lost.Add(formLost + 12*time.Minute)}
	day := h.Until.Add(-2 * 24 * time.Hour)
	for day.Weekday() == time.Saturday || day.Weekday() == time.Sunday || day.Weekday() == time.Tuesday {
		day = day.Add(-24 * time.Hour)
	}
	at := clockTime(day, 13, 0)
	s.voicemail = span{at, at.Add(270 * time.Minute)}
	s.learned = s.voicemail.To.Add(10 * time.Minute)
	s.clock = span{h.Until.Add(-50 * time.Hour), time.Unix(math.MaxInt32, 0)}
	return s
}

// tuesday returns a time on a Tuesday of the week, in the morning if both it and what follows are
// within the week.
func (h History) tuesday() time.Time {
	for _, hour := range []int{10, 14} {
		for back := range 8 {
			at := clockTime(h.Until.AddDate(0, 0, -back), hour, 2)
			if at.Weekday() == time.Tuesday && at.Add(2*time.Hour).Before(h.Until) && at.Add(-time.Hour).After(h.From()) {
				return at
			}
		}
	}
	panic("demo: a week has a Tuesday") // at 14:02 at the latest: see the test
}

// clockTime returns a time of the day of another.
func clockTime(day time.Time, hour, minute int) time.Time {
	y, m, d := day.Date()
	return time.Date(y, m, d, hour, minute, 0, 0, day.Location())
}

// begins returns when a session of the week begins: more on working days and in the afternoon.
func (t *traffic) begins(h History) time.Time {
	for {
		at := h.From().Add(t.between(0, h.Until.Sub(h.From())))
		busy := 0.07
		if hour := float64(at.Hour()) + float64(at.Minute())/60; hour > 6 {
			busy = max(busy, math.Sin((hour-6)/18*math.Pi))
		}
		if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
			busy *= 0.5
		}
		if t.rand.Float64() < busy {
			return at
		}
	}
}

// add adds what one visitor does, as requests. What comes after the end of the week is left.
func (w *week) add(t *traffic, events []planned, until time.Time) error {
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].app == events[0].app && events[n].at.Sub(events[0].at) < requestSpan {
			n++
		}
		numbered := events[0].event.Seq != nil
		sent := events[n-1].at.Add(t.between(80*time.Millisecond, 900*time.Millisecond))
		if numbered && t.rand.IntN(120) == 0 { // a phone without a network
			sent = sent.Add(t.between(20*time.Second, 4*time.Minute))
		}
		received := sent.Add(t.between(20*time.Millisecond, 160*time.Millisecond))
		request := events[:n]
		events = events[n:]
		switch {
		case !received.Before(until):
			w.rest = append(w.rest, request...)
			continue
		case numbered && *request[0].event.Seq > 0 && t.rand.IntN(250) == 0: // it never comes
			continue
		}
		a, err := arrival(request, sent, received)
		if err != nil {
			return err
		}
		w.arrivals = append(w.arrivals, a)
		if again := received.Add(t.between(2*time.Second, 9*time.Second)); numbered && t.rand.IntN(200) == 0 && again.Before(until) {
			a.ReceivedAt = again // the answer was lost, so it is sent again
			w.arrivals = append(w.arrivals, a)
		}
	}
	return nil
}

// arrival returns the request that carries events of one application.
func arrival(events []planned, sent, received time.Time) (Arrival, error) {
	batch := struct {
		SentAt string  `json:"sent_at"`
		Events []Event `json:"events"`
	}{sent.UTC().Format(stampForm), make([]Event, 0, len(events))}
	for i := range events {
		batch.Events = append(batch.Events, events[i].event)
	}
	body, err := json.Marshal(batch)
	if err != nil {
		return Arrival{}, fmt.Errorf("write request: %w", err)
	}
	return Arrival{App: events[0].app, Body: body, ReceivedAt: received.Truncate(time.Microsecond), Events: len(events)}, nil
}
