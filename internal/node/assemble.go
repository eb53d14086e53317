package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"theeye/internal/backup"
	"theeye/internal/clock"
	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/httpapi/admin"
	"theeye/internal/httpapi/intake"
	"theeye/internal/httpapi/read"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/replay"
	"theeye/internal/worker"
)

// assemble creates the parts that need no closing, and passes them their hooks.
func (n *Node) assemble(ctx context.Context) error {
	state, err := n.queue.State(ctx)
	if err != nil {
		return err
	}
	file, newest := filepath.Join(n.cfg.Data, clockName), later(n.store.NewestReceived(), state.Newest)
	if n.demo.history != nil { // its clock begins with it, also after an interruption
		if newest, err = (time.Time{}), os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if n.clock, err = clock.Open(clock.Options{
		File:       file,
		Newest:     newest,
		System:     n.travel.System,
		Running:    n.travel.Running,
		Logger:     n.log,
		Registerer: n.metrics,
	}); err != nil {
		return err
	}
	position, err := n.store.Position(ctx)
	if err != nil {
		return err
	}
	n.progress = progress.New(position)
	n.collector = ingest.New(ingest.Options{
		Publish:         publisher(n.queue.Publish),
		Acknowledged:    n.progress.MarkAcknowledged,
		Erasures:        n.store.Erasures,
		Types:           n.registry.Type,
		NearestType:     n.registry.NearestType,
		MaxEventBytes:   int(n.cfg.MaxEventBytes),
		MaxBatchEvents:  n.cfg.MaxBatchEvents,
		FutureTolerance: n.cfg.FutureTolerance,
		SkewTolerance:   n.cfg.SkewTolerance,
		LookUpFormerIDs: n.store.Upgraded(),
		Registerer:      n.metrics,
	})
	n.worker = worker.New(worker.Options{
		Queue:          n.queue,
		Store:          n.store,
		Progress:       n.progress,
		TrimLimit:      n.store.TrimLimit,
		EndFrameLeases: n.store.EndFrameLeases,
		Resets:         n.store.Resets(),
		Lost:           n.lost,
		Logger:         n.log,
		Registerer:     n.metrics,
	})
	n.stalled = stallCheck(n.store, n.worker)
	if n.replays, err = replay.New(replay.Options{
		Reader:     n.store,
		Collector:  n.collector,
		App:        n.validationOf,
		Outcomes:   n.progress.Outcomes,
		Ready:      n.caughtUp,
		Dir:        filepath.Join(n.cfg.Data, "replays"),
		Step:       FaultStep(),
		Now:        func() event.Micros { return event.Micros(n.travel.System().UnixMicro()) },
		Logger:     n.log,
		Registerer: n.metrics,
	}); err != nil {
		return err
	}
	n.eraser = newEraser(&eraser{
		store:     n.store,
		queue:     n.queue,
		progress:  n.progress,
		collector: n.collector,
		apps:      n.registry,
		replays:   n.replays,
		stalled:   n.stalled,
		log:       n.log,
		step:      FaultStep(),
	})
	n.metrics.MustRegister(n.eraser)
	n.backups = backup.NewSource(backup.Options{
		Store:      n.store,
		Queue:      n.queue,
		Flush:      n.flushAll,
		Metadata:   n.registry.Document,
		Audit:      n.registry.AuditLog().Document,
		Tombstones: filepath.Join(n.cfg.Data, "tombstones"),
		Logger:     n.log,
	})
	n.api = n.newAPI()
	return nil
}

// newAPI returns the server of the HTTP API with its routes.
func (n *Node) newAPI() *httpapi.Server {
	in := intake.New(intake.Options{
		Registry:        n.registry,
		Collector:       n.collector,
		Queue:           n.queue,
		Progress:        n.progress,
		LegacyApp:       n.cfg.LegacyApp,
		MaxRequestBytes: n.cfg.MaxRequestBytes,
		MaxEventBytes:   n.cfg.MaxEventBytes,
		Registerer:      n.metrics,
	})
	reads := read.New(read.Options{
		Registry:     n.registry,
		Reader:       n.store,
		Queue:        n.queue,
		Progress:     n.progress,
		Replays:      n.replays,
		CaughtUp:     n.caughtUp,
		Parquet:      n.store.Parquet,
		ExportsEnded: n.store.ExportsEnded,
		Erasures:     n.store.Erasures,
		Delay:        n.worker.Delay,
		Refused:      in.Refused,
		LegacyApp:    n.cfg.LegacyApp,
		Logger:       n.log,
		Registerer:   n.metrics,
	})
	n.endTails = reads.EndTails
	administration := admin.New(admin.Options{
		Registry:    n.registry,
		Collector:   n.collector,
		Reader:      n.store,
		Intake:      in,
		Books:       reads,
		Replays:     n.replays,
		Backup:      n.backups,
		CaughtUp:    n.caughtUp,
		AcceptClock: n.clock.Accept,
		Recovery:    n,
		Eraser:      n.eraser,
		Logger:      n.log,
	})
	return httpapi.New(httpapi.Options{
		Routes:         slices.Concat(in.Routes(), reads.Routes(), administration.Routes()),
		Registry:       n.registry,
		Queue:          n.queue,
		CaughtUp:       n.caughtUp,
		Ping:           n.store.Ping,
		Missing:        n.missing,
		Notices:        n.notices,
		BaseURL:        n.baseURL(),
		TrustedProxies: n.cfg.TrustedProxies,
		Logger:         n.log,
		Registerer:     n.metrics,
		Gatherer:       n.metrics,
	})
}
