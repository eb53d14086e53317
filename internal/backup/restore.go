package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"theeye/internal/durable"
	"theeye/internal/erasure"
	"theeye/internal/plural"
	"theeye/internal/queue"
)

// markName is the file that marks a data directory as being restored.
const markName = "restoring"

// ErrNotEmpty is returned for a folder that is not empty: a data directory is only restored into an
// empty one.
var ErrNotEmpty = errors.New("the folder is not empty")

// ErrUnfinished is returned for a data directory into which a restore was interrupted.
var ErrUnfinished = errors.New("a restore into this folder was interrupted")

// RestoreOptions are the options of Restore.
type RestoreOptions struct {
	From, To string // the backup's folder, and the data directory to be created
	// Tombstones is a file of tombstones that are later than the backup; empty for none.
	Tombstones string
	// Finish completes the data directory. If it fails, no server starts there. It may be nil.
	Finish   func(dir string) error
	Progress io.Writer // receives what was read; may be nil
	Logger   *slog.Logger
}

// Restored is the result of a Restore.
type Restored struct {
	Index
	Erasures int  // in the file of RestoreOptions.Tombstones
	Later    int  // those of them that the backup does not have
	Torn     bool // that file ended with an incomplete line, which was left out
	// Unrelated: it is not known whether that file belongs to the data directory of the backup,
	// because the backup has no tombstones.
	Unrelated bool
	Apps      []string // in the backup, but erased after it
}

// Restore creates a data directory from a backup: a server that starts there continues from the
// moment of the backup, with its sequences. Each file is compared with the index as it is copied. A
// server does not start in a directory in which Restore was interrupted.
func Restore(ctx context.Context, opts RestoreOptions) (done Restored, err error) {
	if done.Index, err = ReadIndex(opts.From); err != nil {
		return done, err
	}
	given, err := readTombstones(opts.Tombstones, opts.From, done.Index)
	if err != nil {
		return done, err
	}
	done.Erasures, done.Later, done.Torn = len(given.Tombstones), given.later, given.Torn()
	done.Unrelated, done.Apps = given.unrelated, given.apps
	if err := begin(opts.To); err != nil {
		return done, err
	}
	if opts.Progress == nil {
		opts.Progress = io.Discard
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore: %w; remove %s before you restore again", err, opts.To)
		}
	}()
	r := restoration{opts, done.Index, given.Document}
	for _, step := range []func(context.Context) error{r.files, r.frames, r.tombstones} {
		if err := step(ctx); err != nil {
			return done, err
		}
	}
	if opts.Finish != nil {
		if err := opts.Finish(opts.To); err != nil {
			return done, err
		}
	}
	if err := errors.Join(durable.SyncDir(opts.To), os.Remove(filepath.Join(opts.To, markName)), durable.SyncDir(opts.To)); err != nil {
		return done, err
	}
	return done, nil
}

// Unfinished returns ErrUnfinished for a data directory that is being restored, or whose restore
// was interrupted.
func Unfinished(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, markName)); err == nil {
		return fmt.Errorf("%w: remove %s and restore again", ErrUnfinished, dir)
	}
	return nil
}

// begin creates the data directory and its mark.
func begin(dir string) error {
	if err := Unfinished(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("open the data directory: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%w: %s; give another one with --data", ErrNotEmpty, dir)
	}
	if err := checkPlace(dir, true); err != nil {
		return err
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return durable.Replace(filepath.Join(dir, markName), strings.NewReader("a backup is being restored here\n"))
}

type restoration struct {
	RestoreOptions
	index Index
	given erasure.Document // tombstones
}

// files copies all files except frames to where a server looks for them.
func (r *restoration) files(ctx context.Context) error {
	segments := filepath.Join(r.To, "store", "segments")
	if err := durable.MkdirAll(segments, 0o700); err != nil {
		return err
	}
	places := map[Kind]string{Segment: segments, Manifest: filepath.Join(r.To, "store"), Metadata: r.To, Audit: r.To, Tombstones: r.To}
	for _, f := range r.index.Files {
		place, ok := places[f.Kind]
		if f.Kind == Frames || ctx.Err() != nil {
			continue
		}
		if !ok {
			return fmt.Errorf("%s is of the kind %q, which has no place", f.Name, f.Kind)
		}
		err := r.read(f, func(in io.Reader) error { return durable.Replace(filepath.Join(place, f.Name), in) })
		if err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return durable.SyncDir(filepath.Join(r.To, "store"))
}

// read passes the content of a file to do, and fails if the content differs from the index.
func (r *restoration) read(f File, do func(io.Reader) error) error {
	in, err := os.Open(filepath.Join(r.From, f.file()))
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: the file is missing", ErrContent)
	}
	if err == nil {
		err = do(io.TeeReader(newCheckingReader(in, f), r.Progress))
		err = errors.Join(err, in.Close())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}

// frames creates a queue with the frames, which keep their sequences.
func (r *restoration) frames(ctx context.Context) error {
	var tail int64
	for _, f := range r.index.Files {
		if f.Kind == Frames {
			tail += f.Bytes
		}
	}
	q, err := queue.Open(ctx, queue.Options{
		Dir: filepath.Join(r.To, "queue"), Logger: r.Logger, FirstSequence: r.index.Flushed + 1, Fresh: true,
		MaxBytes: max(queue.DefaultMaxBytes, 2*tail), // a server sets its own
	})
	if err != nil {
		return err
	}
	defer q.Close()
	for _, f := range r.index.Files {
		if f.Kind != Frames {
			continue
		}
		if err := r.read(f, func(in io.Reader) error { return q.Restore(ctx, newTailReader(in).all()) }); err != nil {
			return err
		}
	}
	return nil
}

// tombstones adds the given tombstones to those of the backup. They count as unfinished, because
// the backup contains what they erased.
func (r *restoration) tombstones(context.Context) error {
	if r.Tombstones == "" {
		return nil
	}
	name := filepath.Join(r.To, string(Tombstones))
	log, err := erasure.OpenLog(name, erasure.Digest{})
	if err != nil {
		return err
	}
	if err := log.Add(r.given, r.index.Last); err != nil {
		return fmt.Errorf("add %s: %w", r.Tombstones, err)
	}
	return log.FinishConversion() // no server has used this directory yet
}

// extraTombstones is a file of tombstones to be added to those of a backup.
type extraTombstones struct {
	erasure.Document
	later     int      // tombstones that the backup does not have
	unrelated bool     // the backup has none
	apps      []string // that were erased later
}

// readTombstones reads a file that must contain all tombstones of the backup in a folder. An empty
// name means that there is no such file.
func readTombstones(name, folder string, x Index) (g extraTombstones, err error) {
	if name == "" {
		return g, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return g, fmt.Errorf("read tombstones: %w", err)
	}
	refused := func(err error) (extraTombstones, error) { return g, &erasure.Error{Path: name, Err: err} }
	g.Document, err = erasure.Parse(b, erasure.Digest{})
	if errors.Is(err, erasure.ErrForeign) {
		return g, fmt.Errorf("%s is not a file of tombstones (line 1)", name)
	}
	if err != nil {
		return refused(err)
	}
	own, err := ownTombstones(folder, x)
	if err != nil {
		return g, err
	}
	if len(g.Tombstones) == 0 && (own.Key == "" || own.Key != g.Key) {
		return refused(errors.New("it holds no erasure: it is empty, or cut off"))
	}
	if _, err := own.Merge(g.Document); err != nil {
		return refused(err)
	}
	if n := len(g.Missing(own)); n > 0 {
		return refused(fmt.Errorf("it lacks %s that the backup has: it is older than the backup, or cut off", plural.Count(n, "erasure")))
	}
	later := own.Missing(g.Document)
	g.later, g.unrelated = len(later), own.Key == ""
	named := map[string]bool{}
	for _, t := range later {
		if t.OfApp() && !named[t.App] {
			named[t.App] = true
			g.apps = append(g.apps, t.App)
		}
	}
	return g, nil
}

// ownTombstones returns the tombstones of a backup. It may have none, and no key, if nothing had
// been erased.
func ownTombstones(folder string, x Index) (d erasure.Document, err error) {
	f, ok := x.Of(Tombstones)
	if !ok {
		return d, nil
	}
	b, err := ReadFile(folder, f)
	if err == nil {
		d, err = erasure.Parse(b, erasure.Digest{})
	}
	if err != nil {
		return d, fmt.Errorf("the backup's tombstones cannot be used: %w", err)
	}
	return d, nil
}
