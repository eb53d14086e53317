// Package duckdb is the embedded store, a log-structured merge tree. The queue is its log. A
// memtable in an in-memory DuckDB receives new rows, and a flush turns it into a segment: an
// immutable, sorted DuckDB file. A manifest names the segments and the frame up to which they
// contain everything. Each start rebuilds the memtable from the queue, beginning with the frame
// after that one.
//
// The prefix of a file's name says which part of the store it belongs to: hot_ decides and writes
// batches, segment_ is about one segment, upkeep_ flushes, merges, expires and erases, recover_
// handles damage and failure, query_ reads. All of them use versions (version.go): a version is
// what readers see at one moment, which is the memtables and segments, the last stored frame, the
// counts of arrivals, the manifest and the erasures.
//
// Recovery is of two kinds. Online, the store quarantines, rebuilds or readmits damaged segments
// and reopens DuckDB while it serves; recover_error.go defines these terms. Offline, when a store
// cannot be opened because its manifest or its tombstones are missing or damaged, [PlanRecovery]
// finds out what can be brought back, and [RecoveryPlan.Apply] does it.
//
// The package does not consume the queue, and does not decide what is trimmed from it.
package duckdb
