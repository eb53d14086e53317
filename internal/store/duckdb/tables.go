package duckdb

import (
	"strconv"
	"strings"
)

// The tables of a memtable and of a segment. Columns have the names of the fields of package query,
// which says how absent values are stored. A segment also has a column slice in events, and a table
// sessions: what a session has in a slice.
const (
	eventTable     = "events"
	rejectionTable = "rejections"
	// residueTable holds residues: what remains of an arrival that is neither stored nor rejected,
	// such as a duplicate, or one that was erased or had expired.
	residueTable = "traces"
	sessionTable = "sessions" // slice, session_id, app, first, last, events
)

func dataTables() []string { return []string{eventTable, rejectionTable, residueTable} }

const eventColumns = `app, id, client_id, session_id, category, name, data, "timestamp", sent_time, sent_at, seq, sender,
	occurred_at, received_at, own_time, frame, frame_index, carried_by, schema_version`

const rejectionColumns = `app, id, event_id, client_id, session_id, category, name, data, sent_time, sent_at, received_at,
	own_time, frame, frame_index, carried_by, schema_version, codes, pointers, problems, ` + bodyColumns

// bodyColumns are those of a rejection's body: what is kept of it, whether that is compressed
// (zstd), and its uncompressed size. When only its beginning is kept, size and digest of the whole
// body follow, else 0 and empty.
const bodyColumns = "raw, packed, raw_size, whole_size, whole_sha256"

// bodyColumnsOf1 renders bodyColumns for a segment of format 1.
const bodyColumnsOf1 = "raw, FALSE AS packed, octet_length(raw) AS raw_size, 0::BIGINT AS whole_size, ''::BLOB AS whole_sha256"

const residueColumns = `app, event_id, client_id, session_id, category, name, received_at,
	frame, frame_index, carried_by, fate, problems`

const sessionColumns = `session_id, app, first, last, events`

// columnsOf returns the columns of a table.
func columnsOf(table string) string {
	switch table {
	case eventTable:
		return eventColumns
	case rejectionTable:
		return rejectionColumns
	case sessionTable:
		return sessionColumns
	}
	return residueColumns
}

// columnsOf renders the columns of a table of the segment under the names of the function
// columnsOf.
func (seg *segment) columnsOf(table string) string {
	columns := columnsOf(table)
	if table == rejectionTable && seg.info.Format == 1 {
		columns = strings.Replace(columns, bodyColumns, bodyColumnsOf1, 1)
	}
	if seg.info.Format < 3 {
		columns = strings.Replace(columns, "own_time", "0::BIGINT AS own_time", 1)
	}
	return columns
}

// ownTime renders the value of Own of a row of a table.
func ownTime(table string) string {
	switch table {
	case eventTable:
		return "CASE own_time WHEN 0 THEN least(sent_time, occurred_at, received_at) ELSE own_time END"
	case rejectionTable:
		return "CASE own_time WHEN 0 THEN least(sent_time, received_at) ELSE own_time END"
	}
	return "received_at"
}

// orderOf returns the order by which a table of a segment is sorted, so that a session or a range
// of times is in few blocks.
func orderOf(table string) string {
	switch table {
	case eventTable:
		return "slice, session_id, occurred_at, seq, frame, frame_index"
	case sessionTable:
		return "slice, session_id, app"
	}
	return "received_at, frame, frame_index"
}

// hotName returns the name of a table of a memtable.
func hotName(table string, memtable uint64) string {
	return table + "_" + strconv.FormatUint(memtable, 10)
}

// hotTables returns the statements that create the tables of a memtable.
func hotTables(memtable uint64) []string {
	return []string{
		"CREATE OR REPLACE TABLE " + hotName(eventTable, memtable) + ` (app VARCHAR NOT NULL, id UUID NOT NULL, client_id VARCHAR NOT NULL,
			session_id VARCHAR NOT NULL, category VARCHAR NOT NULL, name VARCHAR NOT NULL, data VARCHAR NOT NULL,
			"timestamp" VARCHAR NOT NULL, sent_time BIGINT NOT NULL, sent_at BIGINT NOT NULL, seq BIGINT NOT NULL,
			sender VARCHAR NOT NULL, occurred_at BIGINT NOT NULL, received_at BIGINT NOT NULL, own_time BIGINT NOT NULL,
			frame UBIGINT NOT NULL, frame_index UINTEGER NOT NULL, carried_by UBIGINT NOT NULL, schema_version UINTEGER NOT NULL)`,
		"CREATE OR REPLACE TABLE " + hotName(rejectionTable, memtable) + ` (app VARCHAR NOT NULL, id UUID NOT NULL, event_id UUID NOT NULL, client_id VARCHAR NOT NULL,
			session_id VARCHAR NOT NULL, category VARCHAR NOT NULL, name VARCHAR NOT NULL, data VARCHAR,
			sent_time BIGINT NOT NULL, sent_at BIGINT NOT NULL, received_at BIGINT NOT NULL, own_time BIGINT NOT NULL,
			frame UBIGINT NOT NULL, frame_index UINTEGER NOT NULL, carried_by UBIGINT NOT NULL, schema_version UINTEGER NOT NULL,
			codes VARCHAR[] NOT NULL, pointers VARCHAR[] NOT NULL, problems VARCHAR NOT NULL,
			raw BLOB NOT NULL, packed BOOLEAN NOT NULL, raw_size BIGINT NOT NULL, whole_size BIGINT NOT NULL, whole_sha256 BLOB NOT NULL)`,
		"CREATE OR REPLACE TABLE " + hotName(residueTable, memtable) + ` (app VARCHAR NOT NULL, event_id UUID NOT NULL, client_id VARCHAR NOT NULL,
			session_id VARCHAR NOT NULL, category VARCHAR NOT NULL, name VARCHAR NOT NULL, received_at BIGINT NOT NULL,
			frame UBIGINT NOT NULL, frame_index UINTEGER NOT NULL, carried_by UBIGINT NOT NULL, fate UTINYINT NOT NULL, problems VARCHAR NOT NULL)`,
	}
}
