package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/duckdb/duckdb-go/v2"
)

// maxDefaultMemory is the maximum of the default of Options.MemoryLimit, in bytes.
const maxDefaultMemory = 8 << 30

// instance is an in-memory DuckDB, to which segments are attached. Each instance has its own
// settings and may access its own folders only.
type instance struct {
	db     *sql.DB
	closed atomic.Bool // its tables and attached segments are gone
}

// limits bound the resources of an instance.
type limits struct {
	memory  int64 // bytes
	threads int
	tempDir string // for spilling; empty to spill nothing
	// encrypt encrypts spilled data with a key that is only in memory, so that erased text cannot
	// be read from these files, even if a kill leaves them. It makes spilling several times slower.
	// The generator of the key is not cryptographically strong.
	encrypt bool
	dirs    []string // folders whose files may be attached, read and written
	conns   int      // statements that run at once
	ordered bool     // rows are read in the order in which they were inserted; others need an ORDER BY
}

// openInstance opens a DuckDB that can access only its own folders and whose settings are locked,
// so that no query can read other files. The error is store.ErrUnavailable when too few file
// descriptors are free.
func openInstance(ctx context.Context, l limits) (*instance, error) {
	if err := needDescriptors(instanceDescriptors); err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	i := &instance{db: sql.OpenDB(connector)}
	i.db.SetMaxOpenConns(l.conns)
	i.db.SetMaxIdleConns(l.conns)
	dirs := make([]string, len(l.dirs))
	for n, dir := range l.dirs {
		dirs[n] = quoted(dir + "/")
	}
	for _, statement := range []string{
		"SET memory_limit = '" + strconv.FormatInt(l.memory, 10) + "B'",
		"SET threads = " + strconv.Itoa(l.threads),
		"SET temp_directory = " + quoted(l.tempDir),
		"SET force_mbedtls_unsafe = 'true'", // otherwise DuckDB requires an extension with another generator
		"SET temp_file_encryption = " + strconv.FormatBool(l.encrypt),
		"SET preserve_insertion_order = " + strconv.FormatBool(l.ordered),
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET enable_external_file_cache = false", // Parquet files are read once and deleted
		"SET allowed_directories = [" + strings.Join(dirs, ", ") + "]",
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	} {
		if err := i.exec(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("configure DuckDB: %w", err), i.close())
		}
	}
	if err := i.register(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("register functions with DuckDB: %w", err), i.close())
	}
	return i, nil
}

func (i *instance) exec(ctx context.Context, statement string) error {
	_, err := i.db.ExecContext(ctx, statement)
	return err
}

func (i *instance) close() error {
	i.closed.Store(true)
	return i.db.Close()
}

// quoted returns text as an SQL literal.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// MinMemory is the smallest memory limit, in bytes, with which a store can always write its
// segments.
const MinMemory = 128 << 20

// defaultMemory returns the default of Options.MemoryLimit: half of the memory of the machine or
// the container, within bounds.
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
	return max(MinMemory, min(memory/2, maxDefaultMemory))
}
