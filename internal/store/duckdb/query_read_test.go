package duckdb_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

func TestSeriesRefuses(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{}))
	write(t, s, frame(1, pageView(1)))
	condition, err := query.ParseCondition("data.path~x", query.Events)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		q    query.Query
		spec store.Series
		want string
	}{
		{query.Query{}, store.Series{Interval: "week"}, `no interval "week"`},
		{query.Query{}, store.Series{Interval: store.Day, Group: "name FROM events; DROP TABLE events; --"}, "no group"},
		{query.Query{Where: []query.Condition{condition}}, store.Series{Interval: store.Day, Group: store.ByStatus}, "no conditions"},
	} {
		test.spec.MaxPoints = 10
		if _, err := s.Series(t.Context(), test.q, test.spec); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q", test.spec, err, test.want)
		}
	}
}

// A query that runs is stopped by its context, and the store goes on.
func TestCancelledQueryRace(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{}))
	var records []event.Record
	for i := range 20_000 {
		records = append(records, pageView(i))
	}
	write(t, s, frame(1, records...))
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		started := make(chan struct{})
		go func() {
			close(started)
			_, err := s.Values(ctx, query.Query{}, query.Field{Name: query.Data, Path: []string{"form", "first_name"}})
			done <- err
		}()
		<-started
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context.Canceled", err)
		}
	}
	if n := count(t, s); n != int64(len(records)) {
		t.Errorf("%d events", n)
	}
}

func TestMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	s := open(t, duckdb.Options{Registerer: r})
	write(t, s, frame(1, pageView(1), pageView(2), pageView(1), refusal(1, "a")))
	count(t, s)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	rows, kinds := map[string]float64{}, []string{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			switch family.GetName() {
			case "eye_store_rows":
				rows[m.GetLabel()[1].GetValue()] += m.GetGauge().GetValue()
			case "eye_store_query_seconds":
				kinds = append(kinds, m.GetLabel()[0].GetValue())
			}
		}
	}
	if rows["events"] != 2 || rows["rejections"] != 1 || rows["traces"] != 1 || !slices.Contains(kinds, "count") {
		t.Errorf("rows %v, queries %v", rows, kinds)
	}
	// What a store registered is gone with it, so that another may take its place.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closed(t, open(t, duckdb.Options{Registerer: r}))
}
