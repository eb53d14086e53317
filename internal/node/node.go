// Package node runs one server: it opens the parts, runs them, and closes them in the order in
// which an event passes through them.
//
// It contains what concerns several parts at once: erasure, the rescue of quarantined frames, and
// the comparison, at startup, of what was acknowledged with what is there.
package node

import (
	"context"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/backup"
	"theeye/internal/clock"
	"theeye/internal/config"
	"theeye/internal/httpapi"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/replay"
	"theeye/internal/store/duckdb"
	"theeye/internal/worker"
)

// Node is one server. An event passes through its parts in this order:
//
//	listener ─► httpapi ─► ingest ─► queue ─► worker ─► store
//	               ▲                            │         │
//	               ├── progress ◄───────────────┘         │
//	               └── read ◄─────────────────────────────┘
//
// The node passes hooks to its parts, through which they call the node or other parts:
//
//	ingest   ── Publish ──────────────► queue     a frame, fsynced when it returns
//	         ── Acknowledged ─────────► progress  how many events of each application are acknowledged
//	         ── Types, NearestType ───► registry  the schemas in force
//	         ── Erasures ─────────────► store     what has been erased
//	queue    ── OnNewStream, OnDamage ► node      the queue is new, or has a damaged file
//	worker   ── TrimLimit, EndFrameLeases ► store  what may be trimmed from the queue
//	         ── Lost ─────────────────► node      frames that cannot be read
//	         ── Resets ───────────────► store     the position went back
//	store    ── Queue ────────────────► queue     frames from which a segment is rebuilt
//	         ── Retain, Clock ────────► registry, clock  what has expired
//	replay   ── App, Ready, Outcomes ─► registry, node, progress
//	demo     ── Target ───────────────► node      takes a history: its events to ingest, its time to travel
//	backup   ── Flush, Metadata, Audit ► node, registry
//	admin    ── Eraser ───────────────► eraser    erases a session or an application
//	         ── Recovery ─────────────► node      rescues quarantined files, readmits damaged segments
//	         ── AcceptClock ──────────► clock
//	read     ── CaughtUp ─────────────► node      whether reads may be answered
//	         ── Parquet, ExportsEnded ► store     exports as files, and their end by an erasure
//	         ── SessionKey ───────────► store     how erasures name sessions
//	httpapi  ── CaughtUp, Missing, Notices, Ping ► node, store  what /readyz reports
type Node struct {
	cfg    config.Config
	log    *slog.Logger
	unlock func()

	metrics       *prometheus.Registry
	running       *runningMarker
	cleanShutdown bool // Run has shut down cleanly, so Close removes the file "running"

	connections     int // that are served at a time, at most
	listener        net.Listener
	metricsListener net.Listener
	inProcess       *pipeListener // for the demo; nil without --demo
	queue           *queue.Queue
	registry        *registry.Registry
	store           *duckdb.Store
	progress        *progress.Tracker
	collector       *ingest.Collector
	worker          *worker.Worker
	stalled         func() error // why the store does not accept what is in the queue; nil while it does
	eraser          *eraser
	replays         *replay.Runner
	travel          *travel      // the system's clock, or that of a history
	clock           *clock.Clock // of retention
	demo            demoPlan
	backups         *backup.Source
	api             *httpapi.Server
	endTails        func() // ends the streams of GET /v1/tail, which do not end by themselves
	lastAtStart     uint64 // the last frame that the queue had at the start
}

// ConfirmedDir is the folder of the confirmed record, in the data directory.
const ConfirmedDir = "confirmed"

// clockName is the name of the file of the retention clock.
const clockName = "clock"

// Open opens all parts. After an error, everything is closed again.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger) (*Node, error) {
	n := &Node{cfg: cfg, log: log, travel: newTravel()}
	if err := n.open(ctx); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// FirstStart returns the applications and keys that a first start created.
func (n *Node) FirstStart() registry.FirstStart { return n.registry.FirstStart() }

// SignInLink returns the address of a page, below that of the server, that signs in once with the
// admin key.
func (n *Node) SignInLink(ctx context.Context) (path string, err error) {
	link, _, err := n.registry.CreateLink(ctx, n.registry.FirstStart().AdminKey)
	if err != nil {
		return "", err
	}
	return httpapi.LinkPath(link), nil
}

// FirstKeysShown confirms that the keys of a first start have been printed. Otherwise, the next
// start replaces them.
func (n *Node) FirstKeysShown(ctx context.Context) error { return n.registry.FirstKeysShown(ctx) }
