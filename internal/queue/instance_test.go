package queue

import (
	"errors"
	"io/fs"
	"log/slog"
	"syscall"
	"testing"
)

// The server's log decides whether the server is reopened, the process ends, or nothing happens.
func TestErrorsInTheServersLog(t *testing.T) {
	at := func(op string, errno syscall.Errno) error { return &fs.PathError{Op: op, Path: "1.blk", Err: errno} }
	const critical = "Filestore [x] Critical write error: %v"
	for _, c := range []struct {
		name          string
		format        string
		args          []any
		stuck, broken bool
	}{
		{"no room", critical, []any{at("write", syscall.ENOSPC)}, true, false},
		{"no room by a user's quota", critical, []any{at("write", syscall.EDQUOT)}, true, false},
		{"no room at an fsync", critical, []any{at("sync", syscall.ENOSPC)}, true, true},
		{"a failed write", critical, []any{at("write", syscall.EIO)}, true, true},
		{"a failed fsync", critical, []any{at("sync", syscall.EIO)}, true, true},
		{"a write that fails for any other reason", critical, []any{at("open", syscall.EMFILE)}, true, true},
		{"no room for what is not critical", "Failed to write %q: %v", []any{"index.db", at("write", syscall.ENOSPC)}, true, false},
		{"a disk that became read-only", "Failed to write %q: %v", []any{"index.db", at("open", syscall.EROFS)}, true, true},
		{"an error of no file", "Internal subscription: %v", []any{errors.New("slow consumer")}, false, false},
		{"no error", "Temporary storage directory used", nil, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := &Queue{log: slog.New(slog.DiscardHandler), failed: make(chan struct{})}
			g := newServerInstance(nil)
			(&serverLog{queue: q, instance: g}).Errorf(c.format, c.args...)
			broken := false
			select {
			case <-q.Failed():
				broken = errors.Is(q.Err(), ErrBroken)
			default:
			}
			if stuck := g.writeFailed.Err() != nil; stuck != c.stuck || broken != c.broken {
				t.Errorf("stuck %v, broken %v; want %v, %v", stuck, broken, c.stuck, c.broken)
			}
		})
	}
}
