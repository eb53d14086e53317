package duckdb

import (
	"context"
	"errors"
	"fmt"

	"theeye/internal/query"
	"theeye/internal/store"
)

// queryWithRecovery runs a query on a snapshot. When it meets a damaged segment it is run
// again without that.
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

// withRecovery runs work of upkeep. When it meets a damaged segment it is run again
// without that.
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

// recoverAfter is mend for an error of work that held no snapshot.
func (s *Store) recoverAfter(ctx context.Context, in *instance, err error) (retry bool, _ error) {
	p := s.pin() // with all that the work may have read
	defer p.release()
	if p.in != in {
		return false, errReopened
	}
	return s.recoverFrom(ctx, p, err)
}

// recoverFrom finds out what an error of reading says about the store, and repairs what
// it can: a damaged segment is put aside, an instance that DuckDB has given up is
// opened anew. again tells that the same may succeed now. upkeep and writing are
// not held.
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

// quarantineSuspects puts the damaged segments aside that an error of reading points to. again tells that
// the same may succeed now.
func (s *Store) quarantineSuspects(p *pinned, err error) (retry bool, _ error) {
	suspects := p.suspects(err)
	for _, seg := range suspects {
		out, checkErr := s.checkSegment(seg)
		if checkErr != nil {
			return false, fmt.Errorf("%w: %w", store.ErrUnavailable, errors.Join(err, checkErr))
		}
		retry = retry || out
	}
	if len(suspects) > 0 && !retry { // the file is whole: it was the reading
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return retry, err
}
