package duckdb

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"theeye/internal/query"
	"theeye/internal/store"
)

// parquetOptions bound the memory for writing a row group, whatever the size of an event.
const parquetOptions = " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE_BYTES '16MB')"

// parquetColumns renders the fields of an event with their names in the API. Absent values are
// NULL, times are instants in UTC, ids and data are text.
func parquetColumns() string {
	field := query.FieldExpr
	at := func(name string) string { return "make_timestamptz(" + field(name) + ") AS " + name }
	text := func(name string) string { return field(name) + " AS " + name }
	return strings.Join([]string{
		"app", "CAST(id AS VARCHAR) AS id", text(query.ClientID), "session_id", "category", "name", "data", `"timestamp"`,
		at(query.OccurredAt), at(query.ReceivedAt), at(query.SentAt), text(query.Seq), text(query.Sender), "schema_version",
	}, ", ")
}

// copyTo writes the result of a statement to a file.
func (s *Store) copyTo(ctx context.Context, in *instance, path string, q statement) error {
	if _, err := in.db.ExecContext(ctx, "COPY ("+q.text+") TO "+quoted(path)+parquetOptions, q.args...); err != nil {
		if ctx.Err() == nil && strings.Contains(err.Error(), "No space left") {
			return fmt.Errorf("%w: write a Parquet file: the disk is full", store.ErrUnavailable)
		}
		return storeError(ctx, "write a Parquet file", err)
	}
	return nil
}

// maxChunks is the maximum number of chunks that one statement reads.
const maxChunks = 1000

// inChunks renders all rows. If events are large, segments are read in chunks of about a page each,
// because DuckDB needs as much memory as a chunk in each of its operators.
func (e *export) inChunks() string {
	if !e.large() {
		return e.rowsIn(e.all)
	}
	var bytes int64
	for _, ref := range e.refs {
		bytes += ref.info.Data.Bytes
	}
	size := max(query.PageBytes, bytes/maxChunks)
	selects := []string{"SELECT " + eventColumns + " FROM " + e.hot}
	for _, ref := range e.refs {
		rows := max(1, ref.info.Rows.Events*size/max(ref.info.Data.Bytes, 1))
		for first := int64(0); first < ref.info.Rows.Events; first += rows {
			conditions := append(ref.conditions(), fmt.Sprintf("rowid >= %d AND rowid < %d", first, first+rows))
			selects = append(selects, "SELECT "+ref.columnsOf(eventTable)+" FROM "+ref.table(eventTable)+whereAll(conditions))
		}
	}
	return "(" + strings.Join(selects, " UNION ALL ") + ")"
}

// Parquet writes the events that q selects to a Parquet file and returns it, open at its beginning;
// Limit, After and Descending do not matter. The file is unlinked, so its space is freed when it is
// closed: by the caller, when ctx is done, or by EndExports. Parquet waits while MaxExports run.
// When it meets a damaged segment, it quarantines it and begins again.
func (s *Store) Parquet(ctx context.Context, q query.Query) (*os.File, error) {
	if !s.persistent() {
		return nil, errNoFolder
	}
	for {
		file, err := s.parquet(ctx, q)
		retry, err := s.recoverExport(ctx, err)
		if !retry {
			return file, err
		}
	}
}

func (s *Store) parquet(ctx context.Context, q query.Query) (_ *os.File, err error) {
	ctx, leave := s.exports.begin(ctx)
	defer func() {
		if err != nil {
			err = exportError(ctx, err)
			leave()
		}
	}()
	e, err := s.beginExport(ctx, q)
	if err != nil {
		return nil, err
	}
	defer e.close()
	b := newBuilder()
	path := filepath.Join(e.dir, "events.parquet")
	text := "SELECT " + parquetColumns() + " FROM " + e.inChunks() + where(query.Events, e.q, b)
	if err := s.copyTo(ctx, e.in, path, b.build("export", text)); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open an export: %w", err)
	}
	e.complete = true
	context.AfterFunc(ctx, func() {
		_ = file.Close() // the caller may have closed it already
		leave()
	})
	return file, nil // closing the export removes its name
}
