package duckdb

import (
	"context"
	"errors"
	"fmt"

	"theeye/internal/query"
	"theeye/internal/store"
)

// Online recovery is what the store does about damage and failure while it runs. Each operation has
// one verb:
//
//	recover     find out what an error says about the store, and do one of the following
//	reopen      replace an instance that DuckDB has invalidated by a new one; what was not flushed is
//	            written again from the queue
//	quarantine  remove a damaged segment from the version and move its files into quarantine; its rows
//	            count as lost until they are restored
//	rebuild     create something again from another source: a filter from its segment, a segment from
//	            the frames that the queue still has
//	readmit     take back the rows of a damaged segment of which an intact copy has been found
//	restore     commit the rebuilt or readmitted segments in place of the damaged one
//
// A store that cannot be opened is recovered offline, by PlanRecovery. This package does not
// restore backups.

// queryWithRecovery runs a query on a pinned version. When the query meets a damaged segment, the
// segment is quarantined, and the query runs again.
func queryWithRecovery[T any](ctx context.Context, s *Store, q query.Query, run func(*pinned, query.Query) (T, error)) (T, error) {
	for {
		result, retry, err := queryOnce(ctx, s, q, run)
		if !retry {
			return result, err
		}
	}
}

func queryOnce[T any](ctx context.Context, s *Store, q query.Query, run func(*pinned, query.Query) (T, error)) (result T, retry bool, err error) {
	p, q := s.pinFor(q)
	defer p.release()
	if err = p.caughtUp(); err == nil {
		result, err = run(p, q)
	}
	retry, err = s.recoverFrom(ctx, p, err)
	return result, retry, err
}

// withRecovery runs work of upkeep. When the work meets a damaged segment, the segment is
// quarantined, and the work runs again.
func (s *Store) withRecovery(ctx context.Context, work func(context.Context) error) error {
	for {
		in := s.instance()
		err := work(ctx)
		if err == nil {
			return nil
		}
		retry, err := s.recoverAfter(ctx, in, err)
		if !retry {
			return err
		}
	}
}

// recoverAfter is recoverFrom for an error of work that pinned no version.
func (s *Store) recoverAfter(ctx context.Context, in *instance, err error) (retry bool, _ error) {
	p := s.pin()
	defer p.release()
	if p.in != in {
		return false, errReopened
	}
	return s.recoverFrom(ctx, p, err)
}

// recoverFrom finds out what an error of reading says about the store. It quarantines a damaged
// segment, and reopens an instance that DuckDB has invalidated. retry reports that the same work
// may succeed now. upkeep and writing are not held.
func (s *Store) recoverFrom(ctx context.Context, p *pinned, err error) (retry bool, _ error) {
	switch {
	case err == nil:
		return false, nil
	case isFatal(err), p.in.closed.Load():
		return false, s.reopen(ctx, p.in, err)
	case ctx.Err() != nil:
		return false, err
	}
	return s.quarantineSuspects(p, err)
}

// quarantineSuspects quarantines the damaged segments that an error of reading points to. retry
// reports that the same work may succeed now.
func (s *Store) quarantineSuspects(p *pinned, err error) (retry bool, _ error) {
	suspects := p.suspects(err)
	for _, seg := range suspects {
		out, checkErr := s.checkSegment(seg)
		if checkErr != nil {
			return false, fmt.Errorf("%w: %w", store.ErrUnavailable, errors.Join(err, checkErr))
		}
		retry = retry || out
	}
	if len(suspects) > 0 && !retry { // the file is intact: only the read failed
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return retry, err
}
