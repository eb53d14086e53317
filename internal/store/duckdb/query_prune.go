package duckdb

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"theeye/internal/query"
	"theeye/internal/store/duckdb/filter"
)

// segmentRef refers to a segment that may contain what a query selects, or to some of its slices.
type segmentRef struct {
	*segment
	slices []int // of events and sessions; nil for all
}

// refsTo returns references to all slices of some segments.
func refsTo(segments []*segment) []segmentRef {
	refs := make([]segmentRef, len(segments))
	for i, seg := range segments {
		refs[i] = segmentRef{segment: seg}
	}
	return refs
}

// anySegment is the condition of a query that reads all segments.
func anySegment(*segment) bool { return true }

// rowsWhere renders the rows of a table in memtables and in the segments for which may is true.
func (p *pinned) rowsWhere(table string, may func(*segment) bool) string {
	var refs []segmentRef
	for _, seg := range p.tables.segments {
		if may(seg) {
			refs = append(refs, segmentRef{segment: seg})
		}
	}
	return p.rows(table, refs)
}

// rows renders the rows of a table in memtables and in the given segments.
func (p *pinned) rows(table string, refs []segmentRef) string {
	return union(table, p.tables.memtables, refs)
}

func union(table string, memtables []*memtable, refs []segmentRef) string {
	columns := columnsOf(table)
	var selects []string
	for _, mt := range memtables {
		selects = append(selects, "SELECT "+columns+" FROM "+hotName(table, mt.number))
	}
	for _, ref := range refs {
		text := "SELECT " + ref.columnsOf(table) + " FROM " + ref.table(table)
		if table == eventTable {
			text += whereAll(ref.conditions())
		}
		selects = append(selects, text)
	}
	return "(" + strings.Join(selects, " UNION ALL ") + ")"
}

// timeRange is a range of times in microseconds, including both ends.
type timeRange struct{ low, high int64 }

// timeRangeOf returns the range of times of the rows that a query may return: within its bounds,
// and not before the place from which it continues.
func timeRangeOf(q query.Query) timeRange {
	w := timeRange{math.MinInt64, math.MaxInt64}
	if q.From != nil {
		w.low = int64(*q.From)
	}
	if q.To != nil {
		w.high = int64(*q.To) - 1
	}
	if q.After != nil {
		at := int64(q.After.Key.OccurredAt)
		if q.Descending {
			w.high = min(w.high, at)
		} else {
			w.low = max(w.low, at)
		}
	}
	return w
}

// orderTimes returns the bounds of the times by which rows of a kind are ordered.
func (seg *segment) orderTimes(kind query.Kind) Bounds {
	if kind == query.Rejections {
		return seg.info.Received
	}
	return seg.info.Occurred
}

// prune returns the segments that may contain rows that q selects within w.
func (p *pinned) prune(kind query.Kind, q query.Query, w timeRange) []segmentRef {
	sessions := make([]uint64, len(q.SessionIDs))
	for i, session := range q.SessionIDs {
		sessions[i] = filter.SessionKey(session)
	}
	var refs []segmentRef
	for _, seg := range p.tables.segments {
		if !seg.orderTimes(kind).overlaps(w.low, w.high) || uint64(*seg.info.Carried.Min) > q.Horizon || !seg.hasApp(q.Apps) {
			continue
		}
		found, may := segmentRef{segment: seg}, true
		narrow := func(hits []int, others, inEvents bool) {
			if kind == query.Rejections { // arrivals, which may be in any table
				may = may && (others || inEvents && len(hits) > 0)
				return
			}
			if found.slices != nil {
				hits = slices.DeleteFunc(hits, func(i int) bool { return !slices.Contains(found.slices, i) })
			}
			found.slices = hits
			may = may && len(hits) > 0
		}
		if q.SessionIDs != nil {
			hits, others := seg.slicesOfSessions(sessions)
			narrow(hits, others, true)
		}
		ids := q.IDs
		if kind == query.Rejections {
			ids = q.EventIDs
		}
		if ids != nil {
			hits, others := seg.slicesOfIDs(q.Apps, ids...)
			narrow(hits, others, false)
		}
		if may {
			refs = append(refs, found)
		}
	}
	return refs
}

// hasApp reports whether a segment has rows of any of the applications, nil for all.
func (seg *segment) hasApp(apps []string) bool {
	return apps == nil || slices.ContainsFunc(apps, func(app string) bool { _, ok := seg.info.Apps[app]; return ok })
}

// conditions returns the conditions that a row is in one of the slices.
func (ref segmentRef) conditions() []string {
	if ref.slices == nil {
		return nil
	}
	return []string{sliceIn(ref.slices)}
}

// sortByTime sorts segments in the direction of a list, by the first row that each may have.
func sortByTime(refs []segmentRef, kind query.Kind, descending bool) {
	slices.SortStableFunc(refs, func(a, b segmentRef) int {
		if descending {
			return cmp.Compare(*b.orderTimes(kind).Max, *a.orderTimes(kind).Max)
		}
		return cmp.Compare(*a.orderTimes(kind).Min, *b.orderTimes(kind).Min)
	})
}
