package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/live"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/store/duckdb"
)

// eraser erases sessions and applications from all that a node holds: first it makes sure that they
// cannot come back, then it removes them from the queue and from the store.
type eraser struct {
	store   *duckdb.Store
	queue   *queue.Queue
	live    *live.Live
	apps    *registry.Registry
	replays *replay.Runner
	log     *slog.Logger

	mu sync.Mutex // one erasure at a time
}

const eraseRetry = 10 * time.Second

// erase erases a session. After an error it is finished at the next start at the
// latest.
func (e *eraser) erase(ctx context.Context, apps []string, session string) (httpapi.Erasure, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.buried(ctx, func(at event.Micros, frame uint64) error { return e.store.Bury(apps, session, at, frame) })
}

// eraseApp erases all that an application sent, and then deletes it. The
// application takes nothing any more. It may be called again after an error; when the
// application is gone meanwhile, the error is registry.ErrNotFound.
func (e *eraser) eraseApp(ctx context.Context, app registry.App) (httpapi.Erasure, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.eraseAppLocked(ctx, app)
}

func (e *eraser) eraseAppLocked(ctx context.Context, app registry.App) (httpapi.Erasure, error) {
	if now, ok := e.apps.App(app.Name); !ok || now.ErasingSince == nil || !now.CreatedAt.Equal(app.CreatedAt) {
		return httpapi.Erasure{}, fmt.Errorf("application %q: %w", app.Name, registry.ErrNotFound)
	}
	done, err := e.buried(ctx, func(at event.Micros, frame uint64) error { return e.store.BuryApp(app.Name, at, frame) })
	if err != nil {
		return done, err
	}
	return done, e.apps.DeleteApp(ctx, app)
}

// buried erases what bury sets tombstones for.
func (e *eraser) buried(ctx context.Context, bury func(at event.Micros, frame uint64) error) (httpapi.Erasure, error) {
	release, err := e.replays.Hold(ctx)
	if err != nil {
		return httpapi.Erasure{}, err
	}
	defer release()
	at := event.Now()
	state, err := e.queue.State(ctx)
	if err != nil {
		return httpapi.Erasure{}, err
	}
	if err := bury(at, state.Last); err != nil {
		return httpapi.Erasure{}, fmt.Errorf("begin erasure: %w", err)
	}
	removed, err := e.finish(ctx)
	if err != nil {
		return httpapi.Erasure{}, fmt.Errorf("erase: %w", err)
	}
	done := httpapi.Erasure{ErasedAt: at}
	for _, app := range slices.Sorted(maps.Keys(removed)) {
		done.Apps = append(done.Apps, httpapi.ErasedApp{App: app, Events: removed[app].Events, Rejections: removed[app].Rejections})
	}
	return done, nil
}

// finish removes what has been begun to be erased: all that came before is brought
// from the queue to segments, the queue is trimmed behind it, and the segments are
// written without it.
func (e *eraser) finish(ctx context.Context) (map[string]duckdb.Erased, error) {
	state, err := e.queue.State(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.live.WaitFor(ctx, state.Last); err != nil {
		return nil, err
	}
	if err := e.store.Flush(ctx); err != nil {
		return nil, err
	}
	e.store.EndLeases() // of backups that would copy what is erased
	trimmed, err := e.trim(ctx)
	if err != nil {
		return nil, err
	}
	defer e.store.EndLeases()  // the segments of before go at once
	defer e.store.EndExports() // of what was there before
	return e.store.Erase(ctx, trimmed)
}

// trim takes all that is flushed from the queue, also what is usually kept there.
// A backup that began since then holds what came behind the erasure.
func (e *eraser) trim(ctx context.Context) (uint64, error) {
	flushed, err := e.store.Flushed(ctx)
	if err != nil {
		return 0, err
	}
	upTo := min(flushed, e.store.Held())
	return upTo, e.queue.Trim(ctx, upTo)
}

// run finishes at a start what was begun before it. A trim may have been lost with
// a crash: it is made again.
func (e *eraser) run(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ctx.Err() == nil {
		err := e.resume(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			e.log.Error("an erasure could not be finished; it is tried again", "error", err)
		}
		if pause(ctx, eraseRetry) != nil {
			break // it goes on at the next start
		}
	}
	return nil
}

// resume finishes what is left over of erasures, of applications last.
func (e *eraser) resume(ctx context.Context) error {
	if trimmed := e.store.Trimmed(); trimmed > 0 {
		if err := e.queue.Trim(ctx, trimmed); err != nil {
			return err
		}
	}
	if e.store.Unfinished() {
		if err := e.finishHeld(ctx); err != nil {
			return err
		}
	}
	for _, app := range e.apps.Apps() {
		if app.ErasingSince == nil {
			continue
		}
		done, err := e.eraseAppLocked(ctx, app)
		if err != nil {
			return err
		}
		note := registry.Entry{Act: "finishErasure", App: app.Name}
		note.Note("erased_at", done.ErasedAt.String())
		if err := e.apps.Trail().Record(ctx, note); err != nil {
			return err
		}
	}
	return nil
}

// finishHeld is finish while no replay runs.
func (e *eraser) finishHeld(ctx context.Context) error {
	release, err := e.replays.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = e.finish(ctx)
	return err
}

// newEraseCommand returns `eye erase`.
func newEraseCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "erase --session ID", Short: "Erase a session everywhere", Args: args(cobra.NoArgs),
		Long: "Erase a session everywhere: from the store and from the queue. It does not come back by a retry, a rebuild or a restore.\nThis cannot be undone.",
	}
	f := newClientFlags(cmd, s)
	session := cmd.Flags().String("session", "", "`id` of the session")
	apps := cmd.Flags().StringArray("app", nil, "`application` to erase it from; repeatable; all when left out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *session == "" {
			return usagef("--session is missing; give the id of the session to erase")
		}
		path := "/v1/sessions/" + url.PathEscape(*session)
		return f.show(cmd.Context(), request{method: http.MethodDelete, path: path, query: url.Values{"app": *apps}}, func(body []byte) error {
			var answer httpapi.ErasureAnswer
			if err := decode(path, body, &answer); err != nil {
				return err
			}
			t := newTable(f.out, "APP", "EVENTS", "REJECTIONS")
			for _, a := range answer.Apps {
				t.row(a.App, strconv.FormatInt(a.Events, 10), strconv.FormatInt(a.Rejections, 10))
			}
			if err := t.flush(); err != nil {
				return err
			}
			return f.say("erased session %s at %s", answer.SessionID, answer.ErasedAt)(nil)
		})
	}
	return cmd
}
