// Package backup copies a data directory while its server runs, verifies such a copy, and restores
// a data directory from it. A Source provides the files of a backup, a Folder keeps them, Verify
// and Restore read a folder.
//
// It copies files of the store under a lease, and frames of the queue one by one, never the files
// of the queue. It knows nothing of HTTP, and never sees a secret: the metadata has hashes of keys
// only, and admin.key is not read.
package backup

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/durable"
	"theeye/internal/envelope"
)

// Kind says what a file is.
type Kind string

// The kinds of files, in the order in which they are listed and copied. Frames come first, because
// the queue keeps them only until another file is requested.
const (
	Frames     Kind = "frames"     // of the queue: events that are not in segments yet
	Segment    Kind = "segment"    // of the store, with its filters
	Metadata   Kind = "metadata"   // metadata.json
	Audit      Kind = "audit"      // the audit log, in the format of registry.AuditFile
	Tombstones Kind = "tombstones" // of erasures; earlier versions leave it out if nothing was erased
	Manifest   Kind = "manifest"   // of the store, names the segments
)

// File is a file of a backup.
type File struct {
	Kind   Kind   `json:"kind" enum:"segment,frames,metadata,audit,tombstones,manifest"`
	Name   string `json:"name" doc:"to be asked for at /v1/backup/files/{name}"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256" doc:"in hex"`
}

// Index lists the files of a backup. Together they are the data directory at one moment.
type Index struct {
	Version int       `json:"version"`
	TakenAt time.Time `json:"taken_at"`
	Lease   string    `json:"lease,omitzero" doc:"to be given with each file; it lasts 10 minutes from the last use"`
	Flushed uint64    `json:"flushed" doc:"the last frame whose records are in segments"`
	Last    uint64    `json:"last" doc:"the last frame of the backup"`
	Files   []File    `json:"files"`
}

const (
	indexVersion = 1 // of an Index from a server
	// fileVersion is the version of the file in a folder: an Index in an envelope. In version 1 it
	// was an Index without an envelope.
	fileVersion = 2
	fileMember  = "backup" // of the envelope
	indexName   = "backup.json"
	filesDir    = "files"
	// manifestName is the name of the file of the kind Manifest.
	manifestName = "MANIFEST.json"
	sumPart      = 12 // hex digits of the checksum in the name of a file
)

// ErrNoBackup is returned for a folder without a finished backup.
var ErrNoBackup = errors.New("no complete backup")

// Bytes returns the size of all files.
func (x Index) Bytes() (n int64) {
	for _, f := range x.Files {
		n += f.Bytes
	}
	return n
}

// Of returns the first file of a kind.
func (x Index) Of(k Kind) (File, bool) {
	i := slices.IndexFunc(x.Files, func(f File) bool { return f.Kind == k })
	if i < 0 {
		return File{}, false
	}
	return x.Files[i], true
}

// file returns the path under which a folder keeps a file. It has a part of the checksum, so that
// files of the same name with other content do not replace each other, and a file under its name is
// complete.
func (f File) file() string { return filepath.Join(filesDir, f.Name+"."+f.SHA256[:sumPart]) }

// check rejects a name that could refer to a file outside the folder.
func (f File) check() error {
	plain := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)
	if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != 32 || !plain.MatchString(f.Name) || f.Bytes < 0 {
		return fmt.Errorf("%q is not a valid name of a file of a backup", f.Name)
	}
	return nil
}

// Check returns an error unless this program can use the index.
func (x Index) Check() error {
	if x.Version > indexVersion {
		return fmt.Errorf("the backup's version is %d, this program knows %d: it was %w", x.Version, indexVersion, envelope.ErrNewer)
	}
	if x.Version != indexVersion {
		return fmt.Errorf("the backup's version is %d, this program knows %d", x.Version, indexVersion)
	}
	for _, f := range x.Files {
		if !slices.Contains([]Kind{Frames, Segment, Metadata, Audit, Tombstones, Manifest}, f.Kind) {
			return fmt.Errorf("%s is of the kind %.40q: the backup was %w", f.Name, f.Kind, envelope.ErrNewer)
		}
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}

// ErrIndex is returned for a backup whose index is damaged.
var ErrIndex = errors.New("the index of the backup cannot be used")

// ReadIndex reads the index of a folder. It returns ErrNoBackup if no backup into the folder was
// finished, and ErrIndex if the index is damaged.
func ReadIndex(dir string) (Index, error) {
	var x Index
	name := filepath.Join(dir, indexName)
	b, err := durable.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return x, fmt.Errorf("%w in %s: it has no %s; `eye backup DIR` begins one, or goes on with one that was interrupted", ErrNoBackup, dir, indexName)
	}
	if err == nil {
		if x, err = parseIndex(b); err != nil && !errors.Is(err, envelope.ErrNewer) {
			return x, fmt.Errorf("%w: %s: %w", ErrIndex, name, err)
		}
	}
	if err != nil {
		return x, fmt.Errorf("read %s: %w", name, err)
	}
	return x, nil
}

// parseIndex reads the content of a folder's index. Errors: envelope.ErrNewer, envelope.ErrDamaged,
// and that of Check.
func parseIndex(b []byte) (x Index, err error) {
	_, text, err := envelope.Open(b, fileMember, fileVersion-1, fileVersion)
	if err != nil {
		return x, err
	}
	if text == nil {
		text = b
	}
	if err := envelope.Decode(text, &x); err != nil {
		return x, err
	}
	return x, x.Check()
}

// write makes x the index of a folder, atomically.
func (x Index) write(dir string) error {
	x.Lease = ""
	b, err := json.Marshal(x, jsontext.WithIndent(" "), json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return durable.Replace(filepath.Join(dir, indexName), bytes.NewReader(envelope.Seal(fileVersion, fileMember, b)))
}
