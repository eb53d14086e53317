package read_test

import (
	"context"
	"net/http"
	"testing"

	"theeye/internal/event"
	"theeye/internal/httpapi/apitest"
	"theeye/internal/query"
	"theeye/internal/store"
)

// gated is a store whose exports begin and wait.
type gated struct {
	store.Reader
	began chan string // the application
	gate  chan struct{}
}

func (x *gated) Export(ctx context.Context, q query.Query, _ func(*event.Event) error) error {
	x.began <- q.Apps[0]
	select {
	case <-x.gate:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// The exports of one application leave a place for those of another.
func TestExportsOfTwoApplications(t *testing.T) {
	x := &gated{began: make(chan string, 10), gate: make(chan struct{})}
	a := apitest.Start(t, func(o *apitest.Parts) { x.Reader, o.Reader = o.Reader, x })
	statuses := make(chan int, 10)
	export := func(app string) {
		go func() {
			answer := a.Get(app, "/v1/export")
			statuses <- answer.StatusCode
		}()
	}
	for range 6 { // one runs, four wait
		export("shop")
	}
	if status := <-statuses; status != http.StatusServiceUnavailable {
		t.Errorf("the sixth export of an application is answered %d", status)
	}
	export("blog")
	got := map[string]int{}
	for range 2 {
		got[<-x.began]++
	}
	if got["shop"] != 1 || got["blog"] != 1 {
		t.Errorf("exports run: %v, want one of each application", got)
	}
	close(x.gate)
	for range 6 {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("an export is answered %d", status)
		}
	}
}
