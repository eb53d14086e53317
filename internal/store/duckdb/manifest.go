package duckdb

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/durable"
	"theeye/internal/event"
	"theeye/internal/store"
)

const (
	manifestName    = "MANIFEST.json"
	manifestVersion = 2
)

// Manifest says what a store consists of. What it does not name does not exist.
// It is a value: a change makes another one, which takes the place of the old one
// in the file at once or not at all.
type Manifest struct {
	Version  int                       `json:"version"`
	NextID   uint64                    `json:"next_id"`  // of segments
	Flushed  uint64                    `json:"flushed"`  // the last frame whose records are in segments
	Arrivals map[string]store.Arrivals `json:"arrivals"` // by application, up to Flushed
	Segments []SegmentInfo             `json:"segments"`
	Damaged  []DamagedSegment          `json:"damaged,omitempty"`
	// Gone are the accounts of first arrivals whose rows were removed, by
	// application: the expired, and the traces that went with them.
	Gone map[string]Counts `json:"gone"`
	// Tombstones are the sessions that were erased; TombstoneKey is the key of
	// their hashes, in hexadecimal.
	Tombstones   []Tombstone `json:"tombstones"`
	TombstoneKey string      `json:"tombstone_key"`
}

// SegmentInfo is what the manifest says of a segment.
type SegmentInfo struct {
	ID       uint64    `json:"id"`
	Level    int       `json:"level"` // 0 from a flush, else how often its rows were merged
	Data     FileInfo  `json:"data"`
	Filter   FileInfo  `json:"filter"`
	Slices   int       `json:"slices"` // of events, numbered from 0
	Rows     RowCounts `json:"rows"`
	Carried  Bounds    `json:"carried"`  // first and last frame that carried a row
	Occurred Bounds    `json:"occurred"` // of events, in microseconds
	Received Bounds    `json:"received"` // of all rows, in microseconds
	Sent     Bounds    `json:"sent"`     // of the sent times that could be read
	// Apps are the accounts of the first arrivals whose rows are here, by
	// application; Replays counts the rows that are none.
	Apps    map[string]Counts           `json:"apps"`
	Replays int64                       `json:"replays"`
	Days    map[string]map[string]int64 `json:"days"` // events by UTC day, then by application
}

// FileInfo names a file in the store's folder.
type FileInfo struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// RowCounts are rows by table.
type RowCounts struct {
	Events     int64 `json:"events"`
	Rejections int64 `json:"rejections"`
	Traces     int64 `json:"traces"`
	Sessions   int64 `json:"sessions"`
}

// Bounds are a least and a greatest value; nil when there is none.
type Bounds struct {
	Min *int64 `json:"min"`
	Max *int64 `json:"max"`
}

// empty reports whether there is no value.
func (b Bounds) empty() bool { return b.Min == nil }

// touches reports whether a value from low to high may be there.
func (b Bounds) touches(low, high int64) bool { return b.Min != nil && *b.Min <= high && *b.Max >= low }

// Counts are arrivals by fate.
type Counts struct {
	Stored    int64 `json:"stored"`
	Rejected  int64 `json:"rejected"`
	Duplicate int64 `json:"duplicate"`
	Erased    int64 `json:"erased"`
	Expired   int64 `json:"expired"`
}

func (c *Counts) add(fate event.Fate, n int64) {
	switch fate {
	case event.Stored:
		c.Stored += n
	case event.Rejected:
		c.Rejected += n
	case event.Duplicate:
		c.Duplicate += n
	case event.Erased:
		c.Erased += n
	case event.Expired:
		c.Expired += n
	case event.Pending: // no store ever has it
	}
}

func (c *Counts) sum(d Counts) {
	c.Stored += d.Stored
	c.Rejected += d.Rejected
	c.Duplicate += d.Duplicate
	c.Erased += d.Erased
	c.Expired += d.Expired
}

// ManifestError tells that a manifest cannot be used.
type ManifestError struct {
	Path string
	Err  error
}

func (e *ManifestError) Error() string {
	return fmt.Sprintf("the store's manifest %s cannot be used: %v; restore a backup, or put it aside to begin an empty store with what the queue still holds", e.Path, e.Err)
}

func (e *ManifestError) Unwrap() error { return e.Err }

func emptyManifest() Manifest {
	return Manifest{Version: manifestVersion, NextID: 1, Arrivals: map[string]store.Arrivals{}}
}

// ReadManifest reads the manifest of a store's folder. A folder without one is
// an empty store.
func ReadManifest(dir string) (Manifest, error) {
	m := emptyManifest()
	path := filepath.Join(dir, manifestName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m, json.RejectUnknownMembers(true))
	}
	if err == nil && m.Version != manifestVersion {
		err = fmt.Errorf("its version is %d, this program knows %d", m.Version, manifestVersion)
	}
	if err != nil {
		return Manifest{}, &ManifestError{path, err}
	}
	return m, nil
}

// encode returns the text of the file.
func (m *Manifest) encode() ([]byte, error) {
	var b bytes.Buffer
	if err := json.MarshalWrite(&b, m, jsontext.WithIndent(" "), json.Deterministic(true)); err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	return b.Bytes(), nil
}

// write makes m the manifest of the folder.
// After an error that is not durable.ErrUncertain the old one is in force.
func (m *Manifest) write(dir string) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	if err := durable.Replace(filepath.Join(dir, manifestName), bytes.NewReader(b)); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}
