package ingest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/ingest"
	"theeye/internal/schema"
)

// rejected has intake refuse a body and returns the rejection as it is kept.
func rejected(t *testing.T, c *ingest.Collector, kept *frames, req ingest.Request) *event.Rejection {
	t.Helper()
	if _, err := c.Collect(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	records := kept.records(t)
	last := records[len(records)-1]
	if last.Rejection == nil {
		t.Fatalf("it was accepted: %s", req.Body)
	}
	return last.Rejection
}

// What intake refused it refuses again, under the same identity and with the same problems, as long
// as nothing has changed.
func TestRevalidationChangesNothing(t *testing.T) {
	strict, err := schema.Compile("c", "n", 7, []byte(`{"required":["path"]}`))
	if err != nil {
		t.Fatal(err)
	}
	c, kept := start(t, ingest.Options{MaxEventBytes: 2000, Types: func(_, name string) *schema.Type {
		if name == "n" {
			return strict
		}
		return nil
	}})
	const rest = `"session_id":"s","category":"c","timestamp":"2026-01-01 11:00:00"`
	for name, body := range map[string]string{
		"a violation":        `{"id":"mine","name":"n","data":{},` + rest + `}`,
		"several":            `{"nam":"n","data":[],` + rest + `}`,
		"no object":          `[["an event"]]`,
		"duplicate key":      `{"name":"x","data":{"a":1,"a":2},` + rest + `}`,
		"no Unicode":         "{\"name\":\"x\",\"data\":{\"a\":\"\xff\"}," + rest + "}",
		"too large":          `{"name":"x","data":{"a":"` + strings.Repeat("x", 2000) + `"},` + rest + `}`,
		"ahead by the clock": `{"events":[{"name":"x","data":{},"session_id":"s","category":"c","timestamp":"2026-01-01 12:00:00"}],"sent_at":"2026-01-01 11:00:00"}`,
		"a broken line":      "{\"name\":\n",
	} {
		t.Run(name, func(t *testing.T) {
			req := request(body)
			req.Lines = strings.HasSuffix(body, "\n")
			first := rejected(t, c, kept, req)
			again := c.Revalidate(first, first.Raw, ingest.Revalidation{}).Rejection
			if again == nil {
				t.Fatal("it would be accepted")
			}
			again.CarriedBy = first.CarriedBy
			if diff := cmp.Diff(first, again); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRevalidationUnderOtherConditions(t *testing.T) {
	strict, _ := schema.Compile("c", "n", 7, []byte(`{"required":["path"]}`))
	draft, _ := schema.Compile("c", "n", 8, []byte(`{"required":[]}`))
	inForce := strict
	c, kept := start(t, ingest.Options{Types: func(string, string) *schema.Type { return inForce }})
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	body := `{"events":[{"id":"mine","session_id":"s","category":"c","name":"n","data":{"a":1},"timestamp":"2026-01-01 11:00:00"}],"sent_at":"2026-01-01 11:30:00"}`
	first := rejected(t, c, kept, request(body))

	// A draft that takes it makes the event that it would have been.
	e := c.Revalidate(first, first.Raw, ingest.Revalidation{Zone: berlin, Types: func(string, string) *schema.Type { return draft }}).Event
	if e == nil {
		t.Fatal("the draft does not take it")
	}
	got := fmt.Sprint(e.ID == first.EventID, e.ClientID, e.App, e.ReceivedAt == received, e.SentAt == first.SentAt, e.Position == first.Position, e.SchemaVersion, " ", e.OccurredAt)
	// The sender's clock was half an hour behind, and eleven in Berlin is ten in UTC.
	if want := fmt.Sprint(true, "mine", "shop", true, true, true, 8, " ", "2026-01-01T10:30:00.000000Z"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	// Without types to check by, those in force are asked.
	if c.Revalidate(first, first.Raw, ingest.Revalidation{}).Event != nil {
		t.Error("the schema in force was not asked")
	}
	inForce = nil
	if c.Revalidate(first, first.Raw, ingest.Revalidation{}).Event == nil {
		t.Error("without a schema it is refused")
	}
	again := c.Revalidate(first, first.Raw, ingest.Revalidation{RefuseUnknownTypes: true}).Rejection
	if again == nil || again.Problems[0].Code != event.UnknownEventType {
		t.Errorf("an application that takes no others: %+v", again)
	}

	// A repaired body is validated instead, and is another rejection when it is bad too.
	inForce = strict
	repaired := []byte(strings.Replace(string(first.Raw), `"a"`, `"path"`, 1))
	if e := c.Revalidate(first, repaired, ingest.Revalidation{}).Event; e == nil || string(e.Data) != `{"path":1}` || e.ID != first.EventID {
		t.Errorf("repaired: %+v", e)
	}
	worse := []byte(strings.Replace(string(first.Raw), `"a"`, `"b"`, 1))
	if again := c.Revalidate(first, worse, ingest.Revalidation{}).Rejection; again == nil || again.ID == first.ID || again.EventID != first.EventID || string(again.Raw) != string(worse) {
		t.Errorf("not repaired: %+v", again)
	}

	// The clock of the arrival counts, not that of today.
	late := rejected(t, c, kept, ingest.Request{App: "shop", Body: []byte(`{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2027-01-01 00:00:00"}`), ReceivedAt: received})
	again = c.Revalidate(late, late.Raw, ingest.Revalidation{Types: func(string, string) *schema.Type { return nil }}).Rejection
	if again == nil || len(again.Problems) != 1 || again.Problems[0].Code != event.TimestampInFuture {
		t.Errorf("of next year: %+v", again)
	}
}

// Requests that could not be read are kept as they came, so anything may be there.
func TestRevalidationOfAnyBytes(t *testing.T) {
	c, _ := start(t, ingest.Options{})
	rej := &event.Rejection{App: "shop", EventID: event.NewID(), ReceivedAt: received}
	for body, code := range map[string]string{
		"":                                 event.InvalidJSON,
		" \n ":                             event.InvalidJSON,
		"\xff\x00":                         event.InvalidJSON,
		"{\n\n":                            event.InvalidJSON,
		"{} {}":                            event.InvalidJSON,
		"[" + fine + "]":                   event.NotAnObject,
		"null":                             event.NotAnObject,
		strings.Repeat("[", 20_000):        event.InvalidJSON,
		"<event/>":                         event.InvalidJSON,
		strings.TrimSuffix(fine, "}"):      event.InvalidJSON,
		strings.Replace(fine, `s"`, "", 1): event.InvalidJSON,
	} {
		again := c.Revalidate(rej, []byte(body), ingest.Revalidation{}).Rejection
		if again == nil || len(again.Problems) != 1 || again.Problems[0].Code != code || strings.Contains(again.Problems[0].Message, "line 0") {
			t.Errorf("%.40q: %+v", body, again)
		}
	}
	if e := c.Revalidate(rej, []byte(" \n"+fine+"\n"), ingest.Revalidation{}).Event; e == nil || e.ID != rej.EventID {
		t.Errorf("an event between white space: %+v", e)
	}
}

const fine = `{"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2026-01-01 11:00:00"}`
