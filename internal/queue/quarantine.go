package queue

import (
	"bytes"
	"fmt"
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
