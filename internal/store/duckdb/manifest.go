package duckdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/durable"
	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/store"
)

// Manifest says which files a store consists of; no other file is part of it. A manifest is never
// modified: a change creates another one, which replaces the old one in the file atomically.
type Manifest struct {
	NextID   uint64                    `json:"next_id"`  // of segments
	Flushed  uint64                    `json:"flushed"`  // the last frame whose records are in segments
	Arrivals map[string]store.Arrivals `json:"arrivals"` // by application, up to Flushed
	Segments []SegmentInfo             `json:"segments"`
	Damaged  []DamagedSegment          `json:"damaged,omitempty"`
	// Obsolete names files whose rows are in other files now, or were removed. They are deleted
	// when nothing reads them any longer, at the latest at the next start.
	Obsolete []string `json:"obsolete,omitempty"`
	// Removed are the accounts of first arrivals whose rows were removed, by application: expired
	// rows, and the residues that were removed with them.
	Removed map[string]Counts `json:"gone"`
	// Tombstones is the digest of the lines of the file of tombstones that belong to this manifest.
	// The file may have more lines.
	Tombstones erasure.Digest `json:"tombstones"`
	// Timeline identifies the sequence of frames that the store holds. Timelines are the earlier
	// ones, oldest first.
	Timeline  string     `json:"timeline"`
	Timelines []Timeline `json:"timelines,omitempty"`
	// ConfirmedSince is the first frame in the confirmed record, which is outside the store; 0 if
	// there is no such record.
	ConfirmedSince uint64 `json:"confirmed_since,omitzero"`
	// ConfirmedRecord is the id of the confirmed record; empty if it has none.
	ConfirmedRecord string `json:"confirmed_record,omitzero"`
	// Upgraded reports that the directory was created with a manifest of a version before 3.
	Upgraded bool `json:"upgraded,omitzero"`
}

// Timeline is a sequence of frames that has ended: the frames after Last belong to another one.
type Timeline struct {
	ID   string `json:"id"`
	Last uint64 `json:"last"`
}

// segmentFormat is the format of the segments that this program writes. Before format 3 there is no
// column own_time, and in format 1 the bodies of rejections are complete and not compressed.
const segmentFormat = 3

// SegmentInfo is what the manifest says about a segment.
type SegmentInfo struct {
	ID       uint64    `json:"id"`
	Format   int       `json:"format"` // of the tables in Data, and of Filter; see segmentFormat
	Level    int       `json:"level"`  // 0 after a flush, else how often its rows were rewritten
	Data     FileInfo  `json:"data"`
	Filter   FileInfo  `json:"filter"`
	Slices   int       `json:"slices"` // of events, numbered from 0
	Rows     RowCounts `json:"rows"`
	Carried  Bounds    `json:"carried"`  // first and last frame that carried a row
	Occurred Bounds    `json:"occurred"` // of events, in microseconds
	Received Bounds    `json:"received"` // of all rows, in microseconds
	Sent     Bounds    `json:"sent"`     // of the sent times that could be read
	// Apps are the accounts of the first arrivals whose rows are in the segment, by application.
	// Replays counts the other rows.
	Apps    map[string]Counts `json:"apps"`
	Replays int64             `json:"replays"`
	// Days is in segments of formats before 3. It is not used.
	Days ignored `json:"days,omitzero"`
}

// ignored accepts any JSON value and discards it.
type ignored struct{}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (*ignored) UnmarshalJSONFrom(d *jsontext.Decoder) error { return d.SkipValue() }

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

// Bounds are a minimum and a maximum; both are nil if there are no values.
type Bounds struct {
	Min *int64 `json:"min"`
	Max *int64 `json:"max"`
}

// empty reports whether there are no values.
func (b Bounds) empty() bool { return b.Min == nil }

// overlaps reports whether a value from low to high may be within the bounds.
func (b Bounds) overlaps(low, high int64) bool {
	return b.Min != nil && *b.Min <= high && *b.Max >= low
}

// Counts are arrivals by fate.
type Counts struct {
	Stored    int64 `json:"stored,omitzero"`
	Rejected  int64 `json:"rejected,omitzero"`
	Duplicate int64 `json:"duplicate,omitzero"`
	Erased    int64 `json:"erased,omitzero"`
	Expired   int64 `json:"expired,omitzero"`
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
	case event.Pending: // a stored arrival is never pending
	}
}

func (c *Counts) addAll(d Counts) {
	c.Stored += d.Stored
	c.Rejected += d.Rejected
	c.Duplicate += d.Duplicate
	c.Erased += d.Erased
	c.Expired += d.Expired
}

// BeginTimeline begins a new timeline after a frame. It is durable with the next flush that
// commits.
func (s *Store) BeginTimeline(last uint64) {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	m := *s.current().manifest
	m.beginTimeline(last)
	s.upToDate = false
	set := erasure.NewSet(s.tombstones.Document(), m.lineage())
	s.install(func(next *storeVersion) { next.manifest, next.erased = &m, set })
}

// commit makes m the manifest. After an error, it closes the segments that m would have named, and
// deletes their files. It sets NextID, and drops obsolete files that are gone. The caller must hold
// s.upkeep.
func (s *Store) commit(m *Manifest, made ...*segment) error {
	m.NextID = s.lastID.Load() + 1
	err := s.dropObsolete(m)
	var text []byte
	if err == nil {
		text, err = s.encoder.encode(m)
	}
	if err == nil {
		err = s.step("before manifest")
	}
	if err == nil {
		err = writeManifest(s.opts.Dir, text)
	}
	if err == nil {
		if err = s.step("manifest written"); err != nil {
			err = fmt.Errorf("%w: %w", durable.ErrUncertain, err)
		}
	}
	if errors.Is(err, durable.ErrUncertain) {
		s.fail(err) // the process must end
	}
	if err != nil {
		for _, seg := range made {
			seg.deleteOnRelease = !errors.Is(err, durable.ErrUncertain)
			s.closeSegment(seg)
		}
		return err
	}
	s.upToDate, s.newFolders = true, nil
	if err := writeCopy(s.opts.Dir, text); err != nil {
		s.log.Warn("could not copy the manifest; the previous copy remains until the next one is written", "error", err)
	}
	var names []string
	for _, seg := range made {
		names = append(names, seg.info.Data.Name, seg.info.Filter.Name)
	}
	if err := s.intents.end(names...); err != nil {
		s.log.Warn("the file INTENT could not be updated; it will be with the next segment", "error", err)
	}
	return nil
}

// dropObsolete removes the names of obsolete files from a manifest once their deletion is durable.
func (s *Store) dropObsolete(m *Manifest) error {
	var left []string
	for _, name := range m.Obsolete {
		if _, err := os.Lstat(s.segmentPath(name)); !errors.Is(err, fs.ErrNotExist) {
			left = append(left, name)
		}
	}
	if len(left) == len(m.Obsolete) {
		return nil
	}
	m.Obsolete = left
	if err := durable.SyncDir(s.segmentDir()); err != nil {
		return fmt.Errorf("sync the store's folder: %w", err)
	}
	return nil
}
