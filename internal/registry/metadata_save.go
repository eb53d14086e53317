package registry

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/durable"
)

func (r *Registry) fileName() string { return filepath.Join(r.opts.Dir, metadataName) }

// Document returns the content of a DIR/metadata.json without a log, for a backup. A registry that
// is opened with that file, and without a bucket, has the same metadata, except for logins.
func (r *Registry) Document() ([]byte, error) {
	return r.current.Load().withoutLogins().document(nil, ""), nil
}

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

// noteWrite logs the error of a write of the copy, if any, and keeps it for CopyError.
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

// lines returns the lines to append to a log: the current state of the unsaved records, and the
// records of next.
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

// replaceLocked replaces metadata.json, in which the records of next replace the current ones. The
// new file names a new, empty log, or none if log is empty. The old log is removed afterwards.
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

// endLog stops appending to the log. The next write replaces metadata.json.
func (r *Registry) endLog() {
	if r.changes != nil {
		_ = r.changes.file.Close() // what was written is synced
		r.changes = nil
	}
}

// CopyError returns the error of the last write of metadata.json, nil if it succeeded.
func (r *Registry) CopyError() error {
	if err := r.copyErr.Load(); err != nil {
		return *err
	}
	return nil
}
