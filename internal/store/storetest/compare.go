package storetest

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"theeye/internal/query"
	"theeye/internal/store"
)

// aggregates compares the model and the store in everything that is not a list.
func (h *history) aggregates() {
	q := drawQuery(h.t, query.Events, h.last)
	h.ask("count", func(s store.Reader) (any, error) { return s.Count(h.ctx, q) })

	path := draw(h.t, "field", []string{"v"}, []string{"v", "w"}, nil)
	field := query.Field{Name: query.Data, Path: path}
	if path == nil {
		field.Name = draw(h.t, "own field", query.App, query.SessionID, query.Sender, query.Seq, query.SentAt, query.ID)
	}
	h.ask("values of "+field.String(), func(s store.Reader) (any, error) { return s.Values(h.ctx, q, field) })

	by := store.Series{
		Interval:  draw(h.t, "interval", store.Minute, store.Hour, store.Day),
		Group:     draw(h.t, "group", store.ByNothing, store.ByCategory, store.ByName, store.ByApp),
		MaxPoints: 1000,
		Zone:      draw(h.t, "zone", nil, zone("America/New_York"), zone("Asia/Kathmandu")),
	}
	h.ask("series", func(s store.Reader) (any, error) { return s.Series(h.ctx, q, by) })
	by.Group = store.ByStatus
	arrivals := q
	arrivals.IDs, arrivals.Where = nil, nil // not all arrivals have what these ask for
	h.ask("series of fates", func(s store.Reader) (any, error) { return s.Series(h.ctx, arrivals, by) })

	rejections := drawRejectionQuery(h)
	parts := 0
	if rejections.From != nil && rejections.To != nil && *rejections.From < *rejections.To {
		parts = rapid.IntRange(0, 7).Draw(h.t, "parts")
	}
	h.ask("summary", func(s store.Reader) (any, error) { return s.RejectionSummary(h.ctx, rejections, parts) })
	h.receipts(q)
	h.ask("books", func(s store.Reader) (any, error) { return s.Books(h.ctx, q.Apps) })
}

// ask compares the answers to one question.
func (h *history) ask(what string, question func(store.Reader) (any, error)) {
	want, err := question(h.model)
	if err != nil {
		h.t.Fatal("the model:", what, err)
	}
	got, err := question(h.store)
	if err != nil {
		h.t.Fatal(what, err)
	}
	h.equal(what, want, got)
}

// receipts compares all lines; with replays in any order, since the contract does
// not say yet which of two arrivals at one position is the newer.
func (h *history) receipts(q query.Query) {
	q = query.Query{Apps: q.Apps, IDs: []uuid.UUID{id(rapid.IntRange(1, 12).Draw(h.t, "id")), id(1)}, Horizon: q.Horizon}
	limit := rapid.IntRange(1, 5).Draw(h.t, "lines")
	ordered := !h.replayed()
	if !ordered {
		limit = 1000
	}
	h.ask("receipt", func(s store.Reader) (any, error) {
		lines, err := s.Receipt(h.ctx, q, limit)
		if !ordered {
			slices.SortFunc(lines, func(a, b store.Arrival) int {
				return cmp.Or(a.Position.Compare(b.Position), cmp.Compare(a.ReceivedAt, b.ReceivedAt), cmp.Compare(a.Fate, b.Fate))
			})
		}
		return lines, err
	})
}
