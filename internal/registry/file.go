package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

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

// forgotten reports whether the file was read and has no record: see Forgetting.
func (f metadataFile) forgotten() bool { return f.Records != nil && len(f.Records) == 0 }

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
	b, err := durable.ReadFile(name)
	if err == nil {
		err = CheckDocument(b)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, envelope.ErrNewer), durable.Denied(err):
		return fmt.Errorf("%s cannot be used: %w", name, err)
	case errors.Is(err, fs.ErrNotExist):
		err = errors.New("it is missing")
	}
	return fmt.Errorf("the metadata in the queue is damaged, and so keys that were revoked may seem valid again; its copy %s cannot be used: %w. %s", name, err, wayOn)
}

// wayOn says what to do when the metadata can be read neither from the queue nor from its copy.
const wayOn = "Put the metadata.json of a backup there (`eye backup extract BACKUP metadata.json FILE`), and revoke again what was revoked since; " +
	"or, to begin without applications and keys, run `eye store recover --forget-metadata --yes`"

func unanswered(dir string, err error) error {
	return fmt.Errorf("the queue did not deliver the metadata in time, as when it is damaged or its disk is slow: %w. Start again; if it stays so, move the folder %s away: "+
		"the metadata is made again from its copy %s", err, bucketDir(dir), filepath.Join(dir, metadataName))
}

func lostError(name string) error {
	return fmt.Errorf("the metadata is lost: neither the queue nor %s has the applications, keys and event types; nothing was changed. "+
		"Put the folder queue or that file back if it was moved. %s", name, wayOn)
}

func lostAndDamaged(name string, err error) error {
	return fmt.Errorf("the metadata is lost, and its copy %s cannot be read: %w. %s", name, err, wayOn)
}

// CheckPresent returns an error that says what to do when a data directory that a server has used
// has no stream of metadata, and no copy from which it can be made again. Open would say so too, but
// the queue is made before that.
func CheckPresent(dir string) error {
	if _, err := os.Stat(bucketDir(dir)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r := &Registry{opts: Options{Dir: dir}}
	_, there, err := r.readFile()
	if errors.Is(err, envelope.ErrDamaged) {
		return lostAndDamaged(r.fileName(), err)
	}
	if !there {
		return lostError(r.fileName())
	}
	return nil // what else may be wrong with it, Open tells
}

// bucketDir is the folder of the metadata's stream in a data directory.
func bucketDir(dir string) string {
	return filepath.Join(dir, "queue", "jetstream", "$G", "streams", Stream)
}

func (r *Registry) fileName() string { return filepath.Join(r.opts.Dir, metadataName) }

// document returns the content of the file, with some records as they are going to be.
func (s *snapshot) document(next map[string]fileRecord) ([]byte, error) {
	f := metadataFile{map[string]fileRecord{}}
	for key, rec := range s.records {
		if rec.value != nil {
			f.Records[key] = fileRecord{rec.revision, rec.value}
		}
	}
	maps.Copy(f.Records, next)
	b, err := json.Marshal(f, json.Deterministic(true), jsontext.Multiline(true))
	return envelope.Seal(metadataVersion, metadataMember, b), err
}

// Document returns what DIR/metadata.json would hold now, for a backup: a
// registry that is opened with that file and without a bucket is the same.
func (r *Registry) Document() ([]byte, error) { return r.current.Load().document(nil) }

// writeFile keeps the snapshot as a file. A failure is logged, told by CopyError and tried again in
// the background.
func (r *Registry) writeFile() {
	r.fileMu.Lock()
	defer r.fileMu.Unlock()
	_ = r.writeFileLocked(nil)
}

// writeFileLocked keeps the snapshot as a file, with some records as they are going to be, unless it
// is there already or the bucket is still being filled.
func (r *Registry) writeFileLocked(next map[string]fileRecord) error {
	s := r.current.Load()
	if !r.usable || s.serial == r.saved && len(next) == 0 {
		return nil
	}
	b, err := s.document(next)
	if err == nil {
		err = durable.Replace(r.fileName(), bytes.NewReader(b))
	}
	if err != nil {
		r.log.Error("the copy of the metadata could not be written; it will be tried again", "file", r.fileName(), "error", err)
		err = fmt.Errorf("write the copy of the metadata: %w", err)
		r.copyErr.Store(&err)
		r.saved = 0 // it may have been written all the same
		return err
	}
	r.copyErr.Store(nil)
	r.saved = s.serial
	return nil
}

// CopyError returns why metadata.json could not be written when it was last tried, nil when it was.
func (r *Registry) CopyError() error {
	if err := r.copyErr.Load(); err != nil {
		return *err
	}
	return nil
}

// readFile reads the file; it reports false when there is none. A file that its disk cannot read is
// damaged.
func (r *Registry) readFile() (f metadataFile, there bool, err error) {
	b, err := durable.ReadFile(r.fileName())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, false, nil
	case errors.Is(err, syscall.EIO):
		return f, true, fmt.Errorf("%w: %w", envelope.ErrDamaged, err)
	case err != nil:
		return f, true, err
	}
	if f, err = parseFile(b); err != nil {
		return metadataFile{}, true, err
	}
	return f, true, nil
}

// source is where the metadata of a bucket came from that was not complete.
type source int

const (
	nothing source = iota // a first start
	theCopy               // metadata.json
	givenUp               // there is none, because it was given up: see Forgetting
)

// restore fills the bucket from the file, when there is one. What is in the bucket already is of a
// restore that was interrupted, or is what damage has left.
func (r *Registry) restore(ctx context.Context) (source, error) {
	f, there, err := r.readFile()
	switch {
	case errors.Is(err, envelope.ErrDamaged):
		return nothing, lostAndDamaged(r.fileName(), err)
	case err != nil:
		return nothing, fmt.Errorf("the metadata is lost, and its copy %s cannot be used: %w", r.fileName(), err)
	case !there:
		return nothing, nil
	case f.forgotten():
		r.log.Warn("the metadata was given up: the server begins without applications and keys")
		return givenUp, nil
	}
	if err := r.copyIn(ctx, f.Records); err != nil {
		return nothing, err
	}
	if r.trail.takenOver {
		r.log.Info("the metadata of the backup is taken over", "file", r.fileName(), "records", len(f.Records))
	} else {
		r.log.Warn("the metadata was lost and is rebuilt from its copy", "file", r.fileName(), "records", len(f.Records))
	}
	return theCopy, nil
}

// catchUp brings a bucket that has lost changes up to the file: after the queue's folder was
// replaced by an older copy, or blocks of it were damaged, keys made since then must work and those
// that were revoked must not. A file that is damaged, or is the copy of an earlier bucket, goes to the
// quarantine and is made again.
func (r *Registry) catchUp(ctx context.Context) error {
	f, there, err := r.readFile()
	switch {
	case errors.Is(err, envelope.ErrDamaged):
		return r.copyAside("damaged", err)
	case err != nil:
		return fmt.Errorf("the copy of the metadata %s cannot be used, and nothing was changed: %w", r.fileName(), err)
	case !there:
		if r.opts.Begun { // else a first start was interrupted
			r.opts.Note(r.withoutCopy("missing"))
		}
		r.log.Warn("the copy of the metadata was missing; it is made again from the metadata", "file", r.fileName())
		return nil
	}
	s := r.current.Load()
	switch bucket, copied := completeSince(s.record(stateKey).value), completeSince(f.Records[stateKey].Value); {
	case f.forgotten():
		return nil
	case copied.After(bucket):
		return fmt.Errorf("the metadata in the queue is of %s, and its copy %s of a later beginning, %s; nothing was changed. If an older folder queue was put in place, put the present one back, "+
			"or move %s away: the metadata is made again from the copy. If the copy is that of another data directory, move the copy away: it is made again from the queue",
			shownTime(bucket), r.fileName(), shownTime(copied), bucketDir(r.opts.Dir))
	case copied.Before(bucket):
		return r.copyAside("that of earlier metadata, or of another data directory",
			fmt.Errorf("the metadata begins at %s, and this copy at %s", shownTime(bucket), shownTime(copied)))
	}
	lost := s.lost(f.Records)
	if len(lost) == 0 {
		return nil
	}
	r.log.Warn("the metadata has lost changes and is brought up to its copy", "file", r.fileName(), "records", len(lost))
	r.opts.Note(fmt.Sprintf("the copy of the metadata, %s, had changes that the queue had not (%d), as after damage to it; they were taken over: look at `eye apps list` and `eye keys list`",
		r.fileName(), len(lost)))
	return r.copyIn(ctx, lost)
}

// completeSince returns since when the bucket of a state record is complete, by which it is known.
func completeSince(state []byte) time.Time {
	var s stateRecord
	_ = json.Unmarshal(state, &s) // the record was checked when it was read
	return s.CompleteSince
}

func shownTime(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// copyAside moves a metadata.json that is of no use to the quarantine. It is made again from the bucket.
func (r *Registry) copyAside(what string, why error) error {
	r.opts.Note(r.withoutCopy(what))
	name, err := durable.SetAside(r.fileName())
	if err != nil {
		return fmt.Errorf("the copy of the metadata %s is %s (%w) and cannot be moved away: %w", r.fileName(), what, why, err)
	}
	r.log.Error("the copy of the metadata was "+what+"; it was moved to the quarantine and is made again from the metadata", "file", r.fileName(), "moved_to", name, "error", why)
	return nil
}

// withoutCopy says what is not known when there was no copy to compare a bucket with. The queue
// takes a torn end of it for that of a write that a crash cut off.
func (r *Registry) withoutCopy(what string) string {
	return fmt.Sprintf("the copy of the metadata, %s, was %s at a start, and was made again from the queue. If the queue was damaged too, keys that were revoked shortly before may be valid again: look at `eye keys list`", r.fileName(), what)
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
