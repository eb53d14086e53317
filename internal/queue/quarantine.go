package queue

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
)

// Quarantine keeps a frame that cannot be read in a folder of its own, logs and
// counts it, and returns what its header tells, so that those behind it go on
// (Q5). Doing it again for the same frame changes nothing.
func (q *Queue) Quarantine(sequence uint64, header nats.Header, payload []byte, reason error) (Delivery, error) {
	damage := &CorruptFrameError{Sequence: sequence, Reason: reason.Error()}
	name := filepath.Join(q.QuarantineDir(), fmt.Sprintf("frame-%020d", sequence))
	if _, err := os.Stat(name); err != nil {
		if err := writeDurably(name, payload); err != nil {
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

// writeDurably writes a file so that it is there, whole, after a crash.
func writeDurably(name string, content []byte) error {
	folder := filepath.Dir(name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
