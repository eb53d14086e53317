package ingest

import (
	"sync"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"theeye/internal/event"
)

// DefaultLargeBytes is the default of Options.LargeBytes. Of bodies beyond that budget, the first
// PrefixBytes bytes are kept.
const DefaultLargeBytes = 64 << 20

// largeBudget counts how much of LargeBytes the applications have used since the beginning of the
// day or of the process.
type largeBudget struct {
	limit      int64
	compressor *zstd.Encoder // with the settings of the store's

	mu   sync.Mutex // guards what follows
	day  int64
	used map[string]int64 // bytes, by application
}

func newLargeBudget(most int64) *largeBudget {
	// The options are valid, so there is no error.
	packer, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithLowerEncoderMem(true))
	return &largeBudget{limit: most, compressor: packer}
}

// reserve reports whether a body of an application may be kept whole, and counts its bytes if so.
func (l *largeBudget) reserve(app string, bytes int64, at event.Micros) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if day := int64(at) / (24 * time.Hour).Microseconds(); day > l.day || l.used == nil {
		l.day, l.used = day, map[string]int64{}
	}
	if l.used[app]+bytes > l.limit {
		return false
	}
	l.used[app] += bytes
	return true
}

func (l *largeBudget) forget(app string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.used, app)
}

// truncate shortens the body of a rejection that is too large to be kept.
func (c *Collector) truncate(r *event.Rejection) {
	if len(r.Raw) <= max(c.opts.MaxEventBytes, PrefixBytes) {
		return
	}
	if c.large.reserve(r.App, int64(len(c.large.compressor.EncodeAll(r.Raw, nil))), r.ReceivedAt) {
		return
	}
	r.Whole = event.BodyOf(r.Raw)
	end := PrefixBytes
	for end > PrefixBytes-utf8.UTFMax && !utf8.RuneStart(r.Raw[end]) { // do not cut a character
		end--
	}
	r.Raw = r.Raw[:end]
	c.metrics.truncated.Inc()
}
