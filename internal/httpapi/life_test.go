package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"theeye/internal/event"
	"theeye/internal/httpapi/admin"
	"theeye/internal/httpapi/apitest"
)

// Close cancels work that outlives its caller, and waits for it.
func TestClose(t *testing.T) {
	begun, cancelled := make(chan struct{}), make(chan struct{})
	opts := apitest.Parts{}
	a := apitest.Start(t, func(o *apitest.Parts) {
		o.Eraser = apitest.SessionEraser(func(ctx context.Context, _ string) (admin.Erasure, error) {
			close(begun)
			<-ctx.Done()
			time.Sleep(50 * time.Millisecond) // Close must wait for this
			close(cancelled)
			return admin.Erasure{ErasedAt: event.Now()}, ctx.Err()
		})
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

// Close does not wait forever.
func TestCloseGivesUp(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	opts := apitest.Parts{}
	a := apitest.Start(t, func(o *apitest.Parts) {
		o.Eraser = apitest.SessionEraser(func(_ context.Context, _ string) (admin.Erasure, error) {
			close(begun)
			<-end
			return admin.Erasure{}, errors.New("too late")
		})
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
