package duckdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"theeye/internal/event"
	"theeye/internal/store"
)

// ErrNoFrames is returned for frames that cannot be read from the queue again.
var ErrNoFrames = errors.New("the frames are no longer in the queue")

// rebuildRecords is the approximate number of records that are decided at once.
const rebuildRecords = 10_000

// recoverDamaged readmits the damaged segments of which there is an intact file, and rebuilds those
// whose frames are still in the queue.
func (s *Store) recoverDamaged(ctx context.Context) error {
	for _, d := range s.current().manifest.Damaged {
		if _, tried := s.unrecoverable.Load(d.Segment.ID); tried {
			continue
		}
		began := time.Now()
		if file, _ := s.intactCopy(d.Segment); file != "" { // Readmit reports what could not be read
			switch err := s.readmit(ctx, d.Segment, file); {
			case errors.Is(err, ErrNoFrames):
				s.unrecoverable.Store(d.Segment.ID, true)
				s.log.Error("a file in quarantine is intact, but cannot be readmitted", "file", file, "error", err)
			case err != nil && ctx.Err() == nil: // not retried before the next start or Readmit
				s.unrecoverable.Store(d.Segment.ID, true)
				s.log.Error("a file in quarantine is intact, but could not be readmitted; it will be retried at the next start, or by `eye store readmit`", "file", file, "error", err)
			case err != nil:
				return fmt.Errorf("readmit segment %s: %w", d.Segment.Data.Name, err)
			default:
				s.log.Info("a quarantined segment is intact and was readmitted; nothing of it is lost",
					"segment", d.Segment.Data.Name, "rows", d.Segment.Rows, "took", time.Since(began).String())
			}
			continue
		}
		if !s.canRebuild(d.Segment) {
			s.unrecoverable.Store(d.Segment.ID, true)
			continue
		}
		made, err := s.rebuildSegment(ctx, d.Segment)
		switch {
		case errors.Is(err, ErrNoFrames):
			s.unrecoverable.Store(d.Segment.ID, true)
			s.log.Error("a damaged segment cannot be rebuilt; its rows are lost", "segment", d.Segment.Data.Name, "error", err)
		case err != nil:
			return fmt.Errorf("rebuild segment %s: %w", d.Segment.Data.Name, err)
		default:
			s.log.Info("a damaged segment was rebuilt from the queue; nothing of it is lost",
				"segment", d.Segment.Data.Name, "now", made.Data.Name, "rows", made.Rows, "took", time.Since(began).String())
		}
	}
	return nil
}

// rebuildSegment decides the frames of a damaged segment again, and replaces the segment by a new
// one. Nothing else is written meanwhile, because the decisions must still be right when they are
// committed.
func (s *Store) rebuildSegment(ctx context.Context, damaged SegmentInfo) (SegmentInfo, error) {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	p := s.pin()
	defer p.release()
	mt, err := s.newMemtable(ctx, p.tables.memtables[len(p.tables.memtables)-1].number+1)
	if err != nil {
		return SegmentInfo{}, err
	}
	defer s.dropOrphans(orphans{memtables: []*memtable{mt}})
	if err := s.decideFrames(ctx, p, mt, damaged.Carried); err != nil {
		return SegmentInfo{}, err
	}
	info, err := s.writeMemtable(ctx, mt)
	if err != nil {
		return info, err
	}
	if !sameArrivals(info, damaged) {
		s.unlink(info)
		return info, fmt.Errorf("%w as they were: they give %v instead of %v", ErrNoFrames, info.Apps, damaged.Apps)
	}
	return info, s.commitRestored(ctx, *p.manifest, []SegmentInfo{info}, damaged.ID)
}

// writeMemtable writes a memtable as a segment.
func (s *Store) writeMemtable(ctx context.Context, mt *memtable) (SegmentInfo, error) {
	bounds, err := s.sliceBounds(ctx, s.reading, "SELECT occurred_at FROM "+hotName(eventTable, mt.number), mt.rows)
	if err != nil {
		return SegmentInfo{}, err
	}
	return s.writeSegment(ctx, s.reading, segmentSpec{
		id: s.reserveID(), bounds: bounds, block: blockSize(mt.rows, nil),
		rows: func(table string) string { return "SELECT " + columnsOf(table) + " FROM " + hotName(table, mt.number) },
	})
}

// decideFrames decides the frames within bounds as if they arrived now, and inserts their rows into
// mt. What was stored while they were missing counts as the first arrival.
func (s *Store) decideFrames(ctx context.Context, p *pinned, mt *memtable, carried Bounds) error {
	with := *p.storeVersion
	with.tables = &tableSet{memtables: append(slices.Clone(p.tables.memtables), mt), segments: p.tables.segments}
	q := &pinned{storeVersion: &with, store: s, in: p.in}
	var waiting []event.Record
	write := func() error {
		_, err := q.decideInto(ctx, mt, waiting)
		if err != nil && !store.IsTransient(ctx, err) {
			isolator := store.Isolator{Quarantine: s.opts.Queue.QuarantineRecord, Logger: s.log}
			probe := func(ctx context.Context, records []event.Record) error { return s.probe(ctx, mt, records) }
			if kept, replaced, failed := isolator.Isolate(ctx, probe, waiting); replaced > 0 {
				_, err = q.decideInto(ctx, mt, kept)
			} else {
				err = errors.Join(err, failed)
			}
		}
		waiting = nil
		return err
	}
	for records, err := range s.opts.Queue.Frames(ctx, uint64(*carried.Min), uint64(*carried.Max)) {
		if err != nil {
			return err
		}
		if waiting = append(waiting, records...); len(waiting) >= rebuildRecords {
			if err := write(); err != nil {
				return err
			}
		}
	}
	return write()
}

// sameArrivals reports whether two segments account for the same numbers of arrivals, whatever
// their fates.
func sameArrivals(a, b SegmentInfo) bool {
	totals := func(info SegmentInfo) map[string]int64 {
		m := map[string]int64{}
		for app, n := range info.Apps {
			m[app] = n.total()
		}
		return m
	}
	return maps.Equal(totals(a), totals(b)) && a.Replays == b.Replays
}

// commitRestored commits segments in place of the damaged one with an id. The caller must hold
// s.upkeep.
func (s *Store) commitRestored(ctx context.Context, m Manifest, made []SegmentInfo, damaged uint64) error {
	var opened []*segment
	for _, info := range made {
		seg, err := s.openSegment(ctx, info)
		if err != nil {
			for _, seg := range opened {
				s.closeSegment(seg)
			}
			s.unlinkAll(made)
			return err
		}
		opened = append(opened, seg)
	}
	m.Segments = append(slices.Clone(m.Segments), made...)
	m.Damaged = slices.DeleteFunc(slices.Clone(m.Damaged), func(d DamagedSegment) bool { return d.Segment.ID == damaged })
	if err := s.commit(&m, opened...); err != nil {
		return err
	}
	s.install(func(next *storeVersion) {
		next.tables = &tableSet{memtables: next.tables.memtables, segments: next.tables.withReplaced(nil, opened)}
		next.manifest = &m
	})
	return nil
}
