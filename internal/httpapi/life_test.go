package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/httpapi/apitest"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/queue"
	"theeye/internal/registry"
)

// An application is not deleted while events of it may come that nobody waits for any more.
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

// Close ends what outlives its caller, and waits for it.
func TestClose(t *testing.T) {
	begun, cancelled := make(chan struct{}), make(chan struct{})
	opts := apitest.Parts{}
	a := apitest.Start(t, func(o *apitest.Parts) {
		o.Erase = func(ctx context.Context, _ []string, _ string) (httpapi.Erasure, error) {
			close(begun)
			<-ctx.Done()
			time.Sleep(50 * time.Millisecond) // Close must wait for this
			close(cancelled)
			return httpapi.Erasure{ErasedAt: event.Now()}, ctx.Err()
		}
		opts = *o
	})
	api := apitest.New(opts)
	server := httptest.NewServer(api)
	defer server.Close()
	calling, giveUp := context.WithCancel(t.Context())
	called := make(chan int)
	go func() {
		called <- apitest.Status(calling, apitest.Request{Method: http.MethodDelete, URL: server.URL + "/v1/sessions/s", Key: a.Keys[""]})
	}()
	<-begun
	giveUp()
	<-called
	brief, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := api.Close(brief); err != nil {
		t.Fatal(err)
	}
	select {
	case <-cancelled:
	default:
		t.Error("a handler is left")
	}
	if got := apitest.Status(t.Context(), apitest.Request{Method: http.MethodGet, URL: server.URL + "/v1/types", Key: a.Keys[""]}); got != http.StatusServiceUnavailable {
		t.Errorf("after that a request was answered %d", got)
	}
	if err := api.Close(brief); err != nil {
		t.Error(err)
	}
}

// Close does not wait for ever.
func TestCloseGivesUp(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	opts := apitest.Parts{}
	a := apitest.Start(t, func(o *apitest.Parts) {
		o.Erase = func(context.Context, []string, string) (httpapi.Erasure, error) {
			close(begun)
			<-end
			return httpapi.Erasure{}, errors.New("too late")
		}
		opts = *o
	})
	api := apitest.New(opts)
	server := httptest.NewServer(api)
	defer server.Close()
	defer close(end)
	go apitest.Status(t.Context(), apitest.Request{Method: http.MethodDelete, URL: server.URL + "/v1/sessions/s", Key: a.Keys[""]})
	<-begun
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := api.Close(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// What became of events that were stored long ago is not remembered, which is no sign of a slow store.
func TestForgottenOutcome(t *testing.T) {
	position := progress.New(0)
	var keys *registry.Registry
	a := apitest.Start(t, func(o *apitest.Parts) {
		keys, o.Progress = o.Registry, position
		o.Collector = apitest.Collecting(t, ingest.Options{Publish: func(context.Context, queue.Frame) (uint64, error) { return 1, nil }})
	})
	_, secret, err := keys.CreateKey(t.Context(), "shop", registry.Write)
	if err != nil {
		t.Fatal(err)
	}
	position.MarkStored(100, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL+"/v1/events?wait=stored", strings.NewReader(`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":1}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "not remembered") {
		t.Errorf("%d %s, %v", answer.StatusCode, text, err)
	}
}
