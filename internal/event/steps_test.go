package event_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"theeye/internal/event"
)

const (
	minute = event.Micros(time.Minute / time.Microsecond)
	hour   = 60 * minute
	day    = 24 * hour
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := event.LoadZone(name)
	if err != nil {
		t.Fatal(name, err)
	}
	return z
}

// The steps around a change of clocks, in local time.
func TestStepsAtChanges(t *testing.T) {
	const layout = "2006-01-02T15:04:05Z07:00"
	for _, test := range []struct {
		zone  string
		width event.Micros
		first string
		want  []string // and how long the first is
		long  time.Duration
	}{
		{"America/New_York", day, "2024-03-10T12:00:00-04:00", []string{"2024-03-10T00:00:00-05:00", "2024-03-11T00:00:00-04:00"}, 23 * time.Hour},
		{"America/New_York", day, "2024-11-03T00:30:00-04:00", []string{"2024-11-03T00:00:00-04:00", "2024-11-04T00:00:00-05:00"}, 25 * time.Hour},
		{"America/New_York", hour, "2024-11-03T01:30:00-04:00", []string{"2024-11-03T01:00:00-04:00", "2024-11-03T01:00:00-05:00", "2024-11-03T02:00:00-05:00"}, time.Hour},
		{"America/New_York", hour, "2024-03-10T01:30:00-05:00", []string{"2024-03-10T01:00:00-05:00", "2024-03-10T03:00:00-04:00"}, time.Hour},
		{"Australia/Lord_Howe", hour, "2024-04-07T01:10:00+11:00", []string{"2024-04-07T01:00:00+11:00", "2024-04-07T01:30:00+10:30", "2024-04-07T02:00:00+10:30"}, time.Hour},
		{"Australia/Lord_Howe", hour, "2024-10-06T01:10:00+10:30", []string{"2024-10-06T01:00:00+10:30", "2024-10-06T02:30:00+11:00", "2024-10-06T03:00:00+11:00"}, time.Hour},
		{"America/Sao_Paulo", day, "2018-11-03T12:00:00-03:00", []string{"2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"}, 24 * time.Hour},
		{"America/St_Johns", day, "2006-10-28T12:00:00-02:30", []string{"2006-10-28T00:00:00-02:30", "2006-10-29T00:00:00-02:30", "2006-10-30T00:00:00-03:30"}, 24 * time.Hour},
		{"Pacific/Apia", day, "2011-12-29T12:00:00-10:00", []string{"2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"}, 24 * time.Hour},
		{"Asia/Kathmandu", hour, "2024-01-01T10:10:00+05:45", []string{"2024-01-01T10:00:00+05:45", "2024-01-01T11:00:00+05:45"}, time.Hour},
		{"Africa/Monrovia", hour, "1972-01-06T23:50:00-00:44", []string{"1972-01-06T23:00:00-00:44", "1972-01-07T00:44:30Z", "1972-01-07T01:00:00Z"}, time.Hour},
		{"UTC", day, "2024-03-10T12:00:00Z", []string{"2024-03-10T00:00:00Z", "2024-03-11T00:00:00Z"}, 24 * time.Hour},
	} {
		s := event.Steps{Width: test.width, Zone: zone(t, test.zone)}
		at, err := event.ParseTime(test.first, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		begin := s.Begin(at)
		if long := s.Next(begin).Sub(begin); long != test.long {
			t.Errorf("%s: the step of %s has %v, want %v", test.zone, test.first, long, test.long)
		}
		var got []string
		for b := begin; len(got) < len(test.want); b = s.Next(b) {
			got = append(got, b.Time().In(s.Zone).Format(layout))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s, steps of %d s (-want +got):\n%s", test.zone, test.width/1e6, diff)
		}
	}
}

// Steps follow one another without gaps, and a part is within one step.
func TestSteps(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Monrovia", "America/Sao_Paulo", "Africa/Casablanca"}
	rapid.Check(t, func(t *rapid.T) {
		z, _ := event.LoadZone(rapid.SampledFrom(zones).Draw(t, "zone"))
		s := event.Steps{Width: rapid.SampledFrom([]event.Micros{minute, hour, day}).Draw(t, "width"), Zone: z}
		at := event.Micros(rapid.Int64Range(int64(2*day), int64(event.Latest)-1).Draw(t, "at"))
		if rapid.Bool().Draw(t, "at a change") {
			if change, _ := at.Time().In(z).ZoneBounds(); !change.IsZero() && change.Unix() > 2*86400 {
				at = event.Micros(change.UnixMicro()) + event.Micros(rapid.Int64Range(-2*int64(hour), 2*int64(hour)).Draw(t, "off"))
			}
		}
		begin, next := s.Begin(at), s.Next(at)
		if begin > at || next <= at || s.Begin(begin) != begin || s.Begin(next) != next || s.Begin(next-1) != begin || s.Next(begin) != next {
			t.Fatalf("%v lies in the step of %v, the next begins at %v; %v %v", at, begin, next, s.Begin(next-1), s.Next(begin))
		}
		part := s.Part(at-day, at+day)
		if begin%part != 0 || next%part != 0 && next < at+day {
			t.Fatalf("%v to %v in parts of %v", begin, next, part)
		}
	})
	if part := (event.Steps{Width: day, Zone: zone(t, "Europe/Berlin")}).Part(event.Earliest, event.Latest); part != hour {
		t.Errorf("days in Berlin have parts of %d", part)
	}
}
