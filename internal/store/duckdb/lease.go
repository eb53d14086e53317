package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"theeye/internal/store"
)

// DefaultLeaseAge is how long an unused lease lasts.
const DefaultLeaseAge = 10 * time.Minute

// maxLeases bounds the number of leases; the one that was unused longest makes room.
const maxLeases = 8

// errNoFolder is the error of a store that has no folder to write to.
var errNoFolder = fmt.Errorf("%w: a store without a folder keeps no files", store.ErrUnavailable)

// leases keep the files of segments for backups that copy them. The zero value is ready. A lease
// holds names only: nothing of DuckDB is kept open for it.
type leases struct {
	mu sync.Mutex // guards what follows; it is taken before Store.mu
	by map[string]*lease
	// deleteOnRelease are segments whose files are kept for a lease only.
	deleteOnRelease []SegmentInfo
}

type lease struct {
	flushed  uint64          // the queue keeps the frames after it; math.MaxUint64 when they are released
	segments map[uint64]bool // by id
	files    map[string]FileInfo
	ends     time.Time
	done     chan struct{} // closed when the lease has ended
}

// Lease implements store.Leaser. It flushes nothing: the queue has what is hot, and keeps the
// frames after Flushed until ReleaseFrames.
func (s *Store) Lease(ctx context.Context) (store.Lease, error) {
	if !s.persistent() {
		return store.Lease{}, errNoFolder
	}
	if err := s.withRecovery(ctx, s.checkFiles); err != nil {
		return store.Lease{}, err
	}
	defer s.expireLeases(time.Now())
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	m := s.current().manifest
	document, err := s.encoder.encode(m)
	if err != nil {
		return store.Lease{}, err
	}
	l := &lease{
		flushed: m.Flushed, segments: map[uint64]bool{}, files: map[string]FileInfo{},
		ends: time.Now().Add(s.opts.LeaseAge), done: make(chan struct{}),
	}
	given := store.Lease{ID: uuid.NewString(), Flushed: m.Flushed, Manifest: document, Done: l.done}
	for _, info := range m.Segments {
		l.segments[info.ID] = true
		for _, f := range []FileInfo{info.Data, info.Filter} {
			l.files[f.Name] = f
			given.Files = append(given.Files, store.LeasedFile(f))
		}
	}
	if s.leases.by == nil {
		s.leases.by = map[string]*lease{}
	}
	s.leases.by[given.ID] = l
	return given, nil
}

// ReadSegmentFile implements store.Leaser.
func (s *Store) ReadSegmentFile(lease, name string) (io.ReadCloser, error) {
	l, err := s.renewed(lease)
	if err != nil {
		return nil, err
	}
	want, ok := l.files[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", store.ErrNotLeased, name)
	}
	if err := needDescriptors(1); err != nil {
		return nil, err
	}
	path := s.segmentPath(name)
	err = checkSize(path, want)
	if _, ok := errors.AsType[*damageError](err); ok { // the next lease does without it
		s.EndLease(lease)
		return nil, fmt.Errorf("%w: segment file %s: %w", store.ErrLeaseEnded, name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read a file of the store: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a file of the store: %w", err)
	}
	return &leasedFile{f, s, lease, name}, nil
}

// checkFiles looks for files of segments that are missing or have another size. It quarantines
// segments, and rebuilds filters.
func (s *Store) checkFiles(ctx context.Context) error {
	p := s.pin()
	defer p.release()
	infos := map[uint64]SegmentInfo{}
	for _, info := range p.manifest.Segments {
		infos[info.ID] = info
	}
	for _, seg := range p.tables.segments {
		info := infos[seg.info.ID]
		err := checkSize(s.segmentPath(info.Data.Name), info.Data)
		if _, ok := errors.AsType[*damageError](err); ok {
			if _, err := s.checkSegment(seg); err != nil {
				return err
			}
			continue
		}
		if err == nil {
			err = checkSize(s.segmentPath(info.Filter.Name), info.Filter)
			if _, ok := errors.AsType[*damageError](err); ok {
				err = s.rebuildFilter(ctx, info.ID) // what others may still use stays mapped
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leasedFile renews its lease with each Read.
type leasedFile struct {
	*os.File
	store *Store
	lease string
	name  string
}

func (f *leasedFile) Read(b []byte) (int, error) {
	if err := f.store.RenewLease(f.lease); err != nil {
		return 0, err
	}
	n, err := f.File.Read(b)
	if errors.Is(err, syscall.EIO) {
		err = errors.Join(err, f.store.quarantineUnreadable(f.name))
		f.store.EndLease(f.lease)
	}
	return n, err
}

// quarantineUnreadable quarantines the segment of a file that cannot be read, when it is damaged.
func (s *Store) quarantineUnreadable(name string) error {
	p := s.pin()
	defer p.release()
	for _, seg := range p.tables.segments {
		if seg.info.Data.Name == name {
			_, err := s.checkSegment(seg)
			return err
		}
	}
	return nil
}

// RenewLease implements store.Leaser.
func (s *Store) RenewLease(lease string) error {
	_, err := s.renewed(lease)
	return err
}

func (s *Store) renewed(id string) (*lease, error) {
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	now := time.Now()
	l := s.leases.by[id]
	if l == nil || now.After(l.ends) {
		return nil, store.ErrLeaseEnded
	}
	l.ends = now.Add(s.opts.LeaseAge)
	return l, nil
}

// ReleaseFrames implements store.Leaser.
func (s *Store) ReleaseFrames(lease string) {
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	if l := s.leases.by[lease]; l != nil {
		l.flushed = math.MaxUint64
	}
}

// TrimLimit returns the last frame that the queue may trim: leases need the frames after it.
// It is math.MaxUint64 when no lease needs any.
func (s *Store) TrimLimit() uint64 {
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	held, now := uint64(math.MaxUint64), time.Now()
	for _, l := range s.leases.by {
		if !now.After(l.ends) {
			held = min(held, l.flushed)
		}
	}
	return held
}

// EndLeases ends all leases, because what they name must not be copied any more. Reading a leased
// file fails with store.ErrLeaseEnded from then on.
func (s *Store) EndLeases() { s.endLeases(func(string, *lease) bool { return true }) }

// EndLease implements store.Leaser.
func (s *Store) EndLease(which string) {
	s.endLeases(func(id string, _ *lease) bool { return id == which })
}

// EndFrameLeases ends the leases that keep frames in the queue, because the queue needs the space.
func (s *Store) EndFrameLeases() {
	s.endLeases(func(_ string, l *lease) bool { return l.flushed < math.MaxUint64 })
}

func (s *Store) endLeases(which func(id string, l *lease) bool) {
	s.leases.mu.Lock()
	for id, l := range s.leases.by {
		if which(id, l) {
			s.leases.endLocked(id)
		}
	}
	gone := s.leases.unnamedLocked()
	s.leases.mu.Unlock()
	s.unlinkAll(gone)
}

// expireLeases ends unused leases, and the oldest one when there are too many.
func (s *Store) expireLeases(now time.Time) {
	s.leases.mu.Lock()
	var oldest string
	for id, l := range s.leases.by {
		if now.After(l.ends) {
			s.leases.endLocked(id)
		} else if oldest == "" || l.ends.Before(s.leases.by[oldest].ends) {
			oldest = id
		}
	}
	if len(s.leases.by) > maxLeases {
		s.leases.endLocked(oldest)
	}
	gone := s.leases.unnamedLocked()
	s.leases.mu.Unlock()
	s.unlinkAll(gone)
}

func (l *leases) endLocked(id string) {
	close(l.by[id].done)
	delete(l.by, id)
}

// unnamedLocked removes the segments that no lease names any more from deleteOnRelease, and returns
// them. mu is held.
func (l *leases) unnamedLocked() (gone []SegmentInfo) {
	l.deleteOnRelease = slices.DeleteFunc(l.deleteOnRelease, func(info SegmentInfo) bool {
		free := !l.namedLocked(info.ID)
		if free {
			gone = append(gone, info)
		}
		return free
	})
	return gone
}

func (l *leases) namedLocked(segment uint64) bool {
	for _, one := range l.by {
		if one.segments[segment] {
			return true
		}
	}
	return false
}

// deferUnlink reports whether a lease names a segment, whose files are deleted when the lease ends
// then.
func (l *leases) deferUnlink(info SegmentInfo) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	named := l.namedLocked(info.ID)
	if named {
		l.deleteOnRelease = append(l.deleteOnRelease, info)
	}
	return named
}
