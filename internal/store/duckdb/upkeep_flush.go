package duckdb

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"theeye/internal/durable"
	"theeye/internal/wait"
)

const (
	flushTick       = time.Second
	flushRetry      = 5 * time.Second // after a flush that failed
	flushMemoryPart = 8               // a memtable is flushed when its payloads take one eighth of DuckDB's memory
)

// Run flushes, merges and expires when it is due, until ctx is done. It retries what fails: the
// queue keeps everything meanwhile. It returns an error if the disk is not reliable any longer;
// then the process must end.
func (s *Store) Run(ctx context.Context) error {
	if !s.persistent() {
		<-ctx.Done()
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.flusher(ctx) })
	g.Go(func() error { return s.compactor(ctx) })
	return g.Wait()
}

// flusher flushes when it is due, until ctx is done.
func (s *Store) flusher(ctx context.Context) error {
	tick := time.NewTicker(flushTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case <-s.wakeups:
		case <-tick.C:
		}
		s.expireLeases(time.Now())
		err := s.withRecovery(ctx, s.flushDue)
		if err == nil {
			err = s.withRecovery(ctx, s.rebuildAll)
		}
		if errors.Is(err, durable.ErrUncertain) {
			return err
		}
		if ctx.Err() == nil {
			s.flushFailure.Record(err)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("the store's files could not be changed; it will be retried, and events wait in the queue meanwhile", "error", err)
			_ = wait.For(ctx, flushRetry) // the loop checks ctx
		}
	}
}

// FlushFailure returns the error of the last flush when Run has not been able to flush for as long
// as patience, else nil. Meanwhile Write waits once the memtables are full.
func (s *Store) FlushFailure(patience time.Duration) error { return s.flushFailure.Err(patience) }

// UpkeepFailure returns the error of the last merge or expiry when Run has not been able to do
// either for as long as patience, else nil.
func (s *Store) UpkeepFailure(patience time.Duration) error { return s.upkeepFailure.Err(patience) }

// flushDue flushes a frozen memtable, or one that is large or old enough.
func (s *Store) flushDue(ctx context.Context) error {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	if len(s.memtables()) < 2 {
		due := func(mt *memtable) bool {
			return s.fullLocked(mt) || !mt.empty() && time.Since(mt.began) >= s.opts.FlushAge
		}
		if frozen, err := s.freeze(ctx, due); !frozen {
			return err
		}
	}
	return s.flushOldest(ctx)
}

// fullLocked reports whether a memtable is large enough to be flushed. The caller must hold
// s.writing.
func (s *Store) fullLocked(mt *memtable) bool {
	return s.persistent() && (mt.rows >= s.opts.FlushRows || mt.bytes >= s.opts.MemoryLimit/flushMemoryPart)
}

// Flush flushes everything that is written when it is called. Writing and reading go on meanwhile.
// It does nothing for a store without a folder.
func (s *Store) Flush(ctx context.Context) error {
	if !s.persistent() {
		return nil
	}
	return s.withRecovery(ctx, s.flushAll)
}

func (s *Store) flushAll(ctx context.Context) error {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	if len(s.memtables()) > 1 {
		if err := s.flushOldest(ctx); err != nil {
			return err
		}
	}
	// Frames without records advance the position as well.
	written := func(mt *memtable) bool { return !mt.empty() || s.current().position > s.current().manifest.Flushed }
	if frozen, err := s.freeze(ctx, written); !frozen {
		return err
	}
	return s.flushOldest(ctx)
}

// freeze freezes the only memtable if it is due, and adds a new one.
func (s *Store) freeze(ctx context.Context, due func(*memtable) bool) (frozen bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	memtables := s.memtables()
	if len(memtables) > 1 {
		return true, nil // the writer has frozen it
	}
	if !due(memtables[0]) {
		return false, nil
	}
	return true, s.freezeLocked(ctx)
}

// freezeLocked freezes the newest memtable, which is flushed next, and adds a new one. The caller
// must hold s.writing.
func (s *Store) freezeLocked(ctx context.Context) error {
	memtables := s.memtables() // while writing is held, only the first one may be removed
	newest := memtables[len(memtables)-1]
	mt, err := s.newMemtable(context.WithoutCancel(ctx), newest.number+1)
	if err != nil {
		return err
	}
	s.install(func(next *storeVersion) {
		newest.position, newest.arrivals, newest.fates = next.position, next.arrivals, next.fates
		next.fates = hotFates{}
		next.tables = &tableSet{memtables: append(slices.Clone(next.tables.memtables), mt), segments: next.tables.segments}
	})
	select {
	case s.wakeups <- struct{}{}:
	default:
	}
	return nil
}

// flushOldest writes the older memtable as a segment, and replaces the memtable with the segment,
// in the manifest and for readers. The caller must hold s.upkeep.
func (s *Store) flushOldest(ctx context.Context) error {
	began := time.Now()
	mt := s.memtables()[0]
	if mt.empty() {
		m := *s.current().manifest
		m.Flushed, m.Arrivals = mt.position, maps.Collect(mt.arrivals.all())
		return s.commitFlush(&m, nil)
	}
	info, err := s.writeMemtable(ctx, mt)
	if err != nil {
		return err
	}
	m := *s.current().manifest
	m.Flushed, m.Arrivals = mt.position, maps.Collect(mt.arrivals.all())
	m.Segments = append(slices.Clone(m.Segments), info)
	seg, err := s.openSegment(ctx, info)
	if err != nil {
		s.unlink(info)
		return err
	}
	if err := s.commitFlush(&m, []*segment{seg}); err != nil {
		return err
	}
	s.metrics.flushed(info, time.Since(began))
	return nil
}

// commitFlush commits a manifest that names the segments made from the oldest memtable, and
// installs them in its place. The caller must hold s.upkeep.
func (s *Store) commitFlush(m *Manifest, made []*segment) error {
	if s.opts.Queue != nil {
		if err := s.opts.Queue.ExtendConfirmed(m.Flushed); err != nil {
			for _, seg := range made {
				seg.deleteOnRelease = true
				s.closeSegment(seg)
			}
			return err
		}
	}
	if err := s.commit(m, made...); err != nil {
		return err
	}
	s.install(func(next *storeVersion) {
		next.tables = &tableSet{memtables: next.tables.memtables[1:], segments: next.tables.withReplaced(nil, made)}
		next.manifest = m
		close(s.flushed)
		s.flushed = make(chan struct{})
	})
	return nil
}
