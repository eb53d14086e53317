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

// maxLeases is the maximum number of leases. Beyond it, the least recently used lease is ended.
const maxLeases = 8

// errNoFolder is the error of a store that has no folder to write to.
var errNoFolder = fmt.Errorf("%w: a store without a folder has no files", store.ErrUnavailable)

// leases keep the files of segments for backups that copy them. The zero value is ready to use. A
// lease consists of names; nothing of DuckDB is kept open for it.
//
// A frame lease is a lease that also keeps the frames after its files in the queue, until
// ReleaseFrames.
type leases struct {
	mu sync.Mutex        // guards the fields below; it is taken before Store.mu
	by map[string]*lease // by id
	// deleteOnRelease are segments whose files are kept only because of a lease.
	deleteOnRelease []SegmentInfo
}

type lease struct {
	flushed  uint64          // the queue keeps the frames after this one; math.MaxUint64 once they are released
	segments map[uint64]bool // by id
	files    map[string]FileInfo
	ends     time.Time
	done     chan struct{} // closed when the lease has ended
}

// Lease implements store.Leaser. It does not flush: what is hot is in the queue, which keeps the
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
		flushed:  m.Flushed,
		segments: map[uint64]bool{},
		files:    map[string]FileInfo{},
		ends:     time.Now().Add(s.opts.LeaseAge),
		done:     make(chan struct{}),
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
	if _, ok := errors.AsType[*damageError](err); ok { // the next lease does not have this file
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

// checkFiles compares the sizes of the files of all segments. It quarantines segments and rebuilds
// filters whose files are missing or have another size.
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
				err = s.rebuildFilter(ctx, info.ID) // readers keep the filter that they have mapped
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

// renewed renews a lease and returns it.
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

// TrimLimit returns the last frame that the queue may trim; frame leases keep the frames after it.
// It is math.MaxUint64 without frame leases.
func (s *Store) TrimLimit() uint64 {
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	limit, now := uint64(math.MaxUint64), time.Now()
	for _, l := range s.leases.by {
		if !now.After(l.ends) {
			limit = min(limit, l.flushed)
		}
	}
	return limit
}

// EndLeases ends all leases, because their files must no longer be copied. From then on, reading a
// leased file fails with store.ErrLeaseEnded.
func (s *Store) EndLeases() { s.endLeases(func(string, *lease) bool { return true }) }

// EndLease implements store.Leaser.
func (s *Store) EndLease(which string) {
	s.endLeases(func(id string, _ *lease) bool { return id == which })
}

// EndFrameLeases ends the frame leases, because the queue needs the space.
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
	unneeded := s.leases.unnamedLocked()
	s.leases.mu.Unlock()
	s.unlinkAll(unneeded)
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
	unneeded := s.leases.unnamedLocked()
	s.leases.mu.Unlock()
	s.unlinkAll(unneeded)
}

func (l *leases) endLocked(id string) {
	close(l.by[id].done)
	delete(l.by, id)
}

// unnamedLocked removes the segments that no lease names any more from deleteOnRelease, and returns
// them. The caller must hold s.mu.
func (l *leases) unnamedLocked() (unnamed []SegmentInfo) {
	l.deleteOnRelease = slices.DeleteFunc(l.deleteOnRelease, func(info SegmentInfo) bool {
		if l.namedLocked(info.ID) {
			return false
		}
		unnamed = append(unnamed, info)
		return true
	})
	return unnamed
}

func (l *leases) namedLocked(segment uint64) bool {
	for _, lease := range l.by {
		if lease.segments[segment] {
			return true
		}
	}
	return false
}

// deferUnlink reports whether a lease names a segment. If so, the segment's files will be deleted
// when the lease ends.
func (l *leases) deferUnlink(info SegmentInfo) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	named := l.namedLocked(info.ID)
	if named {
		l.deleteOnRelease = append(l.deleteOnRelease, info)
	}
	return named
}
