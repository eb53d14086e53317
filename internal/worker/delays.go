package worker

import (
	"sync"
	"time"

	"theeye/internal/event"
	"theeye/internal/quantile"
)

const (
	delaySlot  = 10 * time.Second
	delaySlots = 30 // five minutes
)

// delays measures the time from the receipt of records until they can be queried, over the last
// five minutes. It is safe for concurrent use.
type delays struct {
	mu    sync.Mutex // guards slots
	slots [delaySlots]struct {
		began  int64 // in units of delaySlot since 1970
		counts quantile.Counts
	}
}

// add counts records that became visible at a time. Those that were received before the start, and
// replays, are not new.
func (d *delays) add(records []event.Record, started, at event.Micros) {
	d.mu.Lock()
	defer d.mu.Unlock()
	began := at.Time().UnixNano() / int64(delaySlot)
	slot := &d.slots[began%delaySlots]
	if slot.began != began {
		slot.began, slot.counts = began, quantile.Counts{}
	}
	for i := range records {
		if received := records[i].ReceivedAt(); received >= started && !records[i].IsReplay() {
			slot.counts[quantile.Bucket(int64(at-received))]++
		}
	}
}

// p99 returns the delay that 99 % of the records do not exceed, and how many records there are.
func (d *delays) p99(at event.Micros) (delay time.Duration, records int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := at.Time().UnixNano() / int64(delaySlot)
	var all quantile.Counts
	for i := range d.slots {
		if slot := &d.slots[i]; now-slot.began < delaySlots {
			all.Add(&slot.counts)
		}
	}
	return time.Duration(all.Quantile(99)) * time.Microsecond, all.Total()
}

// Delay returns the time from receipt to visibility that 99 % of the records of the last five
// minutes did not exceed, and how many records there were.
func (w *Worker) Delay() (p99 time.Duration, records int64) { return w.delays.p99(event.Now()) }
