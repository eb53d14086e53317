package query_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"theeye/internal/query"
)

func TestParseCondition(t *testing.T) {
	data := func(path ...string) query.Field { return query.Field{Name: query.Data, Path: path} }
	own := func(name string) query.Field { return query.Field{Name: name} }
	for text, want := range map[string]query.Condition{
		"data.path=/checkout":                 {Field: data("path"), Operator: query.Equal, Value: "/checkout"},
		"data.n>=10":                          {Field: data("n"), Operator: query.GreaterOrEqual, Value: "10"},
		"data.n<=10":                          {Field: data("n"), Operator: query.LessOrEqual, Value: "10"},
		"data.n>10":                           {Field: data("n"), Operator: query.Greater, Value: "10"},
		"data.n<10":                           {Field: data("n"), Operator: query.Less, Value: "10"},
		"data.n!=10":                          {Field: data("n"), Operator: query.NotEqual, Value: "10"},
		"data.form.first_name~Jo":             {Field: data("form", "first_name"), Operator: query.Contains, Value: "Jo"},
		`data.a="=1"`:                         {Field: data("a"), Operator: query.Equal, Value: "=1", Quoted: true},
		`data.a!=" \u0031"`:                   {Field: data("a"), Operator: query.NotEqual, Value: " 1", Quoted: true},
		`session_id="s 1 "`:                   {Field: own("session_id"), Operator: query.Equal, Value: "s 1 ", Quoted: true},
		`seq="7"`:                             {Field: own("seq"), Operator: query.Equal, Value: "7", Quoted: true},
		`data.a~"x" `:                         {Field: data("a"), Operator: query.Contains, Value: `"x" `},
		"data.a='t is":                        {Field: data("a"), Operator: query.Equal, Value: "'t is"},
		"data~=Jo":                            {Field: data(), Operator: query.Contains, Value: "=Jo"},
		"data.a=":                             {Field: data("a"), Operator: query.Equal},
		"data.a=b=c":                          {Field: data("a"), Operator: query.Equal, Value: "b=c"},
		"data.first name=x":                   {Field: data("first name"), Operator: query.Equal, Value: "x"},
		"data.0.[*]=x":                        {Field: data("0", "[*]"), Operator: query.Equal, Value: "x"},
		`data."a "=x`:                         {Field: data("a "), Operator: query.Equal, Value: "x"},
		`data."a.b"=x`:                        {Field: data("a.b"), Operator: query.Equal, Value: "x"},
		`data."a\"=b".c=x`:                    {Field: data(`a"=b`, "c"), Operator: query.Equal, Value: "x"},
		`data."\u00e9\\"."".z=x`:              {Field: data(`é\`, "", "z"), Operator: query.Equal, Value: "x"},
		"session_id=s=1":                      {Field: own("session_id"), Operator: query.Equal, Value: "s=1"},
		"client_id~order":                     {Field: own("client_id"), Operator: query.Contains, Value: "order"},
		"timestamp<2021":                      {Field: own("timestamp"), Operator: query.Less, Value: "2021"},
		"occurred_at>=2021-01-01T00:00:00Z":   {Field: own("occurred_at"), Operator: query.GreaterOrEqual, Value: "1609459200000000"},
		"received_at<1609459200":              {Field: own("received_at"), Operator: query.Less, Value: "1609459200000000"},
		"sent_at=2021-01-01 01:00:00.5+01:00": {Field: own("sent_at"), Operator: query.Equal, Value: "1609459200500000"},
		"seq=007":                             {Field: own("seq"), Operator: query.Equal, Value: "7"},
		"schema_version!=2":                   {Field: own("schema_version"), Operator: query.NotEqual, Value: "2"},
		"id=6BA7B810-9DAD-11D1-80B4-00C04FD430C8": {Field: own("id"), Operator: query.Equal, Value: "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
	} {
		got, err := query.ParseCondition(text, query.Events)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseConditionRefuses(t *testing.T) {
	for _, test := range []struct {
		text string
		kind query.Kind
		want string // in the error
	}{
		{"", query.Events, "session_id"},
		{"colour=red", query.Events, "known are app, id, client_id"},
		{"event_id=6ba7b810-9dad-11d1-80b4-00c04fd430c8", query.Events, "unknown field"},
		{"occurred_at>1609459200", query.Rejections, "received_at"},
		{"data=1", query.Events, "data requires a key"},
		{"data", query.Events, "data requires a key"},
		{"data.=1", query.Events, "key of data is missing"},
		{"data.a..b=1", query.Events, "key of data is missing"},
		{"data.a.b.c.d.e.f=1", query.Events, "at most 5 keys"},
		{`data."a=1`, query.Events, "has no closing quote"},
		{`data."\x"=1`, query.Events, "not a valid JSON string"},
		{`data."\u0000"=1`, query.Events, "not a valid JSON string"},
		{`data."a"b=1`, query.Events, "no operator"},
		{"data.a =1", query.Events, "space before or after a:"},
		{"data.a == 1", query.Events, "remove it"},
		{"data. a=1", query.Events, "double quotes"},
		{"session_id =s", query.Events, "space before or after session_id"},
		{"data.a==1", query.Events, "no operator =="},
		{"data.a=>1", query.Events, "no operator =>"},
		{"data.a<>1", query.Events, `as in <">1"`},
		{"data.a=~x", query.Events, "no operator =~"},
		{"data.a= 1", query.Events, "space before or after the value 1"},
		{"session_id=s ", query.Events, "space before or after the value s"},
		{"data.a>= 1", query.Events, "in a URL, + means a space"},
		{"data.a='/x'", query.Events, "without quotes or in double quotes: =/x"},
		{`data.a="x`, query.Events, "no closing quote"},
		{`data.a="x"y`, query.Events, "after the quoted value"},
		{`data.a="\x"`, query.Events, "not a valid JSON string"},
		{`seq="a"`, query.Events, "integer"},
		{"data.a", query.Events, "= != < <= > >= ~"},
		{"data.a!1", query.Events, "= != < <= > >= ~"},
		{"id=order-17", query.Events, "client_id"},
		{"id=urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8", query.Events, "36 characters"},
		{"id~6ba7b810-9dad-11d1-80b4-00c04fd430c8", query.Events, "not"},
		{"seq~1", query.Events, "applies to text only"},
		{"seq=1.5", query.Events, "integer"},
		{"schema_version=99999999999999999999", query.Events, "integer"},
		{"occurred_at>yesterday", query.Events, "RFC 3339"},
		{"occurred_at>2021-01-01T00:00:00 01:00", query.Events, "%2B"},
		{"occurred_at>1e300000000", query.Events, "exponent"},
		{"occurred_at>" + strings.Repeat("1", 41), query.Events, "40 digits"},
		{"data.n=" + strings.Repeat("1", 41), query.Events, "40 digits"},
		{"data.n!=0." + strings.Repeat("0", 40), query.Events, "40 digits"},
		{"data.n<1e309", query.Events, "±308"},
		{"data.n>=1E-309", query.Events, "±308"},
		{"data.n=-1e99999999999999999999", query.Rejections, "±308"},
		{"occurred_at~2021-01-01T00:00:00Z", query.Events, "applies to text only"},
	} {
		_, err := query.ParseCondition(test.text, test.kind)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", test.text, err, test.want)
		}
	}
}

func TestConditionNumber(t *testing.T) {
	for text, want := range map[string]bool{
		"0": true, "-0": true, "10": true, "-1.5e3": true, "1E+2": true, "0.1": true,
		"": false, "-": false, "01": false, "+1": false, ".5": false, "1.": false, "1e": false, "1e+": false,
		"0x10": false, "1_000": false, "inf": false, "NaN": false, " 1": false, "1e999": true,
	} {
		if _, got := (query.Condition{Value: text}).Number(); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// A parsed condition is formatted so that it parses to the same condition.
func FuzzParseCondition(f *testing.F) {
	for _, seed := range []string{
		"data.path=/checkout", `data."a.b\u00e9".c!=x`, "data.n>=1e3", "session_id~x", "occurred_at>2021-01-01T00:00:00Z",
		"id=6ba7b810-9dad-11d1-80b4-00c04fd430c8", "seq<=4", `data."`, "data.a.b.c.d.e.f=1", "sent_at=1e308",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []query.Kind{query.Events, query.Sessions, query.Rejections} {
			first, err := query.ParseCondition(text, kind)
			if err != nil {
				continue
			}
			second, err := query.ParseCondition(first.String(), kind)
			if first.Field.Name != query.Data && strings.HasSuffix(first.Field.Name, "_at") {
				continue // microseconds of a small time read as seconds
			}
			if err != nil {
				t.Fatalf("%q became %q: %v", text, first, err)
			}
			if diff := cmp.Diff(first, second); diff != "" {
				t.Fatalf("%q became %q (-first +second):\n%s", text, first, diff)
			}
		}
	})
}

// A condition that can be decided without decoding is decided in the same way.
func FuzzHolds(f *testing.F) {
	for _, condition := range []string{"data.a=true", "data.a!=x", "data.a~é", `data.a="1.0"`, "data.a=1", "data.a<2", "data.a.b=null", `data.a="\u0000"`, `data."a\"b"=x`, "data.a=\ufffd"} {
		for _, data := range []string{`{"a":true}`, `{"a":"\u0078"}`, `{"\u0061":1.0}`, `{"a":[1e0,{"b":null}]}`, `{"a":"é"}`, `{"a":"1.0","a":2}`, "{\"a\":\"\xff\"}", `{"a\"b":"x"}`, `{}`} {
			f.Add(condition, data)
		}
	}
	f.Fuzz(func(t *testing.T, condition, data string) {
		c, err := query.ParseCondition(condition, query.Events)
		v := jsontext.Value(data)
		if err != nil || c.Field.Name != query.Data || !v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) || v.Kind() != '{' {
			return
		}
		if got, want := c.Holds(v), c.HoldsAny(query.ValuesAt(v, c.Field.Path)); got != want {
			t.Errorf("%s of %s: %t, want %t", condition, data, got, want)
		}
	})
}
