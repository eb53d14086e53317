package duckdb_test

import (
	"testing"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// What became visible while an erasure waited to begin is erased like what came before: the feed
// tells its readers to delete both.
func TestErasureOfWhatBecameVisible(t *testing.T) {
	s := closed(t, open(t, duckdb.Options{Dir: t.TempDir()}))
	write(t, s, frame(1, pageView(1)))
	write(t, s, frame(2, pageView(2)))
	_, err := s.AddTombstones([]string{"shop"}, pageView(1).Event.SessionID, event.Micros(1), 1)
	must(t, err)
	write(t, s, frame(3, pageView(3)))
	must(t, s.Flush(t.Context()))
	_, err = s.Erase(t.Context(), s.UnfinishedErasures(), 3)
	must(t, err)
	page, err := s.Feed(t.Context(), store.FeedQuery{Events: &query.Query{}, Erasures: &query.Query{}, Limit: 100, MaxBytes: query.PageBytes})
	must(t, err)
	var kinds []string
	for _, i := range page.Items {
		kind := "event"
		if i.Erased != nil {
			kind = "erased"
		}
		kinds = append(kinds, kind)
	}
	if want := []string{"erased", "event"}; len(kinds) != 2 || kinds[0] != want[0] || kinds[1] != want[1] {
		t.Errorf("the feed has %v, want %v", kinds, want)
	}
}
