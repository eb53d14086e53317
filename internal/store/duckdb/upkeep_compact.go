package duckdb

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"theeye/internal/durable"
	"theeye/internal/wait"
)

// Compaction merges segments of about the same size that are near each other in time, and splits
// what it writes by time. A row is rewritten each time its segment grows by a factor of mergeFan:
// twice, with flushes of a million rows, until it is in a segment of the largest size.
const (
	mergeFan = 4
	// DefaultMaxSegmentRows bounds a segment.
	DefaultMaxSegmentRows = 16_000_000
	// maxSegmentBytes is the approximate maximum size of a segment that is made from others.
	maxSegmentBytes = 1 << 30
	// rangeMemory is the part of the memory of merges and erasures that the events of a segment
	// that they write may take, when events are large; see maxRows.
	rangeMemory  = 4
	compactTick  = 10 * time.Second
	compactRetry = time.Minute
	quantiles    = 64 // of the times of a merge
)

// compactor runs compactions, one at a time, until ctx is done.
func (s *Store) compactor(ctx context.Context) error {
	tick := time.NewTicker(compactTick)
	defer tick.Stop()
	for {
		err := errors.Join(s.withRecovery(ctx, s.Expire), s.withRecovery(ctx, s.Compact))
		if trimmed := s.feedWindows.trim(ctx); trimmed != nil && ctx.Err() == nil {
			s.log.Error("an unused window of the feed could not be removed; it will be retried", "error", trimmed)
		}
		if errors.Is(err, durable.ErrUncertain) {
			return err
		}
		if ctx.Err() == nil {
			s.upkeepFailure.Record(err)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("segments could not be merged; they stay as they are, and it will be retried", "error", err)
			_ = wait.For(ctx, compactRetry) // the loop looks at ctx
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

// merge performs one merge, and reports whether there was something to merge. It holds
// Store.merging only for that time, so an erasure waits for at most one merge.
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
