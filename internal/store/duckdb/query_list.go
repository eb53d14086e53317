package duckdb

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// listing describes a kind of list.
type listing[T any] struct {
	kind  query.Kind
	table string
	scan  func(scanner) (T, error)
	size  func(*T) int

	columns, columnsWithoutPayload string // columns, with and without the payload
	payload                        payload[T]
}

func eventListing() listing[event.Event] {
	return listing[event.Event]{
		kind: query.Events, table: eventTable, scan: scanEvent, size: (*event.Event).Size,
		columns: eventColumns, columnsWithoutPayload: strings.Replace(eventColumns, "data", "''", 1), payload: eventPayload(),
	}
}

func (s *Store) rejectionListing() listing[event.Rejection] {
	return listing[event.Rejection]{
		kind: query.Rejections, table: rejectionTable, scan: s.scanRejection, size: (*event.Rejection).Size,
		columns: listedRejection, columnsWithoutPayload: strings.Replace(listedRejection, rejectionPayloadColumns, "'', ''::BLOB, FALSE, 0, ''::BLOB", 1), payload: s.rejectionPayload(),
	}
}

// The first window of a list is so wide that about stepPages pages of unfiltered rows fit in it.
// Each further window is wider by a factor of stepGrowth. The cost of a window is to read the times
// of its slices, whatever its width, and all columns of the rows within it.
const (
	stepPages  = 16
	stepGrowth = 16
)

// search finds a page of a list, window by window in the direction of the list. Each window queries
// only the segments of its time. The search ends when the page is full, when everything was
// searched, or after Options.SearchTime.
func search[T any](ctx context.Context, p *pinned, q query.Query, l listing[T]) (store.Page[T], error) {
	began := time.Now()
	selected := timeRangeOf(q)
	refs := p.prune(l.kind, q, selected)
	found := &pageSearch[T]{listing: l, p: p, q: q, page: store.NewPager(q, l.size)}
	for w := newListWindows(refs, selected, q, l.kind); ; {
		window, last := w.next()
		if err := found.within(ctx, window, refs); err != nil {
			return store.Page[T]{}, err
		}
		switch {
		case last || found.page.More:
			return found.page.Page(q.Horizon), nil
		case time.Since(began) > p.store.opts.SearchTime:
			to := event.Micros(w.edge)
			return store.Page[T]{Items: found.page.Items, More: true, Horizon: q.Horizon, SearchedTo: &to}, nil
		}
	}
}

// pageSearch is the search for one page.
type pageSearch[T any] struct {
	listing[T]
	p    *pinned
	q    query.Query
	page *store.Pager[T]
}

// within adds the rows of a window to the page until it is full.
func (f *pageSearch[T]) within(ctx context.Context, w timeRange, refs []segmentRef) error {
	overlapping := slices.DeleteFunc(slices.Clone(refs), func(ref segmentRef) bool { return !ref.orderTimes(f.kind).overlaps(w.low, w.high) })
	rows := f.p.rows(f.table, overlapping)
	if f.table == rejectionTable {
		rows = f.p.filterReplayed(f.q, rows)
	}
	largest, err := f.p.largest(ctx, f.table, overlapping)
	if err != nil {
		return err
	}
	if f.q.Bare {
		found, err := queryAll(ctx, f.p.store, f.statement(w, rows, f.columnsWithoutPayload), f.scan)
		f.page.AddAll(found)
		return err
	}
	if items := f.page.Room(); int64(items+1)*largest <= bareFactor*pageBytes(f.q) {
		found, err := queryAll(ctx, f.p.store, f.statement(w, rows, f.columns), f.scan)
		f.page.AddAll(found)
		return err
	}
	found, err := queryAll(ctx, f.p.store, f.statement(w, rows, f.columnsWithoutPayload), f.scan)
	if err != nil {
		return err
	}
	return f.fill(ctx, overlapping, found, max(1, int(pageBytes(f.q)/largest)))
}

// listWindows are the ranges of times that a list searches, one after the other. newListWindows
// sorts refs, in the direction of the list.
type listWindows struct {
	descending bool
	selected   timeRange // that the query selects
	segments   timeRange // of the times in segments
	edge, step int64     // where the next one begins, and its width; a width of 0 means that it is the last
}

func newListWindows(refs []segmentRef, selected timeRange, q query.Query, kind query.Kind) *listWindows {
	w := &listWindows{descending: q.Descending, selected: selected, edge: selected.low}
	if w.descending {
		w.edge = selected.high
	}
	if len(refs) == 0 || q.SessionIDs != nil || q.IDs != nil || q.EventIDs != nil {
		return w // a selective filter: one window
	}
	sortByTime(refs, kind, q.Descending)
	first := refs[0].orderTimes(kind)
	rows := refs[0].info.Rows.Events
	if kind == query.Rejections {
		rows = refs[0].info.Rows.Rejections
	}
	w.step = max((*first.Max-*first.Min)/max(rows, 1), 1) * int64(q.Limit+1) * stepPages
	w.segments = timeRange{math.MaxInt64, math.MinInt64}
	for _, ref := range refs {
		w.segments.low, w.segments.high = min(w.segments.low, *ref.orderTimes(kind).Min), max(w.segments.high, *ref.orderTimes(kind).Max)
	}
	return w
}

// next returns the next window, and whether it is the last one. The last window extends to the end
// of the query's range, because hot rows may have any time.
func (w *listWindows) next() (window timeRange, last bool) {
	window = w.selected
	switch {
	case w.step == 0:
		if w.descending {
			window.high = w.edge
		} else {
			window.low = w.edge
		}
		return window, true
	case w.descending:
		window.high = w.edge
		window.low = max(min(w.edge, w.segments.high)-w.step, w.selected.low)
		if window.low <= max(w.segments.low, w.selected.low) {
			window.low, last = w.selected.low, true
		}
		w.edge = window.low - 1
	default:
		window.low = w.edge
		window.high = min(max(w.edge, w.segments.low)+w.step, w.selected.high)
		if window.high >= min(w.segments.high, w.selected.high) {
			window.high, last = w.selected.high, true
		}
		w.edge = window.high + 1
	}
	if w.step < math.MaxInt64/(4*stepGrowth) {
		w.step *= stepGrowth
	}
	return window, last
}

// statement returns the statement that searches a window for as many rows as fit on the page, and
// one more, which shows that there is a next page.
func (f *pageSearch[T]) statement(w timeRange, rows, columns string) statement {
	b, q := newBuilder(), f.q
	if w.low != math.MinInt64 {
		low := event.Micros(w.low)
		q.From = &low
	}
	if w.high != math.MaxInt64 {
		high := event.Micros(w.high + 1)
		q.To = &high
	}
	text := "SELECT " + columns + " FROM " + rows + where(f.kind, q, b)
	if after := query.AfterCondition(f.kind, q, b.Args); after != "" {
		text += " AND " + after
	}
	items := f.page.Room()
	return b.build(f.table, text+" ORDER BY "+strings.Join(query.Order(f.kind, q.Descending), ", ")+limit(items+1))
}
