package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"
)

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
