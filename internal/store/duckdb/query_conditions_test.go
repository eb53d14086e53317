package duckdb_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
	"theeye/internal/store/memory"
)

// member returns the JSON of a member of data: often an array, and with keys
// that mean something in a JSON Pointer or in a path of DuckDB.
func member(depth int) *rapid.Generator[string] {
	scalars := []string{
		`"x"`, `"10"`, `10`, `9`, `-3`, `0.1`, `12345678901234567890`, `12345678901234567891`, `1e1`, `1.50`,
		`0.12345678901234567`, `-0`, `[1.0]`, `true`, `"true"`, `false`, `null`, `"null"`,
		`""`, `"a\"b\\"`, `"é"`, `"[1]"`, `"m"`, `[]`, `{}`,
	}
	return rapid.Custom(func(t *rapid.T) string {
		kind := rapid.IntRange(0, 4).Draw(t, "kind")
		var parts []string
		switch {
		case depth == 0 || kind < 2:
			return rapid.SampledFrom(scalars).Draw(t, "scalar")
		case kind == 2:
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				parts = append(parts, member(depth-1).Draw(t, "element"))
			}
			return "[" + strings.Join(parts, ", ") + "]"
		}
		for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys()), 0, 3, rapid.ID).Draw(t, "keys") {
			parts = append(parts, `"`+key+`":`+member(depth-1).Draw(t, "member"))
		}
		return "{" + strings.Join(parts, ",") + "}"
	})
}

func keys() []string { return []string{"a", "b", "", "*", "0", "a/b", "~", "$", "a.b"} }

// What DuckDB finds in data is what the model finds, whatever the data.
func TestConditionsOnAnyData(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{MemoryLimit: 512 << 20}))
	model := memory.New()
	var records []event.Record
	for i := range 400 {
		r := pageView(i)
		r.Event.Data = []byte(`{"a":` + member(3).Example(i) + `,"*":` + member(1).Example(i) + `}`)
		records = append(records, r)
	}
	b := frame(1, records...)
	write(t, s, b)
	if _, err := model.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	operators := []query.Operator{
		query.Equal, query.NotEqual, query.Less, query.LessOrEqual, query.Greater, query.GreaterOrEqual, query.Contains,
	}
	values := []string{
		"10", "10.0", "1e1", "x", "true", "null", "é", `a"b\`, `"`, "", "[1]", "{}", "1", "-3", "0.1", "12345678901234567890", "1.5", "0", "7", "-0", "m", "n",
	}
	rapid.Check(t, func(t *rapid.T) {
		path := append([]string{rapid.SampledFrom([]string{"a", "a", "a", "*"}).Draw(t, "first")},
			rapid.SliceOfN(rapid.SampledFrom(keys()), 0, 3).Draw(t, "rest")...)
		field := query.Field{Name: query.Data, Path: path}
		q := query.Query{Limit: 1000, Where: []query.Condition{{
			Field: field, Operator: rapid.SampledFrom(operators).Draw(t, "operator"), Value: rapid.SampledFrom(values).Draw(t, "value"),
		}}}
		want, got := selected(t, model, q), selected(t, s, q)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", q.Where[0], diff)
		}
		top := query.Query{Limit: 1000}
		wantValues, err := model.Values(t.Context(), top, field)
		if err != nil {
			t.Fatal(err)
		}
		gotValues, err := s.Values(t.Context(), top, field)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantValues, gotValues); diff != "" {
			t.Fatalf("values of %s (-want +got):\n%s", field, diff)
		}
	})
}

// selected returns the data of the events that a query selects.
func selected(t *rapid.T, r store.Reader, q query.Query) []string {
	page, err := r.Events(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range page.Items {
		list = append(list, string(e.Data))
	}
	return list
}

// A replay stands before what it replays, though both have one position.
func TestReceiptOfReplay(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{MemoryLimit: 256 << 20}))
	write(t, s, frame(1, refusal(5, "{"), pageView(1)))
	replay := frame(2, pageView(5))
	replay.Records[0].Event.Position = event.Position{Frame: 1, Index: 0}
	replay.Arrivals = nil
	write(t, s, replay)
	for limit, want := range map[int][]event.Fate{1: {event.Stored}, 2: {event.Stored, event.Rejected}} {
		lines, err := s.Receipt(t.Context(), query.Query{IDs: []uuid.UUID{numbered(5)}}, limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []event.Fate
		for _, line := range lines {
			got = append(got, line.Fate)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
}
