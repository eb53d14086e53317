package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"theeye/internal/durable"
	"theeye/internal/store"
)

// ErrFatal is an error after which DuckDB refuses all further work.
var ErrFatal = errors.New("DuckDB has given up")

// errReopened is the error of work whose instance was replaced. A retry may succeed once the
// memtables have been written again.
var errReopened = fmt.Errorf("%w: DuckDB was reopened after a fatal error", store.ErrUnavailable)

// isFatal reports whether an error says that DuckDB has invalidated the reading instance.
func isFatal(err error) bool {
	if _, other := errors.AsType[*backgroundError](err); other {
		return false
	}
	if known, ok := errors.AsType[*duckdb.Error](err); ok && known.Type == duckdb.ErrorTypeFatal {
		return true
	}
	// Errors of an appender do not have that type.
	return errors.Is(err, ErrFatal) || strings.Contains(err.Error(), "database has been invalidated because of a previous fatal error")
}

// Resets returns a channel that receives a value when the position has gone back to Flushed. The
// next Write returns store.ErrReset as well.
func (s *Store) Resets() <-chan struct{} { return s.resets }

// caughtUp returns nil if queries may be answered, and store.ErrUnavailable while the store has
// less than readers saw before it was reopened.
func (p *pinned) caughtUp() error {
	if p.position >= p.announced {
		return nil
	}
	return fmt.Errorf("%w: it is being rebuilt from the queue after a fatal error: frame %d of %d", store.ErrUnavailable, p.position, p.announced)
}

// CaughtUp returns nil if the store answers queries, and store.ErrUnavailable while it catches up
// with the queue after a fatal error of DuckDB.
func (s *Store) CaughtUp() error {
	p := s.pin()
	defer p.release()
	return p.caughtUp()
}

// reopen replaces a broken instance, unless that has been done already, and returns errReopened.
// What was not flushed is lost from the store, and is written again from the queue. upkeep and
// writing are not held.
func (s *Store) reopen(ctx context.Context, broken *instance, cause error) error {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.reading != broken {
		return errReopened
	}
	if err := s.reopenLocked(context.WithoutCancel(ctx), cause); err != nil {
		s.log.Error("DuckDB could not be reopened; it will be retried", "error", err)
		return fmt.Errorf("%w: reopen DuckDB: %w", store.ErrUnavailable, err)
	}
	return errReopened
}

// reopenLocked replaces the reading instance by one with all segments and an empty memtable. The
// caller must hold s.upkeep and s.writing.
func (s *Store) reopenLocked(ctx context.Context, cause error) error {
	now, memtables := s.current(), s.memtables()
	number := memtables[len(memtables)-1].number + 1
	l := s.limits()
	if l.tempDir != "" { // the old instance may still write to its folder
		l.tempDir = filepath.Join(l.tempDir, "instance-"+strconv.FormatUint(number, 10))
	}
	in, err := openInstance(ctx, l)
	if err != nil {
		return err
	}
	var writer *sql.Conn
	t, m, err := s.openTables(ctx, in, *now.manifest, number)
	if err == nil {
		if writer, err = in.db.Conn(ctx); err != nil {
			err = errors.Join(err, t.closeFilters())
		}
	}
	if err != nil {
		if errors.Is(err, durable.ErrUncertain) {
			s.fail(err)
		}
		return errors.Join(err, in.close())
	}
	broken, oldWriter := s.reading, s.writer
	// This comes before install, which must not drop orphans in the broken instance.
	broken.closed.Store(true)
	s.writer, s.resetCause = writer, cause.Error()
	s.install(func(next *storeVersion) {
		s.reading = in
		next.announced = max(next.announced, next.position)
		next.tables, next.position, next.manifest = t, m.Flushed, &m
		next.arrivals, next.fates = newArrivals(m.Arrivals), hotFates{}
		close(s.flushed)
		s.flushed = make(chan struct{})
	})
	_ = oldWriter.Close()
	_ = broken.close()
	select {
	case s.resets <- struct{}{}:
	default:
	}
	s.log.Error("DuckDB reported a fatal error; it was reopened, and what was not flushed is read from the queue again",
		"error", cause, "from_frame", m.Flushed+1)
	return nil
}
