package read_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/httpapi/apitest"
	"theeye/internal/progress"
	"theeye/internal/query"
	"theeye/internal/store"
)

// gap is a line of missing.
type gap struct {
	Sender  string    `json:"sender"`
	FromSeq int64     `json:"from_seq"`
	ToSeq   int64     `json:"to_seq"`
	Count   int64     `json:"count"`
	After   uuid.UUID `json:"after"`
	Before  uuid.UUID `json:"before"`
}

// examined is the content of a page of a session.
type examined struct {
	Session struct {
		Events  int64
		Late    *int64 `json:"late"`
		Missing *int64 `json:"missing"`
	} `json:"session"`
	Events []struct {
		ID   uuid.UUID `json:"id"`
		Late bool      `json:"late"`
	} `json:"events"`
	Missing    []gap  `json:"missing"`
	NextCursor string `json:"next_cursor"`
}

// session pages through a session.
func sessionPages(a *apitest.API, app, path string) (pages []examined) {
	a.Helper()
	for cursor := ""; ; {
		var page examined
		if err := json.Unmarshal([]byte(a.Text(app, path+cursor)), &page); err != nil {
			a.Fatal(err)
		}
		pages = append(pages, page)
		if page.NextCursor == "" {
			return pages
		}
		cursor = "&cursor=" + page.NextCursor
	}
}

// counted returns the nth event of a session, with its sender's number. The times are in seconds.
func counted(n int, app, sender string, at [3]int64) event.Event {
	e := apitest.Simple(n, app)
	e.SessionID, e.Sender, e.Seq = "one", sender, at[0]
	e.OccurredAt, e.ReceivedAt = event.Micros(at[1]*1e6), event.Micros(at[2]*1e6)
	return e
}

// countingReader counts the queries for events.
type countingReader struct {
	store.Reader
	reads atomic.Int64
}

func (r *countingReader) Events(ctx context.Context, q query.Query) (store.Page[event.Event], error) {
	r.reads.Add(1)
	return r.Reader.Events(ctx, q)
}

// A page of a long session takes one query for its events, and the session one for what is late and
// missing.
func TestQueriesForAPageOfASession(t *testing.T) {
	var reader countingReader
	a := apitest.Start(t, func(o *apitest.Parts) { reader.Reader = o.Reader; o.Reader = &reader })
	events := make([]event.Event, 10_000)
	for i := range events {
		events[i] = counted(i, "shop", "web", [3]int64{int64(i), int64(i), int64(i)})
	}
	a.Write(events...)
	const pages = 10
	if got := len(sessionPages(a, "", "/v1/sessions/one?limit=1000")); got != pages {
		t.Fatalf("%d pages", got)
	}
	if n := reader.reads.Load(); n > 2*pages {
		t.Errorf("%d queries for %d pages", n, pages)
	}
}

func TestLateAndMissingInASession(t *testing.T) {
	a := apitest.Start(t)
	a.Write(
		counted(1, "shop", "web", [3]int64{5, 10, 10}),
		counted(2, "shop", "web", [3]int64{8, 20, 20}),
		counted(3, "shop", "web", [3]int64{8, 30, 30}),
		counted(4, "blog", "web", [3]int64{9, 40, 40}),
		counted(5, "shop", "web", [3]int64{10, 50, 50}),
		counted(6, "shop", "", [3]int64{event.NoSeq, 15, 200}),
		counted(7, "blog", "app", [3]int64{3, 60, 60}),
		counted(8, "blog", "app", [3]int64{1, 61, 61}),
	)
	all := []gap{{"app", 2, 2, 1, apitest.Number(8), apitest.Number(7)}, {"web", 6, 7, 2, apitest.Number(1), apitest.Number(2)}}
	ofShop := []gap{{"web", 6, 7, 2, apitest.Number(1), apitest.Number(2)}, {"web", 9, 9, 1, apitest.Number(3), apitest.Number(5)}}
	for _, flushed := range []bool{false, true} {
		if flushed {
			a.Flush()
		}
		for _, c := range []struct {
			app     string
			want    []gap
			late    []uuid.UUID
			missing int64
		}{
			{"", all, []uuid.UUID{apitest.Number(6)}, 3},
			{"shop", ofShop, []uuid.UUID{apitest.Number(6)}, 3},
			{"blog", all[:1], nil, 1},
		} {
			for size := 1; size <= 9; size++ {
				for _, order := range []string{"asc", "desc"} {
					var gaps []gap
					var late []uuid.UUID
					for _, page := range sessionPages(a, c.app, fmt.Sprintf("/v1/sessions/one?limit=%d&order=%s", size, order)) {
						if *page.Session.Missing != c.missing || *page.Session.Late != int64(len(c.late)) {
							t.Errorf("%s: the summary has %d late and %d missing", c.app, *page.Session.Late, *page.Session.Missing)
						}
						for _, g := range page.Missing {
							if !slices.ContainsFunc(page.Events, func(e struct {
								ID   uuid.UUID `json:"id"`
								Late bool      `json:"late"`
							}) bool {
								return e.ID == g.Before
							}) {
								t.Errorf("a gap on a page without the event after it: %+v", g)
							}
						}
						gaps = append(gaps, page.Missing...)
						for _, e := range page.Events {
							if e.Late {
								late = append(late, e.ID)
							}
						}
					}
					slices.SortFunc(gaps, func(x, y gap) int { return strings.Compare(fmt.Sprint(x), fmt.Sprint(y)) })
					if diff := cmp.Diff(c.want, gaps); diff != "" {
						t.Errorf("gaps in pages of %d %s for %q (-want +got):\n%s", size, order, c.app, diff)
					}
					if !slices.Equal(c.late, late) {
						t.Errorf("late in pages of %d %s for %q: %v, want %v", size, order, c.app, late, c.late)
					}
				}
			}
		}
	}
	// A filter of events does not change what is missing.
	page := sessionPages(a, "", "/v1/sessions/one?where=seq=8")[0]
	if diff := cmp.Diff(all[1:], page.Missing); diff != "" || *page.Session.Missing != 3 || len(page.Events) != 2 {
		t.Errorf("by a condition %+v:\n%s", page.Session, diff)
	}
	if text := a.Text("", "/v1/sessions/one?where=seq=5"); strings.Contains(text, `"late":false`) {
		t.Errorf("what is not late says so: %s", text)
	}
}

// A session beyond the limit reports nothing rather than something wrong.
func TestLongSessionsAreNotExamined(t *testing.T) {
	a := apitest.Start(t)
	var events []event.Event
	for i := range 10_001 {
		events = append(events, counted(i, "shop", "web", [3]int64{int64(2 * i), int64(i), int64(i)}))
	}
	a.Write(events[:10_000]...)
	page := sessionPages(a, "shop", "/v1/sessions/one?limit=1000&from="+event.Micros(9_998e6).String())[0]
	if page.Session.Missing == nil || *page.Session.Missing != 9_999 || len(page.Missing) != 2 {
		t.Errorf("at the limit: %+v", page)
	}
	a.Write(events[10_000:]...)
	page = sessionPages(a, "shop", "/v1/sessions/one?limit=1000&from="+event.Micros(9_998e6).String())[0]
	if page.Session.Missing != nil || page.Session.Late != nil || len(page.Missing) != 0 || len(page.Events) != 3 {
		t.Errorf("beyond it: %+v", page)
	}
}

// The receipt of a rejection that was replayed shows both, and which is which.
func TestReceiptOfAReplay(t *testing.T) {
	a := apitest.Start(t, func(o *apitest.Parts) { o.Progress = progress.New(0) })
	first := apitest.Simple(1, "shop")
	a.Reject(first, "a")
	again := first
	again.Position = event.Position{Frame: 1}
	a.Carry(again)
	for _, flushed := range []bool{false, true} {
		if flushed {
			a.Flush()
		}
		var receipt struct {
			Status   string `json:"status"`
			Arrivals []struct {
				Position struct{ Frame, Index int }
				Fate     string `json:"fate"`
				Replay   *struct {
					Frame int `json:"frame"`
				} `json:"replay"`
			} `json:"arrivals"`
		}
		text := a.Text("shop", "/v1/receipts/"+apitest.Number(1).String())
		if err := json.Unmarshal([]byte(text), &receipt, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatal(err)
		}
		lines := receipt.Arrivals
		if receipt.Status != "stored" || len(lines) != 2 || lines[0].Fate != "stored" || lines[0].Replay == nil || lines[0].Replay.Frame != 2 ||
			lines[0].Position.Frame != 1 || lines[1].Fate != "rejected" || lines[1].Replay != nil {
			t.Errorf("receipt: %s", text)
		}
	}
	if answer := a.Get("blog", "/v1/receipts/"+apitest.Number(1).String()); answer.StatusCode != http.StatusNotFound {
		t.Errorf("another application sees it: %d", answer.StatusCode)
	}
	unknown := a.Get("shop", "/v1/receipts/"+apitest.Number(77).String())
	if b, err := io.ReadAll(unknown.Body); err != nil || !strings.Contains(string(b), "no event with this id has arrived, or none that this key can read") {
		t.Errorf("what is not known: %s, %v", b, err)
	}
}

// The summary describes each group in a sentence.
func TestSentences(t *testing.T) {
	a := apitest.Start(t)
	for i := range 3 {
		a.Reject(apitest.Simple(i, "shop"), fmt.Sprint(i))
	}
	text := a.Text("shop", "/v1/rejections/summary")
	if want := `"text":"3 times since 2020-09-13 12:26 UTC: 'page/view' from shop lacks /data/path"`; !strings.Contains(text, want) {
		t.Errorf("%s\nlacks %s", text, want)
	}
}
