// Package nofile reports how many file descriptors this process may open and how many are open.
//
// It does not change the limit.
package nofile

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
)

// ErrShort is returned when too few descriptors are free.
var ErrShort = errors.New("too few file descriptors are free")

// Limit returns how many descriptors the process may have open: RLIMIT_NOFILE, whose soft limit the
// Go runtime has raised to the hard one. It is math.MaxInt32 if there is no limit or the limit is
// not known.
func Limit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}

// InUse returns how many descriptors are open, without the one that it uses itself.
func InUse() (int, error) {
	// From Linux 6.2 on the size of this folder is their number.
	if info, err := os.Stat("/proc/self/fd"); err == nil && info.Size() > 0 {
		return int(info.Size()), nil
	}
	dir, err := os.Open("/dev/fd")
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return len(names) - 1, err
}

// Need returns nil if n descriptors are free, else an error that wraps ErrShort. If the open
// descriptors cannot be counted, it returns nil. It does not reserve descriptors: the caller leaves
// a margin for concurrent calls.
func Need(n int) error {
	limit := Limit()
	used, err := InUse()
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		used = limit
	case err != nil:
		return nil //nolint:nilerr // promised above
	}
	if used+n > limit {
		return fmt.Errorf("%w: %d of %d are open, and %d more are needed", ErrShort, used, limit, n)
	}
	return nil
}
