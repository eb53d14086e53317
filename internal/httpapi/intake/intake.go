// Package intake serves the routes by which events come in: POST /v1/events, the POST of the
// first Eye's address, and the list of requests that were refused there.
//
// A request is admitted, its body is read within the body budget, and the body is handed to the
// collector. A body that cannot be read as events is kept as a rejection. The package does not
// know what makes an event valid.
package intake

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/queue"
	"theeye/internal/registry"
)

// Limits and deadlines of the intake.
const (
	DefaultMaxRequestBytes = 4 << 20
	DefaultMaxEventBytes   = 256 << 10
	DefaultBodyMemory      = 256 << 20 // for the bodies of all requests at a time
	DefaultDeadline        = 15 * time.Second
	waitForStored          = 10 * time.Second
)

// Options of Handlers. The zero value is good for Routes alone.
type Options struct {
	Registry  *registry.Registry
	Collector *ingest.Collector
	Queue     *queue.Queue
	Progress  *progress.Tracker

	LegacyApp       string        // serves POST /event/ for this application; empty for none
	MaxRequestBytes int64         // unpacked; 0 for the default
	MaxEventBytes   int64         // for messages; the collector enforces it; 0 for the default
	BodyMemory      int64         // for the bodies of all requests, in bytes; 0 for the default
	Deadline        time.Duration // of a request, beginning before its body is read; 0 for the default

	Registerer prometheus.Registerer
}

// Handlers serve the routes by which events come in. They are safe for concurrent use.
type Handlers struct {
	opts       Options
	bodyBudget *httpapi.Budget
	buckets    buckets
	recent     recent
	unpack     unpackers
	gate       gate
	metrics    metrics
}

// New returns the handlers of the intake.
func New(opts Options) *Handlers {
	if opts.MaxEventBytes == 0 {
		opts.MaxEventBytes = DefaultMaxEventBytes
	}
	if opts.MaxRequestBytes == 0 {
		opts.MaxRequestBytes = DefaultMaxRequestBytes
	}
	if opts.BodyMemory == 0 {
		opts.BodyMemory = DefaultBodyMemory
	}
	if opts.Deadline == 0 {
		opts.Deadline = DefaultDeadline
	}
	return &Handlers{
		opts:       opts,
		bodyBudget: httpapi.NewBudget(max(opts.BodyMemory, leastBodies*opts.MaxRequestBytes+2*windowOf("br"))),
		metrics:    newMetrics(opts.Registerer),
	}
}

// Routes returns the routes of the intake.
func (h *Handlers) Routes() []httpapi.Route {
	routes := slices.Concat(h.eventRoutes(), h.unreadableRoutes())
	if h.opts.LegacyApp != "" {
		routes = append(routes, h.legacyRoutes()...)
	}
	return routes
}

func (h *Handlers) eventRoutes() []httpapi.Route {
	return []httpapi.Route{{
		Method: "POST", Path: "/v1/events", Access: httpapi.ForWrite, Handle: h.takeEvents, EitherSlash: true, Refused: h.noteRefused,
		Doc: httpapi.Doc{
			ID: "sendEvents", Tag: "intake", Summary: "Send events",
			Text: "One event (an object), a batch (an array), or {\"events\":[…],\"sent_at\":…}; as application/x-ndjson one event per line. " +
				"The answer comes when every event, accepted or rejected, is fsynced. Content-Encoding may be gzip, deflate, br or zstd. " +
				"The key may also be given as ?key=KEY. Pages of the origins that a key names may send (OPTIONS answers their preflights); " +
				"a key that was made with signing takes requests signed as Standard Webhooks says: webhook-id is then the idempotency key.",
			Params: []httpapi.Param{
				{Name: "wait", Text: "answer 201 when all can be queried, with final statuses", Enum: []string{"stored"}},
				{Name: "quiet", Text: "1 lists only what was not accepted", Enum: []string{"0", "1"}},
				{Name: "key", Text: "the write key, for senders that cannot set headers"},
				{Name: "Idempotency-Key", In: "header", Text: "gives events without an id ids derived from it, so that sending again is safe; 1 to 200 characters"},
				{Name: "webhook-id", In: "header", Text: "of a signed request: its own id, 1 to 200 characters; the same when it is sent again"},
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
				httpapi.JSON[IntakeAnswer](202, "every event is durable"),
				httpapi.JSON[IntakeAnswer](201, "with wait=stored: every event can be queried"),
				httpapi.JSON[IntakeAnswer](422, "the body was a single event and it is rejected"),
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
	ClientID string          `json:"client_id,omitzero" doc:"the id as sent, when it was no UUID"`
	Status   ingest.Status   `json:"status" enum:"accepted,rejected,duplicate"`
	Problems []event.Problem `json:"problems,omitempty"`
}

func (h *Handlers) takeEvents(c *httpapi.Call) error {
	values := c.URL.Query()
	wait, quiet := values.Get("wait"), values.Get("quiet")
	if wait != "" && wait != "stored" {
		return httpapi.NewProblem(http.StatusBadRequest, "wait must be stored, or be left out")
	}
	if quiet != "" && quiet != "1" && quiet != "0" {
		return httpapi.NewProblem(http.StatusBadRequest, "quiet must be 1 or 0, or be left out")
	}
	receipt, err := h.collect(c, c.Principal.App, c.Header.Get("Idempotency-Key"))
	if err != nil {
		return err
	}
	status := http.StatusAccepted
	if wait == "stored" {
		if err := h.settle(c.Context(), &receipt); err != nil {
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

// admission is a request that may send events for an application.
type admission struct {
	app            registry.App
	idempotencyKey string
	charge         func(events int) // counts its events against the rate of the application
}

// collect takes in the events of a request: it admits the request, reads its body and submits it.
// A body that cannot be read is kept as one rejection before the sender is told; the error is
// then a *keptError.
func (h *Handlers) collect(c *httpapi.Call, app, idempotencyKey string) (ingest.Receipt, error) {
	a, err := h.admit(app, idempotencyKey, c.Writer().Header())
	if err != nil {
		return ingest.Receipt{}, err
	}
	events := 1 // what cannot be read counts as one
	defer func() { a.charge(events) }()
	if err := h.opts.Queue.Err(); err != nil {
		return ingest.Receipt{}, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), h.opts.Deadline)
	defer cancel()
	free, err := h.verifySigned(c, &a)
	defer free()
	if err != nil {
		return ingest.Receipt{}, err
	}
	b, err := h.readBody(c, a.app.Name)
	defer b.free()
	if err != nil {
		return ingest.Receipt{}, err
	}
	receipt, err := h.submit(ctx, c, a, b)
	if err == nil {
		events = len(receipt.Items)
	}
	return receipt, err
}

// admit checks the application and its rate before any work is done for the request (P7).
func (h *Handlers) admit(name, idempotencyKey string, answer http.Header) (admission, error) {
	app, ok := h.opts.Registry.App(name)
	if !ok || !h.accepting(app) {
		return admission{}, noApp()
	}
	if utf8.RuneCountInString(idempotencyKey) > event.MaxTextCodePoints {
		return admission{}, httpapi.Problemf(http.StatusBadRequest, "Idempotency-Key is longer than %d characters", event.MaxTextCodePoints)
	}
	charge, err := h.enterBucket(app, answer)
	return admission{app, idempotencyKey, charge}, err
}

// submit hands a body to the collector. It returns when every event is durable, or when the body
// is kept as a rejection.
func (h *Handlers) submit(ctx context.Context, c *httpapi.Call, a admission, b body) (ingest.Receipt, error) {
	if err := c.Recheck(); err != nil {
		return ingest.Receipt{}, err
	}
	leave, err := h.enterGate(a.app)
	if err != nil {
		return ingest.Receipt{}, err
	}
	defer leave()
	req := ingest.Request{
		App: a.app.Name, Zone: a.app.Location(), RefuseUnknownTypes: a.app.UnknownTypes == registry.RejectUnknown,
		Body: b.bytes, Lines: b.ndjson, IdempotencyKey: a.idempotencyKey, ReceivedAt: event.Now(),
		Single: c.Principal.KeyID == "",                         // the first Eye takes no batches
		Public: c.Principal.Public() || c.Principal.KeyID == "", // no key is needed at the address of the first Eye
	}
	unreadable := b.unreadable
	if unreadable == nil {
		receipt, err := h.opts.Collector.Collect(ctx, req)
		if unreadable = unreadableFrom(err); unreadable == nil {
			return receipt, err
		}
	}
	return ingest.Receipt{}, unreadable.keep(ctx, h.opts.Collector, req)
}

func noApp() *httpapi.ProblemDetails {
	return httpapi.NewProblem(http.StatusForbidden, "the application of this key no longer exists")
}

// settle waits until all events of a request are stored and makes their statuses final.
func (h *Handlers) settle(ctx context.Context, receipt *ingest.Receipt) error {
	if receipt.Frame == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, waitForStored)
	defer cancel()
	outcomes, err := h.opts.Progress.Outcomes(ctx, receipt.Frame)
	switch {
	case errors.Is(err, progress.ErrForgotten):
		return httpapi.Unavailable("the events are safe, but so much was stored since that what became of them is not remembered here; their receipts will tell")
	case errors.Is(err, context.DeadlineExceeded):
		return httpapi.Unavailable("the events are safe on disk, but storing them takes longer than 10 s; their receipts will show what became of them")
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
