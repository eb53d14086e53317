package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/ingest"
	"theeye/internal/queue"
)

// What comes of many applications while frames are being written is taken in, as frames that the
// queue can hold.
func TestManyApplicationsAtATime(t *testing.T) {
	for name, pattern := range map[string]string{"short names": "a%d", "long names": "a%0" + fmt.Sprint(longestName-1) + "d"} {
		t.Run(name, func(t *testing.T) {
			q, err := queue.Open(t.Context(), queue.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			const apps = 3000
			held := make(chan struct{})
			var mu sync.Mutex
			received := map[string]uint64{}
			var sent, done sync.WaitGroup
			sent.Add(apps)
			erasures := func() *erasure.Set { sent.Done(); return &erasure.Set{} } // asked before each is validated
			c, _ := start(t, ingest.Options{Erasures: erasures, Publish: func(ctx context.Context, f queue.Frame) (uint64, error) {
				<-held
				mu.Lock()
				defer mu.Unlock()
				for _, n := range f.Counts {
					received[n.App] += n.Received
				}
				return q.Publish(ctx, f)
			}})
			for i := range apps {
				done.Go(func() {
					req := request(`{}`)
					req.App = fmt.Sprintf(pattern, i)
					if _, err := c.Collect(t.Context(), req); err != nil {
						t.Error(err)
					}
				})
			}
			sent.Wait()
			close(held)
			done.Wait()
			if len(received) != apps {
				t.Errorf("of %d applications %d were counted", apps, len(received))
			}
		})
	}
}

// longestName is registry.MaxAppName, of which the intake does not know.
const longestName = 64

// Nor does the number of applications bound what is written again.
func TestRepublishOfManyApplications(t *testing.T) {
	q, err := queue.Open(t.Context(), queue.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	c := ingest.New(ingest.Options{Publish: q.Publish})
	var events []*event.Event
	for i := range 3000 {
		events = append(events, &event.Event{App: fmt.Sprint(strings.Repeat("a", longestName-4), i), ID: event.NewID(), SessionID: "s", Category: "c", Name: "n",
			Data: []byte(`{}`), Timestamp: "1", Seq: event.NoSeq, ReceivedAt: 7, Position: event.Position{Frame: 99}})
	}
	if _, err := c.Republish(t.Context(), events); err != nil {
		t.Error(err)
	}
}
