package query_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
)

func parse(text string, kind query.Kind, also ...string) (query.Query, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return query.Query{}, err
	}
	return query.Parse(values, kind, time.UTC, also...)
}

func TestParse(t *testing.T) {
	from, to := event.Micros(1609459200_000000), event.Micros(1609459201_000000)
	for _, test := range []struct {
		text string
		kind query.Kind
		want query.Query
	}{
		{"", query.Events, query.Query{Limit: 100}},
		{"", query.Sessions, query.Query{Limit: 100, Descending: true}},
		{"", query.Rejections, query.Query{Limit: 100, Descending: true}},
		{"order=desc&limit=1000", query.Events, query.Query{Limit: 1000, Descending: true}},
		{"order=asc&limit=1", query.Rejections, query.Query{Limit: 1}},
		{
			"app=shop&app=blog&session_id=s1&session_id=S1&category=a+b&name=n&name=m", query.Events,
			query.Query{
				Apps: []string{"shop", "blog"}, SessionIDs: []string{"s1", "S1"}, Categories: []string{"a b"},
				Names: []string{"n", "m"}, Limit: 100,
			},
		},
		{"from=2021-01-01T01:00:00%2B01:00&to=1609459201000", query.Events, query.Query{From: &from, To: &to, Limit: 100}},
		{"time_zone=Europe/Berlin&from=2021-01-01+01:00:00&to=2021-01-01T00:00:01Z", query.Events, query.Query{From: &from, To: &to, Limit: 100}},
		{"from=2021-01-01&to=1609459201", query.Events, query.Query{From: &from, To: &to, Limit: 100}},
		{"from=2021-01-01+00:00:00&to=2021-01-01+00:00:00", query.Events, query.Query{From: &from, To: &from, Limit: 100}},
		{"from=2021-01-01&to=2021-01-01", query.Events, query.Query{From: &from, To: &from, Limit: 100}},
		{
			"where=data.a%3D1&where=seq<4", query.Sessions,
			query.Query{Limit: 100, Descending: true, Where: []query.Condition{
				{Field: query.Field{Name: "data", Path: []string{"a"}}, Operator: "=", Value: "1"},
				{Field: query.Field{Name: "seq"}, Operator: "<", Value: "4"},
			}},
		},
		{
			"code=a&code=b&pointer=/data&event_id=6BA7B810-9DAD-11D1-80B4-00C04FD430C8&event_id=order-17", query.Rejections,
			query.Query{
				Codes: []string{"a", "b"}, Pointers: []string{"/data"}, Limit: 100, Descending: true,
				EventIDs: []uuid.UUID{uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")}, EventTexts: []string{"order-17"},
			},
		},
		{"interval=hour", query.Events, query.Query{Limit: 100}},
	} {
		got, err := parse(test.text, test.kind, "order", "limit", "cursor", "interval")
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
		}
		if !strings.Contains(test.text, "time_zone") && got.Zone != time.UTC {
			t.Errorf("%s: the zone is %v", test.text, got.Zone)
		}
		got.Zone = nil
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		text      string
		kind      query.Kind
		parameter string
		message   string // part of it
	}{
		{"colour=red", query.Events, "colour", "known are app, session_id, category, name, from, to, time_zone, where, order, limit, cursor"},
		{"%ff=red", query.Events, "\uFFFD", "known are"},
		{"code=a", query.Events, "code", "known are"},
		{"event_id=6ba7b810-9dad-11d1-80b4-00c04fd430c8", query.Sessions, "event_id", "known are"},
		{"were=data.a%3D1", query.Events, "were", "did you mean \"where\"? Known are"},
		{"code=schema_vioation", query.Rejections, "code", "did you mean \"schema_violation\"?"},
		{"pointer=data/x", query.Rejections, "pointer", "did you mean \"/data/x\"?"},
		{"limit=0", query.Events, "limit", "from 1 to 1000"},
		{"limit=100000", query.Events, "limit", "from 1 to 1000"},
		{"limit=-1", query.Events, "limit", "from 1 to 1000"},
		{"limit=%2B5", query.Events, "limit", "from 1 to 1000"},
		{"limit=1e2", query.Events, "limit", "from 1 to 1000"},
		{"limit=99999999999999999999", query.Events, "limit", "from 1 to 1000"},
		{"limit=1&limit=1", query.Events, "limit", "only once"},
		{"from=1&from=2", query.Events, "from", "only once"},
		{"order=up", query.Events, "order", "asc or desc"},
		{"order=DESC", query.Events, "order", "asc or desc"},
		{"category=", query.Events, "category", "empty"},
		{"category=a&category=", query.Events, "category", "empty"},
		{"limit=", query.Events, "limit", "empty"},
		{"cursor=", query.Events, "cursor", "empty"},
		{"session_id=%ff", query.Events, "session_id", "UTF-8"},
		{"session_id=a%00", query.Events, "session_id", "NUL"},
		{"from=2021-01-02T00:00:00Z&to=2021-01-01T00:00:00Z", query.Events, "from", "after to"},
		{"from=now", query.Events, "from", "RFC 3339"},
		{"from=2021-02-29", query.Events, "from", "2006-01-02"},
		{"time_zone=Berlin", query.Events, "time_zone", "Europe/Berlin"},
		{"time_zone=Local", query.Events, "time_zone", "IANA"},
		{"from=2021-01-01T00:00:00+01:00", query.Events, "from", "%2B"},
		{"to=1e999999999", query.Events, "to", "exponent"},
		{"to=-5", query.Events, "to", "1970"},
		{"where=colour%3Dred", query.Events, "where", "known are"},
		{"where=data.a", query.Events, "where", "operator"},
		{"cursor=Zm9yZ2Vk", query.Events, "cursor", "not a cursor of this list"},
		{"cursor=" + strings.Repeat("A", 5000), query.Events, "cursor", "not a cursor of this list"},
		{strings.Repeat("where=data.a%3D1&", query.MaxConditions+1), query.Events, "where", "at most 20 times"},
		{strings.Repeat("name=a&", query.MaxValues+1), query.Events, "name", "at most 100 times"},
	} {
		_, err := parse(test.text, test.kind, "order", "limit", "cursor")
		var wrong *query.ParamError
		if !errors.As(err, &wrong) {
			t.Errorf("%s: got %v, want a ParamError", test.text, err)
			continue
		}
		if wrong.Parameter != test.parameter || !strings.Contains(wrong.Message, test.message) {
			t.Errorf("%s: got %q, want %s: …%s…", test.text, wrong, test.parameter, test.message)
		}
	}
}

func TestParseWithoutPaging(t *testing.T) {
	for _, name := range []string{"order", "limit", "cursor"} {
		if _, err := parse(name+"=1", query.Events); err == nil || !strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s: got %v, want it to be unknown", name, err)
		}
	}
}

func ExampleParse() {
	values, _ := url.ParseQuery("category=page+interaction&limit=0")
	_, err := query.Parse(values, query.Events, time.UTC, query.OrderParam, query.LimitParam, query.CursorParam)
	fmt.Println(err)
	// Output: parameter limit: must be an integer from 1 to 1000
}
