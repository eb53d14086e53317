package ingest_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/ingest"
)

// A rejection has the session that its body names, wherever it stands: an erasure finds it by
// nothing else.
func TestRejectionsHaveTheirSession(t *testing.T) {
	const rest = `"category":"c","name":"n","timestamp":"2025-01-01T00:00:00Z"`
	for name, c := range map[string]struct {
		body  string
		lines bool
		want  string
	}{
		"a key twice, session first":      {body: `{"session_id":"s 1",` + rest + `,"data":{"x":1,"x":2}}`, want: "s 1"},
		"a key twice, session last":       {body: `{` + rest + `,"data":{"x":1,"x":2},"session_id":"s 1"}`, want: "s 1"},
		"in a batch":                      {body: `[{` + rest + `,"data":{"x":1,"x":2},"session_id":"s 1"}]`, want: "s 1"},
		"a member twice":                  {body: `{"name":"n",` + rest + `,"data":{},"session_id":"s 1"}`, want: "s 1"},
		"the session twice":               {body: `{"session_id":"s 1","session_id":"s 2"}`, want: "s 1"},
		"the session twice, once a list":  {body: `{"session_id":[],"session_id":"s 2"}`, want: "s 2"},
		"a lone surrogate":                {body: `{` + rest + `,"data":{"x":"\ud800"},"session_id":"s 1"}`, want: "s 1"},
		"no UTF-8":                        {body: `{` + rest + `,"data":{"x":"` + "\xff" + `"},"session_id":"s 1"}`, want: "s 1"},
		"no UTF-8 in the session":         {body: `{"session_id":"s` + "\xff" + `"}`, want: "s\uFFFD"},
		"escaped":                         {body: `{` + rest + `,"data":{"x":1,"x":2},"session\u005fid":"s\u00201"}`, want: "s 1"},
		"too deep for any decoder":        {body: `{"data":{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `},"session_id":"s 1"}`, want: "s 1"},
		"too large":                       {body: `{"data":{"x":"` + strings.Repeat("x", 300_000) + `"},"session_id":"s 1"}`, want: "s 1"},
		"too large, with a key twice":     {body: `{"data":{"x":1,"x":"` + strings.Repeat("x", 300_000) + `"},"session_id":"s 1","id":"i"}`, want: "s 1"},
		"a line that ends too early":      {body: `{"session_id":"s 1","data":{"x":1`, lines: true, want: "s 1"},
		"a line with a comma too many":    {body: `{"data":{},"session_id":"s 1",}`, lines: true, want: "s 1"},
		"a line with the fault before it": {body: `{"data":{"x":01},"session_id":"s 1"}`, lines: true},
		"within data":                     {body: `{"data":{"session_id":"s 1","x":1,"x":2}}`},
		"too long":                        {body: `{"data":{"x":1,"x":2},"session_id":"` + strings.Repeat("s", event.MaxTextCodePoints+1) + `"}`},
		"no object":                       {body: `["s 1"]`},
		"of another type":                 {body: `{"data":{"x":1,"x":2},"session_id":["s 1"]}`},
		"a request that ends too early":   {body: `{"session_id":"s 1","data":{"x":1`, want: "s 1"},
		"a batch that ends too early":     {body: `[{"session_id":"s 1","data":{"x":1`},
	} {
		t.Run(name, func(t *testing.T) {
			x, kept := start(t, ingest.Options{})
			req := request(c.body)
			req.Lines = c.lines
			collectOrRefuse(t, x, req)
			got := kept.records(t)[0].Rejection
			if got.SessionID != c.want || !strings.Contains(c.body, string(got.Raw)) {
				t.Errorf("the session is %q, want %q", got.SessionID, c.want)
			}
			if again := x.Revalidate(got, got.Raw, ingest.Revalidation{}).Rejection; again.SessionID != c.want {
				t.Errorf("validated again the session is %q, want %q", again.SessionID, c.want)
			}
		})
	}
}

// collectOrRefuse does as a server does with a request.
func collectOrRefuse(t *testing.T, c *ingest.Collector, req ingest.Request) {
	t.Helper()
	_, err := c.Collect(t.Context(), req)
	if _, broken := errors.AsType[*ingest.SyntaxError](err); broken {
		_, err = c.KeepUnparsed(t.Context(), req, event.Problem{Code: event.InvalidJSON, Message: err.Error()})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A request that is refused as a whole has the session of an event that was sent alone, and none
// when it is NDJSON. What is sent again of an erased session is not kept.
func TestRefusedRequestsOfAnErasedSession(t *testing.T) {
	key := hex.EncodeToString(make([]byte, 32))
	hash := erasure.NewSet(erasure.Document{Key: key}, erasure.Lineage{}).SessionKey("s 1")
	set := erasure.NewSet(erasure.Document{Key: key, Tombstones: []erasure.Tombstone{
		{ID: "1", App: erasure.AllApps, Session: hash, At: received + 1, Timeline: "T"},
	}}, erasure.Lineage{Timeline: "T"})
	c, kept := start(t, ingest.Options{Erasures: func() *erasure.Set { return set }})
	for i, one := range []struct {
		body   string
		lines  bool
		erased bool
	}{
		{`{"session_id":"s 1","data":{"x":1`, false, true},
		{`{"session_id":"s 2","data":{"x":1`, false, false},
		{`{"data":{"x":1,"x":2},"session_id":"s 1"}`, false, true},
		{`{"session_id":"s 1","data":{"x":1`, true, true}, // one line, one rejection
	} {
		req := request(one.body)
		req.Lines = one.lines
		collectOrRefuse(t, c, req)
		if r := kept.records(t)[i]; (r.Erased != nil) != one.erased {
			t.Errorf("%s: kept as %+v", one.body, r)
		}
	}
	req := request(`{"session_id":"s 1"}` + "\n" + `{"session_id":"s 2"}`)
	req.Lines = true
	if _, err := c.KeepUnparsed(t.Context(), req, event.Problem{Code: event.RequestTooLarge}); err != nil {
		t.Fatal(err)
	}
	if r := kept.records(t)[4].Rejection; r == nil || r.SessionID != "" {
		t.Errorf("NDJSON that is refused as a whole is kept as %+v", r)
	}
}
