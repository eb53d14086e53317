package admin_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"theeye/internal/event"
	"theeye/internal/httpapi/apitest"
	"theeye/internal/query"
	"theeye/internal/store"
)

// held is a store that returns events when the test lets it.
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

// Few drafts are examined at a time, in small pages, because each record is held in memory.
func TestDraftsAtATime(t *testing.T) {
	h := &held{asked: make(chan query.Query, 10), let: make(chan struct{})}
	a := apitest.Start(t, func(o *apitest.Parts) { h.Reader, o.Reader = o.Reader, h })
	propose := func() *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL+"/v1/types/c/n/propose", strings.NewReader(""))
		if err != nil {
			t.Error(err)
			return nil
		}
		request.Header.Set("Authorization", "Bearer "+a.Keys[""])
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

// The newest events decide whether new values still appear: a value first seen at the 960th of
// 1,000 prevents an enum, and one last seen at the 40th does not.
func TestProposalOfGrowingValues(t *testing.T) {
	a := apitest.Start(t)
	var events []event.Event
	for n := range 1000 {
		e := apitest.Simple(n, "shop")
		e.OccurredAt = event.Micros(1_600_000_000_000_000 + n*1_000_000)
		state, step := "open", "buy"
		if n >= 960 {
			state = "closed"
		}
		if n < 40 {
			step = "look"
		}
		e.Data = fmt.Appendf(nil, `{"state":%q,"step":%q}`, state, step)
		events = append(events, e)
	}
	a.Write(events...)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL+"/v1/types/page/view/propose", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.Keys[""])
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%d %s, %v", answer.StatusCode, body, err)
	}
	if strings.Contains(string(body), `"closed"`) || !strings.Contains(string(body), `"look"`) {
		t.Errorf("proposed is %s", body)
	}
}
