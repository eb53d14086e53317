package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// source renders the rows of a table.
type source func(table string) string

// rowsOf returns the source of all rows of some segments.
func rowsOf(inputs []*segment) source {
	refs := refsTo(inputs)
	return func(table string) string { return union(table, nil, refs) }
}

// rewrite writes the rows of a source, which come from the inputs, into new segments, which replace
// the inputs; account notes in the manifest the fates of the rows that are not among them. merging
// is held, and a pinned version holds the inputs.
//
// If the rows of a single input do not fit in memory, they are divided into several segments. A
// merge fails instead, because its results would be merged again.
func (s *Store) rewrite(ctx context.Context, inputs []*segment, rows source, account func(m *Manifest, made []SegmentInfo)) (failed error) {
	began := time.Now()
	bg, err := s.merger.begin(ctx, inputs)
	if err != nil {
		return &backgroundError{err}
	}
	defer func() {
		if err := s.merger.end(inputs, failed != nil); err != nil {
			s.log.Error("the instance of a compaction could not be released", "error", err)
		}
	}()
	ranges, err := s.plan(ctx, bg, inputs, rows)
	if err != nil {
		return &backgroundError{err}
	}
	sizes, err := blockSizes(ctx, bg, inputs)
	if err != nil {
		return &backgroundError{err}
	}
	level := 0
	for _, seg := range inputs {
		level = max(level, seg.info.Level+1)
	}
	var made []SegmentInfo
	for len(ranges) > 0 {
		r := ranges[0]
		info, err := s.writeSegment(ctx, bg, segmentSpec{
			id: s.reserveID(), level: level, bounds: r.bounds, block: blockSize(r.rows, sizes),
			rows: func(table string) string { return r.selectFrom(table, rows) },
		})
		if isOutOfMemory(err) && len(inputs) == 1 && ctx.Err() == nil {
			in, halves, failed := s.divide(ctx, inputs, r, rows)
			if halves != nil {
				bg, ranges = in, append(halves, ranges[1:]...)
				continue
			}
			err = errors.Join(err, failed)
		}
		if err != nil {
			s.unlinkAll(made)
			return &backgroundError{err}
		}
		ranges = ranges[1:]
		if info.Rows == (RowCounts{}) { // there may be nothing between two quantiles
			s.unlink(info)
			continue
		}
		made = append(made, info)
	}
	if err := s.replaceSegments(ctx, inputs, made, account); err != nil {
		return err
	}
	s.metrics.merged(made, time.Since(began))
	return nil
}

// divide divides a range that could not be written. It returns another instance to continue with,
// because the state of an instance that ran out of memory is not known. halves is nil if the range
// cannot be divided.
func (s *Store) divide(ctx context.Context, inputs []*segment, r outputRange, rows source) (bg *instance, halves []outputRange, err error) {
	if err := s.merger.end(inputs, true); err != nil {
		return nil, nil, err
	}
	if bg, err = s.merger.begin(ctx, inputs); err != nil {
		return nil, nil, err
	}
	if halves, err = r.halve(ctx, bg, rows); err != nil || halves == nil {
		return nil, nil, err
	}
	for i := range halves {
		half := &halves[i]
		if half.bounds, err = s.sliceBounds(ctx, bg, half.selectFrom(eventTable, rows), half.rows); err != nil {
			return nil, nil, err
		}
	}
	s.log.Info("rows of a segment do not fit into memory together; they are written in two", "segment", namesOf(inputs), "rows", r.rows)
	return bg, halves, nil
}

func namesOf(list []*segment) string {
	names := make([]string, len(list))
	for i, seg := range list {
		names[i] = seg.info.Data.Name
	}
	return strings.Join(names, " ")
}

// backgroundError marks an error of a background instance; it never makes the reading instance
// reopen.
type backgroundError struct{ err error }

func (e *backgroundError) Error() string { return e.err.Error() }

func (e *backgroundError) Unwrap() error { return e.err }

// replaceSegments replaces segments by others, in the manifest and for readers.
func (s *Store) replaceSegments(ctx context.Context, out []*segment, in []SegmentInfo, account func(*Manifest, []SegmentInfo)) error {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	asked := len(out)
	out = s.currentSegments(out)
	var opened []*segment
	giveBack := func(err error) error {
		for _, seg := range opened {
			s.closeSegment(seg)
		}
		s.unlinkAll(in)
		return err
	}
	for _, info := range in {
		seg, err := s.openSegment(ctx, info)
		if err != nil {
			return giveBack(err)
		}
		opened = append(opened, seg)
	}
	m := *s.current().manifest
	known := len(m.Segments)
	m.Segments = slices.DeleteFunc(slices.Clone(m.Segments), func(info SegmentInfo) bool {
		return slices.ContainsFunc(out, func(seg *segment) bool { return seg.info.ID == info.ID })
	})
	if known-len(m.Segments) != asked {
		return giveBack(errors.New("a segment that was merged no longer exists"))
	}
	m.Segments = append(m.Segments, in...)
	m.Obsolete = slices.Clone(m.Obsolete)
	for _, seg := range out {
		m.Obsolete = append(m.Obsolete, seg.info.Data.Name, seg.info.Filter.Name)
	}
	account(&m, in)
	if err := s.commit(&m, opened...); err != nil {
		return err
	}
	s.install(func(next *storeVersion) {
		for _, seg := range out {
			seg.deleteOnRelease = true
		}
		next.tables = &tableSet{memtables: next.tables.memtables, segments: next.tables.withReplaced(out, opened)}
		next.manifest = &m
	})
	return nil
}

// currentSegments returns the segments of the current version with the ids of others, which a
// reopening may have replaced.
func (s *Store) currentSegments(list []*segment) []*segment {
	p := s.pin()
	defer p.release()
	return slices.DeleteFunc(slices.Clone(p.tables.segments), func(seg *segment) bool {
		return !slices.ContainsFunc(list, func(y *segment) bool { return seg.info.ID == y.info.ID })
	})
}

func (s *Store) unlinkAll(list []SegmentInfo) {
	for _, info := range list {
		s.unlink(info)
	}
}

const (
	sliceRows = 1_000_000 // of a slice, approximately
	maxSlices = 200
)

// sliceBounds returns the times at which slices of about sliceRows rows begin.
func (s *Store) sliceBounds(ctx context.Context, in *instance, times string, rows int64) ([]int64, error) {
	n := min(rows/sliceRows, maxSlices)
	if n < 2 {
		return nil, nil
	}
	text := fmt.Sprintf("SELECT DISTINCT unnest(quantile_disc(occurred_at, list_transform(range(1, %d), lambda i: i / %d))) AS b FROM (%s) ORDER BY b", n, n, times)
	var bounds []int64
	err := eachRow(ctx, in, text, func(rows *sql.Rows) error {
		var b int64
		err := rows.Scan(&b)
		bounds = append(bounds, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find slices: %w", err)
	}
	return bounds, nil
}
