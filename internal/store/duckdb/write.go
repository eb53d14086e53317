package duckdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/store"
)

// decision is what becomes of a batch before it is written.
type decision struct {
	outcomes   []event.Outcome
	events     []*event.Event
	rejections []*event.Rejection
	duplicates []duplicate
}

// duplicate is an arrival that adds nothing.
type duplicate struct {
	record   event.Record
	problems []event.Problem // when it repeats a rejection
}

// Write implements store.Writer.
func (s *Store) Write(ctx context.Context, b store.Batch) ([]event.Outcome, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	position := s.state.Load().position
	switch {
	case b.First > b.Last || b.First == 0:
		return nil, fmt.Errorf("%w: from frame %d to frame %d", store.ErrOutOfOrder, b.First, b.Last)
	case b.Last <= position:
		return s.again(ctx, b)
	case b.First <= position:
		return nil, fmt.Errorf("%w: frames %d to %d behind frame %d", store.ErrOutOfOrder, b.First, b.Last, position)
	}
	d, err := s.decide(ctx, b.Records)
	if err != nil {
		return nil, err
	}
	if err := s.insert(ctx, d); err != nil {
		return nil, err
	}
	for _, e := range d.events {
		s.seen[idKey{s.number(e.App), e.ID}] = arrival{carriedBy: e.CarriedBy, body: s.bodyHash(e)}
	}
	for _, r := range d.rejections {
		s.refused[r.ID] = struct{}{}
	}
	s.advance(b)
	return d.outcomes, nil
}

// decide finds the fate of each record by R2 and R3, without writing.
func (s *Store) decide(ctx context.Context, records []event.Record) (*decision, error) {
	stored, err := s.storedBefore(ctx, records)
	if err != nil {
		return nil, err
	}
	d := &decision{outcomes: make([]event.Outcome, len(records))}
	refusedNow := map[uuid.UUID]struct{}{}
	refuse := func(i int, r *event.Rejection) {
		_, before := s.refused[r.ID]
		_, now := refusedNow[r.ID]
		if before || now {
			d.outcomes[i] = event.Outcome{Fate: event.Duplicate, Problems: r.Problems}
			d.duplicates = append(d.duplicates, duplicate{records[i], r.Problems})
			return
		}
		refusedNow[r.ID] = struct{}{}
		d.outcomes[i] = event.Outcome{Fate: event.Rejected, Problems: r.Problems}
		d.rejections = append(d.rejections, r)
	}
	for i, record := range records {
		e := record.Event
		if e == nil {
			refuse(i, record.Rejection)
			continue
		}
		key := idKey{s.number(e.App), e.ID}
		first, again := stored[key]
		switch {
		case !again && s.sameAsSeen(key, e):
			d.outcomes[i] = event.Outcome{Fate: event.Duplicate}
			d.duplicates = append(d.duplicates, duplicate{record, nil})
		case !again:
			stored[key] = e
			d.outcomes[i] = event.Outcome{Fate: event.Stored}
			d.events = append(d.events, e)
		case event.SameBody(first, e):
			d.outcomes[i] = event.Outcome{Fate: event.Duplicate}
			d.duplicates = append(d.duplicates, duplicate{record, nil})
		default:
			refuse(i, event.Conflict(e))
		}
	}
	return d, nil
}

// own lets a statement run on the writer's connection, so that it does not wait
// for readers.
func (s *Store) own(q statement) statement {
	q.on = s.writer
	return q
}

// storedBefore returns the stored events whose ids come again in the records
// with bytes that differ, so that their bodies have to be compared.
func (s *Store) storedBefore(ctx context.Context, records []event.Record) (map[idKey]*event.Event, error) {
	stored := make(map[idKey]*event.Event, len(records))
	var ids []uuid.UUID
	var from, to uint64
	for _, record := range records {
		if record.Event == nil {
			continue
		}
		key := idKey{s.number(record.Event.App), record.Event.ID}
		first, again := s.seen[key]
		if !again || s.sameAsSeen(key, record.Event) {
			continue
		}
		if ids == nil {
			from = first.carriedBy
		}
		from, to = min(from, first.carriedBy), max(to, first.carriedBy)
		ids = append(ids, record.Event.ID)
	}
	if ids == nil {
		return stored, nil
	}
	b := newBuilder()
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = id.String()
	}
	text := "SELECT " + eventColumns + " FROM events WHERE carried_by BETWEEN " + b.Var(from) + " AND " + b.Var(to) +
		" AND id IN (SELECT CAST(unnest(" + b.Var(list) + "::VARCHAR[]) AS UUID))"
	events, err := queryAll(ctx, s, s.own(b.build("write", text)), scanEvent)
	if err != nil {
		return nil, err
	}
	for i := range events {
		e := &events[i]
		stored[idKey{s.number(e.App), e.ID}] = e
	}
	return stored, nil
}

// insert writes all rows in one transaction. Appenders take part in the
// transaction of their connection. ctx is looked at between its parts, each of
// which is short: an interrupt might leave it unknown whether one happened.
func (s *Store) insert(ctx context.Context, d *decision) error {
	whole := context.WithoutCancel(ctx)
	if err := s.exec(whole, "BEGIN TRANSACTION"); err != nil {
		return storeError(ctx, "begin", err)
	}
	err := s.writer.Raw(func(conn any) error {
		c, ok := conn.(driver.Conn)
		if !ok {
			return errors.New("DuckDB's connection is none")
		}
		if err := appendRows(c, "events", d.events, eventRow); err != nil {
			return err
		}
		if err := appendRows(c, "rejections", d.rejections, rejectionRow); err != nil {
			return err
		}
		return appendRows(c, "duplicates", d.duplicates, duplicateRow)
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if undone := s.exec(whole, "ROLLBACK"); undone != nil {
			s.log.Error("a batch could not be rolled back", "error", undone)
		}
		return storeError(ctx, "append", err)
	}
	if err := s.exec(whole, "COMMIT"); err != nil {
		_ = s.exec(whole, "ROLLBACK") // DuckDB did so already, unless it did not come so far
		return storeError(ctx, "commit", err)
	}
	return nil
}

func appendRows[T any](conn driver.Conn, table string, items []T, write func(*duckdb.Appender, T) error) error {
	if len(items) == 0 {
		return nil
	}
	a, err := duckdb.NewAppenderFromConn(conn, "", table)
	if err != nil {
		return fmt.Errorf("append %s: %w", table, err)
	}
	for _, item := range items {
		if err := write(a, item); err != nil {
			_ = a.Clear()
			_ = a.Close()
			return fmt.Errorf("append %s: %w", table, err)
		}
	}
	if err := a.Close(); err != nil {
		return fmt.Errorf("append %s: %w", table, err)
	}
	return nil
}

func eventRow(a *duckdb.Appender, e *event.Event) error {
	return a.AppendRow(e.App, duckdb.UUID(e.ID), e.ClientID, e.SessionID, e.Category, e.Name, []byte(e.Data),
		e.Timestamp, int64(e.SentTime), int64(e.SentAt), e.Seq, e.Sender, int64(e.OccurredAt), int64(e.ReceivedAt),
		e.Position.Frame, e.Position.Index, e.CarriedBy, e.SchemaVersion)
}

func rejectionRow(a *duckdb.Appender, r *event.Rejection) error {
	var data any
	if d := r.Data(); d != nil {
		data = []byte(d)
	}
	codes, pointers := make([]string, len(r.Problems)), make([]string, len(r.Problems))
	for i, p := range r.Problems {
		codes[i], pointers[i] = p.Code, p.Pointer
	}
	problems, err := problemsJSON(r.Problems)
	if err != nil {
		return err
	}
	return a.AppendRow(r.App, duckdb.UUID(r.ID), duckdb.UUID(r.EventID), r.ClientID, r.SessionID, r.Category, r.Name, data,
		int64(r.SentTime), int64(r.SentAt), int64(r.ReceivedAt), r.Position.Frame, r.Position.Index, r.CarriedBy, r.SchemaVersion,
		codes, pointers, problems, r.Raw)
}

func duplicateRow(a *duckdb.Appender, d duplicate) error {
	problems, err := problemsJSON(d.problems)
	if err != nil {
		return err
	}
	if e := d.record.Event; e != nil {
		return a.AppendRow(e.App, duckdb.UUID(e.ID), e.ClientID, e.SessionID, e.Category, e.Name, int64(e.ReceivedAt),
			e.Position.Frame, e.Position.Index, e.CarriedBy, problems)
	}
	r := d.record.Rejection
	return a.AppendRow(r.App, duckdb.UUID(r.EventID), r.ClientID, r.SessionID, r.Category, r.Name, int64(r.ReceivedAt),
		r.Position.Frame, r.Position.Index, r.CarriedBy, problems)
}

// problemsJSON keeps problems as JSON; none is empty text.
func problemsJSON(problems []event.Problem) (string, error) {
	if len(problems) == 0 {
		return "", nil
	}
	b, err := json.Marshal(problems)
	return string(b), err
}

// again returns what the first writing of a batch returned.
func (s *Store) again(ctx context.Context, b store.Batch) ([]event.Outcome, error) {
	type place struct {
		carriedBy uint64
		position  event.Position
	}
	type found struct {
		place
		event.Outcome
	}
	q := newBuilder()
	between := " WHERE carried_by BETWEEN " + q.Var(b.First) + " AND " + q.Var(b.Last)
	text := fmt.Sprintf(`SELECT carried_by, frame, frame_index, %d::INTEGER, '' FROM events%s
		UNION ALL SELECT carried_by, frame, frame_index, %d, problems FROM rejections%s
		UNION ALL SELECT carried_by, frame, frame_index, %d, problems FROM duplicates%s`,
		event.Stored, between, event.Rejected, between, event.Duplicate, between)
	rows, err := queryAll(ctx, s, s.own(q.build("write", text)), func(scan scanner) (found, error) {
		var f found
		var fate int
		var problems string
		err := scan(&f.carriedBy, &f.position.Frame, &f.position.Index, &fate, &problems)
		if err == nil {
			f.Fate = event.Fate(fate)
			f.Problems, err = parseProblems(problems)
		}
		return f, err
	})
	if err != nil {
		return nil, err
	}
	byPlace := make(map[place]event.Outcome, len(rows))
	for _, f := range rows {
		byPlace[f.place] = f.Outcome
	}
	outcomes := make([]event.Outcome, len(b.Records))
	for i, r := range b.Records {
		var carriedBy uint64
		if r.Event != nil {
			carriedBy = r.Event.CarriedBy
		} else {
			carriedBy = r.Rejection.CarriedBy
		}
		outcome, ok := byPlace[place{carriedBy, r.Position()}]
		if !ok {
			return nil, fmt.Errorf("a record of frame %d that was written before is not there", carriedBy)
		}
		outcomes[i] = outcome
	}
	return outcomes, nil
}
