package intake_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"theeye/internal/httpapi/apitest"
	"theeye/internal/ingest"
	"theeye/internal/queue"
	"theeye/internal/registry"
)

// slowBody takes a while before it ends.
type slowBody struct {
	io.Reader
	takes time.Duration
}

func (b slowBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		time.Sleep(b.takes)
	}
	return n, err
}

// The deadline of a request begins when its body has been read, so a sender with a slow connection
// is not refused because of the time for its upload.
func TestSlowUploadMeetsTheDeadline(t *testing.T) {
	const deadline = time.Second
	var parts apitest.Parts
	apitest.Start(t, func(o *apitest.Parts) {
		o.IntakeDeadline = deadline
		o.Collector = apitest.Collecting(t, ingest.Options{Publish: func(context.Context, queue.Frame) (uint64, error) { return 1, nil }})
		parts = *o
	})
	_, secret, err := parts.Registry.CreateKey(t.Context(), "shop", registry.Write)
	if err != nil {
		t.Fatal(err)
	}
	body := slowBody{strings.NewReader(`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":1}`), deadline + deadline/4}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/events", body)
	r.Header.Set("Authorization", "Bearer "+secret)
	answer := httptest.NewRecorder()
	apitest.New(parts).ServeHTTP(answer, r)
	if answer.Code != http.StatusAccepted || !strings.Contains(answer.Body.String(), `"accepted":1`) {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}
