// Package admin serves the routes of administration: applications, keys, event types, replays,
// erasures, backups, the audit log, and the recovery of a damaged store.
//
// Package httpapi decides who may call them, and records the calls in the audit log.
package admin

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"theeye/internal/backup"
	"theeye/internal/clock"
	"theeye/internal/httpapi"
	"theeye/internal/ingest"
	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/store"
)

// Options are the options of Handlers. The zero value is sufficient for Routes.
type Options struct {
	Registry  *registry.Registry
	Collector *ingest.Collector
	Reader    store.Reader
	Intake    Intake
	Books     Books
	Replays   *replay.Runner
	Backup    *backup.Source // nil if events are stored elsewhere
	// CaughtUp returns nil if the store holds everything that was acknowledged before the start, or
	// else an error that reports its progress.
	CaughtUp func() error
	Recovery Recovery // nil if events are stored elsewhere
	Eraser   Eraser   // nil if events are stored elsewhere
	// AcceptClock sets the clock of retention to the system clock; nil if events are stored
	// elsewhere.
	AcceptClock func() (clock.Change, error)

	Logger *slog.Logger
}

// Recovery recovers what a damaged store has lost.
type Recovery interface {
	// Acknowledge clears the losses and damaged files that /readyz reports, and returns them.
	Acknowledge(ctx context.Context) ([]string, error)
	// Readmit takes back damaged segments whose files have been replaced by intact ones.
	Readmit(ctx context.Context) (ReadmittedAnswer, error)
	// Rescue sends the records in a file of the queue's quarantine again that the store does not
	// have. Errors: fs.ErrNotExist, queue.ErrNoFrames, queue.ErrNewer, and those of publishing.
	Rescue(ctx context.Context, file string) (RescueAnswer, error)
}

// Eraser erases what was sent.
type Eraser interface {
	// EraseSession erases a session from some applications, nil for all of them.
	EraseSession(ctx context.Context, apps []string, session string) (Erasure, error)
	// EraseApp erases everything that an application sent and then deletes the application, which
	// must have stopped accepting events.
	EraseApp(ctx context.Context, app registry.App) (Erasure, error)
	// EmptyQuarantine deletes all quarantined files and returns what there was.
	EmptyQuarantine(ctx context.Context) ([]PutAside, error)
}

// Intake is the part of the intake that the deletion of an application needs.
type Intake interface {
	// CloseGate keeps requests of an application out until reopen is called. It waits for those
	// inside.
	CloseGate(app string) (reopen func())
	// WaitCounted returns when the books include everything that was accepted before the call, or
	// with the error of ctx.
	WaitCounted(ctx context.Context) error
	// Forget drops everything in memory about an application that no longer exists.
	Forget(app string)
}

// Books reports what is kept of what an application sent.
type Books interface {
	// LastEvent returns when something of an application last came, nil if that is not known.
	LastEvent(ctx context.Context, app *registry.App) *time.Time
	HasEvents(ctx context.Context, app string) (bool, error)
}

// Handlers serve the routes of administration. They are safe for concurrent use.
type Handlers struct {
	opts      Options
	log       *slog.Logger
	draftings *semaphore.Weighted // drafts that are tried or proposed
}

// New returns the handlers of administration.
func New(opts Options) *Handlers {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handlers{opts: opts, log: opts.Logger, draftings: semaphore.NewWeighted(maxDrafting)}
}

// Routes returns the routes of administration.
func (h *Handlers) Routes() []httpapi.Route {
	return slices.Concat(h.appRoutes(), h.keyRoutes(), h.typeRoutes(), h.erasureRoutes(), h.replayRoutes(), h.backupRoutes(),
		h.clockRoutes(), h.recoveryRoutes(), h.rescueRoutes(), h.auditRoutes())
}
