package duckdb_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store/duckdb"
)

// A sender whose clock is ahead, or tells no zone, claims times behind the erasure. What
// came or occurred before it goes all the same, and so does what is sent once more.
func TestEraseWhatClaimsToBeLater(t *testing.T) {
	const at, ahead = event.Micros(1_000_000), event.Micros(9_000_000)
	visit := func(n int, sent, occurred, received event.Micros) event.Record {
		return event.Record{Event: &event.Event{
			App: "shop", ID: numbered(n), SessionID: "s", Category: "c", Name: "n", Data: []byte(`{}`), Timestamp: sent.String(),
			SentTime: sent, Seq: event.NoSeq, OccurredAt: occurred, ReceivedAt: received,
		}}
	}
	refused := event.Record{Rejection: &event.Rejection{
		ID: event.RejectionID("shop", numbered(4), []byte(`{}`)), EventID: numbered(4), App: "shop", SessionID: "s", SentTime: ahead,
		ReceivedAt: at, Problems: []event.Problem{{Code: event.MissingField, Pointer: "/name"}}, Raw: []byte(`{}`),
	}}
	s := open(t, duckdb.Options{Dir: t.TempDir()})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	write(t, s, frame(1,
		visit(1, ahead, at-1, at), // without a zone
		visit(2, ahead, ahead, at),
		visit(3, ahead, ahead, at+1), // received after the erasure
		refused,
	))
	if err := s.Bury([]string{"shop"}, "s", at, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	removed, err := s.Erase(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]duckdb.Erased{{App: "shop", SessionKey: s.Erasures().SessionKey("s"), Events: 2, Rejections: 1}}, removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	outcomes, err := s.Write(t.Context(), frame(2, visit(1, ahead, at-1, at+2), visit(5, ahead, at+2, at+2)))
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Fate != event.Erased || outcomes[1].Fate != event.Stored {
		t.Errorf("fates %v, %v: want erased for the retry, stored for what is later", outcomes[0].Fate, outcomes[1].Fate)
	}
	p, err := s.Events(t.Context(), query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Items) != 2 || slices.ContainsFunc(p.Items, func(e event.Event) bool { return e.ID != numbered(3) && e.ID != numbered(5) }) {
		t.Errorf("%d events are left, want the two later ones", len(p.Items))
	}
}
