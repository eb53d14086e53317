package ingest

import (
	"sync"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"theeye/internal/event"
)

// DefaultLargeBytes is the default of Options.LargeBytes. Of what comes beyond it the
// first KeptOfUnreadable bytes are kept.
const DefaultLargeBytes = 64 << 20

// larges are what the applications have used of LargeBytes since the day, or the
// process, began.
type larges struct {
	most   int64
	packer *zstd.Encoder // as the store has it

	mu   sync.Mutex // guards what follows
	day  int64
	used map[string]int64 // bytes, by application
}

func newLarges(most int64) *larges {
	// The options are right, and then there is no error.
	packer, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithLowerEncoderMem(true))
	return &larges{most: most, packer: packer}
}

// take reports whether so many bytes of an application may be kept, and counts them.
func (l *larges) take(app string, bytes int64, at event.Micros) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if day := int64(at) / (24 * time.Hour).Microseconds(); day > l.day || l.used == nil {
		l.day, l.used = day, map[string]int64{}
	}
	if l.used[app]+bytes > l.most {
		return false
	}
	l.used[app] += bytes
	return true
}

func (l *larges) forget(app string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.used, app)
}

// abridge cuts the body of a rejection off that is too large to be kept.
func (c *Collector) abridge(r *event.Rejection) {
	if len(r.Raw) <= max(c.opts.MaxEventBytes, KeptOfUnreadable) {
		return
	}
	if c.larges.take(r.App, int64(len(c.larges.packer.EncodeAll(r.Raw, nil))), r.ReceivedAt) {
		return
	}
	r.Whole = event.BodyOf(r.Raw)
	end := KeptOfUnreadable
	for end > KeptOfUnreadable-utf8.UTFMax && !utf8.RuneStart(r.Raw[end]) { // not within a character
		end--
	}
	r.Raw = r.Raw[:end]
	c.metrics.truncated.Inc()
}
