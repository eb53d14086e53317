package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"theeye/internal/event"
	"theeye/internal/httpapi/apitest"
)

// exported asks a server for an export and returns the answer as it begins; export calls each
// with the events. The caller closes the body.
func exported(t *testing.T, http2 bool, stall time.Duration, export func(each func(*event.Event) error) error) *http.Response {
	t.Helper()
	handled := apitest.Parts{}
	a := apitest.Start(t, func(o *apitest.Parts) {
		o.Reader = &apitest.Exporter{Reader: o.Reader, Do: func(_ context.Context, each func(*event.Event) error) error { return export(each) }}
		o.StallDeadline = stall
		handled = *o
	})
	server := httptest.NewUnstartedServer(apitest.New(handled))
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/export", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.Keys[""])
	r.Header.Set("Accept-Encoding", "identity")
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// An answer may be slow before and after its first byte, over HTTP/1 and HTTP/2. Only a caller that
// does not read what was sent is cut off.
func TestSlowAnswer(t *testing.T) {
	const stall = 500 * time.Millisecond
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			answer := exported(t, http2, stall, func(each func(*event.Event) error) error {
				for range 2 {
					time.Sleep(2 * stall)
					if err := apitest.Each(100, each); err != nil {
						return err
					}
				}
				return nil
			})
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if lines := strings.Count(string(body), "\n"); err != nil || lines != 200 || answer.ProtoMajor == 2 != http2 {
				t.Errorf("%s %d: %d lines, %v", answer.Proto, answer.StatusCode, lines, err)
			}
		})
	}
}

// A caller that reads nothing delays an answer no longer over HTTP/2 than over HTTP/1.
func TestStalledStream(t *testing.T) {
	ended := make(chan error, 1)
	answer := exported(t, true, 200*time.Millisecond, func(each func(*event.Event) error) error {
		for {
			if err := apitest.Each(100, each); err != nil {
				ended <- err
				return err
			}
		}
	})
	defer answer.Body.Close()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the answer goes on for one who takes nothing")
	}
}
