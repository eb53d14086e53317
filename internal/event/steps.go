package event

import (
	"time"
)

const day = 24 * time.Hour

// dayWidth is the nominal width of a day; in a zone, a day may have 23 or 25 hours.
const dayWidth = Micros(day / time.Microsecond)

// Steps divides time into the days, hours or minutes of a time zone. A day begins at its first
// moment. Where clocks are set back, an hour that occurs twice is two steps; where they are set
// forward, a step is shorter or missing.
type Steps struct {
	Width Micros         // a day, or what divides an hour
	Zone  *time.Location // nil is UTC
}

func (s Steps) utc() bool { return s.Zone == nil || s.Zone == time.UTC }

// Begin returns the beginning of the step that a time is in.
func (s Steps) Begin(at Micros) Micros {
	switch {
	case s.utc():
		return at - modulo(at, s.Width)
	case s.Width == dayWidth:
		begin := s.dayOf(at, 0)
		// A day continues when clocks are set back into it from the next one.
		if next := s.dayOf(at, 1); next <= at {
			return next
		}
		return begin
	}
	offset := s.offset(at)
	begin := at - modulo(at+offset, s.Width)
	start := s.since(at)
	if begin >= start {
		return begin
	}
	before := s.offset(start - 1)
	if last := start - 1 + before; before < offset && last-modulo(last, s.Width) == begin+offset {
		return s.Begin(start - 1) // clocks are set forward within a step
	}
	return start
}

// Next returns the beginning of the step that follows the one that a time is in.
func (s Steps) Next(at Micros) Micros {
	switch {
	case s.utc():
		return at - modulo(at, s.Width) + s.Width
	case s.Width == dayWidth:
		for days := 1; ; days++ {
			if next := s.dayOf(at, days); next > at { // a day that a zone skipped has no moment
				return next
			}
		}
	}
	next := at - modulo(at+s.offset(at), s.Width) + s.Width
	end := s.until(at)
	switch {
	case next <= end:
		return next
	case s.Begin(end) == end:
		return end
	}
	return s.Next(end)
}

// Part returns a width, aligned to UTC, that divides every step between two times.
func (s Steps) Part(from, to Micros) Micros {
	part := s.Width
	if s.utc() {
		return part
	}
	for at := from; at <= to; at = s.until(at) {
		part = divisor(part, s.offset(at))
		if start := s.since(at); start > -Latest {
			part = divisor(part, start)
		}
	}
	return part
}

// dayOf returns the first moment of the day that contains a time, or of the day that is later days
// after it.
func (s Steps) dayOf(at Micros, later int) Micros {
	year, month, date := at.Time().In(s.Zone).Date()
	return Micros(localTime(time.Date(year, month, date+later, 0, 0, 0, 0, time.UTC), s.Zone).UnixMicro())
}

// offset returns the amount by which clocks are ahead of UTC.
func (s Steps) offset(at Micros) Micros {
	return Micros(offset(at.Time(), s.Zone) / time.Microsecond)
}

// since and until return the bounds of the period around a time in which clocks are not changed, or
// values beyond all times if there is no bound. They correct time.ZoneBounds, which also returns
// bounds at which nothing changes and, on the last day of a leap year, a bound in the wrong place.

func (s Steps) since(at Micros) Micros {
	for t := at; ; {
		start, _ := t.Time().In(s.Zone).ZoneBounds()
		if start.IsZero() {
			return -2 * Latest
		}
		bound := Micros(start.UnixMicro())
		if s.offset(bound-1) != s.offset(at) {
			return bound
		}
		t = bound - 1
	}
}

func (s Steps) until(at Micros) Micros {
	const quarter = Micros(15 * time.Minute / time.Microsecond)
	for t := at; t < 2*Latest; {
		_, end := t.Time().In(s.Zone).ZoneBounds()
		if end.IsZero() {
			break
		}
		bound := Micros(end.UnixMicro())
		if bound <= t {
			bound = t - modulo(t, quarter) + quarter
		}
		if s.offset(bound) != s.offset(at) {
			return bound
		}
		t = bound
	}
	return 2 * Latest
}

func modulo(a, b Micros) Micros { return (a%b + b) % b }

func divisor(a, b Micros) Micros {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}
