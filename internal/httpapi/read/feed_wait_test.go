package read_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"theeye/internal/httpapi/apitest"
	"theeye/internal/store"
)

// slowFeed finds nothing, and there is always more to search.
type slowFeed struct{ store.Reader }

func (f slowFeed) Feed(ctx context.Context, q store.FeedQuery) (store.FeedPage, error) {
	if q.Limit == 1 { // the end of the feed
		return store.FeedPage{Next: store.AfterFrame(1_000_000), Timeline: "t"}, nil
	}
	select {
	case <-time.After(300 * time.Millisecond):
	case <-ctx.Done():
		return store.FeedPage{}, ctx.Err()
	}
	return store.FeedPage{Next: store.AfterFrame(q.After.CarriedBy + 1), Timeline: "t", More: true}, nil
}

// A reader with a rare filter gets a position from which to go on when its wait is over, however much
// is left to search.
func TestFeedAnswersAfterItsWait(t *testing.T) {
	a := apitest.Start(t, func(p *apitest.Parts) { p.Reader = slowFeed{p.Reader} })
	for _, wait := range []string{"100ms", "1s"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+"/v1/feed?session_id=nobody&wait="+wait, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+a.Keys[""])
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), `{"items":[],"next":"`) {
			t.Errorf("wait=%s: %d %s, %v", wait, answer.StatusCode, body, err)
		}
	}
}
