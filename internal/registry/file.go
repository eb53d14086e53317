package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// metadataFile is the form of DIR/metadata.json: every record of the bucket, so
// that the bucket can be made again. It holds hashes of keys and no secrets.
type metadataFile struct {
	Version int                       `json:"version"`
	Records map[string]jsontext.Value `json:"records"`
}

const metadataVersion = 1

func (r *Registry) fileName() string { return filepath.Join(r.opts.Dir, "metadata.json") }

// writeFile keeps the metadata as a file, durably.
func (r *Registry) writeFile() error {
	r.fileMu.Lock()
	defer r.fileMu.Unlock()
	f := metadataFile{Version: metadataVersion, Records: map[string]jsontext.Value{}}
	for key, value := range r.current.Load().records {
		f.Records[key] = value
	}
	b, err := json.Marshal(f, json.Deterministic(true), jsontext.Multiline(true))
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	if err := writeDurably(r.fileName(), append(b, '\n')); err != nil {
		// The change is made and durable; only its copy is not.
		r.log.Error("the copy of the metadata could not be written", "file", r.fileName(), "error", err)
	}
	return nil
}

// rebuild fills an empty bucket from the file, when there is one.
func (r *Registry) rebuild(ctx context.Context) error {
	status, err := r.kv.Status(ctx)
	if err != nil {
		return fmt.Errorf("read metadata: %w", err)
	}
	if status.Values() > 0 {
		return nil
	}
	b, err := os.ReadFile(r.fileName())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var f metadataFile
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err == nil && f.Version != metadataVersion {
		err = fmt.Errorf("unknown version %d", f.Version)
	}
	if err != nil {
		return fmt.Errorf("the metadata is lost, and its copy %s cannot be read: repair it, or remove it to begin without applications and keys: %w", r.fileName(), err)
	}
	for key, value := range f.Records {
		if _, err := r.kv.Put(ctx, key, value); err != nil {
			return fmt.Errorf("rebuild metadata: %w", err)
		}
	}
	r.log.Warn("the metadata was lost and is rebuilt from its copy", "file", r.fileName(), "records", len(f.Records))
	return nil
}

// writeDurably writes a file for its owner's eyes so that it is there, whole,
// after a crash.
func writeDurably(name string, content []byte) error {
	folder := filepath.Dir(name)
	f, err := os.CreateTemp(folder, ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
