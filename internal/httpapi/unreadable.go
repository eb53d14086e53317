package httpapi

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/ingest"
	"theeye/internal/query"
	"theeye/internal/store"
)

func unreadableRoutes() []Route {
	return []Route{
		{"GET", "/v1/unreadable", ForAdmin, (*Server).listUnreadable, Doc{
			ID: "listUnreadable", Tag: "operation", Summary: "Requests to the intake that left no event and no rejection",
			Text: "The place to look when nothing arrives: requests without a key or with one that may not be used, from a wrong origin, over a rate, with an unknown parameter. " +
				"What came with a valid write key and could not be read is kept as a rejection and not listed here. " +
				"The last 100 of each application and reason are kept, in memory, with their first 4 KiB and without any key; the counts are since the start.",
			Params: []Param{
				{Name: "app", Text: "of this application"},
				{Name: "reason", Text: "with this reason"},
				LimitParam(), CursorParam(),
			},
			Answers: []Answer{{200, "newest first", schemaOf[UnreadableAnswer]()}}, Errors: []int{400}}},
	}
}

// UnreadableAnswer is a page of requests that could not be read, and how many
// there were.
type UnreadableAnswer struct {
	Groups   []UnreadableGroup   `json:"groups" doc:"most frequent first; counts since the start"`
	Requests []UnreadableRequest `json:"requests"`
	Next
}

// UnreadableGroup counts requests since the start.
type UnreadableGroup struct {
	App       *string `json:"app" doc:"null when no key told it"`
	Reason    string  `json:"reason" doc:"no_key, unknown_key, revoked_key, expired_key, key_not_valid, bad_signature, wrong_kind, wrong_origin, not_allowed, over_rate, or bad_request"`
	Count     int64   `json:"count"`
	FirstSeen string  `json:"first_seen" format:"date-time"`
	LastSeen  string  `json:"last_seen" format:"date-time"`
}

// UnreadableRequest is a request that could not be read.
type UnreadableRequest struct {
	At         string            `json:"at" format:"date-time"`
	App        *string           `json:"app"`
	Reason     string            `json:"reason"`
	Status     int               `json:"status" doc:"that it was answered with"`
	Detail     string            `json:"detail" doc:"that it was answered with"`
	Path       string            `json:"path"`
	Remote     *string           `json:"remote" doc:"the caller's address; local for the socket in the data directory"`
	KeyIn      string            `json:"key_in" enum:"none,bearer,basic,query,other" doc:"where a key was looked for and something was found"`
	KeyID      *string           `json:"key_id" doc:"of a key that is or was known"`
	Headers    map[string]string `json:"headers" doc:"some of them; never a key, a cookie or a signature"`
	Body       *string           `json:"body,omitempty" doc:"the first 4 KiB, as far as they came within two seconds; keys in it are replaced"`
	BodyBase64 []byte            `json:"body_base64,omitempty" doc:"instead of body, when that is not UTF-8"`

	serial uint64
	at     time.Time
}

// Bounds of what is kept of requests that could not be read.
const (
	recentRequests  = 100
	recentBytes     = 16 << 20 // of all rings, about
	maxRecentGroups = 1024
)

// keptHeaders are shown. All others may hold secrets.
func keptHeaders() []string {
	return []string{"Content-Type", "Content-Encoding", "Content-Length", "User-Agent", "Origin", "Webhook-Id", "Webhook-Timestamp"}
}

// noteUnreadable keeps a request to the intake that was refused. It is called before
// the answer, which ends the reading of the body.
func (s *Server) noteUnreadable(rt Route, c *Call, err error) {
	p := s.problemOf(err)
	if !isIntake(rt) || c.kept || p.Status >= http.StatusInternalServerError {
		return
	}
	secret, in := secretOf(c.Request)
	key, known := s.opts.Registry.Recognize(secret)
	x := UnreadableRequest{
		Status: p.Status, Detail: Redact(p.Detail), Reason: p.reason, Path: Redact(c.URL.Path),
		Remote: TextOrNull(s.remoteText(c.Request)), KeyIn: in, KeyID: TextOrNull(key.ID), Headers: map[string]string{}, at: time.Now(),
	}
	if x.Reason == "" {
		x.Reason = reasonOf(p.Status, secret, key, known)
	}
	app := key.App
	if rt.Path == legacyPath {
		app = s.opts.LegacyApp
	}
	x.App, x.At = TextOrNull(app), FormatTime(x.at)
	for _, name := range keptHeaders() {
		if value := c.Header.Get(name); value != "" {
			x.Headers[name] = Redact(value)
		}
	}
	if p.Status != http.StatusTooManyRequests { // these must cost little
		x.setBody(s.beginning(c))
	}
	s.metrics.unreadable.WithLabelValues(app, x.Reason).Inc()
	s.recent.add(app, x)
}

func isIntake(rt Route) bool {
	return rt.Access == ForWrite || rt.Path == legacyPath && rt.Method == http.MethodPost
}

// unreadableReasons returns those that reasonOf and the checks of a request give.
func unreadableReasons() []string {
	return []string{
		"no_key", "unknown_key", "revoked_key", "expired_key", "key_not_valid", "bad_signature", "wrong_kind", "wrong_origin", "not_allowed",
		"over_rate", "bad_request",
	}
}

// beginning reads a little of a body, as far as it comes soon. Who waits to be
// asked for it (Expect) is not asked.
func (s *Server) beginning(c *Call) []byte {
	if c.Body == nil || c.Header.Get("Expect") != "" {
		return nil
	}
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(unreadDeadline))
	b, _ := io.ReadAll(io.LimitReader(c.Body, ingest.KeptOfUnreadable))
	return b
}

func (x *UnreadableRequest) setBody(b []byte) {
	b = secrets.ReplaceAll(b, []byte("[key]"))
	whole := b
	for n := range min(len(b), utf8.UTFMax) { // the cut may lie in a character
		if tail := b[len(b)-n:]; n > 0 && utf8.RuneStart(tail[0]) && !utf8.FullRune(tail) {
			whole = b[:len(b)-n]
		}
	}
	switch {
	case len(b) == 0:
	case utf8.Valid(whole):
		text := string(whole)
		x.Body = &text
	default:
		x.BodyBase64 = b
	}
}

// size is what a request takes in memory, about, in bytes.
func (x *UnreadableRequest) size() int {
	n := 512 + len(x.Detail) + len(x.Path) + len(x.BodyBase64)
	if x.Body != nil {
		n += len(*x.Body)
	}
	for name, value := range x.Headers {
		n += len(name) + len(value)
	}
	return n
}

func (s *Server) listUnreadable(c *Call) error {
	p := ParamReader{values: c.URL.Query()}
	app, reason, limit, before := p.Text("app"), p.Text("reason"), p.Limit(), p.Cursor()
	if known := unreadableReasons(); reason != "" && !slices.Contains(known, reason) {
		p.Fail("reason", fmt.Sprintf("there is no reason %.40q; those are %s", reason, strings.Join(known, ", ")))
	}
	if p.Err != nil {
		return p.Err
	}
	if app != "" {
		if err := s.checkApps([]string{app}); err != nil {
			return err
		}
	}
	a := UnreadableAnswer{Groups: []UnreadableGroup{}, Requests: []UnreadableRequest{}}
	s.recent.each(func(of recentKey, r *recentGroup) {
		if app != "" && of.app != app || reason != "" && of.reason != reason {
			return
		}
		a.Groups = append(a.Groups, UnreadableGroup{TextOrNull(of.app), of.reason, r.count, FormatTime(r.first), FormatTime(r.last)})
		for _, x := range r.requests {
			if before == 0 || x.serial < before {
				a.Requests = append(a.Requests, x)
			}
		}
	})
	slices.SortFunc(a.Groups, func(x, y UnreadableGroup) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), strings.Compare(x.Reason, y.Reason))
	})
	slices.SortFunc(a.Requests, func(x, y UnreadableRequest) int { return cmp.Compare(y.serial, x.serial) })
	page := store.NewPager(query.Query{Limit: limit}, (*UnreadableRequest).size)
	page.AddAll(a.Requests)
	if a.Requests = page.Items; page.More {
		a.SetNext(a.Requests[len(a.Requests)-1].serial)
	}
	return s.streamJSON(c, a)
}

// forgetApp forgets what is kept in memory of an application that is gone.
func (s *Server) forgetApp(app string) {
	s.recent.forget(app)
	s.buckets.forget(app)
	s.opts.Collector.Forget(app)
	for _, vec := range []*prometheus.CounterVec{s.metrics.unreadable, s.metrics.overRate} {
		vec.DeletePartialMatch(prometheus.Labels{"app": app})
	}
}
