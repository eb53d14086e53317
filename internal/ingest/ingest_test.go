package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/goleak"

	"theeye/internal/event"
	"theeye/internal/ingest"
	"theeye/internal/queue"
	"theeye/internal/schema"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Loops of the queue's server, which end some time after its shutdown.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/stree.init"))
}

// received is the clock of all tests here: 2026-01-01T12:00:00Z.
const received event.Micros = 1767268800_000000

// frames is a queue in memory.
type frames struct {
	mu      sync.Mutex
	list    []queue.Frame
	err     error
	publish func(queue.Frame) // called before a frame is taken; nil for nothing
}

func (f *frames) Publish(_ context.Context, frame queue.Frame) (uint64, error) {
	if f.publish != nil {
		f.publish(frame)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return 0, f.err
	}
	f.list = append(f.list, frame)
	return uint64(len(f.list)), nil
}

func (f *frames) records(t *testing.T) []event.Record {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []event.Record
	for i, frame := range f.list {
		records, err := event.DecodeRecords(frame.Body, uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, records...)
	}
	return all
}

func start(t *testing.T, opts ingest.Options) (*ingest.Collector, *frames) {
	t.Helper()
	f := &frames{}
	if opts.Publish == nil {
		opts.Publish = f.Publish
	}
	if opts.Types == nil {
		opts.Types = func(string, string) *schema.Type { return nil }
	}
	c := ingest.New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return c, f
}

func request(body string) ingest.Request {
	return ingest.Request{App: "shop", Body: []byte(body), ReceivedAt: received}
}

// The golden files hold an event, and what intake says of it.
func TestProblems(t *testing.T) {
	page, err := schema.Compile("page interaction", "pageview", 3, []byte(`{"type":"object","required":["host","path"],
		"properties":{"host":{"type":"string"},"path":{"type":"string"},"n":{"type":"integer","maximum":9}},"additionalProperties":false}`))
	if err != nil {
		t.Fatal(err)
	}
	archive, err := txtar.ParseFile("testdata/problems.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var changed bool
	for i := 0; i < len(archive.Files); i += 2 {
		input, want := archive.Files[i], &archive.Files[i+1]
		t.Run(input.Name, func(t *testing.T) {
			c, kept := start(t, ingest.Options{MaxEventBytes: 300_000, Types: func(category, name string) *schema.Type {
				if category == page.Category && name == page.Name {
					return page
				}
				return nil
			}})
			body := strings.TrimSuffix(string(input.Data), "\n")
			body = strings.NewReplacer(`<ff>`, "\xff", `<deep>`, strings.Repeat("[", 64)+strings.Repeat("]", 64),
				`<deeper>`, strings.Repeat(`{"]":["[",`, 20_000)+"0"+strings.Repeat("]}", 20_000), `<long>`, strings.Repeat("é", 201), `<200>`, strings.Repeat("é", 200), `<big>`, strings.Repeat("x", 300_000)).Replace(body)
			receipt, err := c.Collect(t.Context(), request(body))
			got := describe(receipt, err)
			if records := kept.records(t); err == nil && len(records) != len(receipt.Items) {
				t.Errorf("%d records were kept for %d events", len(records), len(receipt.Items))
			}
			for _, r := range kept.records(t) {
				if r.Event != nil {
					got += fmt.Sprintf("  occurred %s\n", r.Event.OccurredAt)
				} else if !strings.Contains(body, string(r.Rejection.Raw)) {
					t.Errorf("raw was changed: %q", r.Rejection.Raw)
				}
			}
			if os.Getenv("UPDATE") != "" {
				changed = true
				want.Data = []byte(got)
				return
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if changed {
		if err := os.WriteFile("testdata/problems.txtar", txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func describe(r ingest.Result, err error) string {
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, item := range r.Items {
		fmt.Fprintln(&b, item.Status)
		for _, p := range item.Problems {
			fmt.Fprintf(&b, "  %s %q %s\n", p.Code, p.Pointer, p.Message)
		}
	}
	return b.String()
}

func TestEachRequestStaysWholeAndInOrder(t *testing.T) {
	synctest.Test(t, testEachRequestStaysWhole)
}

func testEachRequestStaysWhole(t *testing.T) {
	slow := make(chan struct{})
	c, kept := start(t, ingest.Options{})
	kept.publish = func(queue.Frame) { <-slow }
	const senders, perRequest = 50, 20
	receipts := make([]ingest.Result, senders)
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			var lines strings.Builder
			for i := range perRequest {
				fmt.Fprintf(&lines, `{"session_id":"s%d","category":"c","name":"n","data":{},"timestamp":"2025-01-01T00:00:00Z","seq":%d}`+"\n", s, i)
			}
			req := request(lines.String())
			req.Lines = true
			var err error
			if receipts[s], err = c.Collect(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	synctest.Wait() // until as many frames as may be are being written
	close(slow)
	wg.Wait()
	byPosition := map[event.Position]*event.Event{}
	for _, r := range kept.records(t) {
		byPosition[r.Event.Position] = r.Event
	}
	for s, receipt := range receipts {
		for i, item := range receipt.Items {
			e := byPosition[event.Position{Frame: receipt.Frame, Index: uint32(receipt.First + i)}]
			if e == nil || e.ID != item.ID || e.SessionID != fmt.Sprintf("s%d", s) || e.Seq != int64(i) {
				t.Fatalf("sender %d, event %d: found %+v at its place", s, i, e)
			}
		}
	}
	var counted uint64
	for _, f := range kept.list {
		for _, n := range f.Counts {
			counted += n.Received
		}
	}
	if counted != senders*perRequest {
		t.Errorf("the frames count %d arrivals", counted)
	}
	if len(kept.list) >= senders {
		t.Errorf("%d requests were written as %d frames: nothing was merged", senders, len(kept.list))
	}
}

func TestNobodyIsAnsweredBeforeTheFrameIsDurable(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	c, kept := start(t, ingest.Options{})
	kept.publish = func(queue.Frame) { close(entered); <-leave }
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if _, err := c.Collect(context.Background(), request(`{}`)); err != nil {
			t.Error(err)
		}
	}()
	<-entered
	select {
	case <-answered:
		t.Error("answered while the frame was being written")
	default:
	}
	close(leave)
	<-answered
}

func TestFailureToPublishIsTold(t *testing.T) {
	c, kept := start(t, ingest.Options{})
	kept.err = queue.ErrFull
	if _, err := c.Collect(t.Context(), request(`[{},{}]`)); !errors.Is(err, queue.ErrFull) {
		t.Errorf("got %v", err)
	}
	if _, err := c.KeepUnparsed(t.Context(), request(`{`), event.Problem{Code: event.InvalidJSON}); !errors.Is(err, queue.ErrFull) {
		t.Errorf("got %v", err)
	}
}

func TestIdempotencyKeyGivesEqualIDs(t *testing.T) {
	c, _ := start(t, ingest.Options{})
	body := `[{"session_id":"s","category":"c","name":"n","data":{},"timestamp":1},{},{"id":"mine"}]`
	collect := func(app, key string) []string {
		req := request(body)
		req.App, req.IdempotencyKey = app, key
		r, err := c.Collect(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, item := range r.Items {
			ids = append(ids, item.ID.String())
		}
		return ids
	}
	first := collect("shop", "k1")
	if diff := cmp.Diff(first, collect("shop", "k1")); diff != "" {
		t.Error("the same key gave other ids:", diff)
	}
	for _, other := range [][]string{collect("shop", "k2"), collect("blog", "k1"), collect("shop", "")} {
		if other[0] == first[0] || other[1] == first[1] {
			t.Error("another key or application gave the same ids")
		}
	}
	if first[2] != collect("shop", "k2")[2] {
		t.Error("an id of the sender's own must not depend on the key")
	}
}

func TestRefuseKeepsTheBeginning(t *testing.T) {
	c, kept := start(t, ingest.Options{})
	body := strings.Repeat("x", 10_000)
	if _, err := c.KeepUnparsed(t.Context(), request(body), event.Problem{Code: event.InvalidJSON, Message: "m"}); err != nil {
		t.Fatal(err)
	}
	r := kept.records(t)[0].Rejection
	if string(r.Raw) != body[:4096] || r.Problems[0].Code != event.InvalidJSON || kept.list[0].Counts[0] != (queue.Count{App: "shop", Received: 1, Rejected: 1}) {
		t.Errorf("kept %d bytes, %+v, %+v", len(r.Raw), r.Problems, kept.list[0].Counts)
	}
}

func TestZoneStandsInForAbsentOnes(t *testing.T) {
	c, kept := start(t, ingest.Options{})
	req := request(`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2025-07-01 12:00:00"}`)
	req.Zone = time.FixedZone("", 2*3600)
	if _, err := c.Collect(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	e := kept.records(t)[0].Event
	if e.OccurredAt.String() != "2025-07-01T10:00:00.000000Z" || e.SentTime.String() != "2025-07-01T12:00:00.000000Z" {
		t.Errorf("occurred %s, sent time %s", e.OccurredAt, e.SentTime)
	}
}

// A sent_at without a zone, of an event or of the envelope, is in the application's zone too.
func TestSentAtIsInTheZoneOfTheApplication(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	local := received.Time().In(newYork).Format("2006-01-02 15:04:05.000000")
	own := fmt.Sprintf(`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":%q,"sent_at":%q}`, local, local)
	bare := fmt.Sprintf(`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":%q}`, local)
	for name, body := range map[string]string{"own": own, "of the envelope": fmt.Sprintf(`{"events":[%s],"sent_at":%q}`, bare, local)} {
		c, kept := start(t, ingest.Options{})
		req := request(body)
		req.Zone = newYork
		if _, err := c.Collect(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		e := kept.records(t)[0].Event
		if e == nil || e.OccurredAt != received || e.SentAt != received || e.SentTime != received-event.Micros(5*time.Hour/time.Microsecond) && e.SentTime != received-event.Micros(4*time.Hour/time.Microsecond) {
			t.Errorf("%s: %+v, %+v", name, e, kept.records(t)[0].Rejection)
		}
		if skew := c.Skew("shop"); skew.Events != 1 || skew.Corrected != 0 || skew.Max != 0 {
			t.Errorf("%s: the clock counts as %+v", name, skew)
		}
	}
}

// A local leap second is taken as the one of UTC is.
func TestLocalLeapSecond(t *testing.T) {
	c, kept := start(t, ingest.Options{})
	req := request(`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2016-12-31 18:59:60","sent_at":"2016-12-31 18:59:60"}`)
	req.Zone, req.ReceivedAt = time.FixedZone("", -5*3600), 1483228800_000000
	if _, err := c.Collect(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if e := kept.records(t)[0].Event; e == nil || e.OccurredAt != req.ReceivedAt || e.SentAt != req.ReceivedAt {
		t.Errorf("%+v, %+v", e, kept.records(t)[0].Rejection)
	}
}

// A byte order mark before a body is passed over, and is a part of nothing.
func TestByteOrderMark(t *testing.T) {
	const one = `{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2025-07-01T12:00:00Z"}`
	for name, body := range map[string]string{"one": one, "a list": "[" + one + "]", "lines": one + "\n" + one, "an envelope": `{"events":[` + one + `]}`} {
		c, kept := start(t, ingest.Options{})
		req := request("\ufeff" + body)
		req.Lines = name == "lines"
		if r, err := c.Collect(t.Context(), req); err != nil || len(r.Items) == 0 {
			t.Fatal(name, r, err)
		}
		for _, record := range kept.records(t) {
			if record.Event == nil {
				t.Errorf("%s: rejected: %+v", name, record.Rejection.Problems)
			}
		}
	}
	c, kept := start(t, ingest.Options{})
	req := request("\ufeff" + one + "\n\ufeff" + one) // in the middle it is none
	req.Lines = true
	if _, err := c.Collect(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if records := kept.records(t); records[0].Event == nil || records[1].Rejection == nil {
		t.Errorf("of two lines %+v", records)
	}
	// As versions before kept it.
	old := &event.Rejection{App: "shop", EventID: event.NewID(), ReceivedAt: received, Raw: []byte("\ufeff" + one)}
	if again := c.Revalidate(old, old.Raw, ingest.Revalidation{}); again.Event == nil {
		t.Errorf("validated again: %+v", again.Rejection.Problems)
	}
}

// A request that must be one event is refused before anything of it is taken in.
func TestSingleEvent(t *testing.T) {
	c, kept := start(t, ingest.Options{})
	for _, body := range []string{`[{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2025-07-01T12:00:00Z"}]`, `[]`, `{"events":[]}`} {
		req := request(body)
		req.Single = true
		if _, err := c.Collect(t.Context(), req); !errors.As(err, new(*ingest.ShapeError)) {
			t.Errorf("%s: %v", body, err)
		}
	}
	if records := kept.records(t); len(records) != 0 {
		t.Errorf("taken in: %+v", records)
	}
}

func FuzzCollect(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/problems.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(archive.Files); i += 2 {
		f.Add(archive.Files[i].Data, false)
	}
	f.Add([]byte("{}\n{\n\n[]"), true)
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		c, kept := start(t, ingest.Options{})
		before := string(body)
		r, err := c.Collect(t.Context(), ingest.Request{App: "shop", Body: body, Lines: lines, ReceivedAt: received})
		if string(body) != before {
			t.Error("the body was changed")
		}
		records := kept.records(t)
		if err == nil && len(records) != len(r.Items) || err != nil && len(records) != 0 {
			t.Errorf("%d records for %d items, %v", len(records), len(r.Items), err)
		}
		for i, record := range records {
			if record.Rejection != nil && len(record.Rejection.Problems) == 0 {
				t.Errorf("event %d is rejected without a reason", i)
			}
			if e := record.Event; e != nil && (e.SessionID == "" || e.Data == nil || e.OccurredAt < 0) {
				t.Errorf("event %d was accepted: %+v", i, e)
			}
		}
	})
}

// What an erasure waits for includes requests whose sender no longer waits: their frame may still
// come.
func TestWaitInFlight(t *testing.T) {
	for name, send := range map[string]func(context.Context, *ingest.Collector) error{
		"events": func(ctx context.Context, c *ingest.Collector) error {
			_, err := c.Collect(ctx, request(`{}`))
			return err
		},
		"unreadable": func(ctx context.Context, c *ingest.Collector) error {
			_, err := c.KeepUnparsed(ctx, request(`{`), event.Problem{Code: event.InvalidJSON})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leave := make(chan struct{})
				c, kept := start(t, ingest.Options{})
				kept.publish = func(queue.Frame) { <-leave }
				sending, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := send(sending, c); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				settled := false
				go func() {
					if err := c.WaitInFlight(context.Background()); err != nil {
						t.Error(err)
					}
					settled = true
				}()
				synctest.Wait()
				if settled {
					t.Error("settled while a frame was being written")
				}
				close(leave)
				synctest.Wait()
				if !settled {
					t.Error("not settled although nothing is being written")
				}
			})
		})
	}
}

// A time that is ahead and names no zone is told the zone that it was read in, the usual cause.
func TestInFuture(t *testing.T) {
	berlin, err := event.LoadZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const (
		rest   = " ahead of the server's clock; at most 5m is allowed (--future-tolerance)"
		advice = rest + "; send it with an offset, or set the application's time_zone"
		noZone = " has no zone and was read in UTC, the application's time zone: that is "
	)
	for _, test := range []struct {
		zone     *time.Location
		fields   string
		received event.Micros // after the clock of all tests
		want     string
	}{
		{nil, `"timestamp":"2026-01-01 13:00:00"`, 0, `"2026-01-01 13:00:00"` + noZone + "1h" + advice},
		{nil, `"timestamp":"2026-01-01 13:00:00"`, 900_000, `"2026-01-01 13:00:00"` + noZone + "1h" + advice},
		{nil, `"timestamp":"2026-01-01 12:05:00.5"`, 0, `"2026-01-01 12:05:00.5"` + noZone + "5m1s" + advice},
		{nil, `"timestamp":"2026-01-03 12:20:00"`, 0, `"2026-01-03 12:20:00"` + noZone + "2d" + advice},
		{berlin, `"timestamp":"2026-01-01 15:00:00"`, 0, `"2026-01-01 15:00:00" has no zone and was read in Europe/Berlin, the application's time zone: that is 2h` + advice},
		{nil, `"timestamp":"2026-01-01T14:00:00+01:00"`, 0, "2026-01-01T13:00:00.000000Z is 1h" + rest},
		{nil, `"timestamp":1767272400`, 0, "2026-01-01T13:00:00.000000Z is 1h" + rest},
		{nil, `"timestamp":"2026-01-01 12:30:00","sent_at":"2026-01-01T11:00:00Z"`, 0, "2026-01-01T13:30:00.000000Z is 1h30m" + rest}, // corrected
	} {
		c, _ := start(t, ingest.Options{})
		req := request(`{"session_id":"s","category":"c","name":"n","data":{},` + test.fields + `}`)
		req.Zone, req.ReceivedAt = test.zone, received+test.received
		receipt, err := c.Collect(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if p := receipt.Items[0].Problems; len(p) != 1 || p[0].Code != event.TimestampInFuture || p[0].Message != test.want {
			t.Errorf("%s: %v, want %s", test.fields, p, test.want)
		}
	}
}
