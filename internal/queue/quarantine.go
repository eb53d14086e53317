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

// Quarantine keeps a frame that cannot be read in a folder of its own, logs and
// counts it, and returns what its header tells, so that those behind it go on
// (Q5). Doing it again for the same frame changes nothing.
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
		q.log.Error("a frame is damaged; its events are counted as lost and its bytes kept",
			"sequence", sequence, "reason", reason, "file", name)
	}
	return Delivery{Sequence: sequence, Frame: Frame{Counts: headerCounts(header)}, Damage: damage}, nil
}

// QuarantineBody does the same for a frame whose body its reader cannot read.
func (q *Queue) QuarantineBody(d Delivery, reason error) (Delivery, error) {
	counts := d.Counts
	d, err := q.Quarantine(d.Sequence, nil, d.Body, reason)
	d.Counts = counts
	return d, err
}

// QuarantineRecord keeps the bytes of a record that a store does not take, by its frame and its
// number in it. Doing it again for the same record changes nothing.
func (q *Queue) QuarantineRecord(frame uint64, index uint32, record []byte) error {
	name := filepath.Join(q.QuarantineDir(), fmt.Sprintf("record-%020d-%d", frame, index))
	err := durable.MkdirAll(q.QuarantineDir(), 0o700)
	if err == nil {
		err = durable.Replace(name, bytes.NewReader(record))
	}
	if err != nil {
		return fmt.Errorf("quarantine a record of frame %d: %w", frame, err)
	}
	q.log.Error("a record that the store does not take is kept in a file", "file", name)
	return nil
}

// quarantineBlocks links the blocks of frames that the folder of the queue has into the quarantine,
// where `eye store rescue` reads them, before the stream is deleted or another is made over them.
func (q *Queue) quarantineBlocks() error {
	msgs, indexes, err := blocksOf(filepath.Dir(q.folder.path))
	if err != nil || len(indexes) == 0 {
		return err
	}
	if err := durable.MkdirAll(q.QuarantineDir(), 0o700); err != nil {
		return fmt.Errorf("keep the blocks of the queue: %w", err)
	}
	kept := 0
	for _, index := range indexes {
		b := block{stream: Stream, index: index, path: filepath.Join(msgs, blockName(index))}
		content, err := readBlock(b.path)
		if err != nil && !errors.Is(err, errUnreadable) && !errors.Is(err, errNoBlock) {
			return fmt.Errorf("keep the blocks of the queue: %w", err)
		}
		if err == nil && !newBlockReader(Stream, index, nil).hasMessages(content) {
			continue
		}
		err = os.Link(b.path, filepath.Join(q.QuarantineDir(), b.copyName(content)))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("keep the blocks of the queue: %w", err)
		}
		kept++
	}
	if kept > 0 {
		q.log.Warn("the frames that the queue's folder held are kept in the quarantine", "folder", q.QuarantineDir(), "blocks", kept)
	}
	return durable.SyncDir(q.QuarantineDir())
}
