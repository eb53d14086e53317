package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/internal/event"
	"theeye/internal/fair"
	"theeye/internal/query"
	"theeye/internal/store"
)

// builder collects the arguments of one statement.
type builder struct{ *query.Args }

func newBuilder() builder { return builder{&query.Args{}} }

// statement is SQL with its arguments.
type statement struct {
	kind string // for metrics
	text string
	args []any
	on   *sql.Conn // where it runs; nil for any connection for readers
}

func (b builder) build(kind, text string) statement {
	text, args := b.Number(text)
	return statement{kind: kind, text: text, args: args}
}

// scanner reads the columns of one row.
type scanner func(into ...any) error

// queryAll runs a statement and returns all its rows. When ctx is done, the statement is
// interrupted.
func queryAll[T any](ctx context.Context, s *Store, q statement, read func(scanner) (T, error)) (items []T, err error) {
	began := time.Now()
	defer func() { s.metrics.queried(q.kind, time.Since(began)) }()
	run := s.instance().db.QueryContext
	if q.on != nil {
		run = q.on.QueryContext
	} else {
		leave, err := s.readers.Acquire(ctx, fair.Of(ctx))
		if errors.Is(err, fair.ErrFull) {
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	rows, err := run(ctx, q.text, q.args...)
	if err != nil {
		return nil, storeError(ctx, "query "+q.kind, err)
	}
	defer rows.Close()
	for rows.Next() {
		item, err := read(rows.Scan)
		if err != nil {
			return nil, storeError(ctx, "query "+q.kind, err)
		}
		items = append(items, item)
	}
	if err := rows.Err(); err != nil {
		return nil, storeError(ctx, "query "+q.kind, err)
	}
	return items, nil
}

func scanEvent(scan scanner) (event.Event, error) {
	var e event.Event
	var data sql.RawBytes
	err := scan(&e.App, &e.ID, &e.ClientID, &e.SessionID, &e.Category, &e.Name, &data, &e.Timestamp, &e.SentTime, &e.SentAt,
		&e.Seq, &e.Sender, &e.OccurredAt, &e.ReceivedAt, &e.OwnTime, &e.Position.Frame, &e.Position.Index, &e.CarriedBy, &e.SchemaVersion)
	e.Data = append(e.Data, data...)
	return e, err
}

// listedRejection are the columns of a rejection that are returned. The columns data, codes and
// pointers are only used in conditions.
const listedRejection = `app, id, event_id, client_id, session_id, category, name, sent_time, sent_at, received_at, own_time,
	frame, frame_index, carried_by, schema_version, ` + rejectionPayloadColumns

const rejectionPayloadColumns = "problems, raw, packed, whole_size, whole_sha256"

func (s *Store) scanRejection(scan scanner) (event.Rejection, error) {
	var r event.Rejection
	var b storedBody
	var problems sql.RawBytes
	err := scan(&r.App, &r.ID, &r.EventID, &r.ClientID, &r.SessionID, &r.Category, &r.Name, &r.SentTime, &r.SentAt, &r.ReceivedAt, &r.OwnTime,
		&r.Position.Frame, &r.Position.Index, &r.CarriedBy, &r.SchemaVersion, &problems, &b.stored, &b.packed, &b.whole, &b.sha256)
	if err == nil {
		r.Problems, err = parseProblems(problems)
	}
	if err == nil {
		err = s.codec.decompress(b, &r)
	}
	return r, err
}

func parseProblems[T ~string | ~[]byte](text T) ([]event.Problem, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var problems []event.Problem
	err := json.Unmarshal([]byte(text), &problems)
	return problems, err
}
