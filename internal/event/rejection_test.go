package event_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"theeye/internal/event"
)

func TestConflict(t *testing.T) {
	t.Parallel()
	full := sample()
	bare := sample()
	bare.ClientID, bare.Seq, bare.Sender, bare.Timestamp = "", event.NoSeq, "", "1609459200.50"
	odd := sample()
	odd.SessionID, odd.Name, odd.Data = "\"\\\n", "日本</script>", []byte(` { "b" : 1.50 } `)
	for want, e := range map[string]*event.Event{
		`{"id":"order-17","session_id":"s","category":"page","name":"view","timestamp":"2021-01-01T00:00:00Z","seq":7,"sender":"web",` +
			`"data":{"a":1,"b":{"c":"é","d":[1,2]}}}`: full,
		`{"id":"` + someID + `","session_id":"s","category":"page","name":"view","timestamp":1609459200.50,` +
			`"data":{"a":1,"b":{"c":"é","d":[1,2]}}}`: bare,
		`{"id":"order-17","session_id":"\"\\\n","category":"page","name":"日本</script>","timestamp":"2021-01-01T00:00:00Z","seq":7,"sender":"web",` +
			`"data": { "b" : 1.50 } }`: odd,
	} {
		got := event.Conflict(e)
		if diff := cmp.Diff(want, string(got.Raw)); diff != "" {
			t.Errorf("raw (-want +got):\n%s", diff)
		}
		rest := &event.Rejection{
			ID: event.RejectionID("shop", e.ID, got.Raw), EventID: e.ID, ClientID: e.ClientID, App: "shop",
			SessionID: e.SessionID, Category: e.Category, Name: e.Name, SentTime: e.SentTime, SentAt: e.SentAt,
			ReceivedAt: e.ReceivedAt, Position: e.Position, CarriedBy: e.CarriedBy, SchemaVersion: e.SchemaVersion,
			Problems: got.Problems, Raw: got.Raw,
		}
		if diff := cmp.Diff(rest, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(got.Problems) != 1 || got.Problems[0].Code != event.IDConflict || got.Problems[0].Pointer != "/id" || got.Problems[0].Message == "" {
			t.Errorf("problems %+v", got.Problems)
		}
	}
}

// A retry is sent and received later, at another position, but is the same rejection. The raw body
// is JSON, whatever the texts are.
func TestConflictIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := sample()
		for _, field := range []*string{&e.ClientID, &e.SessionID, &e.Category, &e.Name, &e.Sender} {
			*field = rapid.String().Draw(t, "text")
		}
		first := event.Conflict(e)
		retry := *e
		retry.SentAt, retry.ReceivedAt, retry.OccurredAt = 1, 2, 3
		retry.Position, retry.CarriedBy, retry.SchemaVersion = event.Position{Frame: 8}, 9, 10
		second := event.Conflict(&retry)
		if first.ID != second.ID || string(first.Raw) != string(second.Raw) {
			t.Fatalf("%s became %s", first.Raw, second.Raw)
		}
		if !jsontext.Value(first.Raw).IsValid() {
			t.Fatalf("%s is not JSON", first.Raw)
		}
		if got := string(first.Data()); got != string(e.Data) {
			t.Fatalf("data is %s", got)
		}
	})
}

func TestRejectionData(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"data":{"a":1.50}}`:              `{"a":1.50}`,
		` {"id":1,"data":{ } ,"x":null } `: `{ }`,
		`{"data":[1]}`:                     "",
		`{"data":"{}"}`:                    "",
		`{"data":null}`:                    "",
		`{"Data":{}}`:                      "",
		`{}`:                               "",
		`[{"data":{}}]`:                    "",
		`{"data":{}} x`:                    "",
		`{"data":{}}{"data":{}}`:           "",
		`{"data":{},"data":{}}`:            "",
		`{"data":{"a":1,"a":2}}`:           "",
		`{"data":{"a":}}`:                  "",
		`{"data":{`:                        "",
		"{\"data\":{\"a\":\"\xff\"}}":      "",
		"":                                 "",
		"\x00":                             "",
	} {
		r := &event.Rejection{Raw: []byte(raw)}
		if got := string(r.Data()); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
		if string(r.Raw) != raw {
			t.Errorf("%q was changed", raw)
		}
	}
}

func TestRejectionID(t *testing.T) {
	t.Parallel()
	id := sample().ID
	same := event.RejectionID("shop", id, []byte("raw"))
	if same != event.RejectionID("shop", id, []byte("raw")) {
		t.Error("one refusal has two ids")
	}
	for _, other := range []any{
		event.RejectionID("blog", id, []byte("raw")),
		event.RejectionID("shop", event.NewID(), []byte("raw")),
		event.RejectionID("shop", id, []byte("ra\x00w")),
		event.RejectionID("shop", id, nil),
	} {
		if other == same {
			t.Error("two refusals have one id")
		}
	}
}
