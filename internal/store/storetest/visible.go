package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

const (
	visibleBatches = 20
	perBatch       = 30 // events; besides, each batch has one rejection
)

// testVisible reads while batches are written: each is seen whole or not at all.
// It means little without the race detector.
func testVisible(f *fixture) {
	var done atomic.Bool
	var readers sync.WaitGroup
	for _, read := range []func(*fixture) error{wholeCount, wholeSessions, wholeBooks, wholePages} {
		readers.Go(func() {
			for !done.Load() {
				if err := read(f); err != nil {
					f.Errorf("while batches are written: %v", err)
					return
				}
			}
		})
	}
	for b := range visibleBatches {
		records := []event.Record{rej(b, "x")}
		for i := range perBatch {
			n := b*perBatch + i
			records = append(records, ev(n, at(event.Micros(n%7)), func(e *event.Event) { e.SessionID = fmt.Sprint(n % perBatch) }))
		}
		half := len(records) / 2
		f.put(join(f.batch(records[:half]...), f.batch(records[half:]...)))
	}
	done.Store(true)
	readers.Wait()
	f.same("count", int64(visibleBatches*perBatch), f.count(query.Query{}))
}

// wholeCount reads one number.
func wholeCount(f *fixture) error {
	n, err := f.Count(f.Context(), query.Query{})
	if err == nil && n%perBatch != 0 {
		err = fmt.Errorf("%d events are counted, of batches of %d", n, perBatch)
	}
	return err
}

// wholeSessions reads sessions, each of which has an event of each batch.
func wholeSessions(f *fixture) error {
	page, err := f.Sessions(f.Context(), query.Query{})
	for _, s := range page.Items {
		if err == nil && (s.Events != int64(page.Horizon/2) || len(page.Items) != perBatch) {
			err = fmt.Errorf("one of %d sessions has %d events at frame %d", len(page.Items), s.Events, page.Horizon)
		}
	}
	return err
}

// wholeBooks reads what comes from different places.
func wholeBooks(f *fixture) error {
	books, err := f.Books(f.Context(), nil)
	for _, got := range books.Accounts {
		batches := int64(books.Position / 2)
		want := store.Account{App: "shop", Received: batches * (perBatch + 1), Stored: batches * perBatch, Rejected: batches}
		if err == nil && got != want {
			err = fmt.Errorf("at frame %d the account is %+v, not %+v", books.Position, got, want)
		}
	}
	return err
}

// wholePages walks through a list, whose pages all show the horizon of the first.
func wholePages(f *fixture) error {
	q := query.Query{Limit: 100, Descending: true}
	var seen []event.Event
	for {
		page, err := f.Events(f.Context(), q)
		if err != nil {
			return err
		}
		seen = append(seen, page.Items...)
		if !page.More {
			return wholeList(seen, page.Horizon)
		}
		after := query.AfterEvent(&page.Items[len(page.Items)-1])
		q.After, q.Horizon = &after, page.Horizon
	}
}

func wholeList(seen []event.Event, horizon uint64) error {
	if want := int(horizon/2) * perBatch; len(seen) != want {
		return fmt.Errorf("%d events by pages at frame %d, not %d", len(seen), horizon, want)
	}
	for i := 1; i < len(seen); i++ {
		if seen[i-1].Key().Compare(seen[i].Key()) <= 0 {
			return fmt.Errorf("event %d of a descending list is not behind the one before", i)
		}
	}
	return nil
}
