package duckdb

import (
	"crypto/md5"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// The events of the benchmark lie a million to a day, twelve to a session. Their
// number is EYE_BENCH_EVENTS; `make bench-store` asks for 100 million.
const (
	benchDay        = int64(1_000_000)
	benchSession    = 12
	benchAsks       = 200 // of each kind, but fewer of what takes long
	benchSlowAsks   = 30
	microsPerDay    = int64(86_400_000_000)
	benchBegin      = int64(1_767_225_600_000_000) // 2026-01-01
	benchSmallStore = int64(200_000)
)

// BenchmarkReading fills a store through its segment writer, merges, and prints how
// long questions take: the median and the 99th percentile, of the first time that they
// are asked and of the second.
func BenchmarkReading(b *testing.B) {
	total := benchSmallStore
	if text := os.Getenv("EYE_BENCH_EVENTS"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		total = n
	}
	f := &filled{B: b, opts: Options{Dir: b.TempDir(), FlushRows: benchDay}}
	if dir := os.Getenv("EYE_BENCH_DIR"); dir != "" {
		f.opts.Dir = dir
	}
	f.open()
	defer func() { _ = f.Close() }()
	days := f.held() / benchDay // a folder that was filled before is asked again
	if days*benchDay >= total {
		f.report(days)
	}
	var merging time.Duration
	for next := int64(10); days*benchDay < total; {
		began := time.Now()
		f.day(days, min(benchDay, total-days*benchDay))
		filled := time.Since(began)
		f.must(f.Compact(b.Context())) // as a server does that has the time
		merging += time.Since(began) - filled
		if days++; days == next || days*benchDay >= total {
			next *= 3
			b.Logf("%d days; the last one took %s to fill, all merges %s", days, filled.Round(time.Millisecond), merging.Round(time.Second))
			f.report(days)
		}
	}
}

// filled is a store with days of events.
type filled struct {
	*testing.B
	*Store
	opts  Options
	frame uint64
}

func (f *filled) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *filled) open() {
	s, err := Open(f.B.Context(), f.opts)
	f.must(err)
	f.Store = s
	f.frame = s.current().position
}

// held is how many events are in segments.
func (f *filled) held() (n int64) {
	for _, info := range f.current().manifest.Segments {
		n += info.Rows.Events
	}
	return n
}

// day writes a day's events into hot tables and flushes them.
func (f *filled) day(day, n int64) {
	ctx := f.B.Context()
	mt := f.current().tables.memtables[0]
	first := f.frame + 1
	f.must(f.exec(ctx, fmt.Sprintf(`INSERT INTO %s
		WITH base AS (SELECT i, (%d + i) // %d AS session, i %% %d AS step FROM range(%d) r(i)),
		placed AS (SELECT i, session, step, md5(session::VARCHAR) AS h,
			%d + (hash(session) %% %d)::BIGINT + step * 23_000_000 + (hash(i) %% 5_000_000)::BIGINT AS t FROM base)
		SELECT 'shop', uuid(), '', concat(h[1:8], '-', h[9:12], '-4', h[14:16], '-8', h[18:20], '-', h[21:32]),
			CASE WHEN step %% 5 = 4 THEN 'form interaction' ELSE 'page interaction' END,
			CASE WHEN step %% 5 = 4 THEN 'submit' WHEN step %% 3 = 2 THEN 'cta click' ELSE 'pageview' END,
			concat('{"host":"www.example.com","path":"/products/', hash(i) %% 500, '"', CASE WHEN step %% 3 = 2 THEN ',"element":"chat bubble"' ELSE '' END, '}'),
			strftime(make_timestamp(t), '%%Y-%%m-%%dT%%H:%%M:%%S.%%fZ'), t, 0, step, 'web', t, t + 40_000, 0, %d + i // 1000, (i %% 1000)::UINTEGER, %d + i // 1000, 1
		FROM placed`, hotName(eventTable, mt.number), day*benchDay, benchSession, benchSession, n,
		benchBegin+day*microsPerDay, microsPerDay-int64(benchSession)*28_000_000, first, first)))
	f.frame = first + uint64(n/1000)
	mt.rows = n
	f.install(func(next *storeVersion) {
		next.position = f.frame
		next.arrivals = next.arrivals.with(map[string]store.Arrivals{"shop": {Received: n}})
	})
	f.must(f.Flush(ctx))
}

// sessionID returns the id of the nth session, as day writes it.
func sessionID(n int64) string {
	h := fmt.Sprintf("%x", md5.Sum([]byte(strconv.FormatInt(n, 10))))
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:32]
}

// report asks all questions and prints how long they took.
func (f *filled) report(days int64) {
	ctx := f.B.Context()
	f.must(f.Close())
	began := time.Now()
	f.open()
	opened := time.Since(began)
	books, err := f.Books(ctx, nil)
	f.must(err)
	var bytes int64
	for _, info := range f.current().manifest.Segments {
		bytes += info.Data.Bytes + info.Filter.Bytes
	}
	stored := books.Accounts[0].Stored
	fmt.Fprintf(os.Stdout, "%d events in %d segments, %.1f bytes an event, opened in %s, %d MiB of memory\n", stored, len(f.current().manifest.Segments),
		float64(bytes)/float64(stored), opened.Round(time.Millisecond), residentMiB())
	pick := func(i int) int64 { return int64(i) * 7919 * 31 % (days * benchDay / benchSession) }
	at := func(micros int64) *event.Micros { m := event.Micros(micros); return &m }
	dayOf := func(i int) int64 { return benchBegin + pick(i)*benchSession/benchDay*microsPerDay }
	page := query.Query{Limit: 100}
	f.ask("session, no bounds", func(i int) error {
		return f.sized(benchSession, query.Query{SessionIDs: []string{sessionID(pick(i))}, Limit: 100})
	})
	f.ask("session, its day", func(i int) error {
		return f.sized(benchSession, query.Query{SessionIDs: []string{sessionID(pick(i))}, Limit: 100, From: at(dayOf(i)), To: at(dayOf(i) + microsPerDay)})
	})
	f.ask("category and hour, newest 100", func(i int) error {
		hour := dayOf(i) + int64(i%22)*microsPerDay/24
		return f.sized(100, query.Query{Categories: []string{"form interaction"}, From: at(hour), To: at(hour + microsPerDay/24), Descending: true, Limit: 100})
	})
	f.ask("hourly series of a day", func(i int) error {
		_, err := f.Series(ctx, query.Query{From: at(dayOf(i)), To: at(dayOf(i) + microsPerDay)}, store.Series{Interval: store.Hour, MaxPoints: 100})
		return err
	})
	f.ask("top values of a path, a day", func(i int) error {
		_, err := f.Values(ctx, query.Query{From: at(dayOf(i)), To: at(dayOf(i) + microsPerDay), Limit: 10}, query.Field{Name: query.Data, Path: []string{"path"}})
		return err
	})
	f.ask("sessions, latest 100", func(int) error {
		p, err := f.Sessions(ctx, page)
		if err == nil && len(p.Items) != 100 {
			err = fmt.Errorf("%d sessions", len(p.Items))
		}
		return err
	})
	latest, err := f.Sessions(ctx, page)
	f.must(err)
	f.ask("ends of 100 sessions", func(int) error {
		_, err := f.SessionEnds(ctx, query.Query{Horizon: latest.Horizon}, latest.Items)
		return err
	})
	for _, span := range []int64{1, 7, 30} {
		for what, apps := range map[string][]string{"all": nil, "one application": {"shop"}} {
			f.ask(fmt.Sprintf("totals of %d days, %s", span, what), func(i int) error {
				to := benchBegin + days*microsPerDay - int64(i)*microsPerDay/1000
				_, err := f.Totals(ctx, query.Query{Apps: apps, From: at(to - span*microsPerDay), To: at(to)})
				return err
			})
		}
	}
	ids := f.someIDs(days)
	f.ask("a receipt", func(i int) error {
		lines, err := f.Receipt(ctx, query.Query{IDs: []uuid.UUID{ids[i%len(ids)]}}, 100)
		if err == nil && len(lines) != 1 {
			err = fmt.Errorf("%d lines", len(lines))
		}
		return err
	})
	f.ask("newest 100 of all", func(int) error { return f.sized(100, query.Query{Descending: true, Limit: 100}) })
	f.ask("books", func(int) error { _, err := f.Books(ctx, nil); return err })
}

func (f *filled) someIDs(days int64) []uuid.UUID {
	var ids []uuid.UUID
	for i := range int64(20) {
		day := i * days / 20
		from := event.Micros(benchBegin + day*microsPerDay + microsPerDay/3)
		p, err := f.Events(f.B.Context(), query.Query{From: &from, Limit: 10})
		f.must(err)
		for _, e := range p.Items {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// sized asks for events and expects so many.
func (f *filled) sized(n int, q query.Query) error {
	p, err := f.Events(f.B.Context(), q)
	if err == nil && len(p.Items) != n {
		err = fmt.Errorf("%d events, want %d", len(p.Items), n)
	}
	return err
}

// ask asks the same questions twice. The first time most of what they need is in the
// pages of the operating system and not yet in DuckDB's memory.
func (f *filled) ask(what string, question func(i int) error) {
	var medians [2]string
	asks := benchAsks
	for pass := range medians {
		var took []time.Duration
		for i := range asks {
			if pass == 0 && i > benchSlowAsks && took[i/2] > 90*time.Millisecond {
				asks = i
				break
			}
			began := time.Now()
			err := question(i)
			took = append(took, time.Since(began))
			if err != nil {
				f.Fatalf("%s: %v", what, err)
			}
		}
		slices.Sort(took)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		medians[pass] = fmt.Sprintf("%.1f ms | %.1f ms", ms(took[len(took)/2]), ms(took[len(took)*99/100]))
	}
	fmt.Fprintf(os.Stdout, "| %s | %s |\n", what, strings.Join(medians[:], " | "))
}

// residentMiB is the memory of this process.
func residentMiB() int {
	b, _ := os.ReadFile("/proc/self/statm")
	var size, resident int
	_, _ = fmt.Sscan(string(b), &size, &resident)
	return resident * os.Getpagesize() >> 20
}
