package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
)

// A list whose rows may be large is read in two steps: first the rows without their payloads, in
// order, then the payloads of the rows that fit on the page, a few at a time. This bounds the
// memory of a page, because DuckDB keeps the whole result of a statement in memory. If all rows are
// small, one statement reads the whole page.

// bareFactor is the maximum size of the result of one statement, in pages.
const bareFactor = 2

// payload is the part of a row that may be large.
type payload[T any] struct {
	columns string // besides frame and frame_index
	scan    func(scanner, *event.Position) (func(*T), error)
	// place returns where to find a row: its id, the time by which it is ordered, and its position.
	place func(*T) (id uuid.UUID, at event.Micros, position event.Position)
	time  string // the column of the time
}

func eventPayload() payload[event.Event] {
	return payload[event.Event]{
		columns: "data",
		time:    "occurred_at",
		place:   func(e *event.Event) (uuid.UUID, event.Micros, event.Position) { return e.ID, e.OccurredAt, e.Position },
		scan: func(scan scanner, at *event.Position) (func(*event.Event), error) {
			var data []byte
			err := scan(&at.Frame, &at.Index, &data)
			return func(e *event.Event) { e.Data = data }, err
		},
	}
}

func (s *Store) rejectionPayload() payload[event.Rejection] {
	return payload[event.Rejection]{
		columns: rejectionPayloadColumns,
		time:    "received_at",
		place: func(r *event.Rejection) (uuid.UUID, event.Micros, event.Position) {
			return r.ID, r.ReceivedAt, r.Position
		},
		scan: func(scan scanner, at *event.Position) (func(*event.Rejection), error) {
			var text sql.RawBytes
			var b storedBody
			if err := scan(&at.Frame, &at.Index, &text, &b.stored, &b.packed, &b.whole, &b.sha256); err != nil {
				return nil, err
			}
			var read event.Rejection
			problems, err := parseProblems(text)
			if err == nil {
				err = s.codec.decompress(b, &read)
			}
			return func(r *event.Rejection) { r.Problems, r.Raw, r.Whole = problems, read.Raw, read.Whole }, err
		},
	}
}

// largest returns the size of the largest payload of a table in memtables and the given segments,
// in bytes.
func (p *pinned) largest(ctx context.Context, table string, refs []segmentRef) (int64, error) {
	var size int64
	for _, mt := range p.tables.memtables {
		size = max(size, mt.largest(table).Load())
	}
	var unknown []string
	for _, ref := range refs {
		if n := ref.largest(table).Load(); n > 0 {
			size = max(size, n)
			continue
		}
		unknown = append(unknown, "SELECT "+strconv.FormatUint(ref.info.ID, 10)+", "+ref.largestSQL(table)+" FROM "+ref.table(table)+" WHERE rowid = 0")
	}
	if unknown == nil {
		return size, nil
	}
	sizes := map[uint64]int64{}
	_, err := queryAll(ctx, p.store, newBuilder().build("sizes", strings.Join(unknown, " UNION ALL ")), func(scan scanner) (none struct{}, err error) {
		var id uint64
		var n int64
		err = scan(&id, &n)
		sizes[id] = n
		return none, err
	})
	if err != nil {
		return 0, err
	}
	for _, ref := range refs {
		if ref.largest(table).Load() == 0 {
			n := max(sizes[ref.info.ID], 1)
			ref.largest(table).Store(n)
			size = max(size, n)
		}
	}
	return size, nil
}

// largestSQL renders the size of the largest payload, according to the statistics of the column,
// which a segment always has.
func (seg *segment) largestSQL(table string) string {
	statistic := func(name, column string) string {
		return fmt.Sprintf("coalesce(TRY_CAST(regexp_extract(stats(%s), '%s: ([0-9]+)', 1) AS BIGINT), %d)", column, name, math.MaxInt32)
	}
	const length = "Max String Length"
	switch {
	case table == eventTable:
		return statistic(length, "data")
	case seg.info.Format == 1:
		return statistic(length, "raw") + " + " + statistic(length, "problems")
	}
	return statistic("Max", "raw_size") + " + " + statistic(length, "problems")
}

// fill reads the payloads of rows and adds the rows to the page, in order, until it is full. It
// reads least rows at first, which fit on a page even if all are as large as the largest, and twice
// as many with each further batch.
func (f *pageSearch[T]) fill(ctx context.Context, refs []segmentRef, rows []T, least int) error {
	for n := least; len(rows) > 0 && !f.page.More; n = min(2*n, bareFactor*least) {
		room := f.page.Room()
		if room == 0 { // the remaining rows are for the next page
			f.page.More = true
			return nil
		}
		batch := rows[:min(n, room, len(rows))]
		if err := f.readPayloads(ctx, refs, batch); err != nil {
			return err
		}
		f.page.AddAll(batch)
		rows = rows[len(batch):]
	}
	return nil
}

// readPayloads sets the payloads of rows.
func (f *pageSearch[T]) readPayloads(ctx context.Context, refs []segmentRef, rows []T) error {
	from := payloads[T]{listing: f.listing, store: f.p.store, hot: f.p.tables.memtables, refs: refs}
	return from.read(ctx, rows)
}

// payloads reads the payloads of rows of a listing.
type payloads[T any] struct {
	listing[T]
	store *Store
	on    *sql.Conn // as in statement
	hot   []*memtable
	file  string // renders further rows, which are in a file; empty for none
	refs  []segmentRef
}

// read sets the payloads of rows.
func (s *payloads[T]) read(ctx context.Context, rows []T) error {
	wanted := make(map[event.Position]*T, len(rows))
	var ids []string
	w := timeRange{math.MaxInt64, math.MinInt64}
	first, last := uint64(math.MaxUint64), uint64(0)
	for i := range rows {
		id, at, position := s.payload.place(&rows[i])
		first, last = min(first, position.Frame), max(last, position.Frame)
		wanted[position] = &rows[i]
		ids = append(ids, quoted(id.String()))
		w = timeRange{min(w.low, int64(at)), max(w.high, int64(at))}
	}
	condition := fmt.Sprintf("%s BETWEEN %d AND %d AND frame BETWEEN %d AND %d AND id IN (%s)", s.payload.time, w.low, w.high, first, last, strings.Join(ids, ", "))
	q := newBuilder().build(s.table, s.statement(w, condition))
	q.on = s.on
	_, err := queryAll(ctx, s.store, q, func(scan scanner) (none struct{}, err error) {
		var at event.Position
		set, err := s.payload.scan(scan, &at)
		if row := wanted[at]; row != nil && err == nil {
			set(row)
			delete(wanted, at)
		}
		return none, err
	})
	if err == nil && len(wanted) > 0 {
		err = fmt.Errorf("read %s: the payloads of %d rows are missing", s.table, len(wanted))
	}
	return err
}

// statement renders the statement that reads the payloads of rows within w. An inner statement
// finds the rows by small columns. Without it, DuckDB would also read the payloads of neighbouring
// rows.
func (s *payloads[T]) statement(w timeRange, condition string) string {
	columns := "SELECT frame, frame_index, " + s.payload.columns + " FROM "
	var selects []string
	find := func(table, all string, more ...string) {
		selects = append(selects, columns+"(SELECT "+all+" FROM "+table+
			" WHERE rowid IN (SELECT rowid FROM "+table+whereAll(append(more, condition))+"))")
	}
	for _, mt := range s.hot {
		find(hotName(s.table, mt.number), columnsOf(s.table))
	}
	if s.file != "" {
		selects = append(selects, columns+s.file+" WHERE "+condition)
	}
	for _, ref := range s.refs {
		if ref.orderTimes(s.kind).overlaps(w.low, w.high) {
			var more []string
			if s.table == eventTable {
				more = ref.conditions()
			}
			find(ref.table(s.table), ref.columnsOf(s.table), more...)
		}
	}
	return strings.Join(selects, " UNION ALL ")
}

func pageBytes(q query.Query) int64 {
	if q.MaxBytes == 0 {
		return query.PageBytes
	}
	return int64(q.MaxBytes)
}
