package duckdb_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// numbered returns the id of a benchmark's nth event.
func numbered(n int) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	id[6], id[8] = 0x70, id[8]|0x80
	return id
}

// pageView returns an event as a web page sends it, with about 200 bytes of data.
func pageView(n int) event.Record {
	at := event.Micros(1_700_000_000_000_000 + n*1000)
	return event.Record{Event: &event.Event{
		App: "shop", ID: numbered(n), SessionID: numbered(n / 20).String(),
		Category: []string{"page interaction", "form interaction"}[n%2], Name: []string{"page view", "cta click", "submit"}[n%3],
		Data: fmt.Appendf(nil, `{"host":"https://www.example.com","path":"/products/%d","element":"button.buy","form":{"first_name":"Jo%d","last_name":"Doe"},"viewport":[%d,1080],"agent":"Mozilla/5.0 (X11; Linux x86_64)"}`,
			n%500, n%1000, 1200+n%700),
		Timestamp: "2023-11-14T22:13:20.000Z", SentTime: at, Seq: int64(n % 20), Sender: "web",
		OccurredAt: at, ReceivedAt: at + 50_000, SchemaVersion: 1,
	}}
}

// frame makes a batch of one frame out of records.
func frame(number uint64, records ...event.Record) store.Batch {
	b := store.Batch{First: number, Last: number, Records: records, Arrivals: map[string]store.Arrivals{}}
	for i, r := range records {
		at := event.Position{Frame: number, Index: uint32(i)}
		if r.Event != nil {
			r.Event.Position, r.Event.CarriedBy = at, number
		} else {
			r.Rejection.Position, r.Rejection.CarriedBy = at, number
		}
		a := b.Arrivals[r.App()]
		a.Received++
		b.Arrivals[r.App()] = a
	}
	return b
}

// BenchmarkWrite tells events per second of batches without and with repeated
// events: a tenth repeats soon, as a retry does, or repeats anything, which is
// the worst case, because the look-up reads all frames between the first arrivals.
// A store is opened anew before it fills its memory.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{2_000, 10_000} {
		for _, repeats := range []struct {
			name   string
			within int // the events before that may be repeated; 0 for none
		}{{"none", 0}, {"soon", 20_000}, {"any", perStore}} {
			b.Run(fmt.Sprintf("batch=%d/repeats=%s", size, repeats.name), func(b *testing.B) {
				benchmarkWrite(b, size, repeats.within)
			})
		}
	}
}

const perStore = 500_000

func benchmarkWrite(b *testing.B, size, within int) {
	b.Helper()
	var s *duckdb.Store
	written := perStore
	number := uint64(0)
	for b.Loop() {
		b.StopTimer()
		if written >= perStore {
			if s != nil {
				_ = s.Close()
			}
			s, written, number = open(b, duckdb.Options{MemoryLimit: 2 << 30}), 0, 0
		}
		records := make([]event.Record, size)
		for i := range records {
			n := written + i
			if back := min(within, written); back > 0 && i%10 == 0 {
				n = written - 1 - i*37%back
			}
			records[i] = pageView(n)
		}
		number++
		batch := frame(number, records...)
		written += size
		b.StartTimer()
		if _, err := s.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	_ = s.Close()
}

// open opens a store that the caller closes.
func open(t testing.TB, opts duckdb.Options) *duckdb.Store {
	t.Helper()
	s, err := duckdb.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
