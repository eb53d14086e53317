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
	"log/slog"
	"os"
	"sync"
	"time"

	"theeye/internal/queue"
	"theeye/internal/store"
)

// maxTailBytes is the approximate maximum size of a file of frames, in bytes.
const maxTailBytes = 32 << 20

// auditName is the name of the file from which a registry restores the audit log.
const auditName = "audit.ndjson"

// Options of a Source.
type Options struct {
	Store store.Leaser
	Queue *queue.Queue
	// Flush writes everything that is in the queue at the call to segments. It calls doing with a
	// description of what it is doing.
	Flush    func(ctx context.Context, doing func(string)) error
	Metadata func() ([]byte, error) // the content of metadata.json
	// Audit returns the audit log; nil for none.
	Audit      func(context.Context) ([]byte, error)
	Tombstones string        // the file of tombstones; it need not exist
	Wait       time.Duration // after which Take returns a PreparingError; 0 for DefaultWait
	Logger     *slog.Logger
}

// DefaultWait is how long Take waits before it returns a PreparingError.
const DefaultWait = 5 * time.Second

// readyTimeout is how long a prepared backup is kept for the caller that requested it. Frames that
// arrive in the meantime are read while a request waits.
const readyTimeout = 20 * time.Second

// PreparingError is returned by Take while the backup is not ready: call it again.
type PreparingError struct{ Doing string }

func (e *PreparingError) Error() string { return "the backup is being prepared: " + e.Doing }

// Source provides the files of backups. It may be used concurrently.
type Source struct {
	opts Options

	wanted chan struct{} // a backup is to be prepared

	mu        sync.Mutex // guards what follows
	taken     map[string]*snapshot
	preparing bool
	doing     string        // while preparing
	ready     *prepared     // not taken yet
	changed   chan struct{} // closed and replaced when a preparation has ended
}

// prepared is the result of a preparation: a lease, and an index of the frames after it.
type prepared struct {
	lease    store.Lease
	index    Index
	snapshot *snapshot
	err      error
	at       time.Time
}

// snapshot is the content of one backup: what its index lists, by name.
type snapshot struct {
	done   <-chan struct{}
	files  map[string]File
	frames map[string]frameRange // of the queue, read when they are asked for
	texts  map[string][]byte     // small files
}

type frameRange struct{ first, last uint64 }

// NewSource returns a source. It prepares nothing until Run is called.
func NewSource(opts Options) *Source {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Wait == 0 {
		opts.Wait = DefaultWait
	}
	return &Source{opts: opts, taken: map[string]*snapshot{}, wanted: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Run prepares the backups that Take requests, until ctx is done.
func (s *Source) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wanted:
		}
		p := s.prepare(ctx)
		s.mu.Lock()
		s.preparing, s.ready = false, p
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
}

// Take takes a lease and returns its index. It contains everything that was acknowledged before the
// call, and what arrived until the index was created. If that takes longer than Options.Wait, Take
// returns a *PreparingError, and the caller calls it again. Two calls never get the same lease.
func (s *Source) Take(ctx context.Context) (Index, error) {
	wait := time.NewTimer(s.opts.Wait)
	defer wait.Stop()
	for {
		p, changed := s.takeReady()
		if p != nil {
			x, err := s.finish(ctx, p)
			if errors.Is(err, store.ErrLeaseEnded) { // by an erasure, or because the queue is filling
				continue
			}
			return x, err
		}
		select {
		case <-ctx.Done():
			return Index{}, ctx.Err()
		case <-changed:
		case <-wait.C:
			s.mu.Lock()
			defer s.mu.Unlock()
			return Index{}, &PreparingError{s.doing}
		}
	}
}

// takeReady returns a prepared backup, or a channel that is closed when one may be ready.
func (s *Source) takeReady() (*prepared, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.ready
	s.ready = nil
	if p != nil && p.err == nil && (p.snapshot.ended() || time.Since(p.at) > readyTimeout) {
		s.opts.Store.EndLease(p.lease.ID)
		p = nil
	}
	if p == nil && !s.preparing {
		s.preparing = true
		s.wanted <- struct{}{} // never blocks: only one is requested at a time
	}
	for id, m := range s.taken {
		if m.ended() {
			delete(s.taken, id)
		}
	}
	return p, s.changed
}

func (s *Source) setDoing(doing string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doing = doing
}

// prepare flushes the queue into segments, takes a lease, and lists the frames after it. They are
// few, unless the store could not be flushed, as on a full disk.
func (s *Source) prepare(ctx context.Context) *prepared {
	if err := s.opts.Flush(ctx, s.setDoing); err != nil {
		if ctx.Err() != nil {
			return &prepared{err: ctx.Err()}
		}
		s.opts.Logger.Warn("the store could not be flushed for a backup, which copies the frames of the queue instead", "error", err)
	}
	s.setDoing("frames of the queue are read")
	lease, err := s.opts.Store.Lease(ctx)
	if err != nil {
		return &prepared{err: err}
	}
	p := &prepared{
		lease: lease, index: Index{Version: indexVersion, Lease: lease.ID, Flushed: lease.Flushed, Last: lease.Flushed},
		snapshot: &snapshot{done: lease.Done, files: map[string]File{}, frames: map[string]frameRange{}, texts: map[string][]byte{}},
	}
	if p.err = s.listFrames(ctx, &p.index, p.snapshot); p.err != nil {
		s.opts.Store.EndLease(lease.ID)
	}
	p.at = time.Now()
	return p
}

// finish adds the frames that arrived since the preparation, and then the metadata, so that the
// metadata contains everything to which a frame refers.
func (s *Source) finish(ctx context.Context, p *prepared) (Index, error) {
	if p.err != nil {
		return Index{}, p.err
	}
	x := &p.index
	x.TakenAt = time.Now().UTC().Truncate(time.Microsecond)
	err := s.listFrames(ctx, x, p.snapshot)
	if err == nil {
		err = s.listFiles(ctx, x, p)
	}
	if err != nil {
		s.opts.Store.EndLease(x.Lease)
		return Index{}, err
	}
	for _, f := range x.Files {
		p.snapshot.files[f.Name] = f
	}
	if len(p.snapshot.frames) == 0 {
		s.opts.Store.ReleaseFrames(x.Lease)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[x.Lease] = p.snapshot
	return *x, nil
}

func (s *Source) listFiles(ctx context.Context, x *Index, p *prepared) error {
	for _, f := range p.lease.Files {
		x.Files = append(x.Files, File{Kind: Segment, Name: f.Name, Bytes: f.Bytes, SHA256: f.SHA256})
	}
	metadata, err := s.opts.Metadata()
	if err != nil {
		return fmt.Errorf("read metadata: %w", err)
	}
	p.snapshot.addText(x, File{Kind: Metadata, Name: "metadata.json"}, metadata)
	if s.opts.Audit != nil {
		trail, err := s.opts.Audit(ctx)
		if err != nil {
			return err
		}
		p.snapshot.addText(x, File{Kind: Audit, Name: auditName}, trail)
	}
	erased, err := os.ReadFile(s.opts.Tombstones)
	switch {
	case err == nil:
		p.snapshot.addText(x, File{Kind: Tombstones, Name: "tombstones"}, erased)
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("read tombstones: %w", err)
	}
	p.snapshot.addText(x, File{Kind: Manifest, Name: manifestName}, p.lease.Manifest)
	return nil
}

func (m *snapshot) ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

func (m *snapshot) addText(x *Index, f File, text []byte) {
	sum := sha256.Sum256(text)
	f.Bytes, f.SHA256 = int64(len(text)), hex.EncodeToString(sum[:])
	m.texts[f.Name] = text
	x.Files = append(x.Files, f)
}

// listFrames adds files of the frames after the index's last one, up to the queue's last, which
// becomes the index's.
func (s *Source) listFrames(ctx context.Context, x *Index, m *snapshot) error {
	state, err := s.opts.Queue.State(ctx)
	if err != nil {
		return err
	}
	first := x.Last + 1
	x.Last = max(x.Last, state.Last)
	var (
		sum  hash.Hash
		file File
		held frameRange
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
	err = s.opts.Queue.RawRange(ctx, first, x.Last, func(r queue.Raw) error {
		b = b[:0]
		if sum == nil {
			sum, held = sha256.New(), frameRange{first: r.Sequence}
			file = File{Kind: Frames, Name: fmt.Sprintf("frames-%020d", r.Sequence)}
			b = append(b, tailMagic...)
		}
		b = appendFrame(b, r)
		_, _ = sum.Write(b) // never fails
		file.Bytes += int64(len(b))
		if held.last = r.Sequence; file.Bytes >= maxTailBytes {
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

// Open opens a file of a lease, and renews the lease. Errors: store.ErrLeaseEnded if there is no
// such lease, store.ErrNotLeased for a file that its index does not list. Files must be opened in
// the order of the index: after the first one that does not contain frames, the queue may trim the
// frames.
func (s *Source) Open(ctx context.Context, lease, name string) (*Content, error) {
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
		state, err := s.opts.Queue.State(ctx)
		if err != nil {
			return nil, err
		}
		if state.First > held.first {
			return nil, fmt.Errorf("%w: the frames are no longer in the queue", store.ErrLeaseEnded)
		}
		return &Content{File: f, copy: func(ctx context.Context, to io.Writer) error { return s.copyFrames(ctx, to, lease, held) }}, nil
	}
	s.opts.Store.ReleaseFrames(lease) // frames come first, so a caller that opens another file has them
	if text, ok := m.texts[name]; ok {
		return &Content{File: f, from: io.NopCloser(bytes.NewReader(text))}, nil
	}
	from, err := s.opts.Store.ReadSegmentFile(lease, name)
	if err != nil {
		return nil, err
	}
	return &Content{File: f, from: from}, nil
}

// CopyTo writes the content to a writer. It fails if the size has changed.
func (c *Content) CopyTo(ctx context.Context, to io.Writer) error {
	count := &countingWriter{to: to}
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

// Close closes the file.
func (c *Content) Close() error {
	if c.from == nil {
		return nil
	}
	return c.from.Close()
}

type countingWriter struct {
	to io.Writer
	n  int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.n += int64(n)
	return n, err
}

func (s *Source) copyFrames(ctx context.Context, to io.Writer, lease string, held frameRange) error {
	b := []byte(tailMagic)
	return s.opts.Queue.RawRange(ctx, held.first, held.last, func(r queue.Raw) error {
		b = appendFrame(b, r)
		_, err := to.Write(b)
		b = b[:0]
		return errors.Join(err, s.opts.Store.RenewLease(lease))
	})
}
