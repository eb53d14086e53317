package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/httpapi/admin"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// eraser erases sessions and applications from everything that a node holds. First, a tombstone
// keeps them from coming back; then a pass removes what is there. Waiting erasures share a pass.
type eraser struct {
	store     *duckdb.Store
	queue     *queue.Queue
	progress  *progress.Tracker
	collector *ingest.Collector
	apps      *registry.Registry
	replays   *replay.Runner
	stalled   func() error // why the store does not take what is in the queue
	log       *slog.Logger
	step      func(name string) error // for tests; see duckdb.Options.Step

	erasingApp *semaphore.Weighted // one application at a time
	rescuing   *semaphore.Weighted // one file at a time
	// looking is held while a tombstone is set, and by a rescue from when it reads the tombstones
	// until it has published its records. A tombstone that is set afterwards covers the frame of
	// these records.
	looking sync.Mutex
	wake    chan struct{} // a pass is wanted
	appLeft chan struct{} // the erasure of an application has begun and is not finished

	// left is how many erasures the previous server had not finished; tried reports whether a pass
	// has been made for them.
	left    int
	tried   atomic.Bool
	failing store.FailureTracker // passes

	mu    sync.Mutex // guards what follows
	next  *erasePass // the pass that those who ask now wait for
	ended bool
}

// newEraser completes an eraser that has the parts of its server.
func newEraser(e *eraser) *eraser {
	e.erasingApp, e.rescuing = semaphore.NewWeighted(1), semaphore.NewWeighted(1)
	e.wake, e.appLeft = make(chan struct{}, 1), make(chan struct{}, 1)
	e.left = len(e.store.UnfinishedErasures())
	if e.step == nil {
		e.step = func(string) error { return nil }
	}
	return e
}

// EraseSession erases a session in some applications, nil for all. The error is
// erasure.ErrUnfinished if the erasure has begun but is not finished; it then continues in the
// background, after the next start at the latest.
func (e *eraser) EraseSession(ctx context.Context, apps []string, session string) (admin.Erasure, error) {
	buried := apps
	if buried == nil {
		buried = []string{erasure.AllApps}
	}
	release, err := e.replays.EraseSession(ctx, session) // now: a later start knows only a hash of the session
	if err != nil {
		return admin.Erasure{}, err
	}
	defer release()
	done, err := e.erased(ctx, func(at event.Micros, frame uint64) ([]string, error) {
		return e.store.AddTombstones(buried, session, at, frame)
	}, func(one duckdb.Erased) bool {
		return one.SessionKey == e.store.Erasures().SessionKey(session) && (apps == nil || slices.Contains(apps, one.App))
	})
	if err != nil {
		return done, err
	}
	if n, err := e.store.CountSessionless(ctx, apps); err != nil { // what is erased is erased all the same
		e.log.Warn("the rejections without a session could not be counted for the report of an erasure", "error", err)
	} else {
		done.Sessionless = &n
	}
	return done, nil
}

// addTombstone sets tombstones, of what came up to now, and returns their ids.
type addTombstone func(at event.Micros, frame uint64) (ids []string, err error)

// erased sets tombstones, waits for a pass, and reports those of its removals for which counts is
// true. It ignores other erasures that the pass could not finish.
func (e *eraser) erased(ctx context.Context, bury addTombstone, counts func(duckdb.Erased) bool) (admin.Erasure, error) {
	at, ids, err := e.begin(ctx, bury)
	if err != nil {
		return admin.Erasure{}, err
	}
	p := e.join()
	select {
	case <-p.done:
	case <-ctx.Done():
		return admin.Erasure{}, ctx.Err()
	}
	if !e.store.ErasuresFinished(ids) {
		return admin.Erasure{}, errors.Join(erasure.ErrUnfinished, p.err)
	}
	done := admin.Erasure{ErasedAt: at}
	byApp := map[string]int{}
	for _, one := range p.removed {
		if !counts(one) {
			continue
		}
		i, ok := byApp[one.App]
		if !ok {
			i = len(done.Apps)
			byApp[one.App] = i
			done.Apps = append(done.Apps, admin.ErasedApp{App: one.App})
		}
		done.Apps[i].Events += one.Events
		done.Apps[i].Rejections += one.Rejections
	}
	slices.SortFunc(done.Apps, func(a, b admin.ErasedApp) int { return strings.Compare(a.App, b.App) })
	done.Unsearched, err = e.unsearched()
	return done, err
}

// begin sets tombstones.
func (e *eraser) begin(ctx context.Context, bury addTombstone) (at event.Micros, ids []string, err error) {
	e.looking.Lock()
	defer e.looking.Unlock()
	at = event.Now()
	state, err := e.queue.State(ctx)
	if err != nil {
		return at, nil, err
	}
	if ids, err = bury(at, state.Last); err != nil {
		return at, nil, fmt.Errorf("begin erasure: %w", err)
	}
	return at, ids, nil
}
