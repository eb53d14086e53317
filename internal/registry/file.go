package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/durable"
	"theeye/internal/envelope"
)

// metadataFile is what DIR/metadata.json holds, in an envelope: every record of the bucket by its
// key, as snapshot.go describes them, so that the bucket can be made again. It holds hashes of keys
// and no secrets.
//
// It is replaced as a whole after each change (a temporary file, fsync, rename, fsync of the
// folder): a crash leaves the file of before or of after.
type metadataFile struct {
	Records map[string]fileRecord `json:"records"`
}

// fileRecord is a record with its revision in the bucket when the file was written. A bucket that
// has an earlier one has lost a change.
type fileRecord struct {
	Revision uint64         `json:"revision"`
	Value    jsontext.Value `json:"value"`
}

const (
	metadataName    = "metadata.json"
	metadataMember  = "metadata" // of the envelope
	metadataVersion = 2
)

// parseFile reads the content of the file. In version 1 it was not in an envelope, and one revision
// was that of all records. Errors: envelope.ErrNewer, envelope.ErrDamaged.
func parseFile(b []byte) (f metadataFile, err error) {
	version, text, err := envelope.Open(b, metadataMember, 1, metadataVersion)
	switch {
	case err != nil:
		return f, err
	case text != nil:
		err = envelope.Decode(text, &f)
	case version == 1:
		f, err = parseVersion1(b)
	default:
		err = fmt.Errorf("%w: it has no version", envelope.ErrDamaged)
	}
	if err != nil {
		return f, err
	}
	for key, rec := range f.Records {
		if err := known(key, rec.Value); errors.Is(err, envelope.ErrNewer) {
			return f, fmt.Errorf("the record %s: %w", key, err)
		}
	}
	return f, nil
}

func parseVersion1(b []byte) (f metadataFile, err error) {
	var old struct {
		Version  int                       `json:"version"`
		Revision uint64                    `json:"revision"`
		Records  map[string]jsontext.Value `json:"records"`
	}
	if err := json.Unmarshal(b, &old, json.RejectUnknownMembers(true)); err != nil {
		return f, fmt.Errorf("%w: %w", envelope.ErrDamaged, err)
	}
	f.Records = map[string]fileRecord{}
	for key, value := range old.Records {
		f.Records[key] = fileRecord{old.Revision, value}
	}
	return f, nil
}

// CheckDocument reports whether this program can use the content of a metadata.json. Errors:
// envelope.ErrNewer, envelope.ErrDamaged.
func CheckDocument(b []byte) error {
	_, err := parseFile(b)
	return err
}

// CheckCopy reports whether the metadata can be made again from the copy in a data directory. Its
// error says what to do when the metadata itself is damaged.
func CheckCopy(dir string) error {
	name := filepath.Join(dir, metadataName)
	b, err := os.ReadFile(name)
	if err == nil {
		err = CheckDocument(b)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, envelope.ErrNewer):
		return fmt.Errorf("%s cannot be used: %w", name, err)
	case errors.Is(err, fs.ErrNotExist):
		err = errors.New("it is missing")
	}
	return fmt.Errorf("the metadata in the queue is damaged, and so keys that were revoked may seem valid again; its copy %s cannot be used: %w. "+
		"Put the metadata.json of a backup there, and revoke again what was revoked since; or, to begin without applications and keys, "+
		"move that file and the folder KV_EYE_METADATA in %s away", name, err, filepath.Join(dir, "queue", "jetstream", "$G", "streams"))
}

func (r *Registry) fileName() string { return filepath.Join(r.opts.Dir, metadataName) }

// document returns the content of the file.
func (s *snapshot) document() ([]byte, error) {
	f := metadataFile{map[string]fileRecord{}}
	for key, rec := range s.records {
		if rec.value != nil {
			f.Records[key] = fileRecord{rec.revision, rec.value}
		}
	}
	b, err := json.Marshal(f, json.Deterministic(true), jsontext.Multiline(true))
	return envelope.Seal(metadataVersion, metadataMember, b), err
}

// Document returns what DIR/metadata.json would hold now, for a backup: a
// registry that is opened with that file and without a bucket is the same.
func (r *Registry) Document() ([]byte, error) { return r.current.Load().document() }

// writeFile keeps the snapshot as a file, unless it is there already or the
// bucket is still being filled. A failure is logged and tried again in the
// background: the change is made and durable, only its copy is not.
func (r *Registry) writeFile() {
	r.fileMu.Lock()
	defer r.fileMu.Unlock()
	s := r.current.Load()
	if !r.usable || s.serial == r.saved {
		return
	}
	b, err := s.document()
	if err == nil {
		err = durable.Replace(r.fileName(), bytes.NewReader(b))
	}
	if err != nil {
		r.log.Error("the copy of the metadata could not be written; it will be tried again", "file", r.fileName(), "error", err)
		return
	}
	r.saved = s.serial
}

// readFile reads the file; it reports false when there is none. A file that its disk cannot read is
// damaged.
func (r *Registry) readFile() (f metadataFile, there bool, err error) {
	b, err := os.ReadFile(r.fileName())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, false, nil
	case errors.Is(err, syscall.EIO):
		return f, true, fmt.Errorf("%w: %w", envelope.ErrDamaged, err)
	case err != nil:
		return f, true, err
	}
	f, err = parseFile(b)
	return f, true, err
}

// restore fills the bucket from the file; it reports false when there is none. What is in the
// bucket already is of a restore that was interrupted, or is what damage has left.
func (r *Registry) restore(ctx context.Context) (bool, error) {
	f, there, err := r.readFile()
	switch {
	case errors.Is(err, envelope.ErrDamaged):
		return false, fmt.Errorf("the metadata is lost, and its copy %s cannot be read: repair it, or move it away to begin without applications and keys: %w", r.fileName(), err)
	case err != nil:
		return false, fmt.Errorf("the metadata is lost, and its copy %s cannot be used: %w", r.fileName(), err)
	case !there:
		return false, nil
	}
	if err := r.copyIn(ctx, f.Records); err != nil {
		return false, err
	}
	if r.trail.takenOver {
		r.log.Info("the metadata of the backup is taken over", "file", r.fileName(), "records", len(f.Records))
		return true, nil
	}
	r.log.Warn("the metadata was lost and is rebuilt from its copy", "file", r.fileName(), "records", len(f.Records))
	return true, nil
}

// catchUp brings a bucket that has lost changes up to the file: after the queue's folder was
// replaced by an older copy, or blocks of it were damaged, keys made since then must work and those
// that were revoked must not. A file that is damaged goes to the quarantine and is made again.
func (r *Registry) catchUp(ctx context.Context) error {
	f, there, err := r.readFile()
	switch {
	case errors.Is(err, envelope.ErrDamaged):
		name, moveErr := durable.SetAside(r.fileName())
		if moveErr != nil {
			return fmt.Errorf("the copy of the metadata %s is damaged (%w) and cannot be moved away: %w", r.fileName(), err, moveErr)
		}
		r.log.Error("the copy of the metadata was damaged; it was moved to the quarantine and is made again from the metadata", "file", r.fileName(), "moved_to", name, "error", err)
		return nil
	case err != nil:
		return fmt.Errorf("the copy of the metadata %s cannot be used, and nothing was changed: %w", r.fileName(), err)
	case !there:
		r.log.Warn("the copy of the metadata was missing; it is made again from the metadata", "file", r.fileName())
		return nil
	}
	lost := r.current.Load().lost(f.Records)
	if len(lost) == 0 {
		return nil
	}
	r.log.Warn("the metadata has lost changes and is brought up to its copy", "file", r.fileName(), "records", len(lost))
	return r.copyIn(ctx, lost)
}

// lost returns the records of a file that the bucket does not have, or has as they were before. One
// that was removed from a bucket later stays so, but not from one that is incomplete.
func (s *snapshot) lost(records map[string]fileRecord) map[string]fileRecord {
	lost := map[string]fileRecord{}
	incomplete := s.record(stateKey).value == nil
	for key, rec := range records {
		has := s.record(key)
		if incomplete && has.value == nil {
			lost[key] = rec
			continue
		}
		if has.revision > rec.Revision || has.value != nil && sameJSON(has.value, rec.Value) || endedHere(key, has.value, rec.Value) {
			continue
		}
		lost[key] = rec
	}
	return lost
}

// endedHere reports whether a record is that of a key which is revoked in the bucket and not in the
// file. A key never becomes valid again.
func endedHere(key string, has, file []byte) bool {
	if !strings.HasPrefix(key, keyRecords+".") || has == nil {
		return false
	}
	a, err1 := parseKey(has)
	b, err2 := parseKey(file)
	return err1 == nil && err2 == nil && a.RevokedAt != nil && b.RevokedAt == nil
}

// copyIn writes records into the bucket that it does not have, or has as they were before.
func (r *Registry) copyIn(ctx context.Context, records map[string]fileRecord) error {
	for key, rec := range records {
		if key == stateKey { // comes last, when all is there
			continue
		}
		err := r.change(ctx, key, func([]byte) (any, error) {
			if len(r.current.Load().lost(map[string]fileRecord{key: rec})) == 0 {
				return nil, nil
			}
			return rec.Value, nil
		})
		if err != nil {
			return fmt.Errorf("rebuild metadata: %w", err)
		}
	}
	return nil
}
