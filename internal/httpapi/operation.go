package httpapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func (s *Server) operationRoutes() []Route {
	text := func(what string) []Answer { return []Answer{Plain(200, what)} }
	return slices.Concat(pageRoutes(), scriptRoutes(), s.loginRoutes(), []Route{
		{Method: "GET", Path: "/healthz", Access: Open, Handle: s.healthz, Doc: Doc{
			ID: "healthz", Tag: "operation", Summary: "Check that the process is running", Answers: text("it runs")}},
		{Method: "GET", Path: "/readyz", Access: Open, Handle: s.readyz, Doc: Doc{
			ID: "readyz", Tag: "operation", Summary: "Check that intake and reading work",
			Answers: []Answer{JSON[Readiness](200, "both work"), JSON[Readiness](503, "one does not")}}},
		{Method: "GET", Path: "/metrics", Access: ForMetrics, Handle: s.showMetrics, Doc: Doc{
			ID: "metrics", Tag: "operation", Summary: "Metrics in the Prometheus text format", Params: []Param{{Name: "name[]", Text: "only metrics with these names", Repeatable: true}}, Answers: text("the metrics")}},
		{Method: "GET", Path: "/openapi.json", Access: Open, Handle: s.openAPI, Doc: Doc{
			ID: "openapi", Tag: "operation", Summary: "This document", Answers: text("OpenAPI 3.1")}},
	})
}

func (s *Server) healthz(c *Call) error {
	return c.WriteJSON(http.StatusOK, map[string]bool{"alive": true})
}

// Readiness says what works.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Intake  bool     `json:"intake"`
	Read    bool     `json:"read"`
	Reasons []string `json:"reasons" doc:"what does not work and why; also, while everything works, stored events that are unavailable because a file is damaged, lost files of the data directory, and expiry that is suspended because the system clock has jumped"`
}

func (s *Server) readyz(c *Call) error {
	r := s.known(c.Context())
	status := http.StatusOK
	if !r.Ready {
		status = http.StatusServiceUnavailable
	}
	return c.WriteJSON(status, r)
}

// readyAge is how old an answer of /readyz may be.
const readyAge = time.Second

// known returns a Readiness that is at most readyAge old. It is determined once for all callers.
func (s *Server) known(ctx context.Context) Readiness {
	s.readyMu.Lock()
	defer s.readyMu.Unlock()
	if time.Since(s.readyAt) >= readyAge {
		ctx, release := s.life.outlive(ctx) // others wait for the result too
		defer release()
		s.ready = s.Readiness(ctx)
		s.readyAt = time.Now()
	}
	return s.ready
}

// forgetReadiness makes the next call of known determine it again.
func (s *Server) forgetReadiness() {
	s.readyMu.Lock()
	defer s.readyMu.Unlock()
	s.readyAt = time.Time{}
}

// Readiness determines what works. It takes at most two seconds.
func (s *Server) Readiness(ctx context.Context) Readiness {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r := Readiness{Intake: true, Read: true, Reasons: []string{}}
	if err := s.opts.Queue.Err(); err != nil {
		r.Intake = false
		r.Reasons = append(r.Reasons, "intake: "+err.Error())
	} else if state, err := s.opts.Queue.State(ctx); err != nil {
		r.Intake = false
		r.Reasons = append(r.Reasons, "intake: the queue does not answer")
	} else if state.Bytes+queueHeadroom > uint64(state.Quota) {
		r.Intake = false
		r.Reasons = append(r.Reasons, "intake: the queue has reached its quota (--queue-max-bytes)")
	}
	if err := s.opts.CaughtUp(); err != nil {
		r.Read = false
		r.Reasons = append(r.Reasons, "read: "+err.Error())
	} else if err := s.ping(ctx); err != nil {
		r.Read = false
		r.Reasons = append(r.Reasons, "read: the store does not answer")
	}
	if s.opts.Missing != nil {
		for _, text := range s.opts.Missing() {
			r.Reasons = append(r.Reasons, "read: "+text)
		}
	}
	if s.opts.Notices != nil {
		r.Reasons = append(r.Reasons, s.opts.Notices()...)
	}
	r.Ready = r.Intake && r.Read
	return r
}

// ping reports whether the store answers.
func (s *Server) ping(ctx context.Context) error {
	if s.opts.Ping == nil {
		return nil
	}
	return s.opts.Ping(ctx)
}

// queueHeadroom is the remaining quota below which a queue counts as full, in bytes.
const queueHeadroom = 64 << 10

func (s *Server) showMetrics(c *Call) error {
	s.Metrics().ServeHTTP(c.w, c.Request)
	return nil
}

// Metrics returns a handler of /metrics that does not require a key, for a listener of its own.
func (s *Server) Metrics() http.Handler {
	return promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

func (s *Server) openAPI(c *Call) error {
	b, err := s.document()
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/openapi+json")
	_, err = c.w.Write(b)
	return err
}
