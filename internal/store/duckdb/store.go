package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/durable"
	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/fair"
	"theeye/internal/store"
)

// Defaults of Options.
const (
	DefaultFlushRows    = 1_000_000
	DefaultFlushAge     = 10 * time.Minute
	DefaultDedupeWindow = 7 * 24 * time.Hour
	DefaultSearchTime   = 2 * time.Second
)

const (
	// maxReaders is how many queries run at once; others wait until their context is done. One key
	// runs at most half of them, and one application three quarters (fair.With). The writer has a
	// connection of its own and never waits.
	maxReaders = 16
	// maxWaiting is how many queries of one key wait; more fail at once with store.ErrUnavailable.
	maxWaiting = 256
	// upkeepConns are for flushes and for dropping tables.
	upkeepConns = 5
)

// Queue is what the store asks of the queue that it is written from. Its methods may be called
// concurrently, from Run on and while a method of the store runs.
type Queue interface {
	// Frames reads frames again, from the first to the last, both included, and yields the records
	// of each. The last error wraps ErrNoFrames when not all of the frames are there whole.
	Frames(ctx context.Context, first, last uint64) iter.Seq2[[]event.Record, error]
	// QuarantineRecord keeps the bytes of a record of these frames that the store does not accept,
	// by its frame and its index in that frame. It is durable when QuarantineRecord returns.
	QuarantineRecord(frame uint64, index uint32, record []byte) error
	// ExtendConfirmed is called before a flush up to a frame is committed. Its error ends the
	// flush, which is tried again.
	ExtendConfirmed(frame uint64) error
}

// Options of a store. The zero value works.
type Options struct {
	// Dir is the store's folder, which is created if it is missing. If Dir is empty, everything is
	// in memory only.
	Dir       string
	FlushRows int64         // rows of hot tables that make a segment; 0 for DefaultFlushRows
	FlushAge  time.Duration // age of their first row that does; 0 for DefaultFlushAge
	// MaxSegmentRows bounds a segment of a compaction; 0 for DefaultMaxSegmentRows.
	MaxSegmentRows int64
	DedupeWindow   time.Duration // how long an id is remembered whatever its time; 0 for DefaultDedupeWindow
	// Retain returns how long an application's rows are kept; 0 is forever. It is called often, and
	// may be nil.
	Retain func(app string) time.Duration
	// Tombstones is the path of the file of tombstones; empty for a file in Dir.
	Tombstones string
	// Clock returns the time by which rows expire; while held is true, nothing expires. It is
	// called often; nil for time.Now.
	Clock       func() (now time.Time, held bool)
	MemoryLimit int64 // bytes that DuckDB may use; 0 for half of the machine's memory, at most 8 GiB
	Threads     int   // of DuckDB; 0 for one for each processor
	// TempDir is the folder to which DuckDB spills what does not fit in memory; empty for a folder
	// in Dir. Without either, a query that needs more memory fails with store.ErrUnavailable.
	TempDir    string
	SearchTime time.Duration // after which a list answers with what it has; 0 for DefaultSearchTime
	LeaseAge   time.Duration // how long a lease lasts that is not used; 0 for DefaultLeaseAge
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Queue is the queue from which the store is written. If it is nil, no segment is rebuilt.
	Queue Queue
	// Step injects faults in tests: it is called at each named step of a change of files, and its
	// error ends the work there as a failure of the disk would, or of DuckDB when it wraps
	// ErrFatal. It is nil in production.
	Step func(name string) error
}

// Store implements store.Writer and store.Reader.
type Store struct {
	opts    Options
	log     *slog.Logger
	metrics metrics
	// reading is the instance with the memtables and all segments. It changes while upkeep, writing
	// and mu are held, and may be used while any of them is.
	reading *instance
	readers *fair.Semaphore // queries at once
	codec   bodyCodec       // of the bodies of rejections

	exporters   chan *background // idle ones
	merger      *background      // guarded by merging
	unmerged    map[uint64]bool  // segments that did not fit into memory with others, by id; guarded by merging
	exports     *runningExports
	feedWindows *feedWindows

	writing    sync.Mutex        // taken after upkeep; guards the fields up to the blank line
	writer     *sql.Conn         // of reading
	resetCause string            // why the position went back, until Write has returned it
	seed       maphash.Seed      // of bodyHash
	appNumbers map[string]uint32 // short names of applications, for idKey

	leases     leases        // of backups
	merging    sync.Mutex    // held while segments are merged or rewritten; taken before upkeep
	recovering sync.Mutex    // held while a segment is checked for damage; taken before upkeep
	upkeep     sync.Mutex    // held while the manifest changes; taken before writing
	lastID     atomic.Uint64 // the greatest id of a segment so far
	intents    intents       // files that no manifest names yet
	encoder    encoder
	erasing    sync.Map // sessions of unfinished erasures, by their keyed hash

	tombstones  *erasure.Log // guarded by upkeep
	hadManifest bool         // the folder had a manifest when it was opened
	newFolders  []string     // that Open made, until there is a manifest; guarded by upkeep
	upToDate    bool         // the manifest file has the current format and timeline; guarded by upkeep

	mu      sync.Mutex // guards version and the reference counts
	version *storeVersion

	wakeups       chan struct{} // a flush may be due
	flushed       chan struct{} // closed and replaced, under mu, when a memtable is flushed
	resets        chan struct{} // the position went back
	failed        chan error    // an error after which the disk cannot be relied on
	unrecoverable sync.Map      // damaged segments that recovery has given up, by id

	flushFailure, upkeepFailure store.FailureTracker // flushes; merges and retention
}

// Open opens a store in a folder, or makes an empty store. The error is a *MissingManifestError, a
// *ManifestError or a *TombstonesError when the folder cannot be used; then nothing was changed.
// The caller must Close the store.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if strings.Contains(opts.Dir, "?") {
		return nil, fmt.Errorf("the path of the store, %s, has a question mark, which DuckDB does not take; use another data directory", opts.Dir)
	}
	opts = opts.withDefaults()
	s := &Store{
		opts: opts, log: opts.Logger, readers: newReaders(), seed: maphash.MakeSeed(), appNumbers: map[string]uint32{},
		wakeups: make(chan struct{}, 1), flushed: make(chan struct{}),
		resets: make(chan struct{}, 1), failed: make(chan error, 1),
		intents: intents{dir: opts.Dir}, tombstones: &erasure.Log{},
	}
	s.unmerged = map[uint64]bool{}
	s.merger, s.exporters, s.exports = s.newMerger(), s.newExporters(), newRunningExports()
	s.feedWindows = newFeedWindows(s)
	s.version = &storeVersion{tables: &tableSet{}, arrivals: newArrivals(nil), manifest: &Manifest{}, erased: &erasure.Set{}}
	if err := s.makeFolders(); err != nil {
		return nil, err
	}
	var err error
	if s.codec, err = newBodyCodec(); err != nil {
		return nil, err
	}
	if s.reading, err = openInstance(ctx, s.limits()); err != nil {
		return nil, err
	}
	if s.writer, err = s.reading.db.Conn(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to DuckDB: %w", err), s.reading.close())
	}
	if err := s.loadFolder(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.hadManifest {
		s.newFolders = nil
	}
	s.metrics = newMetrics(opts.Registerer, s)
	return s, nil
}

// makeFolders makes the folders that are missing.
func (s *Store) makeFolders() error {
	if !s.persistent() {
		return nil
	}
	for _, dir := range []string{s.opts.Dir, s.segmentDir(), s.opts.TempDir, s.exportDir(), s.quarantineDir()} {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			s.newFolders = append(s.newFolders, dir)
		}
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the store's folder: %w", err)
		}
	}
	return nil
}

// removeFolders removes the folders that Open made for a store that was refused, so that the right
// folder can be put in their place. One that is not empty stays.
func (s *Store) removeFolders() {
	for _, dir := range slices.Backward(s.newFolders) {
		_ = os.Remove(dir)
	}
}

func newReaders() *fair.Semaphore {
	return fair.New(fair.Options{Places: maxReaders, PerKey: maxReaders / 2, PerApp: maxReaders / 4 * 3, Waiting: maxWaiting})
}

// Ping reports whether DuckDB answers. It does not wait for readers.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.instance().db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// limits returns those of the reading instance.
func (s *Store) limits() limits {
	l := limits{memory: s.opts.MemoryLimit, threads: s.opts.Threads, tempDir: s.opts.TempDir, encrypt: true, conns: maxReaders + upkeepConns + 1}
	if s.persistent() {
		l.dirs = []string{s.segmentDir(), s.exportDir()}
	}
	return l
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.FlushRows == 0 {
		o.FlushRows = DefaultFlushRows
	}
	if o.FlushAge == 0 {
		o.FlushAge = DefaultFlushAge
	}
	if o.Clock == nil {
		o.Clock = func() (time.Time, bool) { return time.Now(), false }
	}
	if o.Tombstones == "" {
		o.Tombstones = filepath.Join(o.Dir, "tombstones")
	}
	if o.MaxSegmentRows == 0 {
		o.MaxSegmentRows = DefaultMaxSegmentRows
	}
	if o.DedupeWindow == 0 {
		o.DedupeWindow = DefaultDedupeWindow
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = defaultMemory()
	}
	if o.SearchTime == 0 {
		o.SearchTime = DefaultSearchTime
	}
	if o.LeaseAge == 0 {
		o.LeaseAge = DefaultLeaseAge
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.TempDir == "" && o.Dir != "" {
		o.TempDir = filepath.Join(o.Dir, "temp")
	}
	return o
}

func (s *Store) segmentDir() string { return filepath.Join(s.opts.Dir, "segments") }

func (s *Store) segmentPath(name string) string { return filepath.Join(s.segmentDir(), name) }

// persistent reports whether the store has a folder.
func (s *Store) persistent() bool { return s.opts.Dir != "" }

// step calls Options.Step.
func (s *Store) step(name string) error {
	if s.opts.Step == nil {
		return nil
	}
	return s.opts.Step(name)
}

// Capabilities implements storetest.Store: a store without a folder is volatile.
func (s *Store) Capabilities() store.Capabilities {
	return store.Capabilities{Volatile: !s.persistent()}
}

// Close releases all resources, and ends leases and exports. Nothing else may use the store
// meanwhile. What was not flushed is written again from the queue at the next start.
func (s *Store) Close() error {
	s.metrics.unregister()
	s.EndLeases()
	s.EndExports()
	s.feedWindows.stop()
	var err error
	if s.writer != nil {
		err = s.writer.Close()
	}
	for _, seg := range s.version.tables.segments {
		err = errors.Join(err, seg.filters.Load().Close())
	}
	err = errors.Join(err, s.merger.close(), s.feedWindows.close())
	for range MaxExports {
		err = errors.Join(err, (<-s.exporters).close())
	}
	err = errors.Join(err, s.reading.close())
	s.removeFolders()
	return err
}

// Position implements store.Writer.
func (s *Store) Position(context.Context) (uint64, error) { return s.current().position, nil }

// Flushed implements store.Writer.
func (s *Store) Flushed(context.Context) (uint64, error) { return s.current().manifest.Flushed, nil }

// exec runs a statement on the connection of the writer.
func (s *Store) exec(ctx context.Context, statement string) error {
	_, err := s.writer.ExecContext(ctx, statement)
	return err
}

// appNumber returns the short name of an application.
func (s *Store) appNumber(app string) uint32 {
	n, ok := s.appNumbers[app]
	if !ok {
		n = uint32(len(s.appNumbers))
		s.appNumbers[strings.Clone(app)] = n
	}
	return n
}
