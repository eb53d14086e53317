package duckdb_test

import (
	"context"
	"errors"
	"flag"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"theeye/internal/event"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
	"theeye/internal/store/storetest"
)

func TestMain(m *testing.M) {
	// A random history takes a second or so with the race detector. `make soak` draws more.
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// The suite passes without a folder, without flushes, with flushes in the
// background whenever there are a few rows, and with a flush after each batch, with
// merges of segments and without.
func TestConformance(t *testing.T) {
	for name, flush := range map[string]struct {
		kept    bool
		rows    int64
		after   bool
		largest int64
		threads int // more than one costs more than it gains here; what is in many segments is read by all
	}{
		"no folder":              {threads: 1},
		"no flush":               {kept: true, threads: 1},
		"flush of 3 rows":        {kept: true, rows: 3},
		"flush, merge and split": {kept: true, after: true, rows: 4, largest: 12, threads: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Store {
				opts := duckdb.Options{MemoryLimit: 512 << 20, Threads: flush.threads, Registerer: prometheus.NewRegistry(), FlushRows: flush.rows, MaxSegmentRows: flush.largest}
				if flush.kept {
					opts.Dir = t.TempDir()
				}
				return run(t, opts, flush.after)
			})
		})
	}
}

// runningExport is a store with its Run.
type runningExport struct {
	*duckdb.Store
	stop       func()
	done       chan error
	flushAfter bool
}

func run(t testing.TB, opts duckdb.Options, flushAfter bool) *runningExport {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &runningExport{Store: open(t, opts), stop: cancel, done: make(chan error, 1), flushAfter: flushAfter}
	go func() { r.done <- r.Run(ctx) }()
	return r
}

func (r *runningExport) Write(ctx context.Context, b store.Batch) ([]event.Outcome, error) {
	outcomes, err := r.Store.Write(ctx, b)
	if err == nil && r.flushAfter {
		err = errors.Join(r.Flush(ctx), r.Compact(ctx))
	}
	return outcomes, err
}

func (r *runningExport) Close() error {
	r.stop()
	return errors.Join(<-r.done, r.Store.Close())
}
