package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/durable"
)

// metadataFile is the form of DIR/metadata.json, version 1: every record of the
// bucket by its key, as snapshot.go describes them, so that the bucket can be
// made again. It holds hashes of keys and no secrets. A server refuses a version
// that it does not know.
//
// It is replaced as a whole after each change (a temporary file, fsync, rename,
// fsync of the folder): a crash leaves the file of before or of after.
//
// Revision is the bucket's when the file was written. A bucket that has not come
// so far is an older copy.
type metadataFile struct {
	Version  int                       `json:"version"`
	Revision uint64                    `json:"revision"`
	Records  map[string]jsontext.Value `json:"records"`
}

const metadataVersion = 1

func (r *Registry) fileName() string { return filepath.Join(r.opts.Dir, "metadata.json") }

// document returns the content of the file.
func (s *snapshot) document() ([]byte, error) {
	f := metadataFile{Version: metadataVersion, Revision: s.revision(), Records: map[string]jsontext.Value{}}
	for key, rec := range s.records {
		if rec.value != nil {
			f.Records[key] = rec.value
		}
	}
	b, err := json.Marshal(f, json.Deterministic(true), jsontext.Multiline(true))
	return append(b, '\n'), err
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

// readFile reads the file; it reports false when there is none.
func (r *Registry) readFile() (f metadataFile, there bool, err error) {
	b, err := os.ReadFile(r.fileName())
	if errors.Is(err, fs.ErrNotExist) {
		return f, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err == nil && f.Version != metadataVersion {
		err = fmt.Errorf("its version is %d, this server knows %d", f.Version, metadataVersion)
	}
	return f, true, err
}

// restore fills the bucket from the file; it reports false when there is none.
// What the bucket holds already stays: a restore that was interrupted goes on.
func (r *Registry) restore(ctx context.Context) (bool, error) {
	f, there, err := r.readFile()
	if err != nil {
		return false, fmt.Errorf("the metadata is lost, and its copy %s cannot be read: repair it, or move it away to begin without applications and keys: %w", r.fileName(), err)
	}
	if !there {
		return false, nil
	}
	if err := r.copyIn(ctx, f, func(old []byte) bool { return old == nil }); err != nil {
		return false, err
	}
	r.log.Warn("the metadata was lost and is rebuilt from its copy", "file", r.fileName(), "records", len(f.Records))
	return true, nil
}

// catchUp brings a bucket that is older than the file up to it: after the queue's
// folder was replaced by an older copy, keys made since then must work and those
// that were revoked must not. A file that cannot be read is made again.
func (r *Registry) catchUp(ctx context.Context) error {
	f, there, err := r.readFile()
	if err != nil || !there || f.Revision <= r.current.Load().revision() {
		return nil //nolint:nilerr // it is only a copy
	}
	r.log.Warn("the metadata is older than its copy and is brought up to it", "file", r.fileName(), "records", len(f.Records))
	return r.copyIn(ctx, f, func([]byte) bool { return true })
}

// copyIn writes records of the file into the bucket, in the place of those that give
// way.
func (r *Registry) copyIn(ctx context.Context, f metadataFile, givesWay func(old []byte) bool) error {
	for key, value := range f.Records {
		if key == stateKey { // comes last, when all is there
			continue
		}
		err := r.change(ctx, key, func(old []byte) (any, error) {
			if !givesWay(old) {
				return nil, nil
			}
			return value, nil
		})
		if err != nil {
			return fmt.Errorf("rebuild metadata: %w", err)
		}
	}
	return nil
}
