package admin_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"theeye/internal/httpapi/apitest"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/queue"
	"theeye/internal/registry"
)

// An application is not deleted while its events may still arrive, even if nobody waits for them
// any more.
func TestDeletionWaitsForWhatIsOnItsWay(t *testing.T) {
	for name, unknown := range map[string]bool{"still being written": false, "of unknown outcome": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var keys *registry.Registry
			written := make(chan struct{})
			position := progress.New(0)
			a := apitest.Start(t, func(o *apitest.Parts) {
				keys = o.Registry
				o.Progress, o.IntakeDeadline = position, 100*time.Millisecond
				o.Collector = apitest.Collecting(t, ingest.Options{
					Acknowledged: position.MarkAcknowledged,
					Publish: func(ctx context.Context, f queue.Frame) (uint64, error) {
						frame, err := o.Queue.Publish(ctx, f)
						if unknown {
							return 0, queue.ErrUnknown
						}
						<-written
						return frame, err
					},
				})
			})
			_, secret, err := keys.CreateKey(t.Context(), "shop", registry.Write)
			if err != nil {
				t.Fatal(err)
			}
			const one = `{"session_id":"s","category":"c","name":"n","data":{},"timestamp":1}`
			if got := apitest.Status(t.Context(), apitest.Request{Method: http.MethodPost, URL: a.URL + "/v1/events", Key: secret, Body: one}); got != http.StatusServiceUnavailable {
				t.Fatalf("the event was answered %d", got)
			}
			remove := func() int {
				return apitest.Status(t.Context(), apitest.Request{Method: http.MethodDelete, URL: a.URL + "/v1/apps/shop", Key: a.Keys[""]})
			}
			if got := remove(); got != http.StatusServiceUnavailable {
				t.Errorf("while the event may come, the deletion was answered %d", got)
			}
			close(written)
			want := http.StatusConflict
			if unknown {
				want = http.StatusNoContent
				position.MarkStored(100, nil) // it never came: the store has nothing
			}
			if got := remove(); got != want {
				t.Errorf("afterwards it was answered %d, want %d", got, want)
			}
		})
	}
}
