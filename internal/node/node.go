// Package node runs one server: it opens the parts in the order in which an event meets them, runs
// them, and closes them in that order again.
//
// It holds what concerns several parts at a time: erasure, rescue of quarantined frames, and the
// comparison of what was acknowledged with what is there after a start.
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"theeye/internal/backup"
	"theeye/internal/client"
	"theeye/internal/clock"
	"theeye/internal/config"
	"theeye/internal/demo"
	"theeye/internal/discovery"
	"theeye/internal/durable"
	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/httpapi/admin"
	"theeye/internal/httpapi/intake"
	"theeye/internal/httpapi/read"
	"theeye/internal/ingest"
	"theeye/internal/nofile"
	"theeye/internal/progress"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
	"theeye/internal/worker"
)

// Deadlines of an ordered shutdown.
const (
	finishRequests = 10 * time.Second
	endRequests    = 30 * time.Second // of those that were cut off
	drainWorker    = 10 * time.Second
	lastFlush      = 60 * time.Second
)

// Node is all parts of one node, in the order of an event's way:
//
//	listener ─► httpapi ─► ingest ─► queue ─► worker ─► store
//	               ▲                            │         │
//	               └── progress ◄───────────────┘         │
//	               └── reading ◄──────────────────────────┘
type Node struct {
	cfg    config.Config
	log    *slog.Logger
	unlock func()

	running *running
	ordered bool // it ended in order, and close says so

	connections     int // served at a time
	listener        net.Listener
	metricsListener net.Listener
	inside          *insideListener // of the demo; nil without one
	queue           *queue.Queue
	registry        *registry.Registry
	store           *duckdb.Store
	progress        *progress.Tracker
	collector       *ingest.Collector
	worker          *worker.Worker
	stalled         func() error // why the store does not take what is in the queue
	eraser          *eraser
	replays         *replay.Runner
	clock           *clock.Clock // of retention
	backups         *backup.Source
	api             *httpapi.Server
	backlog         uint64 // the last frame that was there at the start
}

// ConfirmedDir is the folder of the record of what was acknowledged, in the data directory.
const ConfirmedDir = "confirmed"

// clockName is the file of retention's clock, which each server keeps.
const clockName = "clock"

// Open opens all parts. What it opened is closed when it fails.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger) (*Node, error) {
	s := &Node{cfg: cfg, log: log}
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Node) open(ctx context.Context) (err error) {
	cfg, log := s.cfg, s.log
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var killed bool
	if s.unlock, killed, err = lockAfter(cfg.Data); err != nil {
		return err
	}
	if err := backup.Unfinished(cfg.Data); err != nil {
		return err
	}
	if s.connections, err = connectionsOf(cfg, nofile.Limit(), log); err != nil {
		return err
	}
	if s.running, err = beginRunning(cfg.Data, killed, log); err != nil {
		return err
	}
	if cfg.Listen != "" { // else nobody is served
		if s.listener, err = listen(cfg.Listen, "--listen"); err != nil {
			return err
		}
		s.listener = httpapi.NewConnections(httpapi.ConnectionOptions{
			Max: s.connections, Trusted: cfg.TrustedProxies, Encrypted: cfg.TLSCert != "", Registerer: metrics,
		}).Listener(s.listener)
	}
	if cfg.MetricsListen != "" {
		if s.metricsListener, err = listen(cfg.MetricsListen, "--metrics-listen"); err != nil {
			return err
		}
		s.metricsListener = httpapi.NewConnections(httpapi.ConnectionOptions{Max: metricsConnections}).Listener(s.metricsListener)
	}
	if cfg.TLSCert != "" {
		cert, err := newCertificate(cfg.TLSCert, cfg.TLSKey, log)
		if err != nil {
			return err
		}
		s.listener = tls.NewListener(s.listener, &tls.Config{
			GetCertificate: cert.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		})
	}
	if s.store, err = duckdb.Open(ctx, duckdb.Options{
		Dir: filepath.Join(cfg.Data, "store"), FlushRows: cfg.FlushRows, FlushAge: cfg.FlushAge, DedupeWindow: cfg.DedupeWindow,
		MemoryLimit: cfg.StoreMemory, Logger: log, Registerer: metrics, Step: FaultStep(), Retain: s.retain, Tombstones: filepath.Join(cfg.Data, "tombstones"),
		Queue: storeQueue{s},
		Clock: func() (time.Time, bool) { return s.clock.Now() },
	}); err != nil {
		return err
	}
	if err := s.checkStore(); err != nil {
		return err
	}
	flushed, err := s.store.Flushed(ctx)
	if err != nil {
		return err
	}
	since, record := s.store.ConfirmedSince()
	if since > 0 || flushed > 0 {
		if err := registry.CheckPresent(cfg.Data); err != nil {
			return err
		}
	}
	if s.queue, err = queue.Open(ctx, queue.Options{
		Dir: filepath.Join(cfg.Data, "queue"), Confirmed: filepath.Join(cfg.Data, ConfirmedDir), Record: record, Unclean: s.running.unclean, MaxBytes: cfg.QueueMaxBytes, FirstSequence: flushed + 1, Logger: log, Registerer: metrics,
		Streams:   registry.Streams(registry.Options{}),
		Beginning: func() error { return s.branch(flushed) },
		Damaged: func(stream string) error {
			switch {
			case stream == registry.Stream:
				return registry.CheckCopy(cfg.Data)
			case stream == registry.AuditStream:
				s.note("a file of the audit trail in the queue was damaged at a start: entries of `eye audit` may be missing. " +
					"A copy of the file is in queue/quarantine, and a backup has the trail of its time")
			case stream == queue.Stream && s.running.unrecorded:
				s.note("a file of the queue is damaged, and there is no record of what it held: acknowledged events may be lost, " +
					"and the books do not count them" + rescueAdvice)
			case stream == queue.Stream:
				s.note("a file of the queue was damaged at a start: what the record of acknowledged events knows of it and the store has not is counted as lost" + rescueAdvice)
			}
			return nil
		},
	}); err != nil {
		return err
	}
	if err := durable.MkdirAll(s.queue.QuarantineDir(), 0o700); err != nil { // the store makes its own
		return fmt.Errorf("make the queue's quarantine: %w", err)
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	state, err := s.queue.State(ctx)
	if err != nil {
		return err
	}
	if s.registry, err = registry.Open(ctx, s.queue.JetStream(), registry.Options{
		Dir: cfg.Data, AdminKey: cfg.AdminKey, WithoutKeys: !cfg.PrintKeys, Logger: log, Note: s.note,
		// A first start lets the store know of the record when the metadata is complete.
		Begun: since > 0 || state.Last > 0 || s.queue.LastConfirmed() > 0,
	}); err != nil {
		return err
	}
	if err := s.prepareApps(ctx); err != nil {
		return err
	}
	if err := s.connect(ctx, metrics); err != nil {
		return err
	}
	if err := s.running.mark(); err != nil { // a full disk must not keep anyone from reading
		s.log.Warn("the data directory is not marked as used; damage by an unordered end may not be looked for", "error", err)
	}
	if err := s.reconcile(ctx); err != nil {
		return err
	}
	if state, err = s.queue.State(ctx); err != nil {
		return err
	}
	s.backlog = state.Last
	return nil
}

// branch begins a timeline when a queue is made for a store that has flushed frames, durably and
// before the queue is there: its frames are not those of the queue that is lost.
func (s *Node) branch(flushed uint64) error {
	if flushed == 0 {
		return nil
	}
	s.store.BeginTimeline(flushed)
	return s.store.CommitManifest(false)
}

// checkStore returns an error when the store has no manifest, although a server of this data
// directory has committed one. A version that kept no clock may have had none until its first flush.
func (s *Node) checkStore() error {
	if s.store.HadManifest() {
		return nil
	}
	if s.store.Erasures().MaxFrame() > 0 {
		return s.storeLost("something was erased from it")
	}
	for _, name := range []string{runningName, clockName} {
		if _, err := os.Stat(filepath.Join(s.cfg.Data, name)); err == nil {
			return s.storeLost(fmt.Sprintf("a server has used this data directory before: the file %s is there", name))
		}
	}
	return nil
}

func (s *Node) storeLost(although string) error {
	return fmt.Errorf("the store in %s is empty, although %s; nothing was changed. "+
		"If the folder store was moved, put it back, and queue and %s with it; or restore a backup into another data directory; "+
		"or, to start an empty store with what the queue still holds, run `eye store recover --empty`", s.cfg.Data, although, ConfirmedDir)
}

// begin commits the store's manifest, before anything of this version's forms is written. A store
// without a manifest beside a queue that was trimmed for one has lost its folder.
func (s *Node) begin(ctx context.Context) error {
	state, err := s.queue.State(ctx)
	if err != nil {
		return err
	}
	if last := max(state.Last, s.queue.LastConfirmed()); !s.store.HadManifest() && (state.First > 1 || s.queue.LastConfirmed() > 0) {
		return s.storeLost(fmt.Sprintf("events up to frame %d were acknowledged", last))
	}
	return s.store.CommitManifest(!s.store.HadManifest() && state.Frames > 0)
}

// connect makes the parts that hold nothing open.
func (s *Node) connect(ctx context.Context, metrics *prometheus.Registry) error {
	state, err := s.queue.State(ctx)
	if err != nil {
		return err
	}
	if s.clock, err = clock.Open(clock.Options{
		File: filepath.Join(s.cfg.Data, clockName), Newest: later(s.store.NewestReceived(), state.Newest),
		System: func() time.Time { return event.Now().Time() }, Logger: s.log, Registerer: metrics,
	}); err != nil {
		return err
	}
	position, err := s.store.Position(ctx)
	if err != nil {
		return err
	}
	s.progress = progress.New(position)
	s.collector = ingest.New(ingest.Options{
		Publish: publisher(s.queue.Publish), Acknowledged: s.progress.MarkAcknowledged, Erasures: s.store.Erasures,
		Types: s.registry.Type, NearestType: s.registry.NearestType,
		MaxEventBytes: int(s.cfg.MaxEventBytes), MaxBatchEvents: s.cfg.MaxBatchEvents,
		FutureTolerance: s.cfg.FutureTolerance, SkewTolerance: s.cfg.SkewTolerance,
		Upgraded: s.store.Upgraded(), Registerer: metrics,
	})
	s.worker = worker.New(worker.Options{
		Queue: s.queue, Store: s.store, Progress: s.progress, TrimLimit: s.store.TrimLimit, EndHolds: s.store.EndFrameLeases, Resets: s.store.Resets(), Lost: s.lost, Logger: s.log, Registerer: metrics,
	})
	s.stalled = stallCheck(s.store, s.worker)
	if s.replays, err = replay.New(replay.Options{
		Reader: s.store, Collector: s.collector, App: s.judgingOf, Outcomes: s.progress.Outcomes, Ready: s.caughtUp,
		Dir: filepath.Join(s.cfg.Data, "replays"), Step: FaultStep(), Logger: s.log, Registerer: metrics,
	}); err != nil {
		return err
	}
	s.eraser = newEraser(&eraser{
		store: s.store, queue: s.queue, progress: s.progress, collector: s.collector, apps: s.registry, replays: s.replays, stalled: s.stalled, log: s.log, step: FaultStep(),
	})
	metrics.MustRegister(s.eraser)
	s.backups = backup.NewSource(backup.Options{
		Store: s.store, Queue: s.queue, Flush: s.flushAll, Metadata: s.registry.Document, Audit: s.registry.AuditLog().Document,
		Tombstones: filepath.Join(s.cfg.Data, "tombstones"), Logger: s.log,
	})
	in := intake.New(intake.Options{
		Registry: s.registry, Collector: s.collector, Queue: s.queue, Progress: s.progress, LegacyApp: s.cfg.LegacyApp,
		MaxRequestBytes: s.cfg.MaxRequestBytes, MaxEventBytes: s.cfg.MaxEventBytes, Registerer: metrics,
	})
	reads := read.New(read.Options{
		Registry: s.registry, Reader: s.store, Queue: s.queue, Progress: s.progress, Replays: s.replays, CaughtUp: s.caughtUp,
		Parquet: s.store.Parquet, ExportsEnded: s.store.ExportsEnded, LegacyApp: s.cfg.LegacyApp, Logger: s.log, Registerer: metrics,
	})
	administration := admin.New(admin.Options{
		Registry: s.registry, Collector: s.collector, Reader: s.store, Intake: in, Books: reads, Replays: s.replays, Backup: s.backups,
		CaughtUp: s.caughtUp, AcceptClock: s.clock.Accept, Recovery: s, Eraser: s.eraser, Logger: s.log,
	})
	s.api = httpapi.New(httpapi.Options{
		Routes: slices.Concat(in.Routes(), reads.Routes(), administration.Routes()), Registry: s.registry, Queue: s.queue,
		CaughtUp: s.caughtUp, Ping: s.store.Ping, Missing: s.missing, Notices: s.notices, TrustedProxies: s.cfg.TrustedProxies,
		Logger: s.log, Registerer: metrics, Gatherer: metrics,
	})
	return nil
}

// prepareApps refuses a demo beside other applications, and makes that of --legacy-app.
func (s *Node) prepareApps(ctx context.Context) error {
	if s.cfg.Demo {
		if err := demo.Check(s.registry.Apps()); err != nil {
			return err
		}
	}
	if s.cfg.LegacyApp == "" {
		return nil
	}
	if _, ok := s.registry.App(s.cfg.LegacyApp); ok {
		return nil
	}
	if _, err := s.registry.CreateApp(ctx, s.cfg.LegacyApp, registry.Settings{}); err != nil {
		return fmt.Errorf("--legacy-app: %w", err)
	}
	if err := s.registry.AuditLog().Record(ctx, registry.Entry{Act: "createApp", App: s.cfg.LegacyApp}); err != nil {
		return fmt.Errorf("--legacy-app: %w", err)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// expires reports whether any application has a retention.
func (s *Node) expires() bool {
	return slices.ContainsFunc(s.registry.Apps(), func(a registry.App) bool { return a.RetainFor(s.cfg.Retain) > 0 })
}

// flushAll brings all that is acknowledged by now into segments.
func (s *Node) flushAll(ctx context.Context, doing func(string)) error {
	state, err := s.queue.State(ctx)
	if err != nil {
		return err
	}
	for at := s.progress.Position(); at < state.Last; at = s.progress.Position() {
		if err := s.stalled(); err != nil {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		doing(fmt.Sprintf("the store takes what is in the queue, frame %d of %d", at, state.Last))
		some, cancel := context.WithTimeout(ctx, time.Second)
		err := s.progress.WaitFor(some, state.Last)
		cancel()
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	doing("the store is flushed")
	return s.store.Flush(ctx)
}

// retain returns how long an application's events are kept, 0 for ever.
func (s *Node) retain(app string) time.Duration {
	a, _ := s.registry.App(app)
	return a.RetainFor(s.cfg.Retain)
}

// judgingOf returns how an application's events are judged now, if it takes any.
func (s *Node) judgingOf(app string) (replay.App, bool) {
	a, ok := s.registry.App(app)
	return replay.App{Zone: a.Location(), RefuseUnknownTypes: a.UnknownTypes == registry.RejectUnknown}, ok && a.ErasingSince == nil
}

// caughtUp is nil when the store holds what was acknowledged before the start, and
// what it held before DuckDB failed.
func (s *Node) caughtUp() error {
	if at := s.progress.Position(); at < s.backlog {
		return fmt.Errorf("the store is being rebuilt from the queue: frame %d of %d; intake works meanwhile", at, s.backlog)
	}
	if err := s.eraser.ready(); err != nil {
		return err
	}
	return s.store.CaughtUp()
}

// Run serves until ctx ends, and then shuts down in the order of an event's
// way: stop listening, finish requests, drain the worker. close comes next.
func (s *Node) Run(ctx context.Context, ready func(address string) error) error {
	web := newHTTPServer(s.api, s.log)
	// Each stage ends after the one before it.
	stages, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	intake, stopIntake := context.WithCancel(context.Background())
	defer stopIntake()
	drain, stopDrain := context.WithCancel(context.Background())
	defer stopDrain()

	var g errgroup.Group
	part := func(name string, run func() error) {
		g.Go(func() error {
			err := run()
			if err != nil && !errors.Is(err, http.ErrServerClosed) {
				stop(fmt.Errorf("%s: %w", name, err))
				return err
			}
			return nil
		})
	}
	part("store", func() error { return s.store.Run(drain) })
	part("worker", func() error { return s.worker.Run(drain) })
	part("backups", func() error { return s.backups.Run(stages) })
	part("clock", func() error { return s.clock.Run(drain) })
	part("erasure", func() error { return s.eraser.run(stages) })
	part("replays", func() error { return s.replays.Run(stages) })
	part("intake", func() error { return s.collector.Run(intake) })
	part("queue", func() error { return s.queue.Run(drain) })
	part("api", func() error { return s.api.Run(drain) })
	part("http", func() error { return web.Serve(s.listener) })
	if s.cfg.Demo {
		s.inside = newInsideListener()
		part("inside", func() error { return web.Serve(s.inside) })
	}
	// A full disk, or one that has no sockets, must not keep anyone from reading.
	if socket, err := discovery.Listen(ctx, s.cfg.Data); err != nil {
		s.log.Warn("there is no socket for commands run beside this server; they need --url and --key", "error", err)
	} else {
		socket = httpapi.NewConnections(httpapi.ConnectionOptions{Max: socketConnections(s.connections)}).Listener(socket)
		part("socket", func() error { return web.Serve(socket) })
	}
	metricsMux := http.NewServeMux()
	metricsMux.Handle("GET /metrics", s.api.Metrics())
	metricsWeb := newHTTPServer(metricsMux, s.log)
	if s.metricsListener != nil {
		s.log.Info("metrics", "address", s.metricsListener.Addr().String())
		part("metrics", func() error { return metricsWeb.Serve(s.metricsListener) })
	}
	address := s.listener.Addr().String()
	if err := discovery.Announce(s.cfg.Data, address); err != nil {
		s.log.Warn("the address of this server is not in its data directory", "error", err)
	}
	if err := ready(address); err != nil {
		stop(err)
	}
	endDemo := s.startDemo(ctx)

	<-stages.Done()
	s.log.Info("shutting down")
	endDemo() // while its requests are still answered
	finish, cancel := context.WithTimeout(context.Background(), finishRequests)
	defer cancel()
	if err := errors.Join(web.Shutdown(finish), metricsWeb.Shutdown(finish)); err != nil {
		s.log.Warn("some requests did not finish in time", "error", err)
		_ = web.Close()
	}
	last, cancelLast := context.WithTimeout(context.Background(), endRequests)
	defer cancelLast()
	if err := s.api.Close(last); err != nil { // they use what is closed next
		s.log.Error("some requests do not end", "error", err)
	}
	stopIntake()
	s.drain()
	stopDrain()
	runErr := g.Wait()
	s.flush()
	discovery.Retract(s.cfg.Data)
	s.ordered = runErr == nil
	if cause := context.Cause(stages); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return runErr
}

// flush makes the next start short: what is flushed is not rebuilt.
func (s *Node) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), lastFlush)
	defer cancel()
	if err := s.store.Flush(ctx); err != nil {
		s.log.Warn("the store was not flushed; it is rebuilt from the queue at the next start", "error", err)
	}
}

// drain waits, for a while, until the store holds everything.
func (s *Node) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainWorker)
	defer cancel()
	state, err := s.queue.State(ctx)
	if err == nil {
		err = s.progress.WaitFor(ctx, state.Last)
	}
	if err != nil {
		s.log.Warn("the store did not take everything in time; the rest waits in the queue", "error", err)
	}
}

// Close closes what is open, behind an event's way.
func (s *Node) Close() {
	if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.metricsListener != nil {
		_ = s.metricsListener.Close()
	}
	if s.registry != nil {
		s.registry.Close()
	}
	if s.queue != nil {
		s.queue.Close()
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("the store did not close", "error", err)
		}
	}
	if s.ordered { // when all is closed: a kill before that is no ordered end
		if err := s.running.end(); err != nil {
			s.log.Warn("the next start takes this end for an unordered one", "error", err)
		}
	}
	if s.unlock != nil {
		s.unlock()
	}
}

// startDemo sends the sample traffic of --demo, if that is given. The returned function ends it.
func (s *Node) startDemo(ctx context.Context) (end func()) {
	if !s.cfg.Demo {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var traffic errgroup.Group
	traffic.Go(func() error {
		return demo.Run(ctx, demo.Options{Client: client.NewDialed(s.inside.dial, s.registry.FirstStart().AdminKey), Logger: s.log})
	})
	return func() {
		cancel()
		if err := traffic.Wait(); err != nil {
			s.log.Warn("the demo ended", "error", err)
		}
	}
}

// FirstStart returns what a first start made.
func (s *Node) FirstStart() registry.FirstStart { return s.registry.FirstStart() }

// FirstKeysShown keeps the keys of a first start, which have been printed. Without it the next start
// makes others.
func (s *Node) FirstKeysShown(ctx context.Context) error { return s.registry.FirstKeysShown(ctx) }

func listen(address, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		var reason syscall.Errno
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			err = fmt.Errorf("%s is in use by another program", address)
		case errors.As(err, &reason): // without the words that repeat the address
			err = fmt.Errorf("cannot listen on %s: %w", address, reason)
		default:
			err = fmt.Errorf("cannot listen on %s: %w", address, err)
		}
		return nil, fmt.Errorf("%w; choose another address with %s (port 0 picks a free one)", err, flag)
	}
	return l, nil
}

// newHTTPServer bounds what a slow or hostile client can hold.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
