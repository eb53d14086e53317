package erasure

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"theeye/internal/durable"
	"theeye/internal/event"
	"theeye/internal/jsonx"
)

// The file of tombstones has one JSON object per line. Each ends with the member crc: the CRC-32C,
// in hex, of the text of the line before the comma that precedes this member. Lines are only
// appended.
//
//	{"version":2,"key":"…","crc":"…"}                                        the key of all hashes
//	{"begun":"ID","app":"shop","session":"…","frame":17,"visible":15,"at":…,"timeline":"…","crc":"…"}
//	{…,"timeline":"…","added":12,"crc":"…"}                                  added by a restore
//	{"begun":"ID","hash":"…","frame":17,"at":…,"crc":"…"}                    of the first form
//	{"finished":"ID","trimmed":19,"timeline":"…","crc":"…"}
//
// In the first format of the file the first line had only the key, and each other line was
// {"hash":"…","at":…,"frame":17,"done":true}, without a checksum.
const version = 2

type header struct {
	Version int    `json:"version,omitzero"`
	Key     string `json:"key"`
}

type line struct {
	Begun    string       `json:"begun,omitzero"`
	App      string       `json:"app,omitzero"`
	Session  string       `json:"session,omitzero"`
	Hash     string       `json:"hash,omitzero"`
	Frame    uint64       `json:"frame,omitzero"`
	Visible  uint64       `json:"visible,omitzero"`
	At       event.Micros `json:"at,omitzero"`
	Timeline string       `json:"timeline,omitzero"`
	Added    uint64       `json:"added,omitzero"`

	Finished string `json:"finished,omitzero"`
	Trimmed  uint64 `json:"trimmed,omitzero"`
}

// tombstone returns the tombstone of a line with Begun, as unfinished.
func (l line) tombstone() Tombstone {
	return Tombstone{ID: l.Begun, App: l.App, Session: l.Session, Hash: l.Hash, At: l.At, Frame: l.Frame, Visible: l.Visible, Timeline: l.Timeline, Added: l.Added}
}

// Digest identifies the first lines of a file.
type Digest struct {
	Lines  int    `json:"lines"`  // with the header
	SHA256 string `json:"sha256"` // of these lines, in hex
}

// Document is the content of a file of tombstones.
type Document struct {
	Key        string // of the hashes, in hex; empty if there is no file
	Tombstones []Tombstone
	first      bool // it has the first format
	torn       bool // an incomplete last line was left out
	lines      int
	size       int64          // of these lines, in bytes
	sum        hash.Hash      // of the lines
	begun      map[string]int // indexes of Tombstones by ID
}

// Error is the error of a file of tombstones that cannot be used.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string {
	return fmt.Sprintf("the file of erased sessions %s cannot be used: %v", e.Path, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// ErrForeign reports that a file does not begin like a file of tombstones.
var ErrForeign = errors.New("it does not begin like a file of tombstones")

// ErrNewer reports that a newer version of The Eye wrote the file.
var ErrNewer = errors.New("written by a newer version of The Eye; start that version again")

// ErrMissing reports that there is no file, although lines of it were committed.
var ErrMissing = errors.New("it is missing")

// ErrOtherKey reports that two files have different keys, so that their hashes cannot be compared.
var ErrOtherKey = errors.New("its key is another one: it belongs to another data directory, or to this one before or after its erasures were forgotten")

// Read reads a file. A file that does not exist is empty. A last line that a crash cut off was
// never acknowledged and is left out. known is the part of the file that was committed: it is an
// error if that part is missing or different. An erasure that finished after that part counts as
// unfinished.
func Read(path string, known Digest) (Document, error) {
	b, err := durable.ReadFile(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return Document{}, &Error{path, err}
	}
	if missing && known.Lines > 0 {
		return Document{}, &Error{path, ErrMissing}
	}
	d, err := Parse(b, known)
	if err != nil {
		return Document{}, &Error{path, err}
	}
	return d, nil
}

// Parse is Read for the content of a file.
func Parse(b []byte, known Digest) (Document, error) {
	d := Document{sum: sha256.New(), begun: map[string]int{}}
	if err := d.parse(b, known); err != nil {
		return Document{}, err
	}
	if d.lines < known.Lines {
		return Document{}, fmt.Errorf("it has %d lines instead of %d", d.lines, known.Lines)
	}
	return d, nil
}

// extend adds lines that were just written to the document.
func (d *Document) extend(b []byte) error {
	if d.sum == nil {
		d.sum, d.begun = sha256.New(), map[string]int{}
	}
	d.Tombstones = slices.Clone(d.Tombstones) // a Set shares the previous list
	return d.parse(b, Digest{Lines: math.MaxInt})
}

// parse parses lines. Those up to known.Lines were committed.
func (d *Document) parse(b []byte, known Digest) error {
	for text := range bytes.Lines(b) {
		if text[len(text)-1] != '\n' {
			d.torn = true
			break
		}
		if err := d.add(text[:len(text)-1], d.lines < known.Lines); err != nil {
			return fmt.Errorf("line %d: %w", d.lines+1, err)
		}
		d.sum.Write(text)
		d.size += int64(len(text))
		if d.lines++; d.lines == known.Lines && d.digest() != known {
			return fmt.Errorf("its first %d lines are not those that were written", known.Lines)
		}
	}
	return nil
}

func (d *Document) add(text []byte, committed bool) error {
	if d.lines == 0 {
		var h header
		if err := json.Unmarshal(text, &h); err != nil {
			return fmt.Errorf("%w: %w", ErrForeign, jsonx.PlainJSON(err))
		}
		d.Key, d.first = h.Key, h.Version == 0
		if key, err := hex.DecodeString(h.Key); err != nil || len(key) != sha256.Size {
			return fmt.Errorf("%w: it has no key", ErrForeign)
		}
		switch {
		case d.first:
			return nil
		case !sealed(text):
			return errors.New("its checksum does not match")
		case h.Version > version:
			return ErrNewer
		}
		return nil
	}
	if d.first {
		var t struct {
			Hash  string       `json:"hash"`
			At    event.Micros `json:"at"`
			Frame uint64       `json:"frame"`
		}
		if err := json.Unmarshal(text, &t); err != nil {
			return jsonx.PlainJSON(err)
		}
		d.Tombstones = append(d.Tombstones, FirstForm(t.Hash, t.At, t.Frame))
		return nil
	}
	if !sealed(text) {
		return errors.New("its checksum does not match")
	}
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return jsonx.PlainJSON(err)
	}
	i, known := d.begun[l.Finished]
	switch {
	case l.Begun != "":
		d.begun[l.Begun] = len(d.Tombstones)
		d.Tombstones = append(d.Tombstones, l.tombstone())
	case l.Finished == "":
		return ErrNewer
	case known && committed:
		t := &d.Tombstones[i]
		t.Finished, t.Trimmed, t.TrimmedOn = true, l.Trimmed, l.Timeline
	}
	return nil
}

// FirstForm returns a tombstone of the first format, with an ID that depends only on the arguments.
func FirstForm(hash string, at event.Micros, frame uint64) Tombstone {
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte(hash+" "+strconv.FormatInt(int64(at), 10)))
	return Tombstone{ID: id.String(), Hash: hash, At: at, Frame: frame}
}

const crcMember = `,"crc":"`

func seal(object []byte) []byte {
	text := object[:len(object)-1]
	sum := durable.Checksum(text)
	return fmt.Appendf(text, "%s%08x\"}\n", crcMember, sum)
}

func sealed(text []byte) bool {
	i := bytes.LastIndex(text, []byte(crcMember))
	if i < 0 {
		return false
	}
	want := fmt.Sprintf("%s%08x\"}", crcMember, durable.Checksum(text[:i]))
	return string(text[i:]) == want
}

func (d *Document) digest() Digest {
	if d.lines == 0 {
		return Digest{}
	}
	return Digest{d.lines, hex.EncodeToString(d.sum.Sum(nil))}
}

// Merge returns a document with the tombstones of d and, as unfinished, those that only the other
// document has. Both must have the same key, unless one has none.
func (d *Document) Merge(other Document) (Document, error) {
	if d.Key != "" && other.Key != "" && d.Key != other.Key {
		return Document{}, ErrOtherKey
	}
	merged := Document{Key: d.Key, Tombstones: slices.Clone(d.Tombstones)}
	if merged.Key == "" {
		merged.Key = other.Key
	}
	seen := map[string]bool{}
	for _, t := range d.Tombstones {
		seen[t.ID] = true
	}
	for _, t := range other.Tombstones {
		if !seen[t.ID] {
			t.Finished, t.Trimmed = false, 0
			merged.Tombstones = append(merged.Tombstones, t)
		}
	}
	return merged, nil
}

// Torn reports whether the file ended with an incomplete line, which was left out: after a crash,
// that line was not acknowledged.
func (d *Document) Torn() bool { return d.torn }

// Missing returns the tombstones of another document that d does not have.
func (d *Document) Missing(other Document) (missing []Tombstone) {
	has := map[string]bool{}
	for _, t := range d.Tombstones {
		has[t.ID] = true
	}
	for _, t := range other.Tombstones {
		if !has[t.ID] {
			missing = append(missing, t)
		}
	}
	return missing
}

// encode returns the content of the whole file, in the current format.
func (d *Document) encode() ([]byte, error) {
	if d.Key == "" {
		return nil, nil
	}
	all := []any{header{version, d.Key}}
	for _, t := range d.Tombstones {
		all = append(all, t.beginLine())
		if t.Finished {
			all = append(all, line{Finished: t.ID, Trimmed: t.Trimmed})
		}
	}
	return encodeLines(all)
}

func (t Tombstone) beginLine() line {
	return line{Begun: t.ID, App: t.App, Session: t.Session, Hash: t.Hash, Frame: t.Frame, Visible: t.Visible, At: t.At, Timeline: t.Timeline, Added: t.Added}
}

func encodeLines(all []any) ([]byte, error) {
	var b []byte
	for _, one := range all {
		text, err := json.Marshal(one)
		if err != nil {
			return nil, fmt.Errorf("write tombstones: %w", err)
		}
		b = append(b, seal(text)...)
	}
	return b, nil
}

// Write atomically replaces the content of a file by d, in the current format.
func (d *Document) Write(path string) error {
	b, err := d.encode()
	if err != nil {
		return err
	}
	if err := durable.Replace(path, bytes.NewReader(b)); err != nil {
		return fmt.Errorf("write tombstones: %w", err)
	}
	return nil
}
