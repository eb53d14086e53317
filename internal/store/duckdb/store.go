// Package duckdb is the embedded store: hot tables in an in-memory DuckDB, which
// are rebuilt from the queue at each start.
//
// It keeps no files yet: what is older than memory allows is not its business
// until there are segments, and the queue keeps everything meanwhile.
package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/store"
)

const (
	// maxDefaultMemory bounds the default: half of the machine's memory, but at most 8 GiB.
	maxDefaultMemory = 8 << 30
	// maxReaders is how many queries run at once; others wait until their
	// context ends. The writer has a connection of its own and never waits.
	maxReaders = 16
)

// Options of a store. The zero value works.
type Options struct {
	MemoryLimit int64 // bytes that DuckDB may take; 0 for half of the machine's, at most 8 GiB
	Threads     int   // of DuckDB; 0 for one for each processor
	// TempDir is where DuckDB puts what does not fit into memory. Empty for
	// nowhere: then a query that needs more fails with store.ErrUnavailable.
	TempDir    string
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Store implements store.Writer and store.Reader.
type Store struct {
	log     *slog.Logger
	db      *sql.DB    // for readers
	writer  *sql.Conn  // for the one writer, which holds writing
	writing sync.Mutex // guards writer, seen and refused
	metrics metrics

	seen    map[idKey]arrival      // events by id
	seed    maphash.Seed           // of the hashes in seen
	refused map[uuid.UUID]struct{} // rejections by their id, which the application is part of
	numbers map[string]uint32      // applications, to keep seen small

	state atomic.Pointer[state]
}

// state is what a reader needs to know of the writer. It is never changed.
type state struct {
	position uint64
	arrivals map[string]store.Arrivals
}

// Open makes an empty store.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.MemoryLimit == 0 {
		opts.MemoryLimit = defaultMemory()
	}
	if opts.Threads == 0 {
		opts.Threads = runtime.GOMAXPROCS(0)
	}
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	s := &Store{
		log: opts.Logger, db: sql.OpenDB(connector),
		seen: map[idKey]arrival{}, seed: maphash.MakeSeed(), refused: map[uuid.UUID]struct{}{}, numbers: map[string]uint32{},
	}
	s.state.Store(&state{arrivals: map[string]store.Arrivals{}})
	s.db.SetMaxOpenConns(maxReaders + 1) // and the writer
	s.db.SetMaxIdleConns(maxReaders + 1)
	if s.writer, err = s.db.Conn(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to DuckDB: %w", err), s.db.Close())
	}
	// External access ends before there is anything to be reached, and nothing
	// can be set after that (S12).
	statements := append([]string{
		"SET memory_limit = '" + strconv.FormatInt(opts.MemoryLimit, 10) + "B'",
		"SET threads = " + strconv.Itoa(opts.Threads),
		"SET temp_directory = '" + strings.ReplaceAll(opts.TempDir, "'", "''") + "'",
		"SET preserve_insertion_order = false", // every list says its order
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	}, tables()...)
	for _, statement := range statements {
		if err := s.exec(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("make hot tables: %w", err), s.Close())
		}
	}
	s.metrics = newMetrics(opts.Registerer, s)
	return s, nil
}

// defaultMemory asks the machine; a container's limit counts.
func defaultMemory() int64 {
	memory := int64(4 << 30)
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if _, err := fmt.Sscanf(string(b), "MemTotal: %d kB", &kib); err == nil {
			memory = kib << 10
		}
	}
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
			memory = min(memory, limit)
		}
	}
	return min(memory/2, maxDefaultMemory)
}

// tables are the hot tables. Columns are named like the fields of package query;
// absent values are spelled as it says.
func tables() []string {
	return []string{
		`CREATE TABLE events (app VARCHAR NOT NULL, id UUID NOT NULL, client_id VARCHAR NOT NULL,
			session_id VARCHAR NOT NULL, category VARCHAR NOT NULL, name VARCHAR NOT NULL, data VARCHAR NOT NULL,
			"timestamp" VARCHAR NOT NULL, sent_time BIGINT NOT NULL, sent_at BIGINT NOT NULL, seq BIGINT NOT NULL,
			sender VARCHAR NOT NULL, occurred_at BIGINT NOT NULL, received_at BIGINT NOT NULL,
			frame UBIGINT NOT NULL, frame_index UINTEGER NOT NULL, carried_by UBIGINT NOT NULL, schema_version UINTEGER NOT NULL)`,
		`CREATE TABLE rejections (app VARCHAR NOT NULL, id UUID NOT NULL, event_id UUID NOT NULL, client_id VARCHAR NOT NULL,
			session_id VARCHAR NOT NULL, category VARCHAR NOT NULL, name VARCHAR NOT NULL, data VARCHAR,
			sent_time BIGINT NOT NULL, sent_at BIGINT NOT NULL, received_at BIGINT NOT NULL,
			frame UBIGINT NOT NULL, frame_index UINTEGER NOT NULL, carried_by UBIGINT NOT NULL, schema_version UINTEGER NOT NULL,
			codes VARCHAR[] NOT NULL, pointers VARCHAR[] NOT NULL, problems VARCHAR NOT NULL, raw BLOB NOT NULL)`,
		`CREATE TABLE duplicates (app VARCHAR NOT NULL, event_id UUID NOT NULL, client_id VARCHAR NOT NULL,
			session_id VARCHAR NOT NULL, category VARCHAR NOT NULL, name VARCHAR NOT NULL, received_at BIGINT NOT NULL,
			frame UBIGINT NOT NULL, frame_index UINTEGER NOT NULL, carried_by UBIGINT NOT NULL, problems VARCHAR NOT NULL)`,
	}
}

// Capabilities tells that this store begins empty each time.
func (s *Store) Capabilities() store.Capabilities { return store.Capabilities{Volatile: true} }

// Close gives everything back. Nobody may use the store meanwhile.
func (s *Store) Close() error {
	s.metrics.unregister()
	var err error
	if s.writer != nil {
		err = s.writer.Close()
	}
	return errors.Join(err, s.db.Close())
}

// Position implements store.Writer.
func (s *Store) Position(context.Context) (uint64, error) { return s.state.Load().position, nil }

// exec runs a statement on the writer's connection.
func (s *Store) exec(ctx context.Context, statement string) error {
	_, err := s.writer.ExecContext(ctx, statement)
	return err
}

// number returns the short name of an application.
func (s *Store) number(app string) uint32 {
	n, ok := s.numbers[app]
	if !ok {
		n = uint32(len(s.numbers))
		s.numbers[strings.Clone(app)] = n
	}
	return n
}

// advance makes a batch visible to readers.
func (s *Store) advance(b store.Batch) {
	old := s.state.Load()
	next := &state{position: b.Last, arrivals: maps.Clone(old.arrivals)}
	for app, a := range b.Arrivals {
		sum := next.arrivals[app]
		next.arrivals[strings.Clone(app)] = store.Arrivals{Received: sum.Received + a.Received, Lost: sum.Lost + a.Lost}
	}
	s.state.Store(next)
}
