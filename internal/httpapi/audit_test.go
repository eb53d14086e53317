package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"theeye/internal/httpapi/admin"
	"theeye/internal/httpapi/apitest"
	"theeye/internal/queue"
	"theeye/internal/registry"
)

// An act is recorded as begun before it is performed, and its outcome before it is answered, even
// if it fails.
func TestAuditIsWrittenBeforeTheAct(t *testing.T) {
	var keys *registry.Registry
	newest := func(ctx context.Context) registry.Entry {
		page, err := keys.AuditLog().Page(ctx, registry.AuditQuery{Limit: 1})
		if err != nil {
			t.Error(err)
			return registry.Entry{}
		}
		return page.Entries[0]
	}
	var during registry.Entry
	result := errors.New("it failed")
	a := apitest.Start(t, func(opts *apitest.Parts) {
		keys = opts.Registry
		opts.Eraser = apitest.SessionEraser(func(ctx context.Context, _ string) (admin.Erasure, error) {
			if during = newest(ctx); result == nil {
				panic("it panicked")
			}
			return admin.Erasure{}, result
		})
	})
	for range 2 {
		if got := a.Send("DELETE", "/v1/sessions/mary?app=shop", ""); got != 500 {
			t.Errorf("answered %d", got)
		}
		after := newest(t.Context())
		if during.Act != "eraseSession" || during.Outcome != registry.Begun || during.KeyID != "--admin-key" {
			t.Errorf("while it is made the log says %+v", during)
		}
		if after.ID != during.ID || after.Outcome != registry.Failed || after.Status != 500 || string(after.Detail["app"]) != `"shop"` {
			t.Errorf("when it is answered the log says %+v", after)
		}
		result = nil
	}
}

// An act that cannot be recorded is not performed.
func TestNothingIsDoneWithoutTheTrail(t *testing.T) {
	var q *queue.Queue
	var keys *registry.Registry
	a := apitest.Start(t, func(opts *apitest.Parts) { q, keys = opts.Queue, opts.Registry })
	if got := a.Send("PATCH", "/v1/apps/shop", `{"rate":5}`); got != 200 {
		t.Fatalf("answered %d", got)
	}
	if err := q.JetStream().DeleteStream(t.Context(), "EYE_AUDIT"); err != nil {
		t.Fatal(err)
	}
	if got := a.Send("PATCH", "/v1/apps/shop", `{"rate":6}`); got != 503 {
		t.Errorf("answered %d", got)
	}
	if shop, _ := keys.App("shop"); shop.Rate != 5 {
		t.Errorf("the rate is %d", shop.Rate)
	}
}

// Refused requests with an admin key do not displace entries about changes, however many and
// however long they are.
func TestRefusedActsDoNotPushTheTrailOut(t *testing.T) {
	var keys *registry.Registry
	a := apitest.Start(t, func(opts *apitest.Parts) {
		q, err := queue.Open(t.Context(), queue.Options{Dir: t.TempDir(), MaxBytes: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(q.Close)
		if keys, err = registry.Open(t.Context(), q.JetStream(), registry.Options{
			Dir: t.TempDir(), AdminKey: strings.Repeat("k", 30), MaxBytes: 16 << 20, AuditBytes: 1 << 20,
		}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(keys.Close)
		opts.Registry = keys
	})
	if got := a.Send("POST", "/v1/apps", `{"app":"shop"}`); got != 201 {
		t.Fatalf("answered %d", got)
	}
	long := strings.Repeat("%01", 300)
	for range 600 {
		if got := a.Send("DELETE", "/v1/apps/"+long+"/keys/"+long+"?erase="+long, ""); got != 400 {
			t.Fatalf("answered %d", got)
		}
	}
	if got := a.Send("PATCH", "/v1/apps/shop", `{"rate":7}`); got != 200 {
		t.Fatalf("answered %d", got)
	}
	page, err := keys.AuditLog().Page(t.Context(), registry.AuditQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	acts := map[string]int{}
	for _, e := range page.Entries {
		acts[e.Act+" "+string(e.Outcome)]++
	}
	if page.Dropped || acts["createApp done"] != 1 || acts["updateApp done"] != 1 || acts["beginTrail done"] != 1 || acts["revokeAppKey refused"] != 100 {
		t.Errorf("the log has %v, older entries given up: %v", acts, page.Dropped)
	}
}

// A mistyped name is an error, but the name of a deleted application is not: the log knows it.
func TestAuditOfAnApplication(t *testing.T) {
	a := apitest.Start(t)
	if got := a.Send("DELETE", "/v1/apps/gone", ""); got != http.StatusNotFound {
		t.Fatalf("a deletion that is refused: %d", got)
	}
	for name, want := range map[string]int{"shop": 200, "gone": 200, "shpo": 404, "gome": 404} {
		if got := a.Send("GET", "/v1/audit?app="+name, ""); got != want {
			t.Errorf("app=%s: %d, want %d", name, got, want)
		}
		if got := a.Send("GET", "/v1/audit?act=putType&app="+name, ""); got != want {
			t.Errorf("app=%s, and an act that is not there: %d, want %d", name, got, want)
		}
	}
}
