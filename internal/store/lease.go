package store

import (
	"context"
	"errors"
	"io"
)

// ErrExportEnded is returned by an export that was ended because something has been erased since it
// began. The caller may start it again.
var ErrExportEnded = errors.New("export ended by an erasure")

// ErrLeaseEnded is returned for a lease that has expired or was ended. Its files may be deleted;
// the caller may take another lease.
var ErrLeaseEnded = errors.New("lease ended")

// ErrNotLeased is returned for a file that is not in a lease.
var ErrNotLeased = errors.New("not a file of the lease")

// Lease describes the files of a store at one moment, which stay readable until the lease ends.
type Lease struct {
	ID       string
	Flushed  uint64 // the last frame whose records are in the files
	Manifest []byte // names the files; manifest and files together are a complete store
	Files    []LeasedFile
	Done     <-chan struct{} // closed when the lease has ended
}

// LeasedFile is a file that never changes.
type LeasedFile struct {
	Name   string
	Bytes  int64
	SHA256 string // in hex
}

// Leaser is a store that can be backed up by copying its files while it works. It may be used
// concurrently.
type Leaser interface {
	// Lease takes a lease of the current files. A lease ends by itself when it has not been used
	// for a while, and earlier when the store must delete one of its files.
	Lease(ctx context.Context) (Lease, error)
	// ReadSegmentFile opens a file of a lease. Each Read renews the lease, and fails with
	// ErrLeaseEnded once the lease has ended.
	ReadSegmentFile(lease, name string) (io.ReadCloser, error)
	// RenewLease renews a lease.
	RenewLease(lease string) error
	// ReleaseFrames lets the queue trim the frames after Lease.Flushed, which a lease keeps there.
	// The files stay leased. It does nothing for a lease that has ended.
	ReleaseFrames(lease string)
	// EndLease ends a lease.
	EndLease(lease string)
}
