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

// Options of a Source.
type Options struct {
	Store      store.Leaser
	Queue      *queue.Queue
	Metadata   func() ([]byte, error) // the content of metadata.json
	Tombstones string                 // the file of what was erased; it need not be there
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
	x.addText(m, File{Kind: Metadata, Name: "metadata.json"}, metadata)
	erased, err := os.ReadFile(s.opts.Tombstones)
	switch {
	case err == nil:
		x.addText(m, File{Kind: Tombstones, Name: "tombstones"}, erased)
	case !errors.Is(err, os.ErrNotExist):
		return Index{}, fmt.Errorf("read tombstones: %w", err)
	}
	x.addText(m, File{Kind: Manifest, Name: "MANIFEST.json"}, lease.Manifest)
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

func (x *Index) addText(m *moment, f File, text []byte) {
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

// Find returns a file of a lease, which it renews: store.ErrLeaseEnded when there
// is none, store.ErrNotLeased for what its index did not list.
func (s *Source) Find(lease, name string) (File, error) {
	s.mu.Lock()
	m := s.taken[lease]
	s.mu.Unlock()
	if m == nil {
		return File{}, store.ErrLeaseEnded
	}
	if err := s.opts.Store.RenewLease(lease); err != nil {
		return File{}, err
	}
	f, ok := m.files[name]
	if !ok {
		return File{}, fmt.Errorf("%w: %q", store.ErrNotLeased, name)
	}
	return f, nil
}

// Copy writes the content of a file that Find returned.
func (s *Source) Copy(ctx context.Context, to io.Writer, lease string, f File) error {
	s.mu.Lock()
	m := s.taken[lease]
	s.mu.Unlock()
	if m == nil {
		return store.ErrLeaseEnded
	}
	if text, ok := m.texts[f.Name]; ok {
		_, err := io.Copy(to, bytes.NewReader(text))
		return err
	}
	if held, ok := m.frames[f.Name]; ok {
		return s.copyFrames(ctx, to, lease, held)
	}
	from, err := s.opts.Store.ReadSegmentFile(lease, f.Name)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, from.Close())
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
