package registry

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/durable"
	"theeye/internal/envelope"
)

const (
	logPattern = "metadata-*.log"
	// minLogBytes is how large a log may grow if metadata.json is smaller. Otherwise it may grow to
	// the size of metadata.json, so that the cost of a change does not depend on that size.
	minLogBytes = 1 << 20
)

// changeLog is the file with the changes since a metadata.json was written, which names it. A line
// is the CRC-32C of the rest in eight hex digits, a space, and a logRecord.
//
// An incomplete last line, as after a power failure, is ignored: that change was not answered. An
// incomplete line before others is damage.
type changeLog struct {
	file     *os.File
	size     int64
	limit    int64
	document os.FileInfo // of the metadata.json that names it
}

// logRecord is a record after a change.
type logRecord struct {
	Record   string         `json:"record"`
	Revision uint64         `json:"revision"`
	Value    jsontext.Value `json:"value,omitzero"` // none if it was removed
}

func newLogName() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return strings.Replace(logPattern, "*", hex.EncodeToString(b), 1)
}

// createLog creates an empty log whose name is durable.
func createLog(name string) (*changeLog, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := durable.SyncDir(filepath.Dir(name)); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(name))
	}
	return &changeLog{file: f}, nil
}

func logLine(b []byte, rec logRecord) ([]byte, error) {
	text, err := json.Marshal(rec)
	if err != nil {
		return b, err
	}
	return fmt.Appendf(b, "%08x %s\n", durable.Checksum(text), text), nil
}

// append writes lines durably. After an error, usable says whether the log is unchanged; otherwise
// it must not be used any more.
func (l *changeLog) append(lines []byte) (usable bool, err error) {
	if _, err := l.file.Write(lines); err != nil { // for example on a full disk
		return l.file.Truncate(l.size) == nil, err
	}
	if err := l.file.Sync(); err != nil {
		return false, err
	}
	l.size += int64(len(lines))
	return true, nil
}

// isCurrent reports whether log and metadata.json are still the files that this process wrote.
func (l *changeLog) isCurrent(document string) bool {
	info, err := os.Stat(document)
	if err != nil || !os.SameFile(info, l.document) || info.Mode() != l.document.Mode() || !info.ModTime().Equal(l.document.ModTime()) {
		return false // a new file may have the inode of a removed one
	}
	mine, err := l.file.Stat()
	if err != nil {
		return false
	}
	info, err = os.Stat(l.file.Name())
	return err == nil && os.SameFile(info, mine)
}

// applyLog applies the log of a metadata.json to its records. Errors: envelope.ErrNewer,
// envelope.ErrDamaged.
func (f *metadataFile) applyLog(b []byte) error {
	var torn error
	for line := range bytes.Lines(b) {
		if torn != nil {
			return torn
		}
		sum, text, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		if !bytes.HasSuffix(line, []byte("\n")) || string(sum) != fmt.Sprintf("%08x", durable.Checksum(text)) {
			torn, f.torn = fmt.Errorf("%w: a line of %s does not match its checksum", envelope.ErrDamaged, f.Log), true
			continue
		}
		var rec logRecord
		if err := envelope.Decode(text, &rec); err != nil {
			return fmt.Errorf("a line of %s: %w", f.Log, err)
		}
		if rec.Value == nil {
			delete(f.Records, rec.Record)
			continue
		}
		f.Records[rec.Record] = fileRecord{rec.Revision, rec.Value}
	}
	return nil
}

// removeLogs removes all logs except the one that metadata.json names.
func removeLogs(dir, inUse string) {
	names, _ := filepath.Glob(filepath.Join(dir, logPattern)) // the pattern is valid
	for _, name := range names {
		if filepath.Base(name) != inUse {
			_ = os.Remove(name) // retried at the next start
		}
	}
}
