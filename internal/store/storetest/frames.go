package storetest

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// join makes one batch of several that follow one another.
func join(batches ...store.Batch) store.Batch {
	all := store.Batch{First: batches[0].First, Arrivals: map[string]store.Arrivals{}}
	for _, b := range batches {
		all.Last = b.Last
		all.Records = append(all.Records, b.Records...)
		for app, a := range b.Arrivals {
			all.Arrivals[app] = all.Arrivals[app].Add(a)
		}
	}
	return all
}

// testFrames writes batches of several frames and repeats them cut otherwise, as
// happens when the same frames are read from the queue again.
func testFrames(f *fixture) {
	other := func(e *event.Event) { e.Name = "other" }
	frames := []store.Batch{
		f.batch(ev(1), rej(2, "a")),
		f.batch(),
		f.batch(ev(1), ev(3), ev(1, other)),
		f.batch(ev(3, other), rej(2, "a"), ev(4)),
		f.batch(ev(1, other)),
	}
	want := [][]string{
		{"stored", "rejected missing_field"},
		nil,
		{"duplicate", "stored", "rejected id_conflict"},
		{"rejected id_conflict", "duplicate missing_field", "stored"},
		{"duplicate id_conflict"},
	}
	f.same("three frames", slices.Concat(want[0], want[1], want[2]), fates(f.put(join(frames[:3]...))))
	for _, b := range []store.Batch{join(frames[2:4]...), join(frames...)} {
		if _, err := f.Write(f.Context(), b); !errors.Is(err, store.ErrOutOfOrder) {
			f.Errorf("frames %d to %d overlap: %v", b.First, b.Last, err)
		}
	}
	f.same("nothing of what overlaps is written", []int{1, 3}, f.numbers(query.Query{}))
	f.same("two more", slices.Concat(want[3], want[4]), fates(f.put(join(frames[3:]...))))
	before := f.books(nil)
	for from := range frames {
		for to := from + 1; to <= len(frames); to++ {
			f.same("the same frames, cut otherwise", slices.Concat(want[from:to]...), fates(f.put(join(frames[from:to]...))))
		}
	}
	f.same("repeats change nothing", before, f.books(nil))
	f.same("books", []store.Account{{App: "shop", Received: 9, Stored: 3, Rejected: 3, Duplicate: 3}}, before.Accounts)
	f.same("each arrival is in its frame", []event.Position{{Frame: 5}, {Frame: 3, Index: 2}, {Frame: 3}, {Frame: 1}}, f.positions(1))
}

// positions returns those of the receipt of a test id.
func (f *fixture) positions(n int) []event.Position {
	f.Helper()
	list, err := f.Receipt(f.Context(), query.Query{IDs: []uuid.UUID{id(n)}}, 100)
	if err != nil {
		f.Fatal("receipt:", err)
	}
	var positions []event.Position
	for _, a := range list {
		positions = append(positions, a.Position)
	}
	return positions
}

func (f *fixture) books(apps []string) store.Books {
	f.Helper()
	books, err := f.Books(f.Context(), apps)
	if err != nil {
		f.Fatal("books:", err)
	}
	return books
}

func testCancelledReads(f *fixture) {
	f.write(ev(1), rej(2, "a"))
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	q := query.Query{IDs: []uuid.UUID{id(1)}}
	for what, read := range map[string]func() error{
		"events":     func() error { _, err := f.Events(ctx, q); return err },
		"export":     func() error { return f.Export(ctx, q, func(*event.Event) error { return nil }) },
		"count":      func() error { _, err := f.Count(ctx, q); return err },
		"sessions":   func() error { _, err := f.Sessions(ctx, q); return err },
		"rejections": func() error { _, err := f.Rejections(ctx, query.Query{}); return err },
		"summary":    func() error { _, err := f.RejectionSummary(ctx, query.Query{}, 0); return err },
		"series": func() error {
			_, err := f.Series(ctx, q, store.Series{Interval: store.Hour, MaxPoints: 9})
			return err
		},
		"values":  func() error { _, err := f.Values(ctx, q, query.Field{Name: query.Name}); return err },
		"receipt": func() error { _, err := f.Receipt(ctx, q, 9); return err },
		"books":   func() error { _, err := f.Books(ctx, nil); return err },
	} {
		if err := read(); !errors.Is(err, context.Canceled) {
			f.Errorf("%s: %v", what, err)
		}
	}
	f.same("and then it works", []int{1}, f.numbers(query.Query{}))
}
