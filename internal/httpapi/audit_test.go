package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"theeye/internal/httpapi"
	"theeye/internal/queue"
	"theeye/internal/registry"
)

func (a *api) send(method, path, body string) int {
	a.Helper()
	r, err := http.NewRequestWithContext(a.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.keys[""])
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// That an act begins is written down before it is made, and how it ended, also
// badly, before it is answered.
func TestAuditIsWrittenBeforeTheAct(t *testing.T) {
	var keys *registry.Registry
	newest := func(ctx context.Context) registry.Entry {
		page, err := keys.Trail().Page(ctx, registry.TrailQuery{Limit: 1})
		if err != nil {
			t.Error(err)
			return registry.Entry{}
		}
		return page.Entries[0]
	}
	var during registry.Entry
	result := errors.New("it failed")
	a := startAPI(t, func(opts *httpapi.Options) {
		keys = opts.Registry
		opts.Erase = func(ctx context.Context, _ []string, _ string) (httpapi.Erasure, error) {
			if during = newest(ctx); result == nil {
				panic("it panicked")
			}
			return httpapi.Erasure{}, result
		}
	})
	for range 2 {
		if got := a.send("DELETE", "/v1/sessions/mary?app=shop", ""); got != 500 {
			t.Errorf("answered %d", got)
		}
		after := newest(t.Context())
		if during.Act != "eraseSession" || during.Outcome != registry.Begun || during.KeyID != "--admin-key" {
			t.Errorf("while it is made the trail says %+v", during)
		}
		if after.ID != during.ID || after.Outcome != registry.Failed || after.Status != 500 || string(after.Detail["app"]) != `"shop"` {
			t.Errorf("when it is answered the trail says %+v", after)
		}
		result = nil
	}
}

// What cannot be written down is not done.
func TestNothingIsDoneWithoutTheTrail(t *testing.T) {
	var q *queue.Queue
	var keys *registry.Registry
	a := startAPI(t, func(opts *httpapi.Options) { q, keys = opts.Queue, opts.Registry })
	if got := a.send("PATCH", "/v1/apps/shop", `{"rate":5}`); got != 200 {
		t.Fatalf("answered %d", got)
	}
	if err := q.JetStream().DeleteStream(t.Context(), "EYE_AUDIT"); err != nil {
		t.Fatal(err)
	}
	if got := a.send("PATCH", "/v1/apps/shop", `{"rate":6}`); got != 503 {
		t.Errorf("answered %d", got)
	}
	if shop, _ := keys.App("shop"); shop.Rate != 5 {
		t.Errorf("the rate is %d", shop.Rate)
	}
}
