package duckdb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"theeye/internal/nofile"
	"theeye/internal/store"
)

const (
	// backgroundPart divides the memory limit: background work may use this part of it.
	backgroundPart = 4
	// MaxExports is how many exports run at once; others wait.
	MaxExports = 2
	// spareDescriptors is the number of file descriptors that the store never uses: DuckDB may end
	// the process when it finds none left.
	spareDescriptors = 16
)

// background is an instance for work that reads segments and writes files, so that this work does
// not take memory from queries. There is one for merges and erasures, one for each running export,
// and one for the windows of the feed. It is opened when it is first needed, and stays open. Only
// one goroutine may use it at a time, except that windows are read concurrently.
type background struct {
	store  *Store
	limits limits
	in     *instance // nil while it is not open
}

// newMerger returns the background instance of merges and erasures. It does not encrypt what it
// spills: no merge runs during an erasure, an erasure sorts only the rows that stay, and the files
// are deleted after each operation.
func (s *Store) newMerger() *background {
	return &background{store: s, limits: limits{
		memory: s.opts.MemoryLimit / backgroundPart, threads: 1, dirs: []string{s.segmentDir()}, conns: 2,
		tempDir: filepath.Join(s.opts.TempDir, "heavy"), // two instances in one folder overwrite each other's files
	}}
}

// newExporters returns the background instances of exports.
func (s *Store) newExporters() chan *background {
	list := make(chan *background, MaxExports)
	for i := range MaxExports {
		list <- &background{store: s, limits: limits{
			memory: min(exportMemory, s.opts.MemoryLimit/backgroundPart), threads: 1, conns: exportConns,
			dirs:    []string{s.segmentDir(), s.exportDir()},
			tempDir: filepath.Join(s.opts.TempDir, "export-"+strconv.Itoa(i+1)), encrypt: true,
		}}
	}
	return list
}

// begin returns the instance, with segments attached.
func (b *background) begin(ctx context.Context, segments []*segment) (*instance, error) {
	if b.in == nil {
		in, err := openInstance(ctx, b.limits)
		if err != nil {
			return nil, err
		}
		b.in = in
	}
	for _, seg := range segments {
		if err := b.in.attach(ctx, b.store.segmentPath(seg.info.Data.Name), attachedName(seg.info.ID)); err != nil {
			return nil, errors.Join(fmt.Errorf("open segment %s: %w", seg.info.Data.Name, err), b.close())
		}
	}
	return b.in, nil
}

// end detaches the segments. An instance whose work failed is closed, because its state is not
// known; the next begin opens another.
func (b *background) end(segments []*segment, failed bool) error {
	if b.in == nil {
		return nil
	}
	var err error
	for i := 0; i < len(segments) && !failed && err == nil; i++ {
		err = b.in.exec(context.Background(), "DETACH "+attachedName(segments[i].info.ID))
	}
	if failed || err != nil {
		err = errors.Join(err, b.close())
	}
	return err
}

// close closes the instance. The next begin opens another.
func (b *background) close() error {
	if b.in == nil {
		return nil
	}
	in := b.in
	b.in = nil
	return in.close()
}

// attach attaches a database file under a name, read-only.
func (i *instance) attach(ctx context.Context, path, name string) error {
	if err := needDescriptors(1); err != nil {
		return err
	}
	return i.exec(ctx, "ATTACH "+quoted(path)+" AS "+name+" (READ_ONLY)")
}

// needDescriptors returns an error that wraps store.ErrUnavailable unless n file descriptors, and
// those to spare, are free.
func needDescriptors(n int) error {
	if err := nofile.Need(n + spareDescriptors); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// instanceDescriptors is how many file descriptors an instance needs besides those of attached
// segments: for files that it writes and spills to.
const instanceDescriptors = 8

// Descriptors returns how many file descriptors a store in dir needs to open and to merge, and how
// many each export needs on top, and the feed as many.
func Descriptors(dir string) (open, export int, err error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return 0, 0, err
	}
	return len(m.Segments) + mergeFan + 2*instanceDescriptors + spareDescriptors, len(m.Segments) + instanceDescriptors, nil
}
