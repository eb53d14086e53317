package intake

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/ingest"
)

func (h *Handlers) eventRoutes() []httpapi.Route {
	return []httpapi.Route{{
		Method: "POST", Path: "/v1/events", Access: httpapi.ForWrite, Handle: h.takeEvents, EitherSlash: true, Refused: h.noteTurnedAway,
		Doc: httpapi.Doc{
			ID: "sendEvents", Tag: "intake", Summary: "Send events",
			Text: "One event (an object), a batch (an array), or {\"events\":[…],\"sent_at\":…}; as application/x-ndjson one event per line. " +
				"The server answers when every event, accepted or rejected, has been fsynced. Content-Encoding may be gzip, deflate, br or zstd. " +
				"The key can also be given as ?key=KEY. Web pages of the origins that a key names may send (OPTIONS answers their preflights); " +
				"a key created with signing accepts requests signed according to Standard Webhooks; webhook-id is then the idempotency key.",
			Params: []httpapi.Param{
				{Name: "wait", Text: "answer 201, with final statuses, when all events can be queried", Enum: []string{"stored"}},
				{Name: "quiet", Text: "1: list only events that were not accepted", Enum: []string{"0", "1"}},
				{Name: "key", Text: "the write key, for senders that cannot set headers"},
				{Name: "Idempotency-Key", In: "header", Text: "derives the ids of events that have none, so that retries are safe; 1 to 200 characters"},
				{Name: "webhook-id", In: "header", Text: "of a signed request: its id, 1 to 200 characters, which a retry repeats"},
				{Name: "webhook-timestamp", In: "header", Text: "of a signed request: seconds since 1970, at most 5 minutes off"},
				{Name: "webhook-signature", In: "header", Text: "of a signed request: v1,base64(HMAC-SHA256(signing secret, webhook-id.webhook-timestamp.body as sent)); several are separated by spaces"},
			},
			Body: reflect.TypeFor[SentEvents](),
			Examples: map[string]any{
				"event":    exampleEvent("pageview"),
				"list":     []any{exampleEvent("pageview"), exampleEvent("cta click")},
				"envelope": map[string]any{"events": []any{exampleEvent("pageview"), exampleEvent("cta click")}, "sent_at": "2021-01-01T09:15:28Z"},
			},
			NDJSON: `{"session_id":"e2085be5","category":"page interaction","name":"pageview","data":{"path":"/"},"timestamp":"2021-01-01T09:15:27Z"}` + "\n" +
				`{"session_id":"e2085be5","category":"page interaction","name":"cta click","data":{"path":"/"},"timestamp":"2021-01-01T09:15:28Z"}` + "\n",
			Answers: []httpapi.Answer{
				httpapi.JSON[IntakeAnswer](202, "every event is on disk"),
				httpapi.JSON[IntakeAnswer](201, "with wait=stored: every event can be queried"),
				httpapi.JSON[IntakeAnswer](422, "the body was a single event, and it was rejected"),
			},
			Errors: []int{400, 408, 413, 415, 429, 503},
		},
	}}
}

func exampleEvent(name string) map[string]any {
	return map[string]any{
		"session_id": "e2085be5-9137-4e4e-80b5-f1ffddc25423", "category": "page interaction", "name": name,
		"data": map[string]any{"host": "www.consumeraffairs.com", "path": "/"}, "timestamp": "2021-01-01T09:15:27.243860Z",
	}
}

// SentEvents is the body of a request: one event, a list of them, or a SentEnvelope.
type SentEvents struct{}

// Schema implements huma.SchemaProvider.
func (SentEvents) Schema(registry huma.Registry) *huma.Schema {
	list := "SentList"
	registry.Map()[list] = registry.Schema(reflect.TypeFor[[]SentEvent](), true, "")
	registry.Map()["SentEvents"] = &huma.Schema{OneOf: []*huma.Schema{
		registry.Schema(reflect.TypeFor[SentEvent](), true, ""),
		{Ref: "#/components/schemas/" + list},
		registry.Schema(reflect.TypeFor[SentEnvelope](), true, ""),
	}}
	return &huma.Schema{Ref: "#/components/schemas/SentEvents"}
}

// SentEnvelope is a list of events and when its sender sent it.
type SentEnvelope struct {
	Events []SentEvent `json:"events"`
	SentAt any         `json:"sent_at,omitzero" doc:"the sender's clock when it sent the batch, for events without a sent_at of their own; a time like timestamp"`
}

// SentEvent is an event as a sender writes it.
type SentEvent struct {
	ID        string         `json:"id,omitzero" doc:"a UUID or any text of 1 to 200 characters; generated when absent"`
	SessionID string         `json:"session_id" doc:"1 to 200 characters"`
	Category  string         `json:"category" doc:"1 to 200 characters"`
	Name      string         `json:"name" doc:"1 to 200 characters"`
	Data      map[string]any `json:"data"`
	Timestamp any            `json:"timestamp" doc:"RFC 3339, 2006-01-02 15:04:05[.ffffff], or epoch s, ms, µs or ns as a number"`
	SentAt    any            `json:"sent_at,omitzero" doc:"the sender's clock when it sent the event; a time like timestamp"`
	Seq       int64          `json:"seq,omitzero" doc:"the sender's own counter, 0 to 2^53 - 1"`
	Sender    string         `json:"sender,omitzero" doc:"the sender's own name, 1 to 64 characters"`
}

// IntakeAnswer says what became of each event of a request.
type IntakeAnswer struct { //nolint:revive // a schema of the OpenAPI document is named for its Go type
	Received   int            `json:"received"`
	Accepted   int            `json:"accepted"`
	Rejected   int            `json:"rejected"`
	Duplicates int            `json:"duplicates"`
	Events     []IntakeStatus `json:"events"`
}

// IntakeStatus says what became of one event.
type IntakeStatus struct { //nolint:revive // a schema of the OpenAPI document is named for its Go type
	Index    int             `json:"index"`
	ID       uuid.UUID       `json:"id"`
	ClientID string          `json:"client_id,omitzero" doc:"the id as sent, if that was not a UUID"`
	Status   ingest.Status   `json:"status" enum:"accepted,rejected,duplicate"`
	Problems []event.Problem `json:"problems,omitempty"`
}

func (h *Handlers) takeEvents(c *httpapi.Call) error {
	values := c.URL.Query()
	wait, quiet := values.Get("wait"), values.Get("quiet")
	if wait != "" && wait != "stored" {
		return httpapi.NewProblem(http.StatusBadRequest, "wait must be stored or omitted")
	}
	if quiet != "" && quiet != "1" && quiet != "0" {
		return httpapi.NewProblem(http.StatusBadRequest, "quiet must be 1, 0 or omitted")
	}
	receipt, err := h.collect(c, c.Principal.App, c.Header.Get("Idempotency-Key"))
	if err != nil {
		return err
	}
	status := http.StatusAccepted
	if wait == "stored" {
		if err := h.awaitOutcomes(c.Context(), &receipt); err != nil {
			return err
		}
		status = http.StatusCreated
	}
	answer := intakeAnswer(receipt, quiet == "1")
	if receipt.Single && answer.Rejected > 0 {
		status = http.StatusUnprocessableEntity
	}
	return c.WriteJSON(status, answer)
}

func intakeAnswer(receipt ingest.Result, quiet bool) IntakeAnswer {
	a := IntakeAnswer{Received: len(receipt.Items), Events: []IntakeStatus{}}
	for i, item := range receipt.Items {
		switch item.Status {
		case ingest.Accepted:
			a.Accepted++
		case ingest.Rejected:
			a.Rejected++
		case ingest.Duplicate:
			a.Duplicates++
		}
		if !quiet || item.Status != ingest.Accepted {
			a.Events = append(a.Events, IntakeStatus{i, item.ID, item.ClientID, item.Status, item.Problems})
		}
	}
	return a
}
