package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Erased counts what an erasure removed of one session of an application, or, without a session, of
// the whole application.
type Erased struct {
	App        string
	SessionKey string // erasure.Set.SessionKey of the session; empty for the whole application
	Events     int64
	Rejections int64
}

// AddTombstones begins the erasure of a session in some applications, or in all with
// erasure.AllApps. From now on, an arrival for the session has the fate erased if it was received,
// was sent or occurred at or before at, or if it has no sent time. lastFrame returns the last frame
// that was acknowledged. It is called while nothing is added to the store, so that the erasure
// covers all that readers of the feed have seen. Erase finishes the erasure. AddTombstones returns
// the ids of the tombstones, one for each application. The tombstones are durable when it returns.
func (s *Store) AddTombstones(apps []string, session string, at event.Micros, lastFrame func() (uint64, error)) (ids []string, err error) {
	return s.addTombstones(func() (added []erasure.Tombstone, err error) {
		frame, err := lastFrame()
		if err != nil {
			return nil, err
		}
		key, err := s.tombstones.SessionKey(session)
		if err != nil {
			return nil, err
		}
		s.erasing.Store(key, session)
		for _, app := range apps {
			added = append(added, erasure.Tombstone{App: app, Session: key, At: at, Frame: frame})
		}
		return added, nil
	})
}

// AddAppTombstone begins the erasure of everything that frames up to frame carried for an
// application, whatever its times. Events of a later application with that name are not affected.
// It returns like AddTombstones.
func (s *Store) AddAppTombstone(app string, at event.Micros, frame uint64) (ids []string, err error) {
	return s.addTombstones(func() ([]erasure.Tombstone, error) {
		return []erasure.Tombstone{{App: app, At: at, Frame: frame}}, nil
	})
}

// addTombstones adds tombstones, which are durable when it returns.
func (s *Store) addTombstones(added func() ([]erasure.Tombstone, error)) (ids []string, err error) {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	s.writing.Lock() // so that no batch is decided without the new tombstones
	defer s.writing.Unlock()
	list, err := added()
	if err != nil {
		return nil, err
	}
	now := s.current()
	for i := range list {
		list[i].ID, list[i].Timeline, list[i].Visible = uuid.NewString(), now.manifest.Timeline, now.position
		ids = append(ids, list[i].ID)
	}
	if err := s.step("before tombstone"); err != nil {
		return nil, err
	}
	if err := s.tombstones.Begin(list...); err != nil {
		return nil, err
	}
	if err := s.commitTombstones(); err != nil {
		return nil, err
	}
	return ids, s.step("tombstone written")
}

// ensureSessionKey makes sure that there is a key for the hashes of session ids, which is durable.
func (s *Store) ensureSessionKey() error {
	if s.current().erased.HasKey() {
		return nil
	}
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	if !s.persistent() || s.current().erased.HasKey() {
		return nil
	}
	if err := s.tombstones.CreateKey(); err != nil {
		return err
	}
	return s.commitTombstones()
}

// commitTombstones updates the digest of the tombstones in the manifest. They are in force even
// when that fails. The caller must hold s.upkeep.
func (s *Store) commitTombstones() error {
	m := *s.current().manifest
	m.Tombstones = s.tombstones.Digest()
	set := s.current().erased.With(s.tombstones.Document(), m.lineage())
	s.install(func(next *storeVersion) { next.erased = set })
	if err := s.commit(&m); err != nil {
		return err
	}
	s.install(func(next *storeVersion) { next.manifest = &m })
	return nil
}

// Erasures returns the set of all tombstones, by which both intake and store decide.
func (s *Store) Erasures() *erasure.Set { return s.current().erased }

// UnfinishedErasures returns the tombstones of erasures that are not finished.
func (s *Store) UnfinishedErasures() (list []erasure.Tombstone) {
	for _, t := range s.current().erased.Tombstones() {
		if !t.Finished {
			list = append(list, t)
		}
	}
	return list
}

// ErasuresFinished reports whether the erasures of the tombstones with the given ids are finished.
func (s *Store) ErasuresFinished(ids []string) bool {
	n := 0
	for _, t := range s.current().erased.Tombstones() {
		if t.Finished && slices.Contains(ids, t.ID) {
			n++
		}
	}
	return n == len(ids)
}

// TrimmedByErasures returns the frame up to which finished erasures have trimmed the queue, 0 for
// none.
func (s *Store) TrimmedByErasures() uint64 { return s.current().erased.Trimmed() }

// Erase removes from the segments everything that some unfinished tombstones cover, and returns
// what it removed. The caller must make sure that no record is on its way to the queue that was
// validated before these tombstones were known, and that the queue was flushed and trimmed up to
// trimmed, a frame after all such records. Tombstones of later frames are left for the next call.
// Rows that are removed leave a residue with the event's id and the fate erased.
//
// After an error with one segment, Erase continues with the others and returns both a report and
// the error. Tombstones that cover nothing in the failed segments are finished; the others are left
// for the next call. Erase ends running backups and exports, so that the files that they read are
// deleted.
func (s *Store) Erase(ctx context.Context, open []erasure.Tombstone, trimmed uint64) (report []Erased, err error) {
	var done []erasure.Tombstone
	var left []failedErasure
	err = s.withRecovery(ctx, func(ctx context.Context) (err error) {
		done, left, err = s.eraseOpen(ctx, open, trimmed, &report)
		return err
	})
	for _, u := range left {
		s.log.Error("a segment still contains what is being erased; it will be retried; "+u.advice(), "segment", u.segment.info.Data.Name, "error", firstLine(u.err))
	}
	s.EndLeases()
	s.EndExports()
	if ended := s.feedWindows.end(ctx); ended != nil {
		return report, errors.Join(err, ended)
	}
	if len(done) == 0 {
		return report, err
	}
	if waited := s.awaitObsolete(ctx); waited != nil {
		return report, errors.Join(err, waited)
	}
	// A reader that held the old segments until now may have made a window of them.
	if ended := s.feedWindows.end(ctx); ended != nil {
		return report, errors.Join(err, ended)
	}
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	for _, t := range done {
		s.erasing.Delete(t.Session)
	}
	if finished := s.tombstones.Finish(done, trimmed, s.current().manifest.Timeline); finished != nil {
		return report, errors.Join(err, finished)
	}
	return report, errors.Join(err, s.commitTombstones())
}

// failedErasure is a segment from which something could not be erased.
type failedErasure struct {
	segment *segment
	err     error
}

// advice says what the user can do.
func (u failedErasure) advice() string {
	switch {
	case isOutOfMemory(u.err):
		return "give the store more memory (--store-memory) and start again"
	case errors.Is(u.err, syscall.ENOSPC), strings.Contains(u.err.Error(), "No space left"):
		return "free some disk space"
	}
	return "`eye store verify` reports whether the segment is damaged"
}

// Limits of the wait for files that readers have pinned. A query takes at most ten seconds.
const (
	obsoleteTimeout = 30 * time.Second
	obsoleteEvery   = 5 * time.Millisecond
)

// awaitObsolete waits until obsolete files are deleted.
func (s *Store) awaitObsolete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, obsoleteTimeout)
	defer cancel()
	for _, name := range s.current().manifest.Obsolete {
		for {
			if _, err := os.Lstat(s.segmentPath(name)); errors.Is(err, fs.ErrNotExist) {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w: %s is still being read", store.ErrUnavailable, name)
			case <-time.After(obsoleteEvery):
			}
		}
	}
	return nil
}

// eraseOpen removes what the tombstones of frames up to trimmed cover, and adds to report. It
// returns the tombstones of which nothing is left, and the segments that still hold something.
func (s *Store) eraseOpen(ctx context.Context, open []erasure.Tombstone, trimmed uint64, report *[]Erased) (done []erasure.Tombstone, left []failedErasure, err error) {
	s.merging.Lock()
	defer s.merging.Unlock()
	p := s.pin()
	defer p.release()
	for _, t := range open {
		if last, ok := p.erased.LastFrame(t); !ok || last <= min(trimmed, p.manifest.Flushed) {
			done = append(done, t)
		}
	}
	if len(done) == 0 {
		return nil, nil, nil
	}
	set := p.erased.Only(slices.Clone(done)) // it keeps its list
	for _, seg := range p.tables.segments {
		targets, failed := s.eraseFrom(ctx, set, seg, report)
		if failed == nil {
			continue
		}
		left = append(left, failedErasure{seg, failed})
		err = errors.Join(err, fmt.Errorf("erase from segment %s: %w", seg.info.Data.Name, failed))
		if p.mustStop(ctx, failed) {
			return nil, left, err
		}
		done = slices.DeleteFunc(done, func(t erasure.Tombstone) bool {
			return targets == nil || slices.ContainsFunc(targets, func(tg eraseTarget) bool { return tg.coveredBy(p.erased.Only([]erasure.Tombstone{t})) })
		})
	}
	return done, left, err
}

// eraseFrom removes what a set covers from a segment. After an error it returns the targets, nil
// when they are not known.
func (s *Store) eraseFrom(ctx context.Context, set *erasure.Set, seg *segment, report *[]Erased) ([]eraseTarget, error) {
	targets, err := s.findTargets(ctx, set, seg)
	if err != nil || len(targets) == 0 {
		return nil, err
	}
	if err := s.step("before erasure"); err != nil {
		return targets, err
	}
	inputs := []*segment{seg}
	if err := s.rewrite(ctx, inputs, withoutTargets(rowsOf(inputs), targets), func(*Manifest, []SegmentInfo) {}); err != nil {
		return targets, err
	}
	for _, tg := range targets {
		one := Erased{App: tg.app, Events: tg.events, Rejections: tg.rejections}
		if tg.session != "" {
			one.SessionKey = set.SessionKey(tg.session)
		}
		*report = append(*report, one)
	}
	return targets, nil
}

// CountSessionless counts the rejections of applications, nil for all, that have no session: no
// erasure of a session finds them. It reads the applications and sessions of all rejections.
func (s *Store) CountSessionless(ctx context.Context, apps []string) (int64, error) {
	return queryWithRecovery(ctx, s, query.Query{Apps: apps}, func(p *pinned, q query.Query) (int64, error) {
		b := newBuilder()
		rows := p.selected(rejectionTable, query.Rejections, q, b)
		return s.queryInt(ctx, b.build("erase", "SELECT count(*) FROM (SELECT session_id FROM "+rows+") WHERE session_id = ''"))
	})
}

// CheckFrames verifies the checksums of the segments that hold rows of the frames from first to
// last. A damaged one is quarantined and rebuilt from the queue, which must still hold these
// frames.
func (s *Store) CheckFrames(ctx context.Context, first, last uint64) error {
	p := s.pin()
	defer p.release()
	damaged := false
	for _, seg := range p.tables.segments {
		if !seg.info.Carried.overlaps(int64(first), int64(last)) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		out, err := s.checkSegment(seg)
		if err != nil {
			return err
		}
		damaged = damaged || out
	}
	if !damaged {
		return nil
	}
	return s.withRecovery(ctx, s.rebuildAll)
}
