package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/durable"
	"theeye/internal/envelope"
	"theeye/internal/jsonx"
)

// metadataFile is the content of DIR/metadata.json, which is in an envelope: every record of the
// bucket by its key, as snapshot.go describes them, so that the bucket can be rebuilt. It contains
// hashes of keys and no secrets.
//
// The file is replaced atomically: a crash leaves either the old or the new one. Later changes are
// in the log that it names: see changeLog. A clean shutdown leaves no log.
type metadataFile struct {
	Log     string                `json:"log,omitzero"` // only in version 3
	Records map[string]fileRecord `json:"records"`
	version int
	torn    bool // the last line of the log is incomplete
}

// forgotten reports whether the metadata was given up, so that the file has no records: see
// Forgetting.
func (f *metadataFile) forgotten() bool { return f.Records != nil && len(f.Records) == 0 }

// fileRecord is a record with its revision in the bucket at the time of writing. A bucket with an
// earlier revision has lost a change.
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

// parseFile parses the content of the file. Version 1 had no envelope, and one revision for all
// records. Errors: envelope.ErrNewer, envelope.ErrDamaged.
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

// checkVersion returns an error that wraps envelope.ErrNewer if a newer version wrote a record.
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

// document returns the content of the file, one record per line. The records of next replace the
// current ones. Records that are not JSON are omitted: they were logged when they were received.
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

// equals reports whether a file has exactly the records of the bucket, in the format that this
// version writes.
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

// readCopy reads metadata.json and its log in a data directory. there is false if metadata.json
// does not exist. A file that its disk cannot read, and a missing log, count as damaged. Errors:
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
