package queue

import (
	"sync"
	"syscall"
	"time"
)

// DefaultMaxBytes is the quota of frames when none is given.
const DefaultMaxBytes = 4 << 30

const (
	defaultReserve = 256 << 20
	// statInterval is so short that what is written within it fits into the reserve.
	statInterval = 100 * time.Millisecond
)

// disk watches the free space of the file system under a folder.
type disk struct {
	dir     string
	reserve int64 // as configured; 0 for the default

	mu      sync.Mutex // guards what follows
	checked time.Time
	free    int64
	size    int64
}

// space returns the free bytes and the size of the file system.
func (d *disk) space() (free, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.checked) >= statInterval {
		var fs syscall.Statfs_t
		if syscall.Statfs(d.dir, &fs) == nil {
			d.free = int64(fs.Bavail) * fs.Bsize
			d.size = int64(fs.Blocks) * fs.Bsize
		}
		d.checked = time.Now()
	}
	return d.free, d.size
}

// low reports whether less than the reserve is free, and returns the reserve in bytes.
func (d *disk) low() (bool, int64) {
	free, size := d.space()
	floor := d.reserve
	if floor <= 0 {
		floor = min(max(defaultReserve, size/50), size/4)
	}
	return free < floor, floor
}

// quota returns how many bytes frames may take: asked, or by default 4 GiB but at most half of the
// disk.
func (d *disk) quota(asked int64) int64 {
	if asked > 0 {
		return asked
	}
	_, size := d.space()
	return min(DefaultMaxBytes, max(size/2, 16<<20))
}
