package duckdb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"theeye/internal/durable"
)

// Compaction merges segments of about the same size that are near each other in time, and splits
// what it writes by time (S3). A row is rewritten each time its segment grows by a factor of
// mergeFan: twice, with flushes of a million rows, until it is in a segment of the largest size.
const (
	mergeFan = 4
	// DefaultMaxSegmentRows bounds a segment.
	DefaultMaxSegmentRows = 16_000_000
	// maxSegmentBytes is an approximate bound of a segment that is made of others, in bytes.
	maxSegmentBytes = 1 << 30
	// rangeMemory is the part of the memory of merges and erasures that the events of a segment
	// that they write may take, when events are large; see maxRows.
	rangeMemory  = 4
	compactTick  = 10 * time.Second
	compactRetry = time.Minute
	quantiles    = 64 // of the times of a merge
)

// compactor runs compactions, one at a time, until ctx ends.
func (s *Store) compactor(ctx context.Context) error {
	tick := time.NewTicker(compactTick)
	defer tick.Stop()
	for {
		err := errors.Join(s.withRecovery(ctx, s.Expire), s.withRecovery(ctx, s.Compact))
		if errors.Is(err, durable.ErrUncertain) {
			return err
		}
		if ctx.Err() == nil {
			s.upkeepFailure.Record(err)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("segments could not be merged; they stay as they are, and it is tried again", "error", err)
			pause(ctx, compactRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Compact merges until there is nothing to merge. Writing, flushing and reading go on meanwhile.
func (s *Store) Compact(ctx context.Context) error {
	if !s.persistent() {
		return nil
	}
	for ctx.Err() == nil {
		if merged, err := s.merge(ctx); !merged || err != nil {
			return err
		}
	}
	return ctx.Err()
}

// merge makes one merge, and reports whether there was something to merge. It releases merging
// after each, so that an erasure waits for one merge only.
func (s *Store) merge(ctx context.Context) (merged bool, err error) {
	s.merging.Lock()
	defer s.merging.Unlock()
	p := s.pin()
	defer p.release()
	inputs := s.pick(p.tables.segments)
	if len(inputs) == 0 {
		return false, nil
	}
	if err := s.step("before merge"); err != nil {
		return true, err
	}
	err = s.rewrite(ctx, inputs, rowsOf(inputs), func(*Manifest, []SegmentInfo) {})
	if isOutOfMemory(err) && ctx.Err() == nil {
		s.log.Warn("segments do not fit into memory together and stay as they are until the next start; "+
			"with more memory (--store-memory) they can be merged", "segments", namesOf(inputs), "error", firstLine(err))
		for _, seg := range inputs {
			s.unmerged[seg.info.ID] = true
		}
		return true, nil
	}
	return true, err
}

// pick chooses mergeFan segments of one size class, the smallest class first, that are nearest to
// each other in time.
func (s *Store) pick(segments []*segment) []*segment {
	classes := map[int][]*segment{}
	for _, seg := range segments {
		if class, ok := s.sizeClass(seg.info); ok && !s.unmerged[seg.info.ID] {
			classes[class] = append(classes[class], seg)
		}
	}
	for class := minClass; class < math.MaxInt8; class++ {
		if list := classes[class]; len(list) >= mergeFan {
			return nearest(list)
		}
	}
	return nil
}

const minClass = -4

// sizeClass returns the size of a segment as a power of mergeFan of half a flush. ok is false when
// it has the largest size already.
func (s *Store) sizeClass(info SegmentInfo) (class int, ok bool) {
	rows := info.Rows.Events + info.Rows.Rejections + info.Rows.Traces
	if rows > s.maxRows(info)/mergeFan*3 {
		return 0, false
	}
	size := float64(max(rows, 1)) / (float64(s.opts.FlushRows) / 2)
	return max(int(math.Floor(math.Log(size)/math.Log(mergeFan))), minClass), true
}

// maxRows returns how many rows a segment that is made of others may have: as many as are in
// maxSegmentBytes, at most MaxSegmentRows. DuckDB reads and writes vectors of vectorRows rows, and
// holds all the text of one in memory, whatever it spills. Where such a vector would not fit, a
// segment has only as many rows as do. The size of a row is estimated from the files; where that is
// misleading, rewrite divides further.
func (s *Store) maxRows(inputs ...SegmentInfo) int64 {
	var bytes, rows int64
	for _, info := range inputs {
		bytes += info.Data.Bytes
		rows += info.Rows.Events + info.Rows.Rejections + info.Rows.Traces
	}
	budget := s.merger.limits.memory / rangeMemory
	size := max(1, bytes/max(rows, 1))
	most := min(s.opts.MaxSegmentRows, maxSegmentBytes/size)
	if size*vectorRows > budget {
		most = min(most, budget/size)
	}
	return max(1, most)
}

// vectorRows is how many rows DuckDB reads and writes at once.
const vectorRows = 2048

// nearest returns the mergeFan segments of a list that span the least time. Those without events
// count by their time of receipt.
func nearest(list []*segment) []*segment {
	times := func(seg *segment) Bounds {
		if seg.info.Occurred.empty() {
			return seg.info.Received
		}
		return seg.info.Occurred
	}
	slices.SortFunc(list, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(*times(a).Min, *times(b).Min), cmp.Compare(a.info.ID, b.info.ID))
	})
	best, least := 0, int64(math.MaxInt64)
	for i := 0; i+mergeFan <= len(list); i++ {
		last := int64(math.MinInt64)
		for _, seg := range list[i : i+mergeFan] {
			last = max(last, *times(seg).Max)
		}
		if width := last - *times(list[i]).Min; width < least {
			best, least = i, width
		}
	}
	return list[best : best+mergeFan]
}

// source renders the rows of a table.
type source func(table string) string

// rowsOf returns the source of all rows of some segments.
func rowsOf(inputs []*segment) source {
	refs := make([]segmentRef, len(inputs))
	for i, seg := range inputs {
		refs[i] = segmentRef{segment: seg}
	}
	return func(table string) string { return union(table, nil, refs) }
}

// rewrite writes the rows of a source, which come from the inputs, into new segments, which replace
// the inputs; account notes in the manifest the fates of the rows that are not among them. merging
// is held, and a pinned version holds the inputs.
//
// Where memory does not suffice for what comes from a single input, that is divided into several
// segments. A merge fails instead: its result would be merged again.
func (s *Store) rewrite(ctx context.Context, inputs []*segment, rows source, account func(m *Manifest, made []SegmentInfo)) (failed error) {
	began := time.Now()
	bg, err := s.merger.begin(ctx, inputs)
	if err != nil {
		return &backgroundError{err}
	}
	defer func() {
		if err := s.merger.end(inputs, failed != nil); err != nil {
			s.log.Error("the instance of a compaction was not given back", "error", err)
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

// divide divides a range that could not be written. It returns the instance in which to go on,
// because the state of one that ran out of memory is not known. There are no halves when the range
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

// outputRange is what becomes one segment of a merge: the events of a range of times, and in one of
// the ranges all rejections and residues. A range that was divided has the rows of some frames
// only.
type outputRange struct {
	from, to int64 // of occurred_at, to exclusive
	rows     int64 // approximately
	bounds   []int64
	others   bool
	frames   *frameRange // nil for all
}

// frameRange is the frames from first to last, both included.
type frameRange struct{ first, last uint64 }

// selectFrom renders the rows of a table that a range takes from a source.
func (r outputRange) selectFrom(table string, rows source) string {
	var conditions []string
	switch {
	case table == eventTable:
		conditions = append(conditions, "occurred_at >= "+strconv.FormatInt(r.from, 10), "occurred_at < "+strconv.FormatInt(r.to, 10))
	case !r.others:
		conditions = append(conditions, "FALSE")
	}
	if r.frames != nil { // DuckDB reads the text of these rows alone
		conditions = append(conditions, "frame >= "+strconv.FormatUint(r.frames.first, 10), "frame <= "+strconv.FormatUint(r.frames.last, 10))
	}
	return "SELECT " + columnsOf(table) + " FROM " + rows(table) + whereAll(conditions)
}

// halve divides a range into two with about as many rows each; nil when all of its rows are of one
// frame.
func (r outputRange) halve(ctx context.Context, in *instance, rows source) ([]outputRange, error) {
	var selects []string
	for _, table := range dataTables() {
		selects = append(selects, "SELECT frame FROM ("+r.selectFrom(table, rows)+")")
	}
	var first, last, middle sql.Null[uint64]
	var n int64
	text := "SELECT min(frame), max(frame), quantile_disc(frame, 0.5), count(*) FROM (" + strings.Join(selects, " UNION ALL ") + ")"
	if err := in.db.QueryRowContext(ctx, text).Scan(&first, &last, &middle, &n); err != nil {
		return nil, fmt.Errorf("find frames: %w", err)
	}
	if first.V == last.V {
		return nil, nil
	}
	r.rows = n / 2
	end := min(middle.V, last.V-1)
	low, high := r, r
	low.frames, high.frames = &frameRange{first.V, end}, &frameRange{end + 1, last.V}
	return []outputRange{low, high}, nil
}

// plan divides the times of a merge into ranges, none of which is too large. The few events that
// are far from the others, as late ones are, get ranges of their own, and later merge with others
// of their time.
func (s *Store) plan(ctx context.Context, bg *instance, inputs []*segment, rows source) ([]outputRange, error) {
	times, total, err := timesOf(ctx, bg, rows(eventTable))
	if err != nil {
		return nil, err
	}
	if total == 0 {
		return []outputRange{{from: math.MinInt64, to: math.MaxInt64, others: true}}, nil
	}
	infos := make([]SegmentInfo, len(inputs))
	for i, seg := range inputs {
		infos[i] = seg.info
	}
	ranges := splitTimes(times, total, s.maxRows(infos...))
	for i := range ranges {
		r := &ranges[i]
		if r.bounds, err = s.sliceBounds(ctx, bg, r.selectFrom(eventTable, rows), r.rows); err != nil {
			return nil, err
		}
	}
	return ranges, nil
}

// timesOf reads the minimum, the quantiles and the maximum of the times of events, and their
// number.
func timesOf(ctx context.Context, in *instance, events string) (times []int64, total int64, err error) {
	text := fmt.Sprintf("SELECT unnest(quantile_disc(occurred_at, list_transform(range(0, %d), lambda i: i / %d))) AS t, count(*) FROM %s ORDER BY t",
		quantiles+1, quantiles, events)
	err = eachRow(ctx, in, text, func(rows *sql.Rows) error {
		var t sql.NullInt64
		err := rows.Scan(&t, &total)
		times = append(times, t.Int64)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("find times: %w", err)
	}
	return times, total, nil
}

// splitTimes divides events into ranges by the minimum, the quantiles and the maximum of their
// times.
func splitTimes(times []int64, total, largest int64) []outputRange {
	last := len(times) - 1
	core := outputRange{from: math.MinInt64, to: math.MaxInt64, rows: total}
	low, high := times[1], times[last-1]
	var ranges []outputRange
	// Far is more than the width of the middle away from it.
	if width := max(high-low, 1); times[last]-times[0] > farWidths*width {
		few := total / quantiles
		if times[0] < low-width {
			core.from = low - width
			ranges = append(ranges, outputRange{from: math.MinInt64, to: core.from, rows: few})
		}
		if times[last] > high+width {
			core.to = high + width
			ranges = append(ranges, outputRange{from: core.to, to: math.MaxInt64, rows: few})
		}
	}
	n := int((total + largest - 1) / largest)
	at := core.from
	for i := 1; i <= n; i++ {
		to := core.to
		if i < n {
			to = times[i*last/n]
		}
		if to <= at { // more events at one time than a segment may have
			continue
		}
		ranges = append(ranges, outputRange{from: at, to: to, rows: total / int64(n), others: i == n})
		at = to
	}
	ranges[len(ranges)-1].to, ranges[len(ranges)-1].others = core.to, true
	return ranges
}

const farWidths = 8

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
		return giveBack(errors.New("a segment that was merged is not there any more"))
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
