package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"theeye/internal/durable"
	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/httpapi/admin"
	"theeye/internal/ingest"
	"theeye/internal/plural"
	"theeye/internal/progress"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
	"theeye/internal/wait"
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

// erasePass removes all that had a tombstone when it began.
type erasePass struct {
	done    chan struct{} // closed when the rest is set
	removed []duckdb.Erased
	err     error
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

// After an error, a pass is retried after eraseRetry, and then after twice as long each time, up to
// mostEraseRetry, because each pass ends the running backups and exports.
const (
	eraseRetry     = 10 * time.Second
	mostEraseRetry = time.Hour
)

var errErasing = fmt.Errorf("%w: the erasure goes on when the server has started again", store.ErrUnavailable)

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

// EraseApp erases everything that an application sent, and then deletes the application, which must
// have stopped accepting events. It may be called again after an error; if the application no
// longer exists, the error is registry.ErrNotFound.
func (e *eraser) EraseApp(ctx context.Context, app registry.App) (_ admin.Erasure, err error) {
	defer func() {
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			notify(e.appLeft)
		}
	}()
	if err := e.erasingApp.Acquire(ctx, 1); err != nil {
		return admin.Erasure{}, err
	}
	defer e.erasingApp.Release(1)
	if now, ok := e.apps.App(app.Name); !ok || now.ErasingSince == nil || !now.CreatedAt.Equal(app.CreatedAt) {
		return admin.Erasure{}, fmt.Errorf("application %q: %w", app.Name, registry.ErrNotFound)
	}
	free, err := e.replays.EraseApp(ctx, app.Name)
	if err != nil {
		return admin.Erasure{}, err
	}
	defer free()
	done, err := e.erased(ctx, func(at event.Micros, _ uint64) ([]string, error) {
		var frame uint64
		var release func()
		err := whileWorking(ctx, e.stalled, func(ctx context.Context) (err error) {
			frame, release, err = e.boundary(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		defer release()
		return e.store.AddAppTombstone(app.Name, at, frame)
	}, func(one duckdb.Erased) bool { return one.App == app.Name })
	if err != nil {
		return done, err
	}
	return done, e.apps.DeleteApp(ctx, app)
}

// boundary returns a frame after everything that is on its way to the queue now, and keeps replays
// from sending more until release is called. When boundary is called, the application no longer
// accepts events, so everything that it sent, or that replays of it brought, comes before that
// frame.
func (e *eraser) boundary(ctx context.Context) (frame uint64, release func(), err error) {
	if release, err = e.replays.Hold(ctx); err != nil {
		return 0, nil, err
	}
	if err = e.collector.WaitInFlight(ctx); err == nil {
		// A frame of unknown outcome comes before this one, or never.
		frame, err = e.queue.Publish(ctx, queue.Frame{})
	}
	if err != nil {
		release()
		return 0, nil, err
	}
	return frame, release, nil
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

// unsearched lists what erasures do not search.
func (e *eraser) unsearched() ([]admin.PutAside, error) {
	if err := e.store.QuarantineStrays(); err != nil { // nothing searches them where they are
		return nil, err
	}
	var list []admin.PutAside
	for _, q := range e.quarantines() {
		u, err := durable.UsageOf(q.dir)
		if err != nil {
			return nil, err
		}
		if u.Files > 0 {
			list = append(list, admin.PutAside{Where: q.where, Files: u.Files, Bytes: u.Bytes})
		}
	}
	unusable := admin.PutAside{Where: "replays"}
	for _, file := range e.replays.Unusable() {
		if info, err := os.Stat(file); err == nil {
			unusable.Files++
			unusable.Bytes += info.Size()
		}
	}
	if unusable.Files > 0 {
		list = append(list, unusable)
	}
	return list, nil
}

// quarantine is a folder of what was put aside.
type quarantine struct{ where, dir string }

func (e *eraser) quarantines() []quarantine {
	return []quarantine{{"store/quarantine", e.store.QuarantineDir()}, {"queue/quarantine", e.queue.QuarantineDir()}}
}

// Describe implements prometheus.Collector: an eraser reports what is in quarantine.
func (e *eraser) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(e, to) }

// Collect implements prometheus.Collector.
func (e *eraser) Collect(to chan<- prometheus.Metric) {
	files := prometheus.NewDesc("eye_quarantine_files", "Files that were put aside as damaged, by folder.", []string{"folder"}, nil)
	bytes := prometheus.NewDesc("eye_quarantine_bytes", "Bytes of files that were put aside as damaged, by folder.", []string{"folder"}, nil)
	for _, q := range e.quarantines() {
		u, err := durable.UsageOf(q.dir)
		if err != nil {
			e.log.Warn("a quarantine cannot be read", "folder", q.dir, "error", err)
			continue
		}
		to <- prometheus.MustNewConstMetric(files, prometheus.GaugeValue, float64(u.Files), q.where)
		to <- prometheus.MustNewConstMetric(bytes, prometheus.GaugeValue, float64(u.Bytes), q.where)
	}
}

// EmptyQuarantine deletes what is in quarantine in the store and the queue, segment files that
// nothing names, and replay files that cannot be used. It returns what it found.
func (e *eraser) EmptyQuarantine(context.Context) ([]admin.PutAside, error) {
	there, err := e.unsearched()
	if err != nil {
		return nil, err
	}
	err = e.replays.RemoveUnusable()
	for _, q := range e.quarantines() {
		err = errors.Join(err, durable.Empty(q.dir))
	}
	return there, err
}

// join returns the next pass.
func (e *eraser) join() *erasePass {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.next == nil {
		e.next = &erasePass{done: make(chan struct{})}
	}
	p := e.next
	if e.ended {
		e.next = nil
		p.err = errErasing
		close(p.done)
		return p
	}
	notify(e.wake)
	return p
}

// notify sends a signal to a channel with a buffer of one, unless one is pending.
func notify(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// take begins a pass: callers that join from now on wait for the next one.
func (e *eraser) take() *erasePass {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.next
	if e.next = nil; p == nil {
		p = &erasePass{done: make(chan struct{})}
	}
	return p
}

// run makes passes until ctx ends. At first it finishes what was begun before the start.
func (e *eraser) run(ctx context.Context) error {
	defer e.end()
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { e.finishApps(ctx) })
	retry, wait := time.NewTimer(0), eraseRetry // what is left over
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-retry.C:
		}
		p := e.take()
		if p.err = e.retrim(ctx); p.err == nil {
			p.err = whileWorking(ctx, e.stalled, func(ctx context.Context) (err error) {
				p.removed, err = e.pass(ctx)
				return err
			})
		}
		if ctx.Err() == nil {
			e.failing.Record(p.err)
			e.tried.Store(true)
		}
		switch {
		case p.err == nil:
			wait = eraseRetry
		case ctx.Err() == nil:
			e.log.Error("an erasure could not be finished; it will be retried", "after", wait.String(), "error", p.err)
			retry.Reset(wait)
			wait = min(2*wait, mostEraseRetry)
		}
		if ctx.Err() != nil {
			p.err = errErasing
		}
		close(p.done)
	}
}

// ready returns nil once a pass has been made for what the previous server had not finished. Until
// then, erased data may still be there, such as after a restore with later tombstones.
func (e *eraser) ready() error {
	if e.left == 0 || e.tried.Load() {
		return nil
	}
	return fmt.Errorf("%s from before the start must be finished first; intake works meanwhile", plural.Count(e.left, "erasure"))
}

// notice describes the erasures that could not be finished; it is empty when there are none.
func (e *eraser) notice() string {
	err := e.failing.Err(0)
	if err == nil {
		return ""
	}
	n := len(e.store.UnfinishedErasures())
	if n == 0 {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), "\n") // DuckDB goes on about settings
	return fmt.Sprintf("erasure: %s cannot be finished, and what is to be erased may still be found: finishing %s; it will be retried", plural.Count(n, "erasure"), text)
}

// end answers waiting callers, because there will be no more passes.
func (e *eraser) end() {
	e.mu.Lock()
	e.ended = true
	p := e.next
	e.next = nil
	e.mu.Unlock()
	if p != nil {
		p.err = errErasing
		close(p.done)
	}
}

// retrim trims the queue again to where finished erasures have trimmed it: a trim is not fsynced.
func (e *eraser) retrim(ctx context.Context) error {
	trimmed := e.store.TrimmedByErasures()
	state, err := e.queue.State(ctx)
	if err != nil || trimmed < state.First {
		return err
	}
	return e.queue.Trim(ctx, trimmed)
}

// pass removes what has a tombstone when it begins: first from the queue, then from the segments.
// When it returns, no file that the queue or the store still has contains any of it, except for
// unfinished tombstones, which the error reports. A tombstone that is set in the meantime is left
// to the next pass: records that were validated before it was known may enter the queue after this
// pass has trimmed it.
func (e *eraser) pass(ctx context.Context) (removed []duckdb.Erased, err error) {
	open := e.store.UnfinishedErasures()
	if len(open) == 0 {
		return nil, nil
	}
	release, err := e.replays.Hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := e.step("tombstone known"); err != nil {
		return nil, err
	}
	if err := e.collector.WaitInFlight(ctx); err != nil {
		return nil, err
	}
	if err := e.step("intake settled"); err != nil {
		return nil, err
	}
	trimmed, err := e.clearQueue(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.step("queue cleared"); err != nil {
		return nil, err
	}
	return e.store.Erase(ctx, open, trimmed)
}

// clearQueue flushes what the queue holds into segments, and waits until every file that the queue
// had before is deleted. It returns the frame up to which it has trimmed.
func (e *eraser) clearQueue(ctx context.Context) (trimmed uint64, err error) {
	blocks, err := e.queue.Blocks()
	if err != nil {
		return 0, err
	}
	if trimmed, err = e.trimFlushed(ctx); err != nil {
		return 0, err
	}
	state, err := e.queue.State(ctx)
	if err != nil {
		return 0, err
	}
	if state.Frames == 0 {
		if gone, err := e.queue.WaitDeleted(ctx, blocks); gone || err != nil {
			return trimmed, err
		}
	}
	// Other frames have arrived in the meantime, in the same file as the erased ones.
	if _, err = e.queue.Pad(ctx); err != nil {
		return 0, err
	}
	if err := e.step("queue padded"); err != nil {
		return 0, err
	}
	if trimmed, err = e.trimFlushed(ctx); err != nil {
		return 0, err
	}
	gone, err := e.queue.WaitDeleted(ctx, blocks)
	if err == nil && !gone {
		err = fmt.Errorf("%w: the queue has not deleted trimmed files yet", store.ErrUnavailable)
	}
	return trimmed, err
}

// trimFlushed flushes what the queue holds now, checks the segments made of it, and trims it.
func (e *eraser) trimFlushed(ctx context.Context) (trimmed uint64, err error) {
	state, err := e.queue.State(ctx)
	if err != nil {
		return 0, err
	}
	if err := e.progress.WaitFor(ctx, state.Last); err != nil {
		return 0, err
	}
	if err := e.store.Flush(ctx); err != nil {
		return 0, err
	}
	if err := e.step("queue flushed"); err != nil {
		return 0, err
	}
	flushed, err := e.store.Flushed(ctx)
	if err != nil {
		return 0, err
	}
	if err := e.store.CheckFrames(ctx, state.First, flushed); err != nil {
		return 0, err
	}
	e.store.EndLeases() // they would copy what is erased
	e.store.EndExports()
	return flushed, e.queue.Trim(ctx, flushed)
}

// finishApps erases the applications whose erasure was begun and is not finished: before the start,
// or by a request that could not wait for it.
func (e *eraser) finishApps(ctx context.Context) {
	for backoff := eraseRetry; ; {
		err := e.resumeApps(ctx)
		if err == nil {
			backoff = eraseRetry
			select {
			case <-ctx.Done():
				return
			case <-e.appLeft:
			case <-time.After(mostEraseRetry): // one may have begun without an answer
			}
		} else if ctx.Err() == nil {
			e.log.Error("the erasure of an application could not be finished; it will be retried", "after", backoff.String(), "error", err)
		}
		if wait.For(ctx, backoff) != nil {
			return
		}
		backoff = min(2*backoff, mostEraseRetry)
	}
}

func (e *eraser) resumeApps(ctx context.Context) (failed error) {
	for _, app := range e.apps.Apps() {
		if app.ErasingSince == nil {
			continue
		}
		done, err := e.EraseApp(ctx, app)
		if errors.Is(err, registry.ErrNotFound) { // another request has finished it
			continue
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("erase application %q: %w", app.Name, err))
			continue
		}
		note := registry.Entry{Act: "finishErasure", App: app.Name}
		note.Note("erased_at", done.ErasedAt.String())
		if err := e.apps.AuditLog().Record(ctx, note); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
