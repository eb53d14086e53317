package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"theeye/internal/event"
	"theeye/internal/httpapi/admin"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/store/duckdb"
	"theeye/internal/wait"
)

// EraseApp erases everything that an application sent, and then deletes the application, which must
// have stopped accepting events. It may be called again after an error; if the application no
// longer exists, the error is registry.ErrNotFound.
func (e *eraser) EraseApp(ctx context.Context, app registry.App) (_ admin.Erasure, err error) {
	defer func() {
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			notify(e.appPending)
		}
	}()
	if err := e.erasingApp.Acquire(ctx, 1); err != nil {
		return admin.Erasure{}, err
	}
	defer e.erasingApp.Release(1)
	if now, ok := e.apps.App(app.Name); !ok || now.ErasingSince == nil || !now.CreatedAt.Equal(app.CreatedAt) {
		return admin.Erasure{}, fmt.Errorf("application %q: %w", app.Name, registry.ErrNotFound)
	}
	release, err := e.replays.EraseApp(ctx, app.Name)
	if err != nil {
		return admin.Erasure{}, err
	}
	defer release()
	done, err := e.erase(ctx, func(at event.Micros) ([]string, error) {
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
	}, func(removal duckdb.Erased) bool { return removal.App == app.Name })
	if err != nil {
		return done, err
	}
	return done, e.apps.DeleteApp(ctx, app)
}

// boundary returns a frame after everything that is on its way to the queue now, and keeps replays
// from publishing more until release is called. The application must have stopped accepting events:
// then all its events, including those of its replays, are in frames before that one.
func (e *eraser) boundary(ctx context.Context) (frame uint64, release func(), err error) {
	if release, err = e.replays.Pause(ctx); err != nil {
		return 0, nil, err
	}
	if err = e.collector.WaitInFlight(ctx); err == nil {
		// A frame whose write was not confirmed is before this one, or is never written.
		frame, err = e.queue.Publish(ctx, queue.Frame{})
	}
	if err != nil {
		release()
		return 0, nil, err
	}
	return frame, release, nil
}

// finishApps erases the applications whose erasure has begun but is not finished, because the
// previous server ended or because the request did not wait for it.
func (e *eraser) finishApps(ctx context.Context) {
	for backoff := minEraseRetry; ; {
		err := e.resumeApps(ctx)
		if err == nil {
			backoff = minEraseRetry
			select {
			case <-ctx.Done():
				return
			case <-e.appPending:
			case <-time.After(maxEraseRetry): // in case the request that began an erasure ended without a signal
			}
		} else if ctx.Err() == nil {
			e.log.Error("the erasure of an application could not be finished; it will be retried", "after", backoff.String(), "error", err)
		}
		if wait.For(ctx, backoff) != nil {
			return
		}
		backoff = min(2*backoff, maxEraseRetry)
	}
}

// resumeApps erases the applications whose erasure has begun, and records that in the audit log.
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
