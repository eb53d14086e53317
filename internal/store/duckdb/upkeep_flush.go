package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"theeye/internal/durable"
	"theeye/internal/erasure"
	"theeye/internal/wait"
)

const (
	sliceRows       = 1_000_000 // of a slice, approximately
	maxSlices       = 200
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
		newest.position, newest.arrivals = next.position, next.arrivals
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

// BeginTimeline begins a new timeline after a frame. It is durable with the next flush that
// commits.
func (s *Store) BeginTimeline(last uint64) {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	m := *s.current().manifest
	m.beginTimeline(last)
	s.upToDate = false
	set := erasure.NewSet(s.tombstones.Document(), m.lineage())
	s.install(func(next *storeVersion) { next.manifest, next.erased = &m, set })
}

// largeRows is the number of rows from which a segment has DuckDB's default block size.
const largeRows = 100_000

// reserveID returns an id for a new segment.
func (s *Store) reserveID() uint64 { return s.lastID.Add(1) }

// commit makes m the manifest. After an error, it closes the segments that m would have named, and
// deletes their files. It sets NextID, and drops obsolete files that are gone. The caller must hold
// s.upkeep.
func (s *Store) commit(m *Manifest, made ...*segment) error {
	m.NextID = s.lastID.Load() + 1
	err := s.dropObsolete(m)
	var text []byte
	if err == nil {
		text, err = s.encoder.encode(m)
	}
	if err == nil {
		err = s.step("before manifest")
	}
	if err == nil {
		err = writeManifest(s.opts.Dir, text)
	}
	if err == nil {
		if err = s.step("manifest written"); err != nil {
			err = fmt.Errorf("%w: %w", durable.ErrUncertain, err)
		}
	}
	if errors.Is(err, durable.ErrUncertain) {
		s.fail(err) // the process must end
	}
	if err != nil {
		for _, seg := range made {
			seg.deleteOnRelease = !errors.Is(err, durable.ErrUncertain)
			s.closeSegment(seg)
		}
		return err
	}
	s.upToDate, s.newFolders = true, nil
	if err := writeCopy(s.opts.Dir, text); err != nil {
		s.log.Warn("could not copy the manifest; the previous copy remains until the next one is written", "error", err)
	}
	var names []string
	for _, seg := range made {
		names = append(names, seg.info.Data.Name, seg.info.Filter.Name)
	}
	if err := s.intents.end(names...); err != nil {
		s.log.Warn("the file INTENT could not be updated; it will be with the next segment", "error", err)
	}
	return nil
}

// dropObsolete removes the names of obsolete files from a manifest once their deletion is durable.
func (s *Store) dropObsolete(m *Manifest) error {
	var left []string
	for _, name := range m.Obsolete {
		if _, err := os.Lstat(s.segmentPath(name)); !errors.Is(err, fs.ErrNotExist) {
			left = append(left, name)
		}
	}
	if len(left) == len(m.Obsolete) {
		return nil
	}
	m.Obsolete = left
	if err := durable.SyncDir(s.segmentDir()); err != nil {
		return fmt.Errorf("sync the store's folder: %w", err)
	}
	return nil
}

// sliceBounds returns the times at which slices of about sliceRows rows begin.
func (s *Store) sliceBounds(ctx context.Context, in *instance, times string, rows int64) ([]int64, error) {
	n := min(rows/sliceRows, maxSlices)
	if n < 2 {
		return nil, nil
	}
	text := fmt.Sprintf("SELECT DISTINCT unnest(quantile_disc(occurred_at, list_transform(range(1, %d), lambda i: i / %d))) AS b FROM (%s) ORDER BY b", n, n, times)
	var bounds []int64
	err := eachRow(ctx, in, text, func(rows *sql.Rows) error {
		var b int64
		err := rows.Scan(&b)
		bounds = append(bounds, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find slices: %w", err)
	}
	return bounds, nil
}
