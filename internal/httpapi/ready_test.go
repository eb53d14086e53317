package httpapi_test

import (
	"context"
	"net/http"
	"testing"

	"theeye/internal/httpapi/apitest"
)

// However many callers ask whether the server is ready, the store is asked only once per second,
// and not as a reader.
func TestReadinessIsKnown(t *testing.T) {
	asked := 0
	a := apitest.Start(t, func(o *apitest.Parts) {
		o.Ping = func(context.Context) error { asked++; return nil }
	})
	for range 50 {
		if answer := a.Get("", "/readyz"); answer.StatusCode != http.StatusOK {
			t.Fatalf("/readyz answers %d", answer.StatusCode)
		}
	}
	if asked == 0 || asked > 25 {
		t.Errorf("50 requests asked the store %d times", asked)
	}
}
