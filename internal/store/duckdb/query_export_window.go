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

// An export reads time in windows, so that no sort is larger than a window. A window ends with its
// range of times, or after so many events; the next one is made wider or narrower by what was
// found.
const (
	windowRows      = 100_000
	windowFirstRows = 5_000 // until the size of an event is known
	windowMinRows   = 64
	windowBytes     = 48 << 20 // approximate size of the events of a window
	windowGrowth    = 16
)

// The goroutine that reads passes chunks of events to the one that writes.
const (
	chunkEvents = 1000
	chunkBytes  = 1 << 20 // of data
	chunksAhead = 4
)

// Export implements store.Reader. It waits while MaxExports run. When it meets a damaged segment
// before the first call of each, that is quarantined, and the export begins again.
func (s *Store) Export(ctx context.Context, q query.Query, each func(*event.Event) error) error {
	began := time.Now()
	defer func() { s.metrics.queried("export", time.Since(began)) }()
	handed := false
	for {
		err := s.export(ctx, q, func(e *event.Event) error {
			handed = true
			return each(e)
		})
		retry, err := s.recoverExport(ctx, err)
		if !retry || handed {
			return err
		}
	}
}

// recoverExport is recoverFrom for an error of an export. The instance was its own, and is closed.
func (s *Store) recoverExport(ctx context.Context, err error) (retry bool, _ error) {
	if err == nil || ctx.Err() != nil || errors.Is(err, store.ErrExportEnded) {
		return false, err
	}
	p := s.pin() // with all that the export may have read
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
	go func() { // it releases what the export holds, even while each blocks
		defer close(chunks)
		defer leave()
		defer e.close()
		err = e.read(reading, chunks)
		e.whole = err == nil
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
			w.rows, w.width = w.rows/windowGrowth+1, w.width/windowGrowth+1 // the window did not fit into memory
		case err != nil:
			return err
		default:
			w.advance(got)
		}
	}
	return nil
}

// readWindow reads one window. After an error before which nothing was handed over, the window may
// be read again.
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

// statement renders the reading of a window.
func (e *export) statement(w exportWindow, columns string) statement {
	now := w.times()
	q := e.q
	from, end := event.Micros(now.low), event.Micros(now.high+1)
	q.From, q.To, q.After = &from, &end, w.after
	b := newBuilder()
	text := "SELECT " + columns + " FROM " + e.rowsIn(now) + where(query.Events, q, b)
	if behind := query.AfterCondition(query.Events, q, b.Args); behind != "" {
		text += " AND " + behind
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
		one, err := scanEvent(rows.Scan)
		if err != nil {
			return storeError(ctx, "export", err)
		}
		if err := out.add(ctx, one); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return storeError(ctx, "export", err)
	}
	return nil
}

// largeEvent is the size of data, in bytes, above which an export reads events as a list of large
// ones does; see query_payload.go.
const largeEvent = 64 << 10

func (e *export) large() bool { return e.largest > largeEvent }

// readBare reads the events of a window without their data, and then the data, a few events at a
// time.
func (e *export) readBare(ctx context.Context, w exportWindow, out *chunkWriter) error {
	conn, err := e.in.db.Conn(ctx)
	if err != nil {
		return storeError(ctx, "export", err)
	}
	defer conn.Close()
	from := payloads[event.Event]{listing: eventListing(), store: e.store, on: conn, file: e.hot, refs: e.refs}
	statement := e.statement(w, from.bare)
	statement.on = conn
	events, err := queryAll(ctx, e.store, statement, scanEvent)
	if err != nil {
		return err
	}
	least := max(1, int(query.PageBytes/4/e.largest)) // one batch is read while others are sent
	for n := least; len(events) > 0; {
		batch := events[:min(n, len(events))]
		if err := from.read(ctx, batch); err != nil {
			return err
		}
		size := 1
		for _, one := range batch {
			size += len(one.Data)
			if err := out.add(ctx, one); err != nil {
				return err
			}
		}
		events = events[len(batch):]
		n = max(least, min(2*n, bareFactor*least, query.PageBytes/(size/len(batch)+1)))
	}
	return nil
}

// chunkWriter hands events over in chunks.
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
	left       timeRange // what is not read yet
	descending bool
	width      int64 // in microseconds, at most
	rows, most int   // of this window and of any, at most
	after      *query.After
}

// windowResult describes the events of a window.
type windowResult struct {
	rows  int
	bytes int64
	last  query.After
}

// eventOverhead is about what an event takes besides its data, in bytes.
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

// widen sets the width so that the window seldom has more events than rows, when events are so many
// microseconds apart.
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
	case full && w.descending: // the next window begins where this one was cut off
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
