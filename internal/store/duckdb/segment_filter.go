package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"theeye/internal/store/duckdb/filter"
)

// sessionKeySQL renders filter.SessionKey of the column session_id.
const sessionKeySQL = "md5_number_lower(session_id)"

// filterSegment reads the keys of a segment's tables and returns the content of its file of
// filters.
func filterSegment(ctx context.Context, in *instance, name string, info *SegmentInfo) ([]byte, error) {
	r := keyReader{in, filter.NewBuilder(info.Slices, info.Rows.Events+info.Rows.Rejections+info.Rows.Traces)}
	for i := range info.Slices {
		rows := func(table string) string { return fmt.Sprintf(" FROM %s.%s WHERE slice = %d", name, table, i) }
		if err := r.addSlice(ctx, "SELECT id"+rows(eventTable), "SELECT DISTINCT "+sessionKeySQL+rows(sessionTable)); err != nil {
			return nil, err
		}
	}
	const columns = "SELECT event_id, session_id FROM "
	others := " FROM (" + columns + name + "." + rejectionTable + " UNION ALL " + columns + name + "." + residueTable + ")"
	if err := r.addSlice(ctx, "SELECT event_id"+others, "SELECT DISTINCT "+sessionKeySQL+others); err != nil {
		return nil, err
	}
	return r.builder.Encode()
}

// keyReader reads the keys of filters from an instance.
type keyReader struct {
	in      *instance
	builder *filter.Builder
}

// addSlice adds the filters of a slice, or of rejections and residues: of the ids and of the keys
// of sessions that two statements select.
func (r keyReader) addSlice(ctx context.Context, ids, sessions string) error {
	err := eachRow(ctx, r.in, ids, func(rows *sql.Rows) error {
		var id uuid.UUID
		err := rows.Scan(&id)
		r.builder.AddID(id)
		return err
	})
	if err != nil {
		return err
	}
	err = eachRow(ctx, r.in, sessions, func(rows *sql.Rows) error {
		var key uint64
		err := rows.Scan(&key)
		r.builder.AddSession(key)
		return err
	})
	if err != nil {
		return err
	}
	return r.builder.EndSlice()
}

// slicesOfSessions returns the slices that may hold events of any of the sessions, by their keys,
// and whether a rejection or a residue of one may be here.
func (seg *segment) slicesOfSessions(keys []uint64) (slices []int, others bool) {
	f := seg.filters.Load()
	if f == nil {
		return seg.allSlices()
	}
	return f.Sessions(keys)
}

// slicesOfIDs returns the slices that may hold events with any of the ids in any of the
// applications, nil for all, and whether a rejection or a residue of one may be here.
func (seg *segment) slicesOfIDs(apps []string, ids ...uuid.UUID) (hits []int, others bool) {
	f := seg.filters.Load()
	if f == nil {
		return seg.allSlices()
	}
	if apps == nil && f.NeedsApps() {
		apps = slices.Collect(maps.Keys(seg.info.Apps))
	}
	return f.IDs(apps, ids)
}

func (seg *segment) allSlices() (slices []int, others bool) {
	for i := range seg.info.Slices {
		slices = append(slices, i)
	}
	return slices, true
}
