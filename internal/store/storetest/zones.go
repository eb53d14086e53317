package storetest

import (
	"time"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

func zone(name string) *time.Location {
	z, err := event.LoadZone(name)
	if err != nil {
		panic(err) // it is in the binary
	}
	return z
}

// testZones counts by steps of a time zone whose clocks were changed.
func testZones(f *fixture) {
	times := []string{
		"2024-03-10T04:59:59Z", "2024-03-10T05:00:00Z", "2024-03-11T03:59:59Z", "2024-03-11T04:00:00Z", // the ends of a day of 23 hours
		"2024-11-03T03:59:59Z", "2024-11-03T04:00:00Z", "2024-11-04T04:59:59Z", "2024-11-04T05:00:00Z", // and of 25
		"2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z", // 01:30, twice
	}
	micros := func(text string) event.Micros {
		m, err := event.ParseTime(text, time.UTC)
		if err != nil {
			f.Fatal(err)
		}
		return m
	}
	var records []event.Record
	for n, text := range times {
		records = append(records, ev(n, at(micros(text))))
	}
	f.write(records...)
	newYork := zone("America/New_York")
	for _, c := range []struct {
		what string
		q    query.Query
		s    store.Series
		want []store.Point
	}{
		{"days", query.Query{}, store.Series{Interval: store.Day, Zone: newYork}, []store.Point{
			point("", micros("2024-03-09T05:00:00Z"), 1), point("", micros("2024-03-10T05:00:00Z"), 2), point("", micros("2024-03-11T04:00:00Z"), 1),
			point("", micros("2024-11-02T04:00:00Z"), 1), point("", micros("2024-11-03T04:00:00Z"), 4), point("", micros("2024-11-04T05:00:00Z"), 1),
		}},
		{"days by application", query.Query{From: ptr(micros("2024-11-03T04:00:00Z"))}, store.Series{Interval: store.Day, Zone: newYork, Group: store.ByApp}, []store.Point{
			point("shop", micros("2024-11-03T04:00:00Z"), 4), point("shop", micros("2024-11-04T05:00:00Z"), 1),
		}},
		{"hours", query.Query{From: ptr(micros("2024-11-03T05:00:00Z")), To: ptr(micros("2024-11-03T07:00:00Z"))}, store.Series{Interval: store.Hour, Zone: newYork}, []store.Point{
			point("", micros("2024-11-03T05:00:00Z"), 1), point("", micros("2024-11-03T06:00:00Z"), 1),
		}},
		{"hours that begin at a quarter", query.Query{To: ptr(micros("2024-03-10T06:00:00Z"))}, store.Series{Interval: store.Hour, Zone: zone("Asia/Kathmandu")}, []store.Point{
			point("", micros("2024-03-10T04:15:00Z"), 2),
		}},
	} {
		c.s.MaxPoints = 100
		got, err := f.Series(f.Context(), c.q, c.s)
		if err != nil {
			f.Fatal("series:", err)
		}
		f.same(c.what, c.want, got)
	}
}
