package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/store"
)

// held is a store whose events are told when the test lets them.
type held struct {
	store.Reader
	asked chan query.Query
	let   chan struct{}
}

func (h *held) Events(ctx context.Context, q query.Query) (store.Page[event.Event], error) {
	h.asked <- q
	<-h.let
	return h.Reader.Events(ctx, q)
}

// Drafts are looked at few at a time, over small pages: each record is held whole.
func TestDraftsAtATime(t *testing.T) {
	h := &held{asked: make(chan query.Query, 10), let: make(chan struct{})}
	a := startAPI(t, func(o *httpapi.Options) { h.Reader, o.Reader = o.Reader, h })
	propose := func() *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.url+"/v1/types/c/n/propose", strings.NewReader(""))
		if err != nil {
			t.Error(err)
			return nil
		}
		request.Header.Set("Authorization", "Bearer "+a.keys[""])
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return nil
		}
		_ = answer.Body.Close()
		return answer
	}
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			if answer := propose(); answer != nil && answer.StatusCode != http.StatusNotFound {
				t.Errorf("status %d", answer.StatusCode)
			}
		})
		if q := <-h.asked; q.Limit > 200 {
			t.Errorf("a page of %d", q.Limit)
		}
	}
	if answer := propose(); answer != nil && (answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "") {
		t.Errorf("a third one: status %d", answer.StatusCode)
	}
	close(h.let)
	others.Wait()
	if answer := propose(); answer != nil && answer.StatusCode != http.StatusNotFound {
		t.Errorf("afterwards: status %d", answer.StatusCode)
	}
}
