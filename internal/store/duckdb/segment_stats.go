package duckdb

import (
	"context"
	"database/sql"
	"fmt"

	"theeye/internal/event"
)

// readStats reads the statistics of a segment from its tables, for the manifest.
func readStats(ctx context.Context, in *instance, name string, info *SegmentInfo) error {
	if err := readBounds(ctx, in, name, info); err != nil {
		return err
	}
	return readCounts(ctx, in, name, info)
}

func readBounds(ctx context.Context, in *instance, name string, info *SegmentInfo) error {
	text := fmt.Sprintf(`WITH parts AS (
		SELECT carried_by, received_at, NULLIF(sent_time, 0) AS sent_time, occurred_at FROM %[1]s.events
		UNION ALL SELECT carried_by, received_at, NULLIF(sent_time, 0), NULL FROM %[1]s.rejections
		UNION ALL SELECT carried_by, received_at, NULL, NULL FROM %[1]s.traces)
		SELECT min(carried_by)::BIGINT, max(carried_by)::BIGINT, min(occurred_at), max(occurred_at),
			min(received_at), max(received_at), min(sent_time), max(sent_time),
			(SELECT count(*) FROM %[1]s.events), (SELECT count(*) FROM %[1]s.rejections),
			(SELECT count(*) FROM %[1]s.traces), (SELECT count(*) FROM %[1]s.sessions) FROM parts`, name)
	return in.db.QueryRowContext(ctx, text).Scan(
		&info.Carried.Min, &info.Carried.Max, &info.Occurred.Min, &info.Occurred.Max,
		&info.Received.Min, &info.Received.Max, &info.Sent.Min, &info.Sent.Max,
		&info.Rows.Events, &info.Rows.Rejections, &info.Rows.Traces, &info.Rows.Sessions)
}

func readCounts(ctx context.Context, in *instance, name string, info *SegmentInfo) error {
	info.Apps = map[string]Counts{}
	text := fmt.Sprintf(`WITH parts AS (
		SELECT app, %[2]d AS fate, carried_by <> frame AS replay FROM %[1]s.events
		UNION ALL SELECT app, %[3]d, carried_by <> frame FROM %[1]s.rejections
		UNION ALL SELECT app, fate, carried_by <> frame FROM %[1]s.traces)
		SELECT app, fate, replay, count(*) FROM parts GROUP BY app, fate, replay`, name, event.Stored, event.Rejected)
	return eachRow(ctx, in, text, func(rows *sql.Rows) error {
		var app string
		var fate event.Fate
		var replay bool
		var n int64
		if err := rows.Scan(&app, &fate, &replay, &n); err != nil {
			return err
		}
		c := info.Apps[app]
		if replay {
			info.Replays += n
		} else {
			c.add(fate, n)
		}
		info.Apps[app] = c
		return nil
	})
}

// eachRow runs a statement and calls read for each row.
func eachRow(ctx context.Context, in *instance, text string, read func(*sql.Rows) error) error {
	rows, err := in.db.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
