package duckdb

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// searchTime is how long a list searches before it answers with what it has.
const searchTime = 2 * time.Second

// listing is a kind of list.
type listing[T any] struct {
	kind  query.Kind
	table string
	scan  func(scanner) (T, error)
	key   func(*T) event.Key // OccurredAt is what the list is ordered by first
}

func eventListing() listing[event.Event] {
	return listing[event.Event]{query.Events, eventTable, scanEvent, (*event.Event).Key}
}

func rejectionListing() listing[event.Rejection] {
	return listing[event.Rejection]{query.Rejections, rejectionTable, scanRejection, func(r *event.Rejection) event.Key {
		return query.AfterRejection(r).Key
	}}
}

// search finds a page of a list. It goes through the segments in the direction of
// the list, few at first, and ends as soon as what is left cannot come before what
// it has, or when its time is over.
func search[T any](ctx context.Context, p *snapshot, q query.Query, l listing[T]) (store.Page[T], error) {
	began := time.Now()
	w := spanOf(q)
	asked := w
	left := p.sift(l.kind, q, w)
	if l.kind == query.Events && len(q.SessionIDs) == 1 && w == (span{math.MinInt64, math.MaxInt64}) {
		var err error
		if left, err = p.whenever(ctx, q.SessionIDs[0], left); err != nil {
			return store.Page[T]{}, err
		}
	}
	towards(left, l.kind, q.Descending)
	hot := p.view.hot
	var items []T
	for step := 2; ; step *= 2 {
		now := left[:min(step, len(left))]
		left = left[len(now):]
		found, err := queryAll(ctx, p.store, l.statement(q, w, hot, now), l.scan)
		if err != nil {
			return store.Page[T]{}, err
		}
		items = l.merge(items, found, q)
		hot = nil
		at, some := horizonTime(left, l.kind, q.Descending)
		switch {
		case !some:
			return page(items, q), nil
		case len(items) > q.Limit && l.before(&items[q.Limit], at, q.Descending):
			return page(items, q), nil
		case time.Since(began) > searchTime && (q.Descending && at < asked.high || !q.Descending && at > asked.low):
			return l.partial(items, q, at), nil
		}
		if len(items) > q.Limit { // what comes behind the last of these is of no use
			w = l.narrow(w, &items[q.Limit], q.Descending)
			left = slices.DeleteFunc(left, func(x part) bool { return !x.timesOf(l.kind).touches(w.low, w.high) })
		}
	}
}

// whenever asks the tables of sessions of large segments when a session was there:
// then its events are looked for in the slices of that time alone.
func (p *snapshot) whenever(ctx context.Context, session string, parts []part) ([]part, error) {
	b := newBuilder()
	id := b.Var(session)
	var selects []string
	for i, x := range parts {
		if x.info.Slices > 1 {
			selects = append(selects, fmt.Sprintf("SELECT %d AS part, first, last FROM %s WHERE session_id = %s", i, x.table(sessionTable), id))
		}
	}
	if selects == nil {
		return parts, nil
	}
	text := "SELECT part, min(first), max(last) FROM (" + strings.Join(selects, " UNION ALL ") + ") GROUP BY part"
	found := map[int]*span{}
	_, err := queryAll(ctx, p.store, b.build("session times", text), func(scan scanner) (none struct{}, err error) {
		var i int
		var w span
		err = scan(&i, &w.low, &w.high)
		found[i] = &w
		return none, err
	})
	if err != nil {
		return nil, err
	}
	var kept []part
	for i, x := range parts {
		if x.info.Slices > 1 {
			if x.within = found[i]; x.within == nil {
				continue // the filter was wrong
			}
		}
		kept = append(kept, x)
	}
	return kept, nil
}

// statement renders the search of some parts.
func (l listing[T]) statement(q query.Query, w span, hot []*generation, parts []part) statement {
	b := newBuilder()
	if bounds := spanOf(q); w != bounds {
		low, high := event.Micros(w.low), event.Micros(w.high)
		if w.low != bounds.low {
			q.From = &low
		} else {
			high++
			q.To = &high
		}
	}
	text := "SELECT " + columnsOf(l.table) + " FROM " + union(l.table, hot, parts) + where(l.kind, q, b)
	if behind := query.Behind(l.kind, q, b.Cond); behind != "" {
		text += " AND " + behind
	}
	text += " ORDER BY " + strings.Join(query.Order(l.kind, q.Descending), ", ") + limit(q.Limit+1)
	return b.build(l.table, text)
}

// merge puts two sorted lists together and keeps one item more than a page.
func (l listing[T]) merge(a, b []T, q query.Query) []T {
	if len(a) == 0 {
		return b
	}
	a = append(a, b...)
	slices.SortFunc(a, func(x, y T) int {
		order := l.key(&x).Compare(l.key(&y))
		if q.Descending {
			return -order
		}
		return order
	})
	return a[:min(len(a), q.Limit+1)]
}

// before reports whether an item comes before everything at the time at.
func (l listing[T]) before(item *T, at int64, descending bool) bool {
	mine := int64(l.key(item).OccurredAt)
	return descending && mine > at || !descending && mine < at
}

// narrow leaves of a span what comes no later than an item.
func (l listing[T]) narrow(w span, item *T, descending bool) span {
	at := int64(l.key(item).OccurredAt)
	if descending {
		w.low = max(w.low, at)
	} else {
		w.high = min(w.high, at)
	}
	return w
}

// partial is the page of a search that was ended: what comes before everything
// that was not looked at.
func (l listing[T]) partial(items []T, q query.Query, at int64) store.Page[T] {
	n := 0
	for n < min(len(items), q.Limit) && l.before(&items[n], at, q.Descending) {
		n++
	}
	to := event.Micros(at)
	p := store.Page[T]{Items: items[:n], More: true, Horizon: q.Horizon, SearchedTo: &to}
	if n < len(items) && l.before(&items[n], at, q.Descending) {
		p.SearchedTo = nil // the page is full
	}
	return p
}
