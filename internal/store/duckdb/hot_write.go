package duckdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
	"theeye/internal/store"
)

// Write implements store.Writer. A segment that turns out to be damaged is quarantined, and the
// batch is decided without it.
func (s *Store) Write(ctx context.Context, b store.Batch) ([]event.Outcome, error) {
	for {
		outcomes, retry, err := s.tryWrite(ctx, b)
		if !retry {
			return outcomes, err
		}
	}
}

func (s *Store) tryWrite(ctx context.Context, b store.Batch) (outcomes []event.Outcome, retry bool, err error) {
	p := s.pin()
	if err = s.lockForWriting(ctx); err == nil {
		p.release()
		p = s.pin()
		outcomes, err = s.writeLocked(ctx, p, b)
		s.writing.Unlock()
	}
	defer p.release()
	retry, err = s.recoverFrom(ctx, p, err)
	return outcomes, retry || errors.Is(err, errReopened), err // the next attempt returns store.ErrReset
}

func (s *Store) writeLocked(ctx context.Context, p *pinned, b store.Batch) ([]event.Outcome, error) {
	switch {
	case s.resetCause != "":
		err := fmt.Errorf("%w: %s", store.ErrReset, s.resetCause)
		s.resetCause = ""
		select {
		case <-s.resets:
		default:
		}
		return nil, err
	case b.First > b.Last || b.First == 0:
		return nil, fmt.Errorf("%w: from frame %d to frame %d", store.ErrOutOfOrder, b.First, b.Last)
	case b.Last <= p.position:
		return p.previousOutcomes(ctx, b)
	case b.First <= p.position:
		return nil, fmt.Errorf("%w: frames %d to %d after frame %d", store.ErrOutOfOrder, b.First, b.Last, p.position)
	}
	d, err := p.decideInto(ctx, p.tables.memtables[len(p.tables.memtables)-1], b.Records)
	if err != nil {
		return nil, err
	}
	s.advance(b, d)
	return d.outcomes, nil
}

// decideInto decides the fate of records and inserts them into the tables of mt.
func (p *pinned) decideInto(ctx context.Context, mt *memtable, records []event.Record) (*decision, error) {
	d, err := p.decide(ctx, records)
	if err != nil {
		return nil, err
	}
	if err := p.store.insert(ctx, mt, d); err != nil {
		return nil, err
	}
	p.store.addKnown(mt, d)
	return d, nil
}

// lockForWriting locks writing once there is a memtable with room. While two are full it waits, so
// that memory is bounded and events wait in the queue, on disk.
func (s *Store) lockForWriting(ctx context.Context) error {
	for {
		s.writing.Lock()
		if err := ctx.Err(); err != nil {
			s.writing.Unlock()
			return err
		}
		s.mu.Lock()
		memtables, flushed := s.version.tables.memtables, s.flushed
		s.mu.Unlock()
		if !s.fullLocked(memtables[len(memtables)-1]) {
			return nil
		}
		if len(memtables) == 1 {
			if err := s.freezeLocked(ctx); err != nil {
				s.writing.Unlock()
				return err
			}
			return nil
		}
		s.writing.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-flushed:
		}
	}
}

// addKnown adds what was decided to what later batches are compared with.
func (s *Store) addKnown(mt *memtable, d *decision) {
	if mt.empty() {
		mt.began = time.Now()
	}
	mt.rows += int64(len(d.outcomes))
	for _, e := range d.events {
		mt.known.events[idKey{s.appNumber(e.App), e.ID}] = knownEvent{carriedBy: e.CarriedBy, hash: s.bodyHash(e)}
		mt.bytes += int64(len(e.Data)) + rowOverhead
		raise(&mt.largestEvent, len(e.Data))
		if e.CarriedBy != e.Position.Frame {
			mt.replays.Add(1)
		}
	}
	for _, r := range d.rejections {
		mt.known.rejections[r.ID] = struct{}{}
		mt.bytes += int64(event.ProblemsSize(r.Problems)) + rowOverhead
		raise(&mt.largestRejection, len(r.Raw)+event.ProblemsSize(r.Problems))
	}
	mt.bytes += d.rejectionBytes
	for _, t := range d.residues {
		if t.fate == event.Erased {
			key := idKey{s.appNumber(t.app), t.eventID}
			mt.known.erased[key] = mt.known.erased[key].merge(t.lastErased())
		}
		if t.carriedBy != t.position.Frame {
			mt.replays.Add(1)
		}
	}
}

// raise sets number to n if n is greater. One goroutine at a time may call it.
func raise(number *atomic.Int64, n int) {
	if int64(n) > number.Load() {
		number.Store(int64(n))
	}
}

// rowOverhead is the approximate size of a row without its payload, in bytes.
const rowOverhead = 200

// advance makes a batch, and what was decided about it, visible to readers.
func (s *Store) advance(b store.Batch, d *decision) {
	s.install(func(next *storeVersion) {
		next.position, next.arrivals, next.fates = b.Last, next.arrivals.with(b.Arrivals), next.fates.with(d)
	})
}

// Probe is a store.Probe: it inserts the records, whatever their fates would be, and rolls
// back. The errors are those of Write.
func (s *Store) Probe(ctx context.Context, records []event.Record) error {
	if err := s.lockForWriting(ctx); err != nil {
		return err
	}
	defer s.writing.Unlock()
	p := s.pin()
	defer p.release()
	return s.probe(ctx, p.tables.memtables[len(p.tables.memtables)-1], records)
}

// probe is Probe for the tables of mt. The caller must hold s.writing.
func (s *Store) probe(ctx context.Context, mt *memtable, records []event.Record) error {
	var d decision
	for _, r := range records {
		switch {
		case r.Event != nil:
			d.events = append(d.events, r.Event)
		case r.Rejection != nil:
			d.rejections = append(d.rejections, r.Rejection)
		}
	}
	err := s.transact(ctx, func(conn driver.Conn) error {
		if err := s.appendAll(conn, mt, &d); err != nil {
			return err
		}
		return errProbed
	})
	if errors.Is(err, errProbed) {
		return nil
	}
	return err
}

// errProbed rolls back the transaction of a probe.
var errProbed = errors.New("only a probe")

// insert writes all rows in one transaction.
func (s *Store) insert(ctx context.Context, mt *memtable, d *decision) error {
	return s.transact(ctx, func(conn driver.Conn) error { return s.appendAll(conn, mt, d) })
}

// transact appends rows in one transaction, which is rolled back after an error. Appenders take
// part in the transaction of their connection. ctx is checked only between statements, which are
// short: after an interrupt it might not be known whether a statement took effect.
func (s *Store) transact(ctx context.Context, write func(driver.Conn) error) error {
	uncancelled := context.WithoutCancel(ctx)
	if err := s.exec(uncancelled, "BEGIN TRANSACTION"); err != nil {
		return storeError(ctx, "begin", err)
	}
	err := s.writer.Raw(func(conn any) error {
		c, ok := conn.(driver.Conn)
		if !ok {
			return fmt.Errorf("unexpected connection type %T", conn)
		}
		return write(c)
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if undone := s.exec(uncancelled, "ROLLBACK"); undone != nil {
			return fmt.Errorf("%w: a batch could not be rolled back: %w", ErrFatal, undone) // the connection would stay in the transaction
		}
		return storeError(ctx, "append", err)
	}
	if err := s.exec(uncancelled, "COMMIT"); err != nil {
		_ = s.exec(uncancelled, "ROLLBACK") // DuckDB has rolled back already, unless COMMIT failed early
		return storeError(ctx, "commit", err)
	}
	return nil
}

// appendAll appends the rows of a decision to hot tables.
func (s *Store) appendAll(conn driver.Conn, mt *memtable, d *decision) error {
	if err := appendRows(conn, hotName(eventTable, mt.number), d.events, appendEvent); err != nil {
		return err
	}
	if err := appendRows(conn, hotName(rejectionTable, mt.number), d.rejections, func(a *duckdb.Appender, r *event.Rejection) error {
		stored, err := s.appendRejection(a, r)
		d.rejectionBytes += int64(stored)
		return err
	}); err != nil {
		return err
	}
	return appendRows(conn, hotName(residueTable, mt.number), d.residues, appendResidue)
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

func appendEvent(a *duckdb.Appender, e *event.Event) error {
	return a.AppendRow(e.App, duckdb.UUID(e.ID), e.ClientID, e.SessionID, e.Category, e.Name, []byte(e.Data),
		e.Timestamp, int64(e.SentTime), int64(e.SentAt), e.Seq, e.Sender, int64(e.OccurredAt), int64(e.ReceivedAt), int64(e.OwnTime),
		e.Position.Frame, e.Position.Index, e.CarriedBy, e.SchemaVersion)
}

// appendRejection also returns the size of the body as it is stored.
func (s *Store) appendRejection(a *duckdb.Appender, r *event.Rejection) (stored int, err error) {
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
		return 0, err
	}
	raw, packed := s.codec.compress(r.Raw)
	digest := []byte{}
	if r.Truncated() {
		digest = r.Whole.SHA256[:]
	}
	return len(raw), a.AppendRow(r.App, duckdb.UUID(r.ID), duckdb.UUID(r.EventID), r.ClientID, r.SessionID, r.Category, r.Name, data,
		int64(r.SentTime), int64(r.SentAt), int64(r.ReceivedAt), int64(r.OwnTime), r.Position.Frame, r.Position.Index, r.CarriedBy, r.SchemaVersion,
		codes, pointers, problems, raw, packed, int64(len(r.Raw)), r.Whole.Bytes, digest)
}

func appendResidue(a *duckdb.Appender, t residue) error {
	problems, err := problemsJSON(t.problems)
	if err != nil {
		return err
	}
	return a.AppendRow(t.app, duckdb.UUID(t.eventID), t.clientID, t.sessionID, t.category, t.name, int64(t.receivedAt),
		t.position.Frame, t.position.Index, t.carriedBy, uint8(t.fate), problems)
}

// problemsJSON returns problems as JSON, empty text for none.
func problemsJSON(problems []event.Problem) (string, error) {
	if len(problems) == 0 {
		return "", nil
	}
	b, err := json.Marshal(problems, jsontext.AllowInvalidUTF8(true)) // a text must not block a frame
	return string(b), err
}
