// Package storetest is the conformance suite of stores: the exact form of what
// the doc comments of package store say. A store passes all of it or declares in
// its Capabilities what it does differently.
//
// Expectations stand in tables, which a reader can check by eye. Besides, random
// histories are written to the store under test and to the memory store, whose
// answers must be equal. Run the suite with the race detector: some of it reads
// while it writes.
//
// # Adding a backend
//
// Implement store.Writer and store.Reader with Capabilities and Close, and call
// Run from a test of the new package:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Store { … })
//	}
//
// open gives an empty store at position 0, however it makes one: a new folder, a
// schema or a database with a random name. A database that is missing is a failure
// and never a skip. Where the suite and a backend differ, the doc comments of
// package store decide; where they are silent, they are to be made clearer first.
// What survives a restart is the matter of each store's own tests.
package storetest

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Store is what the suite tests.
type Store interface {
	store.Writer
	store.Reader
	Capabilities() store.Capabilities
	Close() error
}

// Run runs the whole suite. open returns an empty store at position 0, which Run
// closes; it is called once for each test and each random history, some 140 times.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, test := range []struct {
		name string
		run  func(*fixture)
	}{
		{"an empty store answers", testEmpty},
		{"every field comes back as it was put", testFields},
		{"memory is not shared", testMemory},
		{"queries are not changed", testQueryMemory},
		{"many events", testMany},
		{"a large event", testLarge},
		{"bodies of rejections", testRefusedBodies},
		{"the first body wins", testFates},
		{"what makes another body", testBodies},
		{"ids of earlier versions", testFormer},
		{"rejections are kept once", testRejections},
		{"a batch may be repeated", testRepeat},
		{"frames may be cut otherwise", testFrames},
		{"batches come in order", testBatchOrder},
		{"a cancelled write writes nothing", testCancelled},
		{"a cancelled read fails", testCancelledReads},
		{"batches become visible as a whole", testVisible},
		{"events come in total order", testOrder},
		{"pages", testPages},
		{"pages by bytes", testPagesByBytes},
		{"the horizon holds", testHorizon},
		{"horizons of all readers", testHorizons},
		{"exports", testExport},
		{"exports while events arrive", testExportMeanwhile},
		{"replays keep their place", testReplay},
		{"replays among equals", testReplays},
		{"replays in the books", testReplayBooks},
		{"rejections by their replays", testReplayed},
		{"receipts of replays", testReplayReceipts},
		{"filters", testFilters},
		{"conditions on fields", testConditions},
		{"conditions on arrays", testArrays},
		{"conditions on scalars", testScalars},
		{"conditions on own fields", testOwnFields},
		{"conditions on numbers", testNumbers},
		{"numbers are exact", testExactNumbers},
		{"sessions", testSessions},
		{"pages of sessions", testSessionPages},
		{"lists of rejections", testRejectionLists},
		{"conditions on rejections", testRejectionConditions},
		{"summary of rejections", testSummary},
		{"ends of sessions", testSessionEnds},
		{"totals", testTotals},
		{"series", testSeries},
		{"steps of series", testSteps},
		{"series of fates", testFateSeries},
		{"series in time zones", testZones},
		{"values", testValues},
		{"values of each kind", testMoreValues},
		{"receipts", testReceipts},
		{"lines of receipts", testReceiptLines},
		{"books", testBooks},
		{"the feed", testFeed},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error("close:", err)
				}
			})
			test.run(&fixture{T: t, Store: s})
		})
	}
	t.Run("random histories equal the model", func(t *testing.T) { testModel(t, open) })
}

// fixture is a store with the position that its next batch has.
type fixture struct {
	*testing.T
	Store
	last uint64
}

// id returns the nth test id.
func id(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-%012d", n)) }

const (
	second = event.Micros(1e6)
	minute = 60 * second
	hour   = 60 * minute
)

// ev returns an event of shop with the nth id; change changes it.
func ev(n int, change ...func(*event.Event)) event.Record {
	e := &event.Event{
		App: "shop", ID: id(n), SessionID: "s", Category: "page", Name: "view", Data: []byte(`{"n":` + fmt.Sprint(n) + `}`),
		Timestamp: "2021-01-01T00:00:00Z", Seq: event.NoSeq, OccurredAt: 1_600_000_000 * second, ReceivedAt: 1_600_000_100 * second,
	}
	for _, f := range change {
		f(e)
	}
	return event.Record{Event: e}
}

// rej returns a rejection of shop for the nth event id.
func rej(n int, raw string, problems ...event.Problem) event.Record {
	if problems == nil {
		problems = []event.Problem{{Code: event.MissingField, Pointer: "/name", Message: "m"}}
	}
	return event.Record{Rejection: &event.Rejection{
		ID: event.RejectionID("shop", id(n), []byte(raw)), EventID: id(n), App: "shop", SessionID: "s", Category: "page",
		ReceivedAt: 1_600_000_200*second + event.Micros(n), Problems: problems, Raw: []byte(raw),
	}}
}

// batch puts records into the next frame, in this order.
func (f *fixture) batch(records ...event.Record) store.Batch {
	f.last++
	return batchAt(f.last, records)
}

func batchAt(frame uint64, records []event.Record) store.Batch {
	b := store.Batch{First: frame, Last: frame, Arrivals: map[string]store.Arrivals{}}
	for i, r := range records {
		at, replayed := event.Position{Frame: frame, Index: uint32(i)}, false
		if e := r.Event; e != nil {
			c := *e
			if replayed = c.Position != (event.Position{}); !replayed {
				c.Position = at
			}
			c.CarriedBy = frame
			r.Event = &c
		} else {
			c := *r.Rejection
			c.Position, c.CarriedBy = at, frame
			r.Rejection = &c
		}
		b.Records = append(b.Records, r)
		a := b.Arrivals[r.App()]
		if !replayed { // it was received once, when it first arrived
			a.Received++
		}
		b.Arrivals[r.App()] = a
	}
	return b
}

// write writes records as the next frame and returns their fates.
func (f *fixture) write(records ...event.Record) []event.Outcome {
	f.Helper()
	return f.put(f.batch(records...))
}

func (f *fixture) put(b store.Batch) []event.Outcome {
	f.Helper()
	outcomes, err := f.Write(f.Context(), b)
	if err != nil {
		f.Fatal("write:", err)
	}
	if len(outcomes) != len(b.Records) {
		f.Fatalf("%d outcomes for %d records", len(outcomes), len(b.Records))
	}
	return outcomes
}

func (f *fixture) events(q query.Query) []event.Event {
	f.Helper()
	p, err := f.Events(f.Context(), q)
	if err != nil {
		f.Fatal("events:", err)
	}
	return p.Items
}

// numbers returns which test ids a query selects, in order.
func (f *fixture) numbers(q query.Query) []int {
	f.Helper()
	var list []int
	for _, e := range f.events(q) {
		list = append(list, number(e.ID))
	}
	return list
}

// number returns the n of a test id, -1 for any other.
func number(id uuid.UUID) int {
	n, err := strconv.Atoi(id.String()[24:])
	if err != nil {
		return -1
	}
	return n
}

// same compares what was wanted with what was got; nil and empty are alike.
func (f *fixture) same(what string, want, got any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func fates(outcomes []event.Outcome) []string {
	var list []string
	for _, o := range outcomes {
		text := o.Fate.String()
		for _, p := range o.Problems {
			text += " " + p.Code
		}
		list = append(list, text)
	}
	return list
}

// where parses conditions as a caller would.
func (f *fixture) where(kind query.Kind, texts ...string) []query.Condition {
	f.Helper()
	var list []query.Condition
	for _, text := range texts {
		c, err := query.ParseCondition(text, kind)
		if err != nil {
			f.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

func ptr(m event.Micros) *event.Micros { return &m }
