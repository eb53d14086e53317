package duckdb

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"theeye/internal/durable"
	"theeye/internal/envelope"
	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/jsonx"
	"theeye/internal/store"
)

const (
	manifestName = "MANIFEST.json"
	// copyName is a copy of the manifest. While a new manifest is written, it is a copy of the
	// previous one. Only recovery uses it.
	copyName        = "MANIFEST.json.1"
	manifestVersion = 3
	manifestMember  = "manifest" // in the envelope
)

// ErrNewer is returned when a newer version of The Eye wrote a part of the store. Nothing was
// changed.
var ErrNewer = envelope.ErrNewer

// ManifestError is the error of a manifest that cannot be used.
type ManifestError struct {
	Path string
	Err  error
}

func (e *ManifestError) Error() string {
	text := fmt.Sprintf("the store's manifest %s cannot be used: %v", e.Path, e.Err)
	if errors.Is(e.Err, ErrNewer) {
		return text
	}
	if durable.Denied(e.Err) {
		return text + "; nothing was changed"
	}
	if filepath.Base(e.Path) == copyName {
		return text + "; nothing was changed. Move it away, put the manifest of a backup into the folder (`eye backup extract BACKUP MANIFEST.json FILE`) and start the server; " +
			"or restore the backup into another data directory; or start an empty store with what the queue still holds: `eye store recover --empty`"
	}
	return text + "; nothing was changed. `eye store recover` shows what can be brought back from its copy; " +
		"or restore a backup into another data directory"
}

func (e *ManifestError) Unwrap() error { return e.Err }

func emptyManifest() Manifest {
	return Manifest{NextID: 1, Arrivals: map[string]store.Arrivals{}}
}

// ReadManifest reads the manifest of a store's folder. A folder without a manifest is an empty
// store. ReadManifest changes nothing.
func ReadManifest(dir string) (Manifest, error) {
	m, _, err := readManifest(filepath.Join(dir, manifestName))
	return m.Manifest, err
}

// ParseManifest parses the content of a manifest. The error wraps ErrNewer when a newer version
// wrote it.
func ParseManifest(b []byte) (Manifest, error) {
	m := loadedManifest{Manifest: emptyManifest()}
	err := m.parse(b)
	return m.Manifest, err
}

// LastOf returns the last frame of a timeline that the store holds or has held, math.MaxUint64 for
// the current timeline. ok is false for any other timeline.
func (m *Manifest) LastOf(timeline string) (last uint64, ok bool) {
	if timeline == m.Timeline {
		return math.MaxUint64, true
	}
	last, ok = m.lineage().Ended[timeline]
	return last, ok
}

// PresentManifest reads the manifest of a store's folder that a server has used. The error is a
// *MissingManifestError when there is no manifest. PresentManifest changes nothing.
func PresentManifest(dir string) (Manifest, error) {
	m, there, err := readPresent(dir)
	if err == nil && !there {
		s := &Store{opts: Options{Dir: dir}}
		err = &MissingManifestError{Dir: dir, Segments: s.maxSegmentID() > 0}
	}
	return m.Manifest, err
}

// loadedManifest is a manifest as it was read from a file.
type loadedManifest struct {
	Manifest
	version    int                 // 0 if there is no manifest
	tombstones []erasure.Tombstone // in a manifest of a version before 3
	key        string              // of the hashes in these tombstones
}

// readManifest reads a manifest of any version. there is false if the file does not exist.
func readManifest(path string) (m loadedManifest, there bool, err error) {
	b, err := durable.ReadFile(path)
	return parseManifest(path, b, err)
}

// parseManifest is readManifest for the result of reading the file.
func parseManifest(path string, b []byte, err error) (m loadedManifest, there bool, _ error) {
	m.Manifest = emptyManifest()
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err == nil {
		err = m.parse(b)
	}
	if err != nil {
		return loadedManifest{}, true, &ManifestError{path, err}
	}
	return m, true, nil
}

// readPresent reads the manifest of a store's folder. The error is a *ManifestError when the copy
// is newer than the manifest: an earlier manifest was put in its place, which may name segments
// that no longer exist.
func readPresent(dir string) (m loadedManifest, there bool, err error) {
	path, copyPath := filepath.Join(dir, manifestName), filepath.Join(dir, copyName)
	// A running server writes the copy after the manifest, so the copy is read first.
	copied, copyErr := durable.ReadFile(copyPath)
	b, err := durable.ReadFile(path)
	m, there, err = parseManifest(path, b, err)
	if err != nil || !there || bytes.Equal(copied, b) { // they are equal after each commit; parsing the copy would take long
		return m, there, err
	}
	if after, isCopy, err := parseManifest(copyPath, copied, copyErr); err == nil && isCopy && after.continues(m) {
		return loadedManifest{}, true, &ManifestError{path, fmt.Errorf("it is an earlier manifest: its copy, %s, is newer", copyName)}
	}
	return m, there, nil
}

// continues reports whether m was committed after an earlier manifest of the same folder.
func (m *loadedManifest) continues(earlier loadedManifest) bool {
	if m.version != earlier.version {
		return m.version > earlier.version
	}
	_, was := m.lineage().Ended[earlier.Timeline]
	further := m.NextID > earlier.NextID || m.Flushed > earlier.Flushed || m.Tombstones.Lines > earlier.Tombstones.Lines
	return was || further && m.Timeline != "" && m.Timeline == earlier.Timeline
}

func (m *loadedManifest) parse(b []byte) error {
	version, text, err := envelope.Open(b, manifestMember, manifestVersion-1, manifestVersion)
	switch m.version = version; {
	case err != nil:
		return err
	case version == 2:
		return m.parseVersion2(b)
	case text == nil:
		return fmt.Errorf("its version is %d, this program knows 2 and %d", version, manifestVersion)
	}
	if err := json.Unmarshal(text, &m.Manifest, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: %w", envelope.ErrDamaged, jsonx.PlainJSON(err))
	}
	for _, info := range m.Segments {
		if info.Format < 1 || info.Format > segmentFormat {
			return fmt.Errorf("segment %s has format %d: %w", info.Data.Name, info.Format, ErrNewer)
		}
	}
	return nil
}

// parseVersion2 parses version 2, which has no digest, no formats and no timelines, and contains
// the tombstones.
func (m *loadedManifest) parseVersion2(b []byte) error {
	var old struct {
		Version  int                       `json:"version"`
		NextID   uint64                    `json:"next_id"`
		Flushed  uint64                    `json:"flushed"`
		Arrivals map[string]store.Arrivals `json:"arrivals"`
		Segments []SegmentInfo             `json:"segments"`
		Damaged  []DamagedSegment          `json:"damaged"`
		Gone     map[string]Counts         `json:"gone"`
		Tomb     []struct {
			Hash  string       `json:"hash"`
			At    event.Micros `json:"at"`
			Frame uint64       `json:"frame"`
			Done  bool         `json:"done"` // ignored: the queue may still contain what was erased
		} `json:"tombstones"`
		Key string `json:"tombstone_key"`
	}
	if err := json.Unmarshal(b, &old, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: %w", envelope.ErrDamaged, jsonx.PlainJSON(err))
	}
	m.Manifest = Manifest{
		NextID:   old.NextID,
		Flushed:  old.Flushed,
		Arrivals: old.Arrivals,
		Segments: old.Segments,
		Damaged:  old.Damaged,
		Removed:  old.Gone,
		Upgraded: true,
	}
	if m.Arrivals == nil {
		m.Arrivals = map[string]store.Arrivals{}
	}
	for i := range m.Segments {
		m.Segments[i].Format = 1
	}
	for i := range m.Damaged {
		m.Damaged[i].Segment.Format = 1
	}
	m.key = old.Key
	for _, t := range old.Tomb {
		m.tombstones = append(m.tombstones, erasure.FirstForm(t.Hash, t.At, t.Frame))
	}
	return nil
}

// encoder encodes manifests. It caches the text of each segment, which lists all applications and
// stays the same until the segment's filter is rebuilt. It may be used concurrently.
type encoder struct {
	mu    sync.Mutex
	texts map[segmentFiles]jsontext.Value
}

// segmentFiles are the digests of a segment's files.
type segmentFiles struct{ data, filter string }

// encode returns the text of the file.
func (e *encoder) encode(m *Manifest) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	document := struct {
		*Manifest
		Segments []jsontext.Value `json:"segments"`
	}{Manifest: m, Segments: make([]jsontext.Value, len(m.Segments))}
	texts := make(map[segmentFiles]jsontext.Value, len(m.Segments))
	for i, info := range m.Segments {
		key := segmentFiles{info.Data.SHA256, info.Filter.SHA256}
		text, known := e.texts[key]
		if !known {
			var err error
			if text, err = json.Marshal(info, json.Deterministic(true)); err != nil {
				return nil, fmt.Errorf("write manifest: segment %s: %w", info.Data.Name, err)
			}
		}
		texts[key], document.Segments[i] = text, text
	}
	text, err := json.Marshal(document, json.Deterministic(true), jsontext.SpaceAfterColon(true), jsontext.SpaceAfterComma(true),
		jsontext.AllowDuplicateNames(true)) // checking takes long, and maps have no duplicate names
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	e.texts = texts
	return envelope.Seal(manifestVersion, manifestMember, text), nil
}

// write makes m the manifest of the folder. After an error other than durable.ErrUncertain, the old
// manifest is still in place.
func (m *Manifest) write(dir string) error {
	b, err := new(encoder).encode(m)
	if err != nil {
		return err
	}
	return writeManifest(dir, b)
}

// writeManifest makes a text the manifest of the folder; see Manifest.write.
func writeManifest(dir string, text []byte) error {
	if err := durable.Replace(filepath.Join(dir, manifestName), bytes.NewReader(text)); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// writeCopy makes a text the copy of the manifest. It must be called before files are deleted that
// only earlier manifests name.
func writeCopy(dir string, text []byte) error {
	return durable.Replace(filepath.Join(dir, copyName), bytes.NewReader(text))
}

// lineage returns the timelines with which the frames of tombstones are compared.
func (m *Manifest) lineage() erasure.Lineage {
	l := erasure.Lineage{Timeline: m.Timeline, Ended: map[string]uint64{}}
	for _, t := range m.Timelines {
		l.Ended[t.ID] = t.Last
	}
	return l
}

// origin returns the timeline that a frame was written in.
func (m *Manifest) origin(frame uint64) string {
	for _, t := range m.Timelines { // from the earliest on
		if frame <= t.Last {
			return t.ID
		}
	}
	return m.Timeline
}

// beginTimeline begins a new timeline after a frame.
func (m *Manifest) beginTimeline(last uint64) {
	if m.Timeline != "" {
		m.Timelines = append(slices.Clip(m.Timelines), Timeline{m.Timeline, last})
	}
	m.Timeline = uuid.NewString()
}

// forgetTimelines forgets the earlier timelines except those to which tombstones belong. It is for a
// store that has no key of its own for the hashes of session ids. Readers of the feed of such a
// timeline may have got hashes with a key that is not known here: an erasure could not tell them what
// to delete, so they must begin again.
func (m *Manifest) forgetTimelines(tombstones []erasure.Tombstone) {
	m.Timelines = slices.DeleteFunc(slices.Clone(m.Timelines), func(t Timeline) bool {
		return !slices.ContainsFunc(tombstones, func(x erasure.Tombstone) bool { return x.Timeline == t.ID })
	})
}
