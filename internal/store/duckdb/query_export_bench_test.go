package duckdb_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store/duckdb"
)

const exported = 1_000_000

// fill writes n events in batches, with a flush after each tenth part but the last.
func fill(t testing.TB, s *duckdb.Store, n int) {
	t.Helper()
	const size = 10_000
	for number := range n / size {
		records := make([]event.Record, size)
		for i := range records {
			records[i] = pageView(number*size + i)
		}
		if _, err := s.Write(t.Context(), frame(uint64(number+1), records...)); err != nil {
			t.Fatal(err)
		}
		if done := (number + 1) * size; done%(n/10) == 0 && done < n {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// BenchmarkExport tells events per second out of nine segments and hot rows.
func BenchmarkExport(b *testing.B) {
	s := open(b, duckdb.Options{Dir: b.TempDir()})
	defer s.Close()
	fill(b, s, exported)
	rate := func(b *testing.B) {
		b.ReportMetric(exported*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	}
	for _, descending := range []bool{false, true} {
		b.Run(fmt.Sprintf("descending=%v", descending), func(b *testing.B) {
			for b.Loop() {
				n := 0
				if err := s.Export(b.Context(), query.Query{Descending: descending}, func(*event.Event) error { n++; return nil }); err != nil || n != exported {
					b.Fatal(n, err)
				}
			}
			rate(b)
		})
	}
	b.Run("pages", func(b *testing.B) {
		for b.Loop() {
			q := query.Query{Limit: query.MaxLimit}
			for range 100 {
				p, err := s.Events(b.Context(), q)
				if err != nil {
					b.Fatal(err)
				}
				after := query.AfterEvent(&p.Items[len(p.Items)-1])
				q.After, q.Horizon = &after, p.Horizon
			}
		}
		b.ReportMetric(100*query.MaxLimit*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("parquet", func(b *testing.B) {
		for b.Loop() {
			f, err := s.Parquet(b.Context(), query.Query{})
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, f)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n)/exported, "bytes/event")
			_ = f.Close()
		}
		rate(b)
	})
}

// BenchmarkSessionDuringExport tells how long a session's events take to be found
// alone, and while exports follow on each other.
func BenchmarkSessionDuringExport(b *testing.B) {
	s := open(b, duckdb.Options{Dir: b.TempDir()})
	defer s.Close()
	fill(b, s, exported)
	for name, export := range map[string]func(context.Context) error{
		"alone": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"while events are exported": func(ctx context.Context) error {
			return s.Export(ctx, query.Query{}, func(*event.Event) error { return nil })
		},
		"while Parquet is written": func(ctx context.Context) error {
			f, err := s.Parquet(ctx, query.Query{})
			if err == nil {
				err = f.Close()
			}
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			var exports sync.WaitGroup
			exports.Go(func() {
				for ctx.Err() == nil {
					if err := export(ctx); err != nil && ctx.Err() == nil {
						b.Error(err)
						return
					}
				}
			})
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				session := numbered(len(took) * 7919 % (exported / 20)).String()
				if p, err := s.Events(b.Context(), query.Query{SessionIDs: []string{session}}); err != nil || len(p.Items) != 20 {
					b.Fatal(len(p.Items), err)
				}
				took = append(took, time.Since(began))
			}
			cancel()
			exports.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
