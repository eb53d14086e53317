// Package apitest starts the API over a store that a test writes to.
package apitest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"theeye/internal/backup"
	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/httpapi/admin"
	"theeye/internal/httpapi/intake"
	"theeye/internal/httpapi/read"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/query"
	"theeye/internal/queue"
	"theeye/internal/registry"
	"theeye/internal/schema"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// ReadTimeout is the time in which a request must arrive; it does not apply to answers.
const ReadTimeout = 200 * time.Millisecond

// Parts are the parts of an API. A test changes those that it needs.
type Parts struct {
	Registry     *registry.Registry
	Queue        *queue.Queue
	Collector    *ingest.Collector
	Progress     *progress.Tracker
	Reader       store.Reader
	Backup       *backup.Source
	Parquet      func(context.Context, query.Query) (*os.File, error)
	ExportsEnded func() <-chan struct{}
	CaughtUp     func() error
	Ping         func(context.Context) error
	Eraser       admin.Eraser

	LegacyApp      string
	StallDeadline  time.Duration
	IntakeDeadline time.Duration
}

// New returns a server of all routes.
func New(p Parts) *httpapi.Server {
	in := intake.New(intake.Options{
		Registry: p.Registry, Collector: p.Collector, Queue: p.Queue, Progress: p.Progress, LegacyApp: p.LegacyApp, Deadline: p.IntakeDeadline,
	})
	reads := read.New(read.Options{
		Registry: p.Registry, Reader: p.Reader, Queue: p.Queue, Progress: p.Progress, CaughtUp: p.CaughtUp, Parquet: p.Parquet,
		ExportsEnded: p.ExportsEnded, LegacyApp: p.LegacyApp,
	})
	administration := admin.New(admin.Options{
		Registry: p.Registry, Collector: p.Collector, Reader: p.Reader, Intake: in, Books: reads, Backup: p.Backup,
		CaughtUp: p.CaughtUp, Eraser: p.Eraser,
	})
	return httpapi.New(httpapi.Options{
		Routes: slices.Concat(in.Routes(), reads.Routes(), administration.Routes()), Registry: p.Registry, Queue: p.Queue,
		CaughtUp: p.CaughtUp, Ping: p.Ping, StallDeadline: p.StallDeadline,
	})
}

// API is a server over a store that the test writes to.
type API struct {
	*testing.T
	URL   string
	Dir   string            // of the store
	Keys  map[string]string // to read an application; "" is an admin key
	store *duckdb.Store
	last  uint64 // the last frame
}

// Start starts a server with the applications shop and blog, which runs until the test ends; change
// changes its parts.
func Start(t *testing.T, change ...func(*Parts)) *API {
	t.Helper()
	a := &API{T: t, Dir: t.TempDir(), Keys: map[string]string{"": strings.Repeat("k", 30)}}
	var err error
	if a.store, err = duckdb.Open(t.Context(), duckdb.Options{Dir: a.Dir, MemoryLimit: 512 << 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.store.Close() })
	q, err := queue.Open(t.Context(), queue.Options{Dir: t.TempDir(), MaxBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	keys, err := registry.Open(t.Context(), q.JetStream(), registry.Options{Dir: t.TempDir(), AdminKey: a.Keys[""], MaxBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Close)
	for _, app := range []string{"shop", "blog"} {
		if _, err := keys.CreateApp(t.Context(), app, registry.Settings{}); err != nil {
			t.Fatal(err)
		}
		if _, a.Keys[app], err = keys.CreateKey(t.Context(), app, registry.Read); err != nil {
			t.Fatal(err)
		}
	}
	parts := Parts{Registry: keys, Queue: q, Reader: a.store, Parquet: a.store.Parquet, CaughtUp: func() error { return nil }}
	for _, f := range change {
		f(&parts)
	}
	if parts.Progress == nil {
		parts.Progress = progress.New(0)
	}
	server := httptest.NewUnstartedServer(New(parts))
	server.Config.ReadTimeout = ReadTimeout
	server.Start()
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

// Write puts events into a frame of their own.
func (a *API) Write(events ...event.Event) {
	a.Helper()
	a.last++
	b := store.Batch{First: a.last, Last: a.last, Arrivals: map[string]store.Arrivals{}}
	for i := range events {
		e := events[i]
		e.Position, e.CarriedBy = event.Position{Frame: a.last, Index: uint32(i)}, a.last
		b.Records = append(b.Records, event.Record{Event: &e})
		n := b.Arrivals[e.App]
		n.Received++
		b.Arrivals[e.App] = n
	}
	if _, err := a.store.Write(a.Context(), b); err != nil {
		a.Fatal(err)
	}
}

// Reject writes a rejection of an event with a body.
func (a *API) Reject(e event.Event, raw string) {
	a.Helper()
	a.last++
	a.put(event.Record{Rejection: &event.Rejection{
		ID: event.RejectionID(e.App, e.ID, []byte(raw)), EventID: e.ID, App: e.App, SessionID: e.SessionID, Category: e.Category, Name: e.Name,
		ReceivedAt: e.ReceivedAt, Position: event.Position{Frame: a.last}, CarriedBy: a.last, Raw: []byte(raw),
		Problems: []event.Problem{{Code: event.SchemaViolation, Pointer: "/data/path", Message: "missing property 'path'"}},
	}}, 1)
}

// Carry writes an event that already has a position, like a replay.
func (a *API) Carry(e event.Event) {
	a.Helper()
	a.last++
	e.CarriedBy = a.last
	a.put(event.Record{Event: &e}, 0)
}

func (a *API) put(r event.Record, received int64) {
	a.Helper()
	b := store.Batch{First: a.last, Last: a.last, Records: []event.Record{r}, Arrivals: map[string]store.Arrivals{r.App(): {Received: received}}}
	if _, err := a.store.Write(a.Context(), b); err != nil {
		a.Fatal(err)
	}
}

// Flush makes a segment of what was written.
func (a *API) Flush() {
	a.Helper()
	if err := a.store.Flush(a.Context()); err != nil {
		a.Fatal(err)
	}
}

// Get sends a request with the key of an application. Headers are names and values in turn.
func (a *API) Get(app, path string, headers ...string) *http.Response {
	a.Helper()
	r, err := http.NewRequestWithContext(a.Context(), http.MethodGet, a.URL+path, nil)
	if err != nil {
		a.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.Keys[app])
	r.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// Text is Get for an answer with status 200, and returns its body.
func (a *API) Text(app, path string, headers ...string) string {
	a.Helper()
	answer := a.Get(app, path, headers...)
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		a.Fatalf("%s: %d, %v: %.300s", path, answer.StatusCode, err, body)
	}
	return string(body)
}

// Send sends a request with the admin key and returns the status of the response.
func (a *API) Send(method, path, body string) int {
	a.Helper()
	return Status(a.Context(), Request{method, a.URL + path, a.Keys[""], body})
}

// Request is a request with a key.
type Request struct{ Method, URL, Key, Body string }

// Status sends a request and returns the status of its answer, or 0 if there is none.
func Status(ctx context.Context, request Request) int {
	r, err := http.NewRequestWithContext(ctx, request.Method, request.URL, strings.NewReader(request.Body))
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+request.Key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// Number returns the nth id.
func Number(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-%012d", n))
}

// Simple returns the nth event of an application.
func Simple(n int, app string) event.Event {
	at := event.Micros(1_600_000_000_000_000 + n%9*3_600_000_000)
	return event.Event{
		App: app, ID: Number(n), SessionID: fmt.Sprint("s", n%4), Category: "page", Name: "view", Data: fmt.Appendf(nil, `{"n":%d}`, n),
		Timestamp: "2020-09-13T12:26:40Z", Seq: event.NoSeq, OccurredAt: at, ReceivedAt: at + 5,
	}
}

// Each calls each with n large events.
func Each(n int, each func(*event.Event) error) error {
	for i := range n {
		e := Simple(i, "shop")
		e.Data = fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", 10_000))
		if err := each(&e); err != nil {
			return err
		}
	}
	return nil
}

// Exporter is a store whose exports a test defines.
type Exporter struct {
	store.Reader
	Do func(context.Context, func(*event.Event) error) error
}

// Export implements store.Reader.
func (s *Exporter) Export(ctx context.Context, _ query.Query, each func(*event.Event) error) error {
	return s.Do(ctx, each)
}

// SessionEraser is an admin.Eraser that only erases sessions.
type SessionEraser func(ctx context.Context, session string) (admin.Erasure, error)

// EraseSession implements admin.Eraser.
func (f SessionEraser) EraseSession(ctx context.Context, _ []string, session string) (admin.Erasure, error) {
	return f(ctx, session)
}

// EraseApp implements admin.Eraser.
func (f SessionEraser) EraseApp(context.Context, registry.App) (admin.Erasure, error) {
	return admin.Erasure{}, errors.ErrUnsupported
}

// EmptyQuarantine implements admin.Eraser.
func (f SessionEraser) EmptyQuarantine(context.Context) ([]admin.PutAside, error) {
	return nil, errors.ErrUnsupported
}

// Collecting returns a collector that runs until the test ends and knows no event types.
func Collecting(t *testing.T, opts ingest.Options) *ingest.Collector {
	t.Helper()
	opts.Types = func(string, string) *schema.Type { return nil }
	c := ingest.New(opts)
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return c
}
