package duckdb

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"time"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// The feed is read in two parts: up to the flushed frame from windows of the segments
// (query_feed_window.go), after it from the memtables.

// feedOrder are the columns by which the feed is ordered.
const feedOrder = "carried_by, frame, frame_index"

// feedSource is where rows of the feed are read.
type feedSource struct {
	on      *sql.Conn // nil for a reader of the reading instance
	rows    func(table string) string
	largest map[string]int64 // bound of the size of a payload, by table, in bytes
	last    uint64           // the last frame whose rows it has
	empty   map[string]bool  // tables without rows, if that is known
	sorted  bool             // its rows lie in the feed's order, in which DuckDB reads them
}

// upTo returns the source without what comes after a frame.
func (s feedSource) upTo(last uint64) feedSource {
	s.last = last
	return s
}

// feedSearch is the search for one page of the feed.
type feedSearch struct {
	p        *pinned
	q        store.FeedQuery
	erasures []store.FeedItem // after q.After, in order
	page     *store.Pager[store.FeedItem]
	at       store.FeedPlace // everything up to here is on the page
	full     bool
	keys     map[string]string // of sessions
}

// Feed implements store.Reader.
func (s *Store) Feed(ctx context.Context, q store.FeedQuery) (store.FeedPage, error) {
	if err := s.ensureSessionKey(); err != nil {
		return store.FeedPage{}, err
	}
	return queryWithRecovery(ctx, s, query.Query{}, func(p *pinned, _ query.Query) (store.FeedPage, error) {
		return p.feed(ctx, q)
	})
}

func (p *pinned) feed(ctx context.Context, q store.FeedQuery) (store.FeedPage, error) {
	began := time.Now()
	lineage := p.manifest.lineage()
	if err := checkTimeline(q, lineage); err != nil {
		return store.FeedPage{}, err
	}
	f := &feedSearch{p: p, q: q, page: store.NewFeedPager(q), at: q.After, keys: map[string]string{}}
	if q.Timeline != "" && q.Timeline != lineage.Timeline {
		f.at.Tombstone = 0 // numbers of another list of tombstones; an erasure may come twice
	}
	f.erasures = p.feedErasures(q, f.at)
	for f.at.CarriedBy <= p.position && p.position > 0 && !f.full {
		if f.at != q.After && time.Since(began) > p.store.opts.SearchTime {
			f.full = true
			break
		}
		done, err := f.step(ctx)
		if err != nil {
			return store.FeedPage{}, err
		}
		if done {
			break
		}
	}
	for n := range f.page.Items {
		i := &f.page.Items[n]
		if i.Timeline = lineage.Timeline; i.Erased == nil {
			i.Timeline = p.manifest.origin(i.Place.CarriedBy)
		}
	}
	return store.FeedPage{Items: f.page.Items, Next: f.at, Timeline: lineage.Timeline, More: f.full}, nil
}

// checkTimeline returns a *store.PlaceGoneError unless the place from which a query continues is on
// the current timeline, or on the part of an earlier one that it shares.
func checkTimeline(q store.FeedQuery, l erasure.Lineage) error {
	if q.Timeline == "" || q.Timeline == l.Timeline {
		return nil
	}
	last, ok := l.Ended[q.Timeline]
	switch {
	case !ok:
		return &store.PlaceGoneError{}
	case q.After.CarriedBy > last:
		return &store.PlaceGoneError{Common: store.AfterFrame(last), Timeline: q.Timeline}
	}
	return nil
}

// feedErasures returns the erasures after a place.
func (p *pinned) feedErasures(q store.FeedQuery, after store.FeedPlace) (items []store.FeedItem) {
	if q.Erasures == nil {
		return nil
	}
	var keys []string // of the sessions that were asked for
	for _, session := range q.Erasures.SessionIDs {
		keys = append(keys, p.erased.SessionKey(session))
	}
	for i, t := range slices.Backward(p.erased.Tombstones()) {
		frame, ok := p.erased.LastVisible(t)
		place := store.AfterFrame(frame)
		place.Tombstone = uint32(i + 1)
		if ok && place.Compare(after) <= 0 && t.Timeline == p.manifest.Timeline {
			break // those before it are of earlier frames, or of earlier timelines
		}
		erased := &store.FeedErasure{App: t.App, At: t.At}
		if ok && place.Compare(after) > 0 && frame <= p.position && erased.IsSelected(q.Erasures, t.Session, keys) {
			items = append(items, store.FeedItem{Place: place, SessionKey: t.Session, Erased: erased})
		}
	}
	slices.SortFunc(items, func(a, b store.FeedItem) int { return a.Place.Compare(b.Place) })
	return items
}

// step searches the next source. done reports that there is none.
func (f *feedSearch) step(ctx context.Context) (done bool, err error) {
	first := f.at.CarriedBy
	if f.at.Compare(store.AfterFrame(first)) >= 0 {
		first++
	}
	if flushed := f.p.manifest.Flushed; first <= flushed && len(f.p.overlapping(first, flushed)) > 0 {
		w, release, err := f.p.store.feedWindows.acquire(ctx, f.p, first)
		if err != nil {
			return false, err
		}
		defer release()
		conn, err := w.in.db.Conn(ctx)
		if err != nil {
			return false, storeError(ctx, "query feed", err)
		}
		defer conn.Close()
		_, err = f.read(ctx, feedSource{on: conn, rows: w.rows, largest: w.largest, empty: w.empty, last: w.last, sorted: true})
		return false, err
	}
	hot := feedSource{rows: func(table string) string { return union(table, f.p.tables.memtables, nil) }, largest: map[string]int64{}, last: f.p.position}
	for _, table := range []string{eventTable, rejectionTable} {
		if hot.largest[table], err = f.p.largest(ctx, table, nil); err != nil {
			return false, err
		}
	}
	return f.read(ctx, hot)
}

// read adds what a source has after f.at, until the page is full. all reports that the source has no
// more.
func (f *feedSearch) read(ctx context.Context, from feedSource) (all bool, err error) {
	end := store.AfterFrame(from.last)
	if f.at.Compare(end) > 0 { // between erasures after the last frame
		end = f.at
	}
	var items []store.FeedItem
	cut := end // the rows up to here have been read
	if f.q.Events != nil {
		events, whole, err := readFeed(ctx, f, from, feedTable[event.Event]{eventListing(), f.q.Events})
		if err != nil {
			return false, err
		}
		for i := range events {
			items = append(items, store.FeedItem{Place: store.PlaceOfEvent(&events[i]), SessionKey: f.sessionKey(events[i].SessionID), Event: &events[i]})
		}
		if !whole {
			cut = items[len(items)-1].Place
		}
	}
	if f.q.Rejections != nil {
		rejections, whole, err := readFeed(ctx, f, from, feedTable[event.Rejection]{f.p.store.rejectionListing(), f.q.Rejections})
		if err != nil {
			return false, err
		}
		for i := range rejections {
			items = append(items, store.FeedItem{Place: store.PlaceOfRejection(&rejections[i]), SessionKey: f.sessionKey(rejections[i].SessionID), Rejection: &rejections[i]})
		}
		if !whole {
			cut = least(cut, items[len(items)-1].Place)
		}
	}
	if cut == end && from.last == f.p.position { // the erasures after the last frame too
		cut.Tombstone = max(cut.Tombstone, uint32(f.p.erased.Len()))
	}
	for len(f.erasures) > 0 && f.erasures[0].Place.Compare(cut) <= 0 {
		items = append(items, f.erasures[0])
		f.erasures = f.erasures[1:]
	}
	slices.SortFunc(items, func(a, b store.FeedItem) int { return a.Place.Compare(b.Place) })
	for _, item := range items {
		if item.Place.Compare(cut) > 0 {
			break
		}
		if !f.page.Add(item) {
			f.full = true
			return false, nil
		}
		f.at = item.Place
	}
	all = cut.Compare(end) >= 0
	f.at = cut
	return all, nil
}

// sessionKey returns the keyed hash of a session.
func (f *feedSearch) sessionKey(session string) string {
	if session == "" {
		return ""
	}
	key, ok := f.keys[session]
	if !ok {
		key = f.p.erased.SessionKey(session)
		f.keys[session] = key
	}
	return key
}

// feedTable is a kind of rows of the feed.
type feedTable[T any] struct {
	listing[T]
	q *query.Query
}

// readFeed reads the next rows of a kind after f.at, in order. whole reports that the source has no
// more of them; if it is false there is at least one row.
func readFeed[T any](ctx context.Context, f *feedSearch, from feedSource, t feedTable[T]) (rows []T, whole bool, err error) {
	if from.empty[t.table] {
		return nil, true, nil
	}
	room := max(1, f.page.Room()+1) // the one that does not fit shows that there are more
	last, more := from.last, false
	if !from.sorted {
		if last, more, err = f.narrow(ctx, feedStatement(f, from, t, "carried_by"), from.last, room); err != nil {
			return nil, false, err
		}
	}
	if int64(room)*from.largest[t.table] > bareFactor*int64(f.q.MaxBytes) {
		sizes := feedStatement(f, from.upTo(last), t, feedOrder+", "+t.sizeSQL())
		sizes.text += from.order() + limit(room)
		if room, err = f.fitting(ctx, sizes); err != nil {
			return nil, false, err
		}
	}
	q := feedStatement(f, from.upTo(last), t, t.columns)
	q.text += from.order() + limit(room)
	rows, err = queryAll(ctx, f.p.store, q, t.scan)
	return rows, len(rows) < room && !more, err
}

// order renders the order of the first rows, which a sorted source has without a clause: DuckDB then
// stops reading at the limit.
func (s feedSource) order() string {
	if s.sorted {
		return ""
	}
	return " ORDER BY " + feedOrder
}

// narrow returns the last of the frames that hold the first rows of a statement, which selects
// carried_by, so that DuckDB sorts the payloads of few rows only, and whether there may be more.
func (f *feedSearch) narrow(ctx context.Context, q statement, last uint64, room int) (_ uint64, more bool, err error) {
	q.text += " ORDER BY carried_by LIMIT 1 OFFSET " + strconv.Itoa(room-1)
	frames, err := queryAll(ctx, f.p.store, q, scanFrame)
	if err != nil || len(frames) == 0 {
		return last, false, err
	}
	return frames[0], true, nil
}

// sizeSQL renders the approximate size of a row, in bytes.
func (t feedTable[T]) sizeSQL() string {
	payload := "strlen(data)"
	if t.table == rejectionTable {
		payload = "raw_size + strlen(problems)"
	}
	return strconv.Itoa(eventOverhead) + " + " + payload
}

// feedStatement renders the selection of columns of the rows of a kind after f.at.
func feedStatement[T any](f *feedSearch, from feedSource, t feedTable[T], columns string) statement {
	b := newBuilder()
	q := *t.q
	q.Horizon = from.last
	at := f.at
	after := "carried_by >= " + b.Bind(at.CarriedBy) + " AND (carried_by > " + b.Bind(at.CarriedBy) +
		" OR frame > " + b.Bind(at.Position.Frame) + " OR frame = " + b.Bind(at.Position.Frame) + " AND frame_index > " + b.Bind(int64(at.Position.Index)) + ")"
	text := "SELECT " + columns + " FROM " + from.rows(t.table) + where(t.kind, q, b, after)
	st := b.build("feed", text)
	st.on = from.on
	return st
}

// fitting returns how many of the rows of a statement fit on a page, at least 1. The statement selects
// feedOrder and the size, in order.
func (f *feedSearch) fitting(ctx context.Context, q statement) (int, error) {
	sizes, err := queryAll(ctx, f.p.store, q, func(scan scanner) (size int64, err error) {
		var place store.FeedPlace
		err = scan(&place.CarriedBy, &place.Position.Frame, &place.Position.Index, &size)
		return size, err
	})
	if err != nil {
		return 0, err
	}
	fits, left := 0, int64(f.q.MaxBytes)
	for fits < len(sizes) && left > 0 {
		left -= sizes[fits]
		fits++
	}
	return max(1, fits), nil
}

func scanFrame(scan scanner) (frame uint64, err error) {
	err = scan(&frame)
	return frame, err
}

func least(a, b store.FeedPlace) store.FeedPlace {
	if b.Compare(a) < 0 {
		return b
	}
	return a
}
