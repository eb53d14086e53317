package read_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"theeye/internal/httpapi/apitest"
	"theeye/internal/query"
	"theeye/internal/store"
)

// slowCounter is a store that takes its time to count.
type slowCounter struct {
	store.Reader
	takes  time.Duration
	counts atomic.Int64
}

// Totals implements store.Reader.
func (s *slowCounter) Totals(ctx context.Context, _ query.Query) (store.Totals, error) {
	timer := time.NewTimer(s.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return store.Totals{Events: s.counts.Add(1)}, ctx.Err()
}

// Counts that take long are used again for a while, for the same applications and the same span to
// the minute; counts that do not are made each time.
func TestSlowTotalsAreUsedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		takes       time.Duration
		same, other int64
	}{
		"slow": {120 * time.Millisecond, 2, 4},
		"fast": {0, 4, 6},
	} {
		s := &slowCounter{takes: c.takes}
		a := apitest.Start(t, func(p *apitest.Parts) { s.Reader, p.Reader = p.Reader, s })
		a.Text("", "/v1/overview?from=2021-01-01T00:00:01Z&to=2021-01-02T00:00:01Z")
		again := a.Text("", "/v1/overview?from=2021-01-01T00:00:11Z&to=2021-01-02T00:00:11Z")
		if got := s.counts.Load(); got != c.same || strings.Contains(again, `"approximate":true`) != (c.same == 2) {
			t.Errorf("%s: counted %d times, %s", name, got, again)
		}
		a.Text("shop", "/v1/overview?from=2021-01-01T00:00:11Z&to=2021-01-02T00:00:11Z")
		if got := s.counts.Load(); got != c.other {
			t.Errorf("%s, another application: counted %d times, want %d", name, got, c.other)
		}
	}
}
