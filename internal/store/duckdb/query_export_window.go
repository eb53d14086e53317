package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// An export reads events in windows of time, so that no sort is larger than a window. A window ends
// at the end of its range of times, or after a number of events. The width of the next one depends
// on how many events were found.
const (
	windowRows      = 100_000
	windowFirstRows = 5_000 // until the size of an event is known
	windowMinRows   = 64
	windowBytes     = 48 << 20 // approximate maximum size of the events of a window
	windowGrowth    = 16
)

// One goroutine reads events and passes them in chunks to another, which calls each.
const (
	chunkEvents = 1000
	chunkBytes  = 1 << 20 // of data
	chunksAhead = 4
)

// Export implements store.Reader. It waits while MaxExports run. When it meets a damaged segment,
// it quarantines it; if each has not been called yet, the export begins again.
func (s *Store) Export(ctx context.Context, q query.Query, each func(*event.Event) error) error {
	began := time.Now()
	defer func() { s.metrics.queried("export", time.Since(began)) }()
	called := false
	for {
		err := s.export(ctx, q, func(e *event.Event) error {
			called = true
			return each(e)
		})
		retry, err := s.recoverExport(ctx, err)
		if !retry || called {
			return err
		}
	}
}

// recoverExport is recoverFrom for an error of an export, whose own instance is closed already.
func (s *Store) recoverExport(ctx context.Context, err error) (retry bool, _ error) {
	if err == nil || ctx.Err() != nil || errors.Is(err, store.ErrExportEnded) {
		return false, err
	}
	p := s.pin()
	defer p.release()
	retry, err = s.quarantineSuspects(p, err)
	if retry {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return retry, err
}

func (s *Store) export(ctx context.Context, q query.Query, each func(*event.Event) error) error {
	ctx, leave := s.exports.begin(ctx)
	e, err := s.beginExport(ctx, q)
	if err != nil {
		err = exportError(ctx, err)
		leave()
		return err
	}
	chunks := make(chan []event.Event, chunksAhead)
	reading, cancel := context.WithCancel(ctx)
	defer func() { // also when each panics
		cancel()
		for range chunks {
		}
	}()
	go func() { // releases the resources of the export even while each blocks
		defer close(chunks)
		defer leave()
		defer e.close()
		err = e.read(reading, chunks)
		e.complete = err == nil
		err = exportError(ctx, err)
	}()
	for chunk := range chunks {
		for i := range chunk {
			if ctx.Err() != nil && errors.Is(context.Cause(ctx), store.ErrExportEnded) {
				return store.ErrExportEnded
			}
			if err := each(&chunk[i]); err != nil {
				return err
			}
		}
	}
	return err
}

// read reads everything, window by window.
func (e *export) read(ctx context.Context, to chan<- []event.Event) error {
	w := newExportWindow(e)
	for w.left.low <= w.left.high {
		got, err := e.readWindow(ctx, w, to)
		switch {
		case errors.Is(err, store.ErrUnavailable) && got.rows == 0 && w.rows > windowMinRows:
			w.rows, w.width = w.rows/windowGrowth+1, w.width/windowGrowth+1 // the window did not fit in memory
		case err != nil:
			return err
		default:
			w.advance(got)
		}
	}
	return nil
}

// readWindow reads one window. If it returns an error and no rows, the window may be read again.
func (e *export) readWindow(ctx context.Context, w exportWindow, to chan<- []event.Event) (windowResult, error) {
	out := &chunkWriter{to: to}
	read := e.readWhole
	if e.large() {
		read = e.readBare
	}
	err := read(ctx, w, out)
	if err == nil && len(out.chunk) > 0 {
		err = out.send(ctx)
	}
	return out.got, err
}

// statement returns the statement that reads a window.
func (e *export) statement(w exportWindow, columns string) statement {
	now := w.times()
	q := e.q
	from, end := event.Micros(now.low), event.Micros(now.high+1)
	q.From, q.To, q.After = &from, &end, w.after
	b := newBuilder()
	text := "SELECT " + columns + " FROM " + e.rowsIn(now) + where(query.Events, q, b)
	if after := query.AfterCondition(query.Events, q, b.Args); after != "" {
		text += " AND " + after
	}
	return b.build("export", text+" ORDER BY "+strings.Join(query.Order(query.Events, q.Descending), ", ")+limit(w.rows))
}

// readWhole reads the events of a window with their data.
func (e *export) readWhole(ctx context.Context, w exportWindow, out *chunkWriter) error {
	statement := e.statement(w, eventColumns)
	rows, err := e.in.db.QueryContext(ctx, statement.text, statement.args...)
	if err != nil {
		return storeError(ctx, "export", err)
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scanEvent(rows.Scan)
		if err != nil {
			return storeError(ctx, "export", err)
		}
		if err := out.add(ctx, e); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return storeError(ctx, "export", err)
	}
	return nil
}

// largeEvent is the size of data, in bytes, above which an export reads payloads separately, as
// lists do; see query_payload.go.
const largeEvent = 64 << 10

// large reports whether some events are large.
func (e *export) large() bool { return e.largest > largeEvent }

// readBare reads the events of a window without their data, and then their data, a few events at a
// time.
func (e *export) readBare(ctx context.Context, w exportWindow, out *chunkWriter) error {
	conn, err := e.in.db.Conn(ctx)
	if err != nil {
		return storeError(ctx, "export", err)
	}
	defer conn.Close()
	from := payloads[event.Event]{listing: eventListing(), store: e.store, on: conn, file: e.hot, refs: e.refs}
	statement := e.statement(w, from.columnsWithoutPayload)
	statement.on = conn
	events, err := queryAll(ctx, e.store, statement, scanEvent)
	if err != nil {
		return err
	}
	least := max(1, int(query.PageBytes/4/e.largest)) // a batch is read while others are sent
	for n := least; len(events) > 0; {
		batch := events[:min(n, len(events))]
		if err := from.read(ctx, batch); err != nil {
			return err
		}
		size := 1
		for _, e := range batch {
			size += len(e.Data)
			if err := out.add(ctx, e); err != nil {
				return err
			}
		}
		events = events[len(batch):]
		n = max(least, min(2*n, bareFactor*least, query.PageBytes/(size/len(batch)+1)))
	}
	return nil
}

// chunkWriter sends events in chunks.
type chunkWriter struct {
	to    chan<- []event.Event
	chunk []event.Event
	size  int // of the chunk's data, in bytes
	got   windowResult
}

func (w *chunkWriter) add(ctx context.Context, e event.Event) error {
	w.chunk = append(w.chunk, e)
	w.size += len(e.Data)
	w.got.add(&e)
	if len(w.chunk) == chunkEvents || w.size >= chunkBytes {
		return w.send(ctx)
	}
	return nil
}

func (w *chunkWriter) send(ctx context.Context) error {
	select {
	case w.to <- w.chunk:
		w.chunk, w.size = nil, 0
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exportWindow is the next part of an export to be read.
type exportWindow struct {
	left       timeRange // not read yet
	descending bool
	width      int64 // maximum, in microseconds
	rows, most int   // maximum number of events, of this window and of any window
	after      *query.After
}

// windowResult describes the events of a window.
type windowResult struct {
	rows  int
	bytes int64
	last  query.After
}

// eventOverhead is the approximate size of an event without its data, in bytes.
const eventOverhead = 400

func (r *windowResult) add(e *event.Event) {
	r.rows++
	r.bytes += int64(len(e.Data)) + eventOverhead
	r.last = query.AfterEvent(e)
}

// newExportWindow returns the first window of an export.
func newExportWindow(e *export) exportWindow {
	first := min(e.most, windowFirstRows)
	if !e.large() {
		first = min(first, max(windowMinRows, int(windowBytes/(e.largest+eventOverhead))))
	}
	w := exportWindow{left: e.all, descending: e.q.Descending, most: e.most, rows: first, width: 1}
	if e.all.low <= e.all.high {
		w.widen(float64(e.all.high-e.all.low+1) / float64(max(e.rows, 1)))
	}
	return w
}

// widen sets the width for a mean distance between events, in microseconds, so that the window
// rarely contains more than rows events.
func (w *exportWindow) widen(distance float64) {
	const most = 1 << 60
	w.width = int64(max(1, min(most, 0.8*distance*float64(w.rows))))
}

// times returns the window's range.
func (w *exportWindow) times() timeRange {
	if w.descending {
		return timeRange{w.left.high - min(w.width-1, w.left.high-w.left.low), w.left.high}
	}
	return timeRange{w.left.low, w.left.low + min(w.width-1, w.left.high-w.left.low)}
}

// advance moves to the next window.
func (w *exportWindow) advance(got windowResult) {
	seen := w.times()
	full := got.rows == w.rows
	at := int64(got.last.Key.OccurredAt)
	switch {
	case full && w.descending: // the next window begins after the last event of this one
		seen.low, w.left.high, w.after = at, at, &got.last
	case full:
		seen.high, w.left.low, w.after = at, at, &got.last
	case w.descending:
		w.left.high, w.after = seen.low-1, nil
	default:
		w.left.low, w.after = seen.high+1, nil
	}
	if got.rows == 0 {
		w.width = min(w.width, 1<<56) * windowGrowth
		return
	}
	before := w.width
	w.rows = int(min(int64(w.most), max(windowMinRows, windowBytes/(got.bytes/int64(got.rows)))))
	w.widen(float64(seen.high-seen.low+1) / float64(got.rows))
	if !full {
		w.width = min(w.width, min(before, 1<<56)*windowGrowth)
	}
}
