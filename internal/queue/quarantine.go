package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"

	"theeye/internal/durable"
)

// Quarantine writes a frame that cannot be read to the quarantine, logs and counts it, and returns
// the counts of its header, so that the frames after it can be processed. It is idempotent.
func (q *Queue) Quarantine(sequence uint64, header nats.Header, payload []byte, reason error) (Delivery, error) {
	damage := &CorruptFrameError{Sequence: sequence, Reason: reason.Error()}
	name := filepath.Join(q.QuarantineDir(), fmt.Sprintf("frame-%020d", sequence))
	if _, err := os.Stat(name); err != nil {
		err := durable.MkdirAll(q.QuarantineDir(), 0o700)
		if err == nil {
			err = durable.Replace(name, bytes.NewReader(payload))
		}
		if err != nil {
			return Delivery{}, fmt.Errorf("quarantine frame %d: %w", sequence, err)
		}
		q.metrics.damaged.Inc()
		q.log.Error("a frame is damaged; its events are counted as lost, and its bytes are kept",
			"sequence", sequence, "reason", reason, "file", name)
	}
	return Delivery{Sequence: sequence, Frame: Frame{Counts: headerCounts(header)}, Damage: damage}, nil
}

// QuarantineBody is Quarantine for a frame whose body the reader cannot decode.
func (q *Queue) QuarantineBody(d Delivery, reason error) (Delivery, error) {
	counts := d.Counts
	d, err := q.Quarantine(d.Sequence, nil, d.Body, reason)
	d.Counts = counts
	return d, err
}

// QuarantineRecord writes a record that the store refuses to the quarantine, under its frame and
// its index in the frame. It is idempotent.
func (q *Queue) QuarantineRecord(frame uint64, index uint32, record []byte) error {
	name := filepath.Join(q.QuarantineDir(), fmt.Sprintf("record-%020d-%d", frame, index))
	err := durable.MkdirAll(q.QuarantineDir(), 0o700)
	if err == nil {
		err = durable.Replace(name, bytes.NewReader(record))
	}
	if err != nil {
		return fmt.Errorf("quarantine a record of frame %d: %w", frame, err)
	}
	q.log.Error("a record that the store refuses was quarantined", "file", name)
	return nil
}

// quarantineBlocks links the blocks of frames into the quarantine, where `eye store rescue` reads
// them, before the stream is deleted or replaced.
func (q *Queue) quarantineBlocks() error {
	msgs, indexes, err := blocksOf(filepath.Dir(q.names.path))
	if err != nil || len(indexes) == 0 {
		return err
	}
	if err := durable.MkdirAll(q.QuarantineDir(), 0o700); err != nil {
		return fmt.Errorf("quarantine the blocks of the queue: %w", err)
	}
	kept := 0
	for _, index := range indexes {
		b := block{stream: Stream, index: index, path: filepath.Join(msgs, blockName(index))}
		content, err := readBlock(b.path)
		if err != nil && !errors.Is(err, errUnreadable) && !errors.Is(err, errNoBlock) {
			return fmt.Errorf("quarantine the blocks of the queue: %w", err)
		}
		if err == nil && !newBlockReader(Stream, index, nil).hasMessages(content) {
			continue
		}
		err = os.Link(b.path, filepath.Join(q.QuarantineDir(), b.copyName(content)))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("quarantine the blocks of the queue: %w", err)
		}
		kept++
	}
	if kept > 0 {
		q.log.Warn("the frames of the queue's folder were quarantined", "folder", q.QuarantineDir(), "blocks", kept)
	}
	return durable.SyncDir(q.QuarantineDir())
}
