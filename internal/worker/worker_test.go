package worker_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"theeye/internal/event"
	"theeye/internal/progress"
	"theeye/internal/query"
	"theeye/internal/queue"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
	"theeye/internal/store/memory"
	"theeye/internal/worker"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The server's own loops, which end some time after its shutdown.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/stree.init"))
}

// closable is a store that takes nothing while it is closed.
type closable struct {
	*memory.Store
	closed atomic.Bool
	writes atomic.Int64
}

func (c *closable) Write(ctx context.Context, b store.Batch) ([]event.Outcome, error) {
	c.writes.Add(1)
	if c.closed.Load() {
		return nil, store.ErrUnavailable
	}
	return c.Store.Write(ctx, b)
}

// A store that takes nothing costs nothing but time, and the lag tells.
func TestLagGrowsWhileTheStoreTakesNothing(t *testing.T) {
	q, err := queue.Open(t.Context(), queue.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	registry := prometheus.NewRegistry()
	s := &closable{Store: memory.New()}
	s.closed.Store(true)
	l := progress.New(0)
	w := worker.New(worker.Options{Queue: q, Store: s, Progress: l, Registerer: registry})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()

	e := &event.Event{App: "shop", ID: uuid.New(), SessionID: "s", Category: "c", Name: "n", Data: []byte("{}"), Timestamp: "2021-01-01T00:00:00Z", Seq: event.NoSeq, ReceivedAt: event.Now()}
	frame := queue.Frame{Counts: []queue.Count{{App: "shop", Received: 1}}, Body: event.AppendRecord(nil, event.Record{Event: e}, false)}
	sequence, err := q.Publish(ctx, frame)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.writes.Load() < 2 {
		<-tick.C
	}
	first := lag(t, registry)
	<-tick.C
	if second := lag(t, registry); first <= 0 || second <= first {
		t.Errorf("the lag was %v s, and then %v s", first, second)
	}
	s.closed.Store(false)
	if err := l.WaitFor(ctx, sequence); err != nil {
		t.Fatal(err)
	}
	stored := lag(t, registry)
	<-tick.C
	if again := lag(t, registry); stored < first || again != stored {
		t.Errorf("the lag was %v s when the event was stored, and then %v s", stored, again)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func lag(t *testing.T, r *prometheus.Registry) float64 {
	t.Helper()
	return value(t, r, "eye_worker_lag_seconds")
}

// value returns what a gauge or a counter without labels has.
func value(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// A store that lost what it had not flushed is written again, and what is lost is found again.
func TestLossesAreCountedOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	told := 0
	w := worker.New(worker.Options{Registerer: registry, Lost: func(queue.Loss) { told++ }})
	loss := func(first, last, events uint64) queue.Loss {
		return queue.Loss{First: first, Last: last, Counts: []queue.Count{{App: "shop", Received: events}}}
	}
	for _, l := range []queue.Loss{loss(3, 6, 4), loss(3, 6, 4), loss(9, 9, 2), loss(3, 6, 4), loss(7, 7, 1), loss(9, 9, 2)} {
		w.RecordLoss(l)
	}
	if got := value(t, registry, "eye_worker_lost_events_total"); got != 7 || told != 3 {
		t.Errorf("%v events are counted as lost and %d losses told, want 7 and 3", got, told)
	}
}

// A record that the store does not take holds nothing up: it is a rejection that says so, with its
// text, and what is around it is stored. So it is after a start from the queue.
func TestRecordThatTheStoreRefuses(t *testing.T) {
	dir := t.TempDir()
	q, err := queue.Open(t.Context(), queue.Options{Dir: dir + "/queue"})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	visit := func(session string) *event.Event {
		return &event.Event{App: "shop", ID: uuid.New(), SessionID: session, Category: "c", Name: "n", Data: []byte(`{"k":"v"}`), Timestamp: "2021-01-01T00:00:00Z", Seq: event.NoSeq, ReceivedAt: event.Now()}
	}
	var last uint64
	var bad []uuid.UUID
	for range 3 {
		frame := queue.Frame{Counts: []queue.Count{{App: "shop", Received: 12}}}
		for i := range 12 {
			e := visit("s")
			if i%5 == 3 {
				e = visit("s\xff") // no text that DuckDB takes
				bad = append(bad, e.ID)
			}
			frame.Body = event.AppendRecord(frame.Body, event.Record{Event: e}, false)
		}
		if last, err = q.Publish(t.Context(), frame); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second store begins with what is in the queue
		s, err := duckdb.Open(t.Context(), duckdb.Options{Dir: dir + "/" + uuid.NewString()})
		if err != nil {
			t.Fatal(err)
		}
		l := progress.New(0)
		w := worker.New(worker.Options{Queue: q, Store: s, Progress: l})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		if err := l.WaitFor(ctx, last); err != nil {
			t.Fatal("the record holds up what is behind it: ", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		books, err := s.Books(t.Context(), nil)
		if err != nil || len(books.Accounts) != 1 {
			t.Fatal(books, err)
		}
		if b := books.Accounts[0]; b.Stored != 30 || b.Rejected != 6 || b.Received != 36 {
			t.Errorf("the books say %+v", b)
		}
		page, err := s.Rejections(t.Context(), query.Query{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Items {
			r := &page.Items[i]
			if !slices.Contains(bad, r.EventID) || r.SessionID != "s\uFFFD" || len(r.Problems) != 1 || r.Problems[0].Code != event.NotStorable || !strings.Contains(string(r.Raw), `"data":{"k":"v"}`) {
				t.Errorf("the rejection is %+v", r)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
