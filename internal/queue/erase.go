package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"theeye/internal/wait"
)

// NATS deletes a block when all its frames are trimmed; in a block that has other frames, the bytes
// of trimmed frames remain. To erase a frame, its block must therefore end before any later frame:
// padding frames see to that.

// Pad publishes two padding frames, each as large as a block, and returns the sequence of the
// second. Its block contains no frame that was published before the first. Errors are those of
// Publish.
func (q *Queue) Pad(ctx context.Context) (sequence uint64, err error) {
	// A block takes a quarter of the quota, at most 8 MiB; see dynBlkSize in the server.
	payload := paddingFrame(int(min(MaxPayload, q.opts.MaxBytes/4+blockRounding)))
	for range 2 {
		if err := q.Err(); err != nil {
			return 0, err
		}
		if sequence, err = q.publish(ctx, &nats.Msg{Subject: subject, Data: payload}); err != nil {
			return 0, err
		}
		if err := q.confirmFrame(sequence, nil); err != nil {
			return 0, err
		}
	}
	return sequence, nil
}

// blockRounding makes a padding frame larger than a block whose size NATS has rounded up.
const blockRounding = 1 << 10

// Blocks lists the files that contain frames, including trimmed frames that are not deleted yet.
func (q *Queue) Blocks() (names []string, err error) {
	accounts, err := os.ReadDir(filepath.Join(q.opts.Dir, "jetstream"))
	if err != nil {
		return nil, fmt.Errorf("list the blocks of the queue: %w", err)
	}
	for _, account := range accounts {
		stream := filepath.Join(q.opts.Dir, "jetstream", account.Name(), "streams", Stream)
		err := filepath.WalkDir(stream, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // deleted in the meantime
			}
			if err == nil && !d.IsDir() && strings.HasSuffix(name, ".blk") {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list the blocks of the queue: %w", err)
		}
	}
	return names, nil
}

// WaitDeleted waits until none of the files exists, nor a folder of trimmed blocks. It returns
// false if some still exist after deletedTimeout.
func (q *Queue) WaitDeleted(ctx context.Context, names []string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, deletedTimeout)
	defer cancel()
	for {
		left, err := q.remaining(names)
		if err != nil || !left {
			return !left, err
		}
		if wait.For(ctx, deletedPollInterval) != nil {
			return false, nil
		}
	}
}

const (
	deletedTimeout      = 5 * time.Second
	deletedPollInterval = 10 * time.Millisecond
)

func (q *Queue) remaining(names []string) (bool, error) {
	for _, name := range names {
		if _, err := os.Lstat(name); err == nil {
			return true, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return true, err
		}
	}
	now, err := q.Blocks()
	if err != nil {
		return true, err
	}
	for _, name := range now {
		if filepath.Base(filepath.Dir(name)) != "msgs" {
			return true, nil
		}
	}
	return false, nil
}
