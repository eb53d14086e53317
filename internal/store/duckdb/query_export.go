package duckdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"theeye/internal/query"
)

const (
	// exportMemory is the maximum memory of an export, in bytes. The limit of other background work
	// applies as well.
	exportMemory = 512 << 20
	// hotChunkBytes is the approximate size of a chunk of large hot events, in bytes.
	hotChunkBytes = 2 << 20
	// exportConns: one for the running statement, one for a statement that is being cancelled.
	exportConns = 2
)

// export reads what a query selects. It has an instance of its own, so that it neither takes memory
// from other queries nor blocks them ([ADR 7]). The segments are attached to that instance, and hot
// rows are copied to a file when the export begins. From then on it depends on nothing that
// changes.
//
// [ADR 7]: docs/adr/0007-exports-go-through-time-in-windows.md
type export struct {
	store      *Store
	in         *instance
	background *background // to which in belongs; nil for a store without a folder
	q          query.Query
	hot        string // renders the hot rows
	times      Bounds // of the hot rows
	refs       []segmentRef
	rows       int64     // maximum number of events
	most       int       // maximum number of events in a window
	largest    int64     // size of the largest data, in bytes
	all        timeRange // the times of all events
	dir        string    // folder for its files; empty for a store without a folder
	complete   bool      // everything was read
	finish     func()    // releases shared resources
}

// segments returns the segments that are attached.
func (e *export) segments() []*segment {
	list := make([]*segment, len(e.refs))
	for i, ref := range e.refs {
		list[i] = ref.segment
	}
	return list
}

func (s *Store) exportDir() string { return filepath.Join(s.opts.Dir, "export") }

// beginExport waits while MaxExports run, and begins an export of what is written when it returns.
// The caller must close the export.
func (s *Store) beginExport(ctx context.Context, q query.Query) (_ *export, err error) {
	e := &export{store: s, most: windowRows, finish: func() {}}
	if s.persistent() {
		select {
		case e.background = <-s.exporters:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p, q := s.pinFor(q)
	q.After = nil
	e.q, e.refs = q, p.prune(query.Events, q, timeRangeOf(q))
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if e.largest, err = p.largest(ctx, eventTable, e.refs); err != nil {
		p.release()
		return nil, err
	}
	if e.large() {
		e.most = windowFirstRows
	}
	if !s.persistent() { // everything is in memory until p is released
		e.in, e.finish = s.reading, p.release
		return e, e.measure(ctx, union(eventTable, p.tables.memtables, nil))
	}
	defer p.release()
	if e.dir, err = os.MkdirTemp(s.exportDir(), "export-"); err != nil {
		return nil, fmt.Errorf("create an export's folder: %w", err)
	}
	if e.in, err = e.background.begin(ctx, e.segments()); err != nil {
		return nil, storeError(ctx, "begin an export", err)
	}
	return e, e.copyHot(ctx, p.tables.memtables)
}

// close releases everything.
func (e *export) close() {
	e.finish()
	if e.background == nil {
		return
	}
	err := e.background.end(e.segments(), !e.complete)
	if e.dir != "" {
		err = errors.Join(err, os.RemoveAll(e.dir))
	}
	if err != nil {
		e.store.log.Error("the resources of an export could not be released", "error", err)
	}
	e.store.exporters <- e.background
}

// copyHot writes the selected hot rows to files. Large rows are written in chunks, because DuckDB
// needs as much memory as a chunk to write and read it.
func (e *export) copyHot(ctx context.Context, memtables []*memtable) error {
	var paths []string
	write := func(rows string) error {
		path := filepath.Join(e.dir, fmt.Sprintf("hot-%d.parquet", len(paths)))
		paths = append(paths, quoted(path))
		b := newBuilder()
		text := "SELECT " + eventColumns + " FROM " + rows + where(query.Events, e.q, b)
		return e.store.copyTo(ctx, e.store.reading, path, b.build("export", text))
	}
	if !e.large() {
		if err := write(union(eventTable, memtables, nil)); err != nil {
			return err
		}
	}
	for _, mt := range memtables {
		if !e.large() {
			break
		}
		table := hotName(eventTable, mt.number)
		chunks, err := queryAll(ctx, e.store, newBuilder().build("export", fmt.Sprintf(
			"SELECT min(r), max(r) FROM (SELECT rowid AS r, sum(strlen(data) + %d) OVER (ORDER BY rowid) // %d AS piece FROM %s) GROUP BY piece ORDER BY piece",
			eventOverhead, hotChunkBytes, table)), func(scan scanner) (rows timeRange, err error) {
			err = scan(&rows.low, &rows.high)
			return rows, err
		})
		if err != nil {
			return err
		}
		for _, rows := range append(chunks, timeRange{1, 0}) { // the last one is empty, so that there is at least one file
			if err := write(fmt.Sprintf("(SELECT %s FROM %s WHERE rowid BETWEEN %d AND %d)", eventColumns, table, rows.low, rows.high)); err != nil {
				return err
			}
		}
	}
	// A view, so that the paths are written once.
	if err := e.in.exec(ctx, "CREATE OR REPLACE VIEW hot_rows AS FROM read_parquet(["+strings.Join(paths, ", ")+"])"); err != nil {
		return storeError(ctx, "export", err)
	}
	return e.measure(ctx, "hot_rows")
}

// measure determines the maximum number of events, and the range of their times.
func (e *export) measure(ctx context.Context, hot string) error {
	e.hot = hot
	text := strings.Join([]string{"SELECT count(*), min(occurred_at), max(occurred_at) FROM", hot}, " ")
	if err := e.in.db.QueryRowContext(ctx, text).Scan(&e.rows, &e.times.Min, &e.times.Max); err != nil {
		return storeError(ctx, "measure hot rows", err)
	}
	e.all = timeRange{math.MaxInt64, math.MinInt64}
	add := func(times Bounds) {
		if !times.empty() {
			e.all = timeRange{min(e.all.low, *times.Min), max(e.all.high, *times.Max)}
		}
	}
	add(e.times)
	for _, ref := range e.refs {
		add(ref.info.Occurred)
		e.rows += ref.info.Rows.Events
	}
	selected := timeRangeOf(e.q)
	e.all = timeRange{max(e.all.low, selected.low), min(e.all.high, selected.high)}
	return nil
}

// rowsIn renders rows that include all those within a range.
func (e *export) rowsIn(w timeRange) string {
	var refs []segmentRef
	for _, ref := range e.refs {
		if ref.info.Occurred.overlaps(w.low, w.high) {
			refs = append(refs, ref)
		}
	}
	switch {
	case refs == nil:
		return e.hot
	case e.times.overlaps(w.low, w.high):
		return "(SELECT " + eventColumns + " FROM " + e.hot + " UNION ALL " + union(eventTable, nil, refs)[1:]
	}
	return union(eventTable, nil, refs)
}
