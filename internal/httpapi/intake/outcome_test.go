package intake_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"theeye/internal/httpapi/apitest"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/queue"
	"theeye/internal/registry"
)

// The outcomes of events that were stored long ago are not remembered. That is not a sign of a slow
// store.
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
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "no longer in memory") {
		t.Errorf("%d %s, %v", answer.StatusCode, text, err)
	}
}
