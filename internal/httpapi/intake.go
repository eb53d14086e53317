package httpapi

import (
	"context"
	"errors"
	"net/http"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/registry"
)

func intakeRoutes() []Route {
	return []Route{{
		Method: "POST", Path: "/v1/events", Access: ForWrite, Handle: (*Server).takeEvents,
		Doc: Doc{
			ID: "sendEvents", Tag: "intake", Summary: "Send events",
			Text: "One event (an object), a batch (an array), or {\"events\":[…],\"sent_at\":…}; as application/x-ndjson one event per line. " +
				"The answer comes when every event, accepted or rejected, is fsynced. Content-Encoding may be gzip, deflate, br or zstd. " +
				"The key may also be given as ?key=KEY. Pages of the origins that a key names may send (OPTIONS answers their preflights); " +
				"a key that was made with signing takes requests signed as Standard Webhooks says: webhook-id is then the idempotency key.",
			Params: []Param{
				{Name: "wait", Text: "answer 201 when all can be queried, with final statuses", Enum: []string{"stored"}},
				{Name: "quiet", Text: "1 lists only what was not accepted", Enum: []string{"0", "1"}},
				{Name: "key", Text: "the write key, for senders that cannot set headers"},
				{Name: "Idempotency-Key", In: "header", Text: "gives events without an id ids derived from it, so that sending again is safe; 1 to 200 characters"},
				{Name: "webhook-id", In: "header", Text: "of a signed request: its own id, 1 to 200 characters; the same when it is sent again"},
				{Name: "webhook-timestamp", In: "header", Text: "of a signed request: seconds since 1970, at most 5 minutes off"},
				{Name: "webhook-signature", In: "header", Text: "of a signed request: v1,base64(HMAC-SHA256(signing secret, webhook-id.webhook-timestamp.body as sent)); several are separated by spaces"},
			},
			Body: schemaOf[SentEvents](),
			Examples: map[string]any{
				"event":    exampleEvent("pageview"),
				"list":     []any{exampleEvent("pageview"), exampleEvent("cta click")},
				"envelope": map[string]any{"events": []any{exampleEvent("pageview"), exampleEvent("cta click")}, "sent_at": "2021-01-01T09:15:28Z"},
			},
			NDJSON: `{"session_id":"e2085be5","category":"page interaction","name":"pageview","data":{"path":"/"},"timestamp":"2021-01-01T09:15:27Z"}` + "\n" +
				`{"session_id":"e2085be5","category":"page interaction","name":"cta click","data":{"path":"/"},"timestamp":"2021-01-01T09:15:28Z"}` + "\n",
			Answers: []Answer{
				{202, "every event is durable", schemaOf[IntakeAnswer]()},
				{201, "with wait=stored: every event can be queried", schemaOf[IntakeAnswer]()},
				{422, "the body was a single event and it is rejected", schemaOf[IntakeAnswer]()},
			},
			Errors: []int{400, 413, 415, 429, 503},
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
	registry.Map()[list] = registry.Schema(schemaOf[[]SentEvent](), true, "")
	registry.Map()["SentEvents"] = &huma.Schema{OneOf: []*huma.Schema{
		registry.Schema(schemaOf[SentEvent](), true, ""),
		{Ref: "#/components/schemas/" + list},
		registry.Schema(schemaOf[SentEnvelope](), true, ""),
	}}
	return &huma.Schema{Ref: "#/components/schemas/SentEvents"}
}

// SentEnvelope is a list of events and when its sender sent it.
type SentEnvelope struct {
	Events []SentEvent `json:"events"`
	SentAt any         `json:"sent_at,omitzero" doc:"the sender's clock at sending, for the events that have no sent_at of their own; a time like timestamp"`
}

// SentEvent is an event as a sender writes it.
type SentEvent struct {
	ID        string         `json:"id,omitzero" doc:"a UUID, or any text of 1 to 200 characters; made when absent"`
	SessionID string         `json:"session_id" doc:"1 to 200 characters"`
	Category  string         `json:"category" doc:"1 to 200 characters"`
	Name      string         `json:"name" doc:"1 to 200 characters"`
	Data      map[string]any `json:"data"`
	Timestamp any            `json:"timestamp" doc:"RFC 3339, 2006-01-02 15:04:05[.ffffff], or epoch s, ms, µs or ns as a number"`
	SentAt    any            `json:"sent_at,omitzero" doc:"the sender's clock at sending; a time like timestamp"`
	Seq       int64          `json:"seq,omitzero" doc:"the sender's own counter, 0 to 2^53 - 1"`
	Sender    string         `json:"sender,omitzero" doc:"the sender's own name, 1 to 64 characters"`
}

// IntakeAnswer says what became of each event of a request.
type IntakeAnswer struct {
	Received   int            `json:"received"`
	Accepted   int            `json:"accepted"`
	Rejected   int            `json:"rejected"`
	Duplicates int            `json:"duplicates"`
	Events     []IntakeStatus `json:"events"`
}

// IntakeStatus says what became of one event.
type IntakeStatus struct {
	Index    int             `json:"index"`
	ID       uuid.UUID       `json:"id"`
	ClientID string          `json:"client_id,omitzero" doc:"the id as sent, when it was no UUID"`
	Status   ingest.Status   `json:"status" enum:"accepted,rejected,duplicate"`
	Problems []event.Problem `json:"problems,omitempty"`
}

func (s *Server) takeEvents(c *Call) error {
	values := c.URL.Query()
	wait, quiet := values.Get("wait"), values.Get("quiet")
	if wait != "" && wait != "stored" {
		return NewProblem(http.StatusBadRequest, "wait must be stored, or be left out")
	}
	if quiet != "" && quiet != "1" && quiet != "0" {
		return NewProblem(http.StatusBadRequest, "quiet must be 1 or 0, or be left out")
	}
	receipt, err := s.collect(c, c.Principal.App, c.Header.Get("Idempotency-Key"))
	if err != nil {
		return err
	}
	status := http.StatusAccepted
	if wait == "stored" {
		if err := s.settle(c.ctx(), &receipt); err != nil {
			return err
		}
		status = http.StatusCreated
	}
	answer := intakeAnswer(receipt, quiet == "1")
	if receipt.Single && answer.Rejected > 0 {
		status = http.StatusUnprocessableEntity
	}
	return writeJSON(c.w, status, answer)
}

// collect reads the body and has it taken in for an application. What cannot be
// read is kept as one rejection before the sender is told.
func (s *Server) collect(c *Call, appName, idempotencyKey string) (ingest.Receipt, error) {
	app, ok := s.opts.Registry.App(appName)
	if !ok || !s.accepting(app) {
		return ingest.Receipt{}, noApp()
	}
	if utf8.RuneCountInString(idempotencyKey) > event.MaxTextCodePoints {
		return ingest.Receipt{}, Problemf(http.StatusBadRequest, "Idempotency-Key is longer than %d characters", event.MaxTextCodePoints)
	}
	charge, err := s.admit(c, app) // before the work is done (P7)
	if err != nil {
		return ingest.Receipt{}, err
	}
	events := 1 // what cannot be read counts as one
	defer func() { charge(events) }()
	if err := s.opts.Queue.Err(); err != nil {
		return ingest.Receipt{}, err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), s.opts.IntakeDeadline)
	defer cancel()
	idempotencyKey, free, err := s.verifySigned(c, app.Name, idempotencyKey)
	defer free()
	if err != nil {
		return ingest.Receipt{}, err
	}
	b, err := s.readBody(c, app.Name)
	defer b.free()
	if err := s.recheck(c); err != nil {
		return ingest.Receipt{}, err
	}
	leave, gone := s.enterGate(app)
	if gone != nil {
		return ingest.Receipt{}, gone
	}
	defer leave()
	req := ingest.Request{
		App: app.Name, Zone: app.Location(), RefuseUnknownTypes: app.UnknownTypes == registry.RejectUnknown,
		Body: b.bytes, Lines: b.ndjson, IdempotencyKey: idempotencyKey, ReceivedAt: event.Now(),
		Single: c.Principal.KeyID == "",                         // the first Eye takes no batches
		Public: c.Principal.Public() || c.Principal.KeyID == "", // without a key at the first Eye's address
	}
	if err == nil {
		var receipt ingest.Receipt
		if receipt, err = s.opts.Collector.Collect(ctx, req); err == nil {
			events = len(receipt.Items)
			return receipt, nil
		}
	}
	code, prefix := codeOfUnreadable(err)
	if code == "" {
		return ingest.Receipt{}, err
	}
	if prefix != nil {
		req.Body = prefix
	}
	req.IdempotencyKey = ""
	if _, keepErr := s.opts.Collector.Refuse(ctx, req, event.Problem{Code: code, Message: RedactKeys(s.problemOf(err).Detail)}); keepErr != nil {
		return ingest.Receipt{}, keepErr
	}
	c.kept = true
	return ingest.Receipt{}, err
}

func noApp() *ProblemDetails {
	return NewProblem(http.StatusForbidden, "the application of this key no longer exists")
}

// codeOfUnreadable tells which errors mean that a body cannot be read as
// events, by the code under which its beginning is kept.
func codeOfUnreadable(err error) (code string, prefix []byte) {
	var (
		unreadable *unreadableError
		syntax     *ingest.SyntaxError
		shape      *ingest.ShapeError
		count      *ingest.CountError
	)
	switch {
	case errors.As(err, &unreadable):
		return unreadable.code, append([]byte{}, unreadable.prefix...)
	case errors.As(err, &syntax), errors.As(err, &shape):
		return event.InvalidJSON, nil
	case errors.As(err, &count):
		return event.RequestTooLarge, nil
	}
	return "", nil
}

// settle waits until all of a request is stored and makes its statuses final.
func (s *Server) settle(ctx context.Context, receipt *ingest.Receipt) error {
	if receipt.Frame == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, waitForStored)
	defer cancel()
	outcomes, err := s.opts.Progress.Outcomes(ctx, receipt.Frame)
	switch {
	case errors.Is(err, progress.ErrForgotten):
		return Unavailable("the events are safe, but so much was stored since that what became of them is not remembered here; their receipts will tell")
	case errors.Is(err, context.DeadlineExceeded):
		return Unavailable("the events are safe on disk, but storing them takes longer than 10 s; their receipts will show what became of them")
	case err != nil:
		return err
	}
	for i := range receipt.Items {
		item := &receipt.Items[i]
		outcome := outcomes.At(receipt.First + i)
		switch {
		case len(outcome.Problems) > 0:
			item.Status, item.Problems = ingest.Rejected, outcome.Problems
		case outcome.Fate == event.Duplicate:
			item.Status = ingest.Duplicate
		default:
			item.Status, item.Problems = ingest.Accepted, nil
		}
	}
	return nil
}

func intakeAnswer(receipt ingest.Receipt, quiet bool) IntakeAnswer {
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
