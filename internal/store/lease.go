package store

import (
	"context"
	"errors"
	"io"
)

// ErrExportEnded is returned by an export that was ended because something was erased
// since it began. It may be started again.
var ErrExportEnded = errors.New("export ended by an erasure")

// ErrLeaseEnded is returned for a lease that has lapsed or was ended: what it
// named may be gone. Take another one.
var ErrLeaseEnded = errors.New("lease ended")

// ErrNotLeased is returned for a file that a lease does not name.
var ErrNotLeased = errors.New("not a file of the lease")

// Lease is a moment of a store's files, which stay readable until it ends.
type Lease struct {
	ID       string
	Flushed  uint64 // the last frame whose records are in the files
	Manifest []byte // the document that names the files; with them it is the store
	Files    []LeasedFile
	Done     <-chan struct{} // closed when it has ended
}

// LeasedFile is a file that never changes.
type LeasedFile struct {
	Name   string
	Bytes  int64
	SHA256 string // in hex
}

// Leaser is a store that can be backed up by copying its files while it works. Any
// number of goroutines may call it.
type Leaser interface {
	// Lease takes the present moment. It ends by itself when it is not used for a
	// while, and earlier when the store must not keep what it names.
	Lease(ctx context.Context) (Lease, error)
	// ReadSegmentFile opens a file of a lease. Each reading from it renews the
	// lease; when the lease has ended it fails with ErrLeaseEnded.
	ReadSegmentFile(lease, name string) (io.ReadCloser, error)
	// RenewLease begins the time of a lease anew.
	RenewLease(lease string) error
	// ReleaseFrames tells that the frames behind Lease.Flushed are not needed any more
	// for a lease, whose files stay. It does nothing for a lease that has ended.
	ReleaseFrames(lease string)
	// EndLease ends a lease before its time.
	EndLease(lease string)
}
