package duckdb

import (
	"context"
	"errors"
	"fmt"

	"theeye/internal/query"
	"theeye/internal/store"
)

// answer runs a query on a snapshot. When it meets a damaged segment it is run
// again without that.
func answer[T any](ctx context.Context, s *Store, q query.Query, run func(*pinned, query.Query) (T, error)) (T, error) {
	for {
		result, again, err := attempt(ctx, s, q, run)
		if !again {
			return result, err
		}
	}
}

func attempt[T any](ctx context.Context, s *Store, q query.Query, run func(*pinned, query.Query) (T, error)) (result T, again bool, err error) {
	p, q := s.read(q)
	defer p.release()
	if err = p.complete(); err == nil {
		result, err = run(p, q)
	}
	again, err = s.mend(ctx, p, err)
	return result, again, err
}

// tended runs work of upkeep. When it meets a damaged segment it is run again
// without that.
func (s *Store) tended(ctx context.Context, work func(context.Context) error) error {
	for {
		in := s.instance()
		err := work(ctx)
		if err == nil {
			return nil
		}
		again, err := s.mendAfter(ctx, in, err)
		if !again {
			return err
		}
	}
}

// mendAfter is mend for an error of work that held no snapshot.
func (s *Store) mendAfter(ctx context.Context, in *instance, err error) (again bool, _ error) {
	p := s.pin() // with all that the work may have read
	defer p.release()
	if p.in != in {
		return false, errReopened
	}
	return s.mend(ctx, p, err)
}

// mend finds out what an error of reading says about the store, and repairs what
// it can: a damaged segment is put aside, an instance that DuckDB has given up is
// opened anew. again tells that the same may succeed now. upkeep and writing are
// not held.
func (s *Store) mend(ctx context.Context, p *pinned, err error) (again bool, _ error) {
	switch {
	case err == nil:
		return false, nil
	case isFatal(err), p.in.closed.Load():
		return false, s.reset(ctx, p.in, err)
	case ctx.Err() != nil:
		return false, err
	}
	return s.mendSegments(p, err)
}

// mendSegments puts the damaged segments aside that an error of reading points to. again tells that
// the same may succeed now.
func (s *Store) mendSegments(p *pinned, err error) (again bool, _ error) {
	suspects := p.suspects(err)
	for _, seg := range suspects {
		out, checkErr := s.checkSegment(seg)
		if checkErr != nil {
			return false, fmt.Errorf("%w: %w", store.ErrUnavailable, errors.Join(err, checkErr))
		}
		again = again || out
	}
	if len(suspects) > 0 && !again { // the file is whole: it was the reading
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return again, err
}
