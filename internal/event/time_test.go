package event_test

import (
	"errors"
	"testing"
	"time"

	"theeye/internal/event"
)

const newYear event.Micros = 1609459200_000000 // 2021-01-01T00:00:00Z

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]event.Micros{
		"2021-01-01T00:00:00Z":                newYear,
		"2021-01-01t00:00:00z":                newYear,
		"2021-01-01 00:00:00":                 newYear,
		"2021-01-01T00:00:00":                 newYear,
		"2021-01-01 00:00:00Z":                newYear,
		"2021-01-01T01:30:00+01:30":           newYear,
		"2020-12-31T18:15:00-05:45":           newYear,
		"2021-01-01T00:00:00-00:00":           newYear,
		"2021-01-01T23:59:00+23:59":           newYear,
		"2021-01-01T00:00:00.5Z":              newYear + 500_000,
		"2021-01-01 00:00:00.000001":          newYear + 1,
		"2021-01-01T00:00:00.1234569Z":        newYear + 123_456, // truncated, not rounded
		"2021-01-01T00:00:00.999999999999Z":   newYear + 999_999,
		"2021-01-01T00:00:00.000000000001Z":   newYear,
		"2021-01-01T01:00:00.25+01:00":        newYear + 250_000,
		"1970-01-01T00:00:00Z":                event.Earliest,
		"1969-12-31T23:00:00-01:00":           event.Earliest,
		"2199-12-31T23:59:59.999999Z":         event.Latest - 1,
		"2200-01-01T00:59:59.999999+01:00":    event.Latest - 1,
		"2000-02-29T00:00:00Z":                951782400_000000, // a leap year, though a century
		"2016-12-31T23:59:60Z":                1483228800_000000,
		"2017-01-01T00:59:60+01:00":           1483228800_000000,
		"2016-12-31T23:59:60.25Z":             1483228800_250000,
		"2016-12-31 23:59:60":                 1483228800_000000,
		"2021-01-01T00:00:00.1234560000000Z":  newYear + 123_456,
		"2021-01-01T00:00:00.0000000+00:00":   newYear,
		"2021-01-01 00:00:00.999999999+00:00": newYear + 999_999,
	} {
		if got, err := event.ParseTime(text, time.UTC); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
}

// The location is used only for a time without a zone.
func TestParseTimeInLocation(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("east", 3600)
	for text, want := range map[string]event.Micros{
		"2021-01-01 01:00:00":       newYear,
		"2021-01-01T00:00:00Z":      newYear,
		"2021-01-01T02:00:00+02:00": newYear,
		"2017-01-01 00:59:60":       1483228800_000000,
	} {
		if got, err := event.ParseTime(text, east); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := event.ParseTime("1970-01-01 00:59:59", east); !errors.Is(err, event.ErrOutOfRange) {
		t.Errorf("before 1970 by the location: %v", err)
	}
}

// If a local time occurs twice, the earlier one is used; if it never occurs, it is moved forward by
// the skipped amount. A leap second is accepted only at the end of a UTC day.
func TestLocalTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, text, want string }{
		{"America/New_York", "2021-01-01 00:00:00", "2021-01-01T05:00:00Z"},
		{"America/New_York", "2021-07-01 00:00:00", "2021-07-01T04:00:00Z"},
		{"America/New_York", "2021-03-14 01:59:59", "2021-03-14T06:59:59Z"},
		{"America/New_York", "2021-03-14 02:00:00", "2021-03-14T07:00:00Z"}, // never: 03:00
		{"America/New_York", "2021-03-14 02:30:00", "2021-03-14T07:30:00Z"}, // never: 03:30
		{"America/New_York", "2021-03-14 03:00:00", "2021-03-14T07:00:00Z"},
		{"America/New_York", "2021-11-07 00:59:59", "2021-11-07T04:59:59Z"},
		{"America/New_York", "2021-11-07 01:30:00", "2021-11-07T05:30:00Z"}, // twice
		{"America/New_York", "2021-11-07 02:00:00", "2021-11-07T07:00:00Z"},
		{"Europe/Berlin", "2021-03-28 02:30:00", "2021-03-28T01:30:00Z"},       // never: 03:30
		{"Europe/Berlin", "2021-10-31 02:30:00", "2021-10-31T00:30:00Z"},       // twice
		{"Europe/Dublin", "2021-10-31 01:30:00", "2021-10-31T00:30:00Z"},       // twice
		{"Australia/Lord_Howe", "2021-10-03 02:15:00", "2021-10-02T15:45:00Z"}, // never, by half an hour: 02:45
		{"Australia/Lord_Howe", "2021-04-04 01:45:00", "2021-04-03T14:45:00Z"}, // twice
		{"Pacific/Apia", "2011-12-30 12:00:00", "2011-12-30T22:00:00Z"},        // a day that never was
		{"Pacific/Apia", "2011-12-31 00:00:00", "2011-12-30T10:00:00Z"},
		{"Pacific/Kiritimati", "2021-01-01 00:00:00", "2020-12-31T10:00:00Z"},
		{"America/New_York", "2016-12-31 18:59:60", "2017-01-01T00:00:00Z"}, // a leap second
		{"Asia/Kolkata", "2017-01-01 05:29:60", "2017-01-01T00:00:00Z"},
		{"America/New_York", "2021-11-07 01:30:00-05:00", "2021-11-07T06:30:00Z"}, // as written
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		want, err := time.Parse(time.RFC3339, c.want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := event.ParseTime(c.text, loc); err != nil || !got.Time().Equal(want) {
			t.Errorf("%s in %s: %v, %v, want %s", c.text, c.zone, got, err, c.want)
		}
	}
	if _, err := event.ParseTime("2016-12-31 23:59:60", time.FixedZone("", 3600)); !errors.Is(err, event.ErrUnparsable) {
		t.Errorf("a leap second that ends no day: %v", err)
	}
	for text, want := range map[string]event.Micros{"2016-12-31 18:59:60": 1483210800_000000, "2021-01-01 00:00:00": newYear, "2021-01-01T01:00:00+01:00": newYear} {
		if got, err := event.ParseSentTime(text); err != nil || got != want {
			t.Errorf("sent at %s: %v, %v", text, got, err)
		}
	}
}

func TestParseTimeRefuses(t *testing.T) {
	t.Parallel()
	for want, texts := range map[error][]string{
		event.ErrOutOfRange: {
			"1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00+00:01", "0000-01-01T00:00:00Z",
			"2200-01-01T00:00:00Z", "2199-12-31T23:59:59-00:01", "9999-12-31T23:59:59Z",
			"9999-12-31T23:59:59-23:59", // the year 10000
			"0000-01-01T00:00:00+23:59", // the year before 0
			"2199-12-31T23:59:60Z",
		},
		event.ErrUnparsable: {
			"", " ", "now", "today", "1609459200", "1609459200.5", "2021", "2021-01", "2021-01-01", "20210101T000000Z",
			"2021-01-01T00:00", "2021-01-01T00:00Z", "2021-1-1T00:00:00Z", "21-01-01T00:00:00Z", "02021-01-01T00:00:00Z",
			"+2021-01-01T00:00:00Z", "-2021-01-01T00:00:00Z", "2021/01/01 00:00:00", "01-02-2021 00:00:00",
			"2021-01-01_00:00:00", "2021-01-01  00:00:00", "2021-01-01T0:00:00Z", "2021-W01-1T00:00:00Z", "2021-001T00:00:00Z",
			" 2021-01-01T00:00:00Z", "2021-01-01T00:00:00Z ", "2021-01-01T00:00:00 Z", "2021-01-01 00:00:00 +01:00",
			"2021-01-01T00:00:00+0100", "2021-01-01T00:00:00+01", "2021-01-01T00:00:00+1:00", "2021-01-01T00:00:00+24:00",
			"2021-01-01T00:00:00+00:60", "2021-01-01T00:00:00+01:00:00", "2021-01-01T00:00:00ZZ", "2021-01-01T00:00:00UTC",
			"2021-01-01T00:00:00 UTC", "2021-01-01T00:00:00.Z", "2021-01-01T00:00:00.", "2021-01-01T00:00:00,5Z",
			"2021-01-01T00:00:00.5.5Z", "2021-01-01T00:00:00.-5Z", "2021-01-01 12:00:00 AM",
			"2021-13-01T00:00:00Z", "2021-00-01T00:00:00Z", "2021-01-00T00:00:00Z", "2021-01-32T00:00:00Z",
			"2021-02-30T00:00:00Z", "2021-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2021-04-31T00:00:00Z",
			"2021-01-01T24:00:00Z", "2021-01-01T00:60:00Z", "2021-01-01T00:00:61Z",
			"2021-01-01T00:00:60Z", "2016-12-31T23:59:60+01:00", "2016-12-31T23:58:60Z", // no end of a day in UTC
			"Fri, 01 Jan 2021 00:00:00 GMT", "2021-01-01T00:00:00\x00", "２０２１-01-01T00:00:00Z", "2021−01−01T00:00:00Z",
		},
	} {
		for _, text := range texts {
			if got, err := event.ParseTime(text, time.UTC); !errors.Is(err, want) {
				t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
			}
		}
	}
}

func TestMicros(t *testing.T) {
	t.Parallel()
	const m = newYear + 1
	if got, want := m.String(), "2021-01-01T00:00:00.000001Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := m.Time(); !got.Equal(time.Date(2021, 1, 1, 0, 0, 0, 1000, time.UTC)) || got.Location() != time.UTC {
		t.Errorf("got %v", got)
	}
	if got := m.Sub(newYear - 1); got != 2*time.Microsecond {
		t.Errorf("got %v", got)
	}
	if got := event.Latest.String(); got != "2200-01-01T00:00:00.000000Z" {
		t.Errorf("latest is %s", got)
	}
}

// A parsed time is formatted so that it parses to the same time. The standard library agrees if it
// can parse the text.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{
		"2021-01-01T00:00:00Z", "2021-01-01 00:00:00.123456789+01:00", "2016-12-31T23:59:60Z", "2199-12-31T23:59:59.9-00:01",
		"1970-01-01T00:00:00+00:01", "2021-02-30T00:00:00Z", "2021-01-01", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := event.ParseTime(text, time.UTC)
		std, stdErr := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			if !errors.Is(err, event.ErrUnparsable) && !errors.Is(err, event.ErrOutOfRange) {
				t.Fatalf("%q: unknown error %v", text, err)
			}
			return
		}
		if got < event.Earliest || got >= event.Latest {
			t.Fatalf("%q: %d is out of range", text, got)
		}
		if stdErr == nil && std.UnixMicro() != int64(got) {
			t.Fatalf("%q: got %v, the standard library %v", text, got, std)
		}
		if again, err := event.ParseTime(got.String(), time.UTC); err != nil || again != got {
			t.Fatalf("%q became %s: %v, %v", text, got, again, err)
		}
	})
}
