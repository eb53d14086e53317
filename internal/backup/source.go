package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"time"

	"theeye/internal/queue"
	"theeye/internal/store"
)

// tailFile is how large a file of frames becomes, in bytes, about.
const tailFile = 32 << 20

// auditName is what a registry takes a trail over from.
const auditName = "audit.ndjson"

// Options of a Source.
type Options struct {
	Store    store.Leaser
	Queue    *queue.Queue
	Metadata func() ([]byte, error) // the content of metadata.json
	// Audit returns the trail of what was administered; nil for none.
	Audit      func(context.Context) ([]byte, error)
	Tombstones string // the file of what was erased; it need not be there
}

// Source gives what a backup consists of. It may be used concurrently.
type Source struct {
	opts Options

	mu    sync.Mutex // guards taken
	taken map[string]*moment
}

// moment is what an index lists, by name.
type moment struct {
	done   <-chan struct{}
	files  map[string]File
	frames map[string]span   // of the queue, read when they are asked for
	texts  map[string][]byte // small files
}

type span struct{ first, last uint64 }

// NewSource returns a source.
func NewSource(opts Options) *Source { return &Source{opts: opts, taken: map[string]*moment{}} }

// Take takes a lease and lists what there is: first the segments, then the frames
// behind them up to the last one, then the metadata. So what a frame refers to is
// in the metadata. It reads all these frames, for their checksums.
func (s *Source) Take(ctx context.Context) (Index, error) {
	lease, err := s.opts.Store.Lease(ctx)
	if err != nil {
		return Index{}, err
	}
	x := Index{Version: indexVersion, TakenAt: time.Now().UTC().Truncate(time.Microsecond), Lease: lease.ID, Flushed: lease.Flushed}
	m := &moment{done: lease.Done, files: map[string]File{}, frames: map[string]span{}, texts: map[string][]byte{}}
	for _, f := range lease.Files {
		x.Files = append(x.Files, File{Kind: Segment, Name: f.Name, Bytes: f.Bytes, SHA256: f.SHA256})
	}
	state, err := s.opts.Queue.State(ctx)
	if err != nil {
		return Index{}, err
	}
	x.Last = max(state.Last, lease.Flushed)
	if err := s.listFrames(ctx, &x, m); err != nil {
		return Index{}, err
	}
	metadata, err := s.opts.Metadata()
	if err != nil {
		return Index{}, fmt.Errorf("read metadata: %w", err)
	}
	m.addText(&x, File{Kind: Metadata, Name: "metadata.json"}, metadata)
	if s.opts.Audit != nil {
		trail, err := s.opts.Audit(ctx)
		if err != nil {
			return Index{}, err
		}
		m.addText(&x, File{Kind: Audit, Name: auditName}, trail)
	}
	erased, err := os.ReadFile(s.opts.Tombstones)
	switch {
	case err == nil:
		m.addText(&x, File{Kind: Tombstones, Name: "tombstones"}, erased)
	case !errors.Is(err, os.ErrNotExist):
		return Index{}, fmt.Errorf("read tombstones: %w", err)
	}
	m.addText(&x, File{Kind: Manifest, Name: "MANIFEST.json"}, lease.Manifest)
	for _, f := range x.Files {
		m.files[f.Name] = f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, old := range s.taken {
		if old.over() {
			delete(s.taken, id)
		}
	}
	s.taken[lease.ID] = m
	return x, nil
}

func (m *moment) over() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

func (m *moment) addText(x *Index, f File, text []byte) {
	sum := sha256.Sum256(text)
	f.Bytes, f.SHA256 = int64(len(text)), hex.EncodeToString(sum[:])
	m.texts[f.Name] = text
	x.Files = append(x.Files, f)
}

// listFrames lists files of the frames that the segments do not hold.
func (s *Source) listFrames(ctx context.Context, x *Index, m *moment) error {
	var (
		sum  hash.Hash
		file File
		held span
	)
	end := func() {
		if sum != nil {
			file.SHA256 = hex.EncodeToString(sum.Sum(nil))
			x.Files = append(x.Files, file)
			m.frames[file.Name] = held
		}
		sum = nil
	}
	var b []byte
	err := s.opts.Queue.RawRange(ctx, x.Flushed+1, x.Last, func(r queue.Raw) error {
		b = b[:0]
		if sum == nil {
			sum, held = sha256.New(), span{first: r.Sequence}
			file = File{Kind: Frames, Name: fmt.Sprintf("frames-%020d", r.Sequence)}
			b = append(b, tailMagic...)
		}
		b = appendFrame(b, r)
		_, _ = sum.Write(b) // never fails
		file.Bytes += int64(len(b))
		if held.last = r.Sequence; file.Bytes >= tailFile {
			end()
		}
		return s.opts.Store.RenewLease(x.Lease)
	})
	end()
	return err
}

// Content is a file that is ready to be copied. It must be closed.
type Content struct {
	File
	from io.ReadCloser // nil for frames
	copy func(ctx context.Context, to io.Writer) error
}

// Open opens a file of a lease, which it renews: store.ErrLeaseEnded when there is
// none, store.ErrNotLeased for what its index did not list.
func (s *Source) Open(lease, name string) (*Content, error) {
	s.mu.Lock()
	m := s.taken[lease]
	s.mu.Unlock()
	if m == nil {
		return nil, store.ErrLeaseEnded
	}
	if err := s.opts.Store.RenewLease(lease); err != nil {
		return nil, err
	}
	f, ok := m.files[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", store.ErrNotLeased, name)
	}
	if held, ok := m.frames[name]; ok {
		return &Content{File: f, copy: func(ctx context.Context, to io.Writer) error { return s.copyFrames(ctx, to, lease, held) }}, nil
	}
	if text, ok := m.texts[name]; ok {
		return &Content{File: f, from: io.NopCloser(bytes.NewReader(text))}, nil
	}
	from, err := s.opts.Store.ReadSegmentFile(lease, name)
	if err != nil {
		return nil, err
	}
	return &Content{File: f, from: from}, nil
}

// CopyTo writes the content. It fails when that has become another size.
func (c *Content) CopyTo(ctx context.Context, to io.Writer) error {
	count := &counted{to: to}
	var err error
	if c.from != nil {
		_, err = io.Copy(count, c.from)
	} else {
		err = c.copy(ctx, count)
	}
	if err == nil && count.n != c.Bytes {
		err = fmt.Errorf("copy %s: %w: it has %d bytes instead of %d", c.Name, ErrContent, count.n, c.Bytes)
	}
	return err
}

// Close gives back what Open has opened.
func (c *Content) Close() error {
	if c.from == nil {
		return nil
	}
	return c.from.Close()
}

type counted struct {
	to io.Writer
	n  int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.n += int64(n)
	return n, err
}

func (s *Source) copyFrames(ctx context.Context, to io.Writer, lease string, held span) error {
	b := []byte(tailMagic)
	return s.opts.Queue.RawRange(ctx, held.first, held.last, func(r queue.Raw) error {
		b = appendFrame(b, r)
		_, err := to.Write(b)
		b = b[:0]
		return errors.Join(err, s.opts.Store.RenewLease(lease))
	})
}
