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
	stalled   func() error // why the store does not accept what is in the queue; nil while it does
	log       *slog.Logger
	step      func(name string) error // for tests; see duckdb.Options.Step

	erasingApp *semaphore.Weighted // one application at a time
	rescuing   *semaphore.Weighted // one file at a time
	// tombstoneMu is held while a tombstone is set. A rescue holds it from when it reads the
	// tombstones until it has published its records, so a tombstone that is set afterwards covers
	// the frame of these records.
	tombstoneMu sync.Mutex
	wake        chan struct{} // a pass is wanted
	appPending  chan struct{} // the erasure of an application has begun and is not finished

	unfinished int                  // the erasures that the previous server had not finished
	tried      atomic.Bool          // a pass has been made for these
	failing    store.FailureTracker // passes

	mu    sync.Mutex // guards the fields below
	next  *erasePass // the pass that callers that join now wait for
	ended bool       // there will be no more passes
}

// newEraser completes an eraser whose parts are set.
func newEraser(e *eraser) *eraser {
	e.erasingApp, e.rescuing = semaphore.NewWeighted(1), semaphore.NewWeighted(1)
	e.wake, e.appPending = make(chan struct{}, 1), make(chan struct{}, 1)
	e.unfinished = len(e.store.UnfinishedErasures())
	if e.step == nil {
		e.step = func(string) error { return nil }
	}
	return e
}

// EraseSession erases a session in some applications, nil for all. The error is
// erasure.ErrUnfinished if the erasure has begun but is not finished; it then continues in the
// background, after the next start at the latest.
func (e *eraser) EraseSession(ctx context.Context, apps []string, session string) (admin.Erasure, error) {
	tombstoneApps := apps
	if tombstoneApps == nil {
		tombstoneApps = []string{erasure.AllApps}
	}
	// This has to happen now: after a restart, only a hash of the session is known.
	release, err := e.replays.EraseSession(ctx, session)
	if err != nil {
		return admin.Erasure{}, err
	}
	defer release()
	done, err := e.erase(ctx, func(at event.Micros) ([]string, error) {
		return e.store.AddTombstones(tombstoneApps, session, at, func() (uint64, error) {
			state, err := e.queue.State(ctx)
			return state.Last, err
		})
	}, func(removal duckdb.Erased) bool {
		return removal.SessionKey == e.store.Erasures().SessionKey(session) && (apps == nil || slices.Contains(apps, removal.App))
	})
	if err != nil {
		return done, err
	}
	if n, err := e.store.CountSessionless(ctx, apps); err != nil { // the erasure has succeeded nevertheless
		e.log.Warn("the rejections without a session could not be counted for the report of an erasure", "error", err)
	} else {
		done.Sessionless = &n
	}
	return done, nil
}

// addTombstone sets tombstones for what was received up to a time, and returns their ids.
type addTombstone func(at event.Micros) (ids []string, err error)

// erase sets tombstones, waits for a pass, and reports those of its removals for which counts is
// true. It ignores other erasures that the pass could not finish.
func (e *eraser) erase(ctx context.Context, add addTombstone, counts func(duckdb.Erased) bool) (admin.Erasure, error) {
	at, ids, err := e.begin(add)
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
	for _, removal := range p.removed {
		if !counts(removal) {
			continue
		}
		i, ok := byApp[removal.App]
		if !ok {
			i = len(done.Apps)
			byApp[removal.App] = i
			done.Apps = append(done.Apps, admin.ErasedApp{App: removal.App})
		}
		done.Apps[i].Events += removal.Events
		done.Apps[i].Rejections += removal.Rejections
	}
	slices.SortFunc(done.Apps, func(a, b admin.ErasedApp) int { return strings.Compare(a.App, b.App) })
	done.Unsearched, err = e.unsearched()
	return done, err
}

// begin sets tombstones up to now.
func (e *eraser) begin(add addTombstone) (at event.Micros, ids []string, err error) {
	e.tombstoneMu.Lock()
	defer e.tombstoneMu.Unlock()
	at = event.Now()
	if ids, err = add(at); err != nil {
		return at, nil, fmt.Errorf("begin erasure: %w", err)
	}
	return at, ids, nil
}
