package duckdb

import (
	"context"
	"sync/atomic"
	"time"
)

// memtable is a set of tables in the memory of an instance, the hot tables. There are at most two:
// rows are added to the newer one while the older one is flushed.
type memtable struct {
	number uint64
	in     *instance // that contains the tables
	began  time.Time // when it got its first row

	// Guarded by Store.writing.
	known known
	rows  int64
	bytes int64 // approximate size of the payloads

	replays atomic.Int64

	largestEvent, largestRejection atomic.Int64 // sizes of the largest payloads, in bytes

	// Set when the memtable is frozen: it contains everything up to this position.
	position uint64
	arrivals arrivals
	fates    hotFates

	refs int // number of table sets that contain it; guarded by Store.mu
}

// largest returns the size of the largest payload of a table.
func (mt *memtable) largest(table string) *atomic.Int64 {
	if table == rejectionTable {
		return &mt.largestRejection
	}
	return &mt.largestEvent
}

// empty reports whether nothing was written.
func (mt *memtable) empty() bool { return mt.rows == 0 }

// newMemtable creates empty hot tables. The caller must hold s.writing, unless the store is not
// open yet.
func (s *Store) newMemtable(ctx context.Context, number uint64) (*memtable, error) {
	return makeMemtable(ctx, s.reading, number)
}

func makeMemtable(ctx context.Context, in *instance, number uint64) (*memtable, error) {
	for _, statement := range hotTables(number) {
		if err := in.exec(ctx, statement); err != nil {
			return nil, storeError(ctx, "make hot tables", err)
		}
	}
	return &memtable{number: number, in: in, known: newKnown()}, nil
}
