package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"theeye/internal/backup"
	"theeye/internal/durable"
	"theeye/internal/nofile"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/store/duckdb"
)

// open opens the parts one after the other. Each step relies on those before it.
func (n *Node) open(ctx context.Context) error {
	n.metrics = prometheus.NewRegistry()
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := n.takeDirectory(); err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return err
	}
	if err := n.findDemo(); err != nil {
		return err
	}
	if err := n.openStore(ctx); err != nil {
		return err
	}
	if err := n.openQueue(ctx); err != nil {
		return err
	}
	if err := n.openRegistry(ctx); err != nil {
		return err
	}
	if err := n.assemble(ctx); err != nil {
		return err
	}
	if err := n.running.mark(); err != nil { // a full disk must not prevent reads
		n.log.Warn("the data directory could not be marked as used; after an unclean shutdown, the next start may not look for damage", "error", err)
	}
	if err := n.reconcile(ctx); err != nil {
		return err
	}
	state, err := n.queue.State(ctx)
	if err != nil {
		return err
	}
	n.lastAtStart = state.Last
	return nil
}

// takeDirectory locks the data directory and finds out whether the previous server shut down
// cleanly.
func (n *Node) takeDirectory() (err error) {
	var killed bool
	if n.unlock, killed, err = lockAfter(n.cfg.Data); err != nil {
		return err
	}
	if err := backup.Unfinished(n.cfg.Data); err != nil {
		return err
	}
	if n.connections, err = connectionsOf(n.cfg, nofile.Limit(), n.log); err != nil {
		return err
	}
	n.running, err = beginRunning(n.cfg.Data, killed, n.log)
	return err
}

func (n *Node) openStore(ctx context.Context) (err error) {
	if n.store, err = duckdb.Open(ctx, duckdb.Options{
		Dir:          filepath.Join(n.cfg.Data, "store"),
		FlushRows:    n.cfg.FlushRows,
		FlushAge:     n.cfg.FlushAge,
		DedupeWindow: n.cfg.DedupeWindow,
		Retain:       n.retain,
		Tombstones:   filepath.Join(n.cfg.Data, "tombstones"),
		Clock:        func() (time.Time, bool) { return n.clock.Now() },
		MemoryLimit:  n.cfg.StoreMemory,
		Logger:       n.log,
		Registerer:   n.metrics,
		Queue:        storeQueue{n},
		Step:         FaultStep(),
	}); err != nil {
		return err
	}
	return n.checkStore()
}

// openQueue opens the queue. A new queue begins after the last frame that the store has flushed.
func (n *Node) openQueue(ctx context.Context) error {
	flushed, err := n.store.Flushed(ctx)
	if err != nil {
		return err
	}
	since, record := n.store.ConfirmedSince()
	if since > 0 || flushed > 0 {
		if err := registry.CheckPresent(n.cfg.Data); err != nil {
			return err
		}
	}
	if n.queue, err = queue.Open(ctx, queue.Options{
		Dir:           filepath.Join(n.cfg.Data, "queue"),
		ConfirmedDir:  filepath.Join(n.cfg.Data, ConfirmedDir),
		ConfirmedID:   record,
		Unclean:       n.running.unclean,
		MaxBytes:      n.cfg.QueueMaxBytes,
		FirstSequence: flushed + 1,
		Logger:        n.log,
		Registerer:    n.metrics,
		Streams:       registry.Streams(registry.Options{}),
		OnNewStream:   func() error { return n.branch(flushed) },
		OnDamage:      n.queueDamaged,
	}); err != nil {
		return err
	}
	if err := durable.MkdirAll(n.queue.QuarantineDir(), 0o700); err != nil { // the store creates its own
		return fmt.Errorf("create the queue's quarantine: %w", err)
	}
	return n.begin(ctx)
}

// queueDamaged is called for a stream of the queue that has a damaged file. If it returns an error,
// the server does not start.
func (n *Node) queueDamaged(stream string) error {
	switch {
	case stream == registry.Stream:
		return registry.CheckCopy(n.cfg.Data)
	case stream == registry.AuditStream:
		n.note("a file of the audit log in the queue was damaged at startup: entries of `eye audit` may be missing. " +
			"A copy of the file is in queue/quarantine, and a backup has the log of its time")
	case stream == queue.Stream && n.running.unrecorded:
		n.note("a file of the queue is damaged, and there is no confirmed record: acknowledged events may be lost, " +
			"and the books do not count them" + rescueAdvice)
	case stream == queue.Stream:
		n.note("a file of the queue was damaged at startup: events that are in the confirmed record and not in the store are counted as lost" + rescueAdvice)
	}
	return nil
}

// openRegistry reads the metadata and prepares the applications that settings name.
func (n *Node) openRegistry(ctx context.Context) error {
	since, _ := n.store.ConfirmedSince()
	state, err := n.queue.State(ctx)
	if err != nil {
		return err
	}
	if n.registry, err = registry.Open(ctx, n.queue.JetStream(), registry.Options{
		Dir:         n.cfg.Data,
		AdminKey:    n.cfg.AdminKey,
		WithoutKeys: !n.cfg.PrintKeys,
		Logger:      n.log,
		Note:        n.note,
		Now:         n.travel.System,
		// A first start notes the confirmed record in the store only when the metadata is complete.
		Begun: since > 0 || state.Last > 0 || n.queue.LastConfirmed() > 0,
	}); err != nil {
		return err
	}
	return n.prepareApps(ctx)
}

// branch begins a timeline when a queue is created for a store that has flushed frames, because the
// frames of the new queue are not those of the lost one. The timeline is durable before the queue
// exists.
func (n *Node) branch(flushed uint64) error {
	if flushed == 0 {
		return nil
	}
	n.store.BeginTimeline(flushed)
	return n.store.CommitManifest(false)
}

// checkStore returns an error when the store has no manifest although a server of this data
// directory has committed one.
func (n *Node) checkStore() error {
	if n.store.HadManifest() {
		return nil
	}
	if n.store.Erasures().MaxFrame() > 0 {
		return n.storeLost("something was erased from it")
	}
	for _, name := range []string{runningName, clockName} {
		if _, err := os.Stat(filepath.Join(n.cfg.Data, name)); err == nil {
			return n.storeLost("a server has used this data directory before: it has the file " + name)
		}
	}
	return nil
}

func (n *Node) storeLost(although string) error {
	return fmt.Errorf("the store in %s is empty, although %s; nothing was changed. "+
		"If the folder store was moved, put it back, and queue and %s with it; or restore a backup into another data directory; "+
		"or, to start an empty store with what the queue still holds, run `eye store recover --empty`", n.cfg.Data, although, ConfirmedDir)
}

// begin commits the store's manifest before anything is written in this version's formats. If there
// is no manifest although frames were trimmed or confirmed, the store's folder was lost.
func (n *Node) begin(ctx context.Context) error {
	state, err := n.queue.State(ctx)
	if err != nil {
		return err
	}
	if last := max(state.Last, n.queue.LastConfirmed()); !n.store.HadManifest() && (state.First > 1 || n.queue.LastConfirmed() > 0) {
		return n.storeLost(fmt.Sprintf("events up to frame %d were acknowledged", last))
	}
	return n.store.CommitManifest(!n.store.HadManifest() && state.Frames > 0)
}

// prepareApps decides what --demo does, and creates the application of --legacy-app if it is
// missing.
func (n *Node) prepareApps(ctx context.Context) error {
	if n.cfg.Demo {
		if err := n.planDemo(ctx); err != nil {
			return err
		}
	}
	if n.cfg.LegacyApp == "" {
		return nil
	}
	if _, ok := n.registry.App(n.cfg.LegacyApp); ok {
		return nil
	}
	if _, err := n.registry.CreateApp(ctx, n.cfg.LegacyApp, registry.Settings{}); err != nil {
		return fmt.Errorf("--legacy-app: %w", err)
	}
	if err := n.registry.AuditLog().Record(ctx, registry.Entry{Act: "createApp", App: n.cfg.LegacyApp}); err != nil {
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
