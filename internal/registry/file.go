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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/durable"
	"theeye/internal/envelope"
	"theeye/internal/jsonx"
)

// metadataFile is what DIR/metadata.json holds, in an envelope: every record of the bucket by its
// key, as snapshot.go describes them, so that the bucket can be made again. It holds hashes of keys
// and no secrets.
//
// It is replaced as a whole (a temporary file, fsync, rename, fsync of the folder): a crash leaves
// either the old or the new file. Changes since then are in the log that it names: see changeLog. A
// server that shuts down cleanly leaves no log.
type metadataFile struct {
	Log     string                `json:"log,omitzero"` // in version 3, and only there
	Records map[string]fileRecord `json:"records"`
	version int
	torn    bool // the last line of the log is not whole
}

// forgotten reports whether the file was read and has no record: see Forgetting.
func (f *metadataFile) forgotten() bool { return f.Records != nil && len(f.Records) == 0 }

// fileRecord is a record with its revision in the bucket when the file was written. A bucket that
// has an earlier one has lost a change.
type fileRecord struct {
	Revision uint64         `json:"revision"`
	Value    jsontext.Value `json:"value"`
}

const (
	metadataName    = "metadata.json"
	metadataMember  = "metadata" // of the envelope
	metadataVersion = 2          // of a file without a log, as in backups
	loggedVersion   = 3          // of a file with a log
)

// parseFile reads the content of the file. In version 1 it was not in an envelope, and one revision
// was that of all records. Errors: envelope.ErrNewer, envelope.ErrDamaged.
func parseFile(b []byte) (f metadataFile, err error) {
	version, text, err := envelope.Open(b, metadataMember, 1, loggedVersion)
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
	f.version = version
	if err == nil && (version == loggedVersion) != (f.Log != "") {
		err = fmt.Errorf("%w: version %d with the log %q", envelope.ErrDamaged, version, f.Log)
	}
	return f, err
}

// checkVersion returns an error that wraps envelope.ErrNewer when a newer version wrote a record.
func (f *metadataFile) checkVersion() error {
	for key, rec := range f.Records {
		if err := checkRecord(key, rec.Value); errors.Is(err, envelope.ErrNewer) {
			return fmt.Errorf("the record %s: %w", key, err)
		}
	}
	return nil
}

func parseVersion1(b []byte) (f metadataFile, err error) {
	var old struct {
		Version  int                       `json:"version"`
		Revision uint64                    `json:"revision"`
		Records  map[string]jsontext.Value `json:"records"`
	}
	if err := json.Unmarshal(b, &old, json.RejectUnknownMembers(true)); err != nil {
		return f, fmt.Errorf("%w: %w", envelope.ErrDamaged, jsonx.PlainJSON(err))
	}
	f.Records = map[string]fileRecord{}
	for key, value := range old.Records {
		f.Records[key] = fileRecord{old.Revision, value}
	}
	return f, nil
}

// CheckDocument reports whether this program can use the content of a metadata.json that has no
// log, as in a backup. Errors: envelope.ErrNewer, envelope.ErrDamaged.
func CheckDocument(b []byte) error {
	f, err := parseFile(b)
	if err == nil && f.Log != "" {
		err = fmt.Errorf("%w: it is that of a server that runs, or was killed, and lacks the changes in %s", envelope.ErrDamaged, f.Log)
	}
	if err != nil {
		return err
	}
	return f.checkVersion()
}

// CheckCopy reports whether the metadata can be made again from the copy in a data directory. Its
// error says what to do when the metadata itself is damaged.
func CheckCopy(dir string) error {
	name := filepath.Join(dir, metadataName)
	_, there, err := readCopy(dir)
	switch {
	case err == nil && there:
		return nil
	case errors.Is(err, envelope.ErrNewer), durable.Denied(err) && !errors.Is(err, envelope.ErrDamaged):
		return fmt.Errorf("%s cannot be used: %w", name, err)
	case !there:
		err = errors.New("it is missing")
	}
	return fmt.Errorf("the metadata in the queue is damaged, and so keys that were revoked may seem valid again; its copy %s cannot be used: %w. %s", name, err, recoveryAdvice)
}

// recoveryAdvice says what to do when the metadata can be read neither from the queue nor from its
// copy.
const recoveryAdvice = "Put the metadata.json of a backup there (`eye backup extract BACKUP metadata.json FILE`) and revoke again the keys that were revoked since; or, to start without applications and keys, run `eye store recover --forget-metadata --yes`"

func unanswered(dir string, err error) error {
	return fmt.Errorf("the queue did not deliver the metadata in time, as when it is damaged or its disk is slow: %w. Start again; if it stays so, move the folder %s away: "+
		"the metadata is made again from its copy %s", err, bucketDir(dir), filepath.Join(dir, metadataName))
}

func lostError(name string) error {
	return fmt.Errorf("the metadata is lost: neither the queue nor %s has the applications, keys and event types; nothing was changed. "+
		"Put the folder queue or that file back if it was moved. %s", name, recoveryAdvice)
}

func lostAndDamaged(name string, err error) error {
	return fmt.Errorf("the metadata is lost, and its copy %s cannot be read: %w. %s", name, err, recoveryAdvice)
}

// CheckPresent returns an error that says what to do when a data directory that a server has used
// has no stream of metadata, and no copy from which it can be made again. Open would say so too,
// but the queue is made before that.
func CheckPresent(dir string) error {
	if _, err := os.Stat(bucketDir(dir)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	name := filepath.Join(dir, metadataName)
	_, there, err := readCopy(dir)
	if errors.Is(err, envelope.ErrDamaged) {
		return lostAndDamaged(name, err)
	}
	if !there {
		return lostError(name)
	}
	return nil // Open reports whatever else is wrong with it
}

// bucketDir is the folder of the metadata's stream in a data directory.
func bucketDir(dir string) string {
	return filepath.Join(dir, "queue", "jetstream", "$G", "streams", Stream)
}

func (r *Registry) fileName() string { return filepath.Join(r.opts.Dir, metadataName) }

// document returns the content of the file, one record per line, with the records of next instead
// of the present ones. What is not JSON is left out: it was logged when it came.
func (s *snapshot) document(next map[string]fileRecord, log string) []byte {
	keys := slices.Collect(maps.Keys(next))
	size := 100
	for key, rec := range s.records.All() {
		if _, ok := next[key]; !ok && rec.value != nil && jsontext.Value(rec.value).IsValid() {
			keys = append(keys, key)
			size += len(key) + len(rec.value) + 60
		}
	}
	slices.Sort(keys)
	version := metadataVersion
	b := append(make([]byte, 0, size), '{')
	if log != "" {
		version = loggedVersion
		b = append(append(append(b, `"log":"`...), log...), `",`...)
	}
	b = append(b, `"records":{`...)
	for i, key := range keys {
		rec, ok := next[key]
		if !ok {
			has := s.record(key)
			rec = fileRecord{has.revision, has.value}
		}
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(append(b, '\n'), key)
		b = append(strconv.AppendUint(append(b, `:{"revision":`...), rec.Revision, 10), `,"value":`...)
		b = append(append(b, rec.Value...), '}')
	}
	return envelope.Seal(version, metadataMember, append(b, "\n}}"...))
}

// equals reports whether a file that was read has the records of the bucket, as this version writes
// them.
func (s *snapshot) equals(f metadataFile) bool {
	there := 0
	for key, rec := range s.records.All() {
		if rec.value == nil {
			continue
		}
		if has := f.Records[key]; has.Revision != rec.revision || !bytes.Equal(has.Value, rec.value) {
			return false
		}
		there++
	}
	return f.version == metadataVersion && there == len(f.Records)
}

// Document returns what DIR/metadata.json would hold without a log, for a backup: a
// registry that is opened with that file and without a bucket is the same.
func (r *Registry) Document() ([]byte, error) { return r.current.Load().document(nil, ""), nil }

// writeFile brings the copy up to date with the snapshot. A failure is logged, reported by
// CopyError and retried in the background.
func (r *Registry) writeFile() {
	r.fileMu.Lock()
	defer r.fileMu.Unlock()
	_ = r.saveLocked(nil)
}

// saveLocked brings the copy up to date with the snapshot and the records of next, unless it
// already is or the bucket is still being filled.
func (r *Registry) saveLocked(next map[string]fileRecord) error {
	if !r.usable {
		return nil
	}
	unsaved := r.takeUnsaved()
	if len(unsaved) == 0 && len(next) == 0 && r.CopyError() == nil {
		return nil
	}
	lines, err := r.lines(unsaved, next)
	switch l := r.changes; {
	case err != nil:
	case l == nil || l.size+int64(len(lines)) > l.limit || !l.isCurrent(r.fileName()):
		err = r.replaceLocked(next, newLogName())
	default:
		var usable bool
		if usable, err = l.append(lines); !usable {
			r.endLog()
		}
	}
	if err != nil {
		r.markUnsaved(slices.Collect(maps.Keys(unsaved))...)
	}
	return r.noteWrite(err)
}

// noteWrite notes how a write of the copy ended.
func (r *Registry) noteWrite(err error) error {
	if err == nil {
		r.copyErr.Store(nil)
		return nil
	}
	r.log.Error("the copy of the metadata could not be written; it will be retried", "file", r.fileName(), "error", err)
	err = fmt.Errorf("write the copy of the metadata: %w", err)
	r.copyErr.Store(&err)
	return err
}

// lines returns what is to be appended to a log: the unsaved records as they are, and the records
// of next.
func (r *Registry) lines(unsaved map[string]struct{}, next map[string]fileRecord) (lines []byte, err error) {
	s := r.current.Load()
	for _, key := range slices.Sorted(maps.Keys(unsaved)) {
		rec := s.record(key)
		if rec.value != nil && !jsontext.Value(rec.value).IsValid() {
			continue
		}
		if lines, err = logLine(lines, logRecord{key, rec.revision, rec.value}); err != nil {
			return nil, err
		}
	}
	for key, rec := range next {
		if lines, err = logLine(lines, logRecord{key, rec.Revision, rec.Value}); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// replaceLocked replaces metadata.json, with the records of next instead of the present ones. The
// new file names an empty log, or none. The old log stays until then.
func (r *Registry) replaceLocked(next map[string]fileRecord, log string) (err error) {
	r.endLog()
	var l *changeLog
	if log != "" {
		if l, err = createLog(filepath.Join(r.opts.Dir, log)); err != nil {
			return err
		}
	}
	b := r.current.Load().document(next, log)
	err = durable.Replace(r.fileName(), bytes.NewReader(b))
	if err == nil && l != nil {
		l.document, err = os.Stat(r.fileName())
	}
	if err != nil {
		if l != nil {
			err = errors.Join(err, l.file.Close())
			if !errors.Is(err, durable.ErrUncertain) {
				_ = os.Remove(l.file.Name()) // otherwise the next start removes it
			}
		}
		return err
	}
	if r.changes = l; l != nil {
		l.limit = max(minLogBytes, int64(len(b)))
	}
	removeLogs(r.opts.Dir, log)
	return nil
}

// endLog leaves the log as it is. The next write replaces metadata.json.
func (r *Registry) endLog() {
	if r.changes != nil {
		_ = r.changes.file.Close() // what was written is synced
		r.changes = nil
	}
}

// CopyError returns why metadata.json could not be written when it was last tried, nil when it was.
func (r *Registry) CopyError() error {
	if err := r.copyErr.Load(); err != nil {
		return *err
	}
	return nil
}

// readCopy reads metadata.json and its log in a data directory; it reports false when there is
// none. A file that its disk cannot read, and a log that is missing, are damaged. Errors:
// envelope.ErrNewer, envelope.ErrDamaged, those of the file system.
func readCopy(dir string) (f metadataFile, there bool, err error) {
	b, err := readFile(filepath.Join(dir, metadataName))
	if errors.Is(err, fs.ErrNotExist) {
		return f, false, nil
	}
	if err == nil {
		f, err = parseFile(b)
	}
	if err == nil && f.Log != "" {
		b, err = readFile(filepath.Join(dir, filepath.Base(f.Log)))
		switch {
		case err == nil:
			err = f.applyLog(b)
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("%w: its log %s is missing", envelope.ErrDamaged, f.Log)
		}
	}
	if err == nil {
		err = f.checkVersion()
	}
	if err != nil {
		return metadataFile{}, true, err
	}
	return f, true, nil
}

func readFile(name string) ([]byte, error) {
	b, err := durable.ReadFile(name)
	if errors.Is(err, syscall.EIO) {
		err = fmt.Errorf("%w: %w", envelope.ErrDamaged, err)
	}
	return b, err
}

// savedCopy is the copy as it was read at a start.
type savedCopy struct {
	metadataFile
	found bool
	err   error
}

// origin is where the metadata of an incomplete bucket comes from.
type origin int

const (
	firstStart origin = iota // a first start
	fromCopy                 // metadata.json
	forgotten                // there is none, because it was given up: see Forgetting
)

// restore fills the bucket from the file, when there is one. What is in the bucket already is of a
// restore that was interrupted, or is what damage has left.
func (r *Registry) restore(ctx context.Context, c savedCopy) (origin, error) {
	f := c.metadataFile
	switch {
	case errors.Is(c.err, envelope.ErrDamaged):
		return firstStart, lostAndDamaged(r.fileName(), c.err)
	case c.err != nil:
		return firstStart, fmt.Errorf("the metadata is lost, and its copy %s cannot be used: %w", r.fileName(), c.err)
	case !c.found:
		return firstStart, nil
	case f.forgotten():
		r.log.Warn("the metadata was given up: the server starts without applications and keys")
		return forgotten, nil
	}
	if err := r.restoreRecords(ctx, f.Records); err != nil {
		return firstStart, err
	}
	if r.auditLog.imported {
		r.log.Info("the metadata of the backup was taken over", "file", r.fileName(), "records", len(f.Records))
	} else {
		r.log.Warn("the metadata was lost and has been rebuilt from its copy", "file", r.fileName(), "records", len(f.Records))
	}
	return fromCopy, nil
}

// catchUp brings a bucket that has lost changes up to the file: after the queue's folder was
// replaced by an older copy, or blocks of it were damaged, keys made since then must work and those
// that were revoked must not. A file that is damaged, or is the copy of an earlier bucket, goes to
// the quarantine and is made again.
func (r *Registry) catchUp(ctx context.Context, c savedCopy) error {
	f := c.metadataFile
	switch {
	case errors.Is(c.err, envelope.ErrDamaged):
		return r.quarantineCopy("damaged", c.err)
	case c.err != nil:
		return fmt.Errorf("the copy of the metadata %s cannot be used, and nothing was changed: %w", r.fileName(), c.err)
	case !c.found:
		if r.opts.Begun { // else a first start was interrupted
			r.opts.Note(r.missingCopyNote("missing"))
		}
		r.log.Warn("the copy of the metadata was missing; it has been written again", "file", r.fileName())
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
		return r.quarantineCopy("that of earlier metadata, or of another data directory",
			fmt.Errorf("the metadata begins at %s, and this copy at %s", shownTime(bucket), shownTime(copied)))
	}
	lost := s.lost(f.Records)
	if len(lost) == 0 {
		return nil
	}
	r.log.Warn("the metadata had lost changes and has been brought up to date from its copy", "file", r.fileName(), "records", len(lost))
	r.opts.Note(fmt.Sprintf("the copy of the metadata, %s, had changes that the queue had not (%d), as after damage to it; they were taken over: look at `eye apps list` and `eye keys list`",
		r.fileName(), len(lost)))
	return r.restoreRecords(ctx, lost)
}

// completeSince returns since when the bucket of a state record is complete, which identifies the
// bucket.
func completeSince(state []byte) time.Time {
	var s stateRecord
	_ = json.Unmarshal(state, &s) // the record was checked when it was read
	return s.CompleteSince
}

func shownTime(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// quarantineCopy moves a metadata.json that is of no use to the quarantine. It is made again from
// the bucket.
func (r *Registry) quarantineCopy(what string, why error) error {
	r.opts.Note(r.missingCopyNote(what))
	logs, _ := filepath.Glob(filepath.Join(r.opts.Dir, logPattern)) // the pattern is valid
	for _, log := range logs {
		if _, err := durable.SetAside(log); err != nil {
			return fmt.Errorf("move the log of the metadata %s away: %w", log, err)
		}
	}
	name, err := durable.SetAside(r.fileName())
	if err != nil {
		return fmt.Errorf("the copy of the metadata %s is %s (%w) and cannot be moved away: %w", r.fileName(), what, why, err)
	}
	r.log.Error("the copy of the metadata was "+what+"; it was moved to the quarantine and is made again from the metadata", "file", r.fileName(), "moved_to", name, "error", why)
	return nil
}

// missingCopyNote says what cannot be known without a copy to compare a bucket with: the queue
// takes a torn end of the bucket for a write that a crash cut off.
func (r *Registry) missingCopyNote(what string) string {
	return fmt.Sprintf("the copy of the metadata, %s, was %s at a start, and was made again from the queue. If the queue was damaged too, keys that were revoked shortly before may be valid again: look at `eye keys list`", r.fileName(), what)
}

// lost returns the records of a file that the bucket does not have, or has as they were before.
func (s *snapshot) lost(records map[string]fileRecord) map[string]fileRecord {
	lost := map[string]fileRecord{}
	for key, rec := range records {
		if s.lacks(key, rec) {
			lost[key] = rec
		}
	}
	return lost
}

// lacks reports whether the bucket does not have a record of the file, or has it as it was before.
// A record that was removed from the bucket later stays removed, unless the bucket is incomplete.
func (s *snapshot) lacks(key string, rec fileRecord) bool {
	has := s.record(key)
	if has.value == nil && s.record(stateKey).value == nil {
		return true
	}
	return has.revision <= rec.Revision && (has.value == nil || !jsonx.Equal(has.value, rec.Value)) && !revokedHere(key, has.value, rec.Value)
}

// revokedHere reports whether a record is that of a key which is revoked in the bucket and not in
// the file. A key never becomes valid again.
func revokedHere(key string, has, file []byte) bool {
	if !strings.HasPrefix(key, keyRecords+".") || has == nil {
		return false
	}
	a, err1 := parseKey(has)
	b, err2 := parseKey(file)
	return err1 == nil && err2 == nil && a.RevokedAt != nil && b.RevokedAt == nil
}

// restoreRecords writes records into the bucket that it does not have, or has as they were before.
func (r *Registry) restoreRecords(ctx context.Context, records map[string]fileRecord) error {
	written := map[string]record{}
	for _, key := range slices.Sorted(maps.Keys(records)) { // keys come before their last use
		if key == stateKey { // comes last, when all is there
			continue
		}
		if rec, err := r.restoreRecord(ctx, key, records[key]); err != nil {
			return fmt.Errorf("rebuild metadata: %w", err)
		} else if rec.value != nil {
			written[key] = rec
		}
		if len(written) == maxApply {
			r.apply(written)
			clear(written)
		}
	}
	r.apply(written)
	return nil
}

// restoreRecord returns what it has written, which has no value when the bucket lacked nothing.
func (r *Registry) restoreRecord(ctx context.Context, key string, rec fileRecord) (record, error) {
	value := rec.Value.Clone()
	if err := value.Compact(); err != nil {
		return record{}, fmt.Errorf("the record %s: %w", key, err)
	}
	for range maxTries {
		s := r.current.Load()
		if !s.lacks(key, rec) {
			return record{}, nil
		}
		revision, err := r.write(ctx, key, value, s.record(key))
		if err == nil {
			return record{value, revision}, nil
		}
		if !outdated(err) {
			return record{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err := r.refresh(ctx, key); err != nil {
			return record{}, err
		}
	}
	return record{}, fmt.Errorf("%w: other nodes keep changing %s", ErrUnavailable, key)
}
