package intake

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"theeye/internal/httpapi"
	"theeye/internal/ingest"
	"theeye/internal/query"
	"theeye/internal/store"
)

func (h *Handlers) unreadableRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: "GET", Path: "/v1/unreadable", Access: httpapi.ForAdmin, Handle: h.listUnreadable, Doc: httpapi.Doc{
			ID: "listUnreadable", Tag: "operation", Summary: "Refused requests to the intake",
			Text: "Look here when no events arrive. Lists requests that left neither an event nor a rejection: without a valid key, from a wrong origin, over the rate limit, or with an unknown parameter. " +
				"A body that was sent with a valid write key but could not be read is kept as a rejection and is not listed here. " +
				"The last 100 requests for each application and reason are kept in memory, with their first 4 KiB and without keys; counts start with the server.",
			Params: []httpapi.Param{
				{Name: "app", Text: "of this application"},
				{Name: "reason", Text: "with this reason"},
				httpapi.LimitParam(), httpapi.CursorParam(),
			},
			Answers: []httpapi.Answer{httpapi.JSON[UnreadableAnswer](200, "newest first")}, Errors: []int{400}}},
	}
}

// UnreadableAnswer is a page of refused requests, with their counts.
type UnreadableAnswer struct {
	Groups   []UnreadableGroup   `json:"groups" doc:"most frequent first; counts since the start"`
	Requests []UnreadableRequest `json:"requests"`
	httpapi.Next
}

// UnreadableGroup counts the refused requests of an application and a reason since the start.
type UnreadableGroup struct {
	App       *string `json:"app" doc:"null when no key identified it"`
	Reason    string  `json:"reason" doc:"no_key, unknown_key, revoked_key, expired_key, key_not_valid, bad_signature, wrong_kind, wrong_origin, not_allowed, over_rate, or bad_request"`
	Count     int64   `json:"count"`
	FirstSeen string  `json:"first_seen" format:"date-time"`
	LastSeen  string  `json:"last_seen" format:"date-time"`
}

// UnreadableRequest is a request that was refused.
type UnreadableRequest struct {
	At         string            `json:"at" format:"date-time"`
	App        *string           `json:"app"`
	Reason     string            `json:"reason"`
	Status     int               `json:"status" doc:"of the answer"`
	Detail     string            `json:"detail" doc:"of the answer"`
	Path       string            `json:"path"`
	Remote     *string           `json:"remote" doc:"the caller's address; local for the socket in the data directory"`
	KeyIn      string            `json:"key_in" enum:"none,bearer,basic,query,other" doc:"where the request had a key"`
	KeyID      *string           `json:"key_id" doc:"of a key that exists or existed"`
	Headers    map[string]string `json:"headers" doc:"a selection; never a key, a cookie or a signature"`
	Body       *string           `json:"body,omitempty" doc:"the first 4 KiB that arrived within two seconds, with keys replaced"`
	BodyBase64 []byte            `json:"body_base64,omitempty" doc:"instead of body, if that is not UTF-8"`

	serial uint64
	at     time.Time
}

// Limits of what is kept about refused requests.
const (
	recentRequests  = 100
	recentBytes     = 16 << 20 // of all groups, about
	maxRecentGroups = 1024
)

// keptHeaders returns the headers that are kept. All others may hold secrets.
func keptHeaders() []string {
	return []string{"Content-Type", "Content-Encoding", "Content-Length", "User-Agent", "Origin", "Webhook-Id", "Webhook-Timestamp"}
}

// noteTurnedAway records a refused request, unless its body was kept as a rejection.
func (h *Handlers) noteTurnedAway(c *httpapi.Call, err error) { h.noteTurnedAwayOf(c, err, "") }

// noteTurnedAwayOf is noteTurnedAway for an application; "" stands for that of the request's key.
func (h *Handlers) noteTurnedAwayOf(c *httpapi.Call, err error, app string) {
	p := httpapi.ProblemOf(err)
	if errors.As(err, new(*keptError)) || p.Status >= http.StatusInternalServerError {
		return
	}
	why := c.Refusal(p)
	if app == "" {
		app = why.Key.App
	}
	now := time.Now()
	x := UnreadableRequest{
		At: httpapi.FormatTime(now), App: httpapi.TextOrNull(app), Reason: why.Reason, Status: p.Status, Detail: httpapi.Redact(p.Detail), Path: httpapi.Redact(c.URL.Path),
		Remote: httpapi.TextOrNull(c.Remote()), KeyIn: why.KeyIn, KeyID: httpapi.TextOrNull(why.Key.ID), Headers: map[string]string{}, at: now,
	}
	for _, name := range keptHeaders() {
		if value := c.Header.Get(name); value != "" {
			x.Headers[name] = httpapi.Redact(value)
		}
	}
	if p.Status != http.StatusTooManyRequests { // these must be cheap
		x.setBody(beginning(c))
	}
	h.metrics.unreadable.WithLabelValues(app, x.Reason).Inc()
	h.recent.add(app, x)
}

// unreadableReasons returns all reasons that Call.Refusal may give.
func unreadableReasons() []string {
	return []string{
		"no_key", "unknown_key", "revoked_key", "expired_key", "key_not_valid", "bad_signature", "wrong_kind", "wrong_origin", "not_allowed",
		"over_rate", "bad_request",
	}
}

// beginning reads the first bytes of a body, as far as they arrive within UnreadDeadline. A
// client that sent Expect: 100-continue is not asked to continue.
func beginning(c *httpapi.Call) []byte {
	if c.Body == nil || c.Header.Get("Expect") != "" {
		return nil
	}
	_ = http.NewResponseController(c.Writer()).SetReadDeadline(time.Now().Add(httpapi.UnreadDeadline))
	b, _ := io.ReadAll(io.LimitReader(c.Body, ingest.PrefixBytes))
	return b
}

func (x *UnreadableRequest) setBody(b []byte) {
	b = []byte(httpapi.RedactKeys(string(b)))
	whole := b
	for n := range min(len(b), utf8.UTFMax) { // the cut may split a character
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

// size returns the approximate memory of a request, in bytes.
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

func (h *Handlers) listUnreadable(c *httpapi.Call) error {
	p := c.Params()
	app, reason, limit, before := p.Text("app"), p.Text("reason"), p.Limit(), p.Cursor()
	if known := unreadableReasons(); reason != "" && !slices.Contains(known, reason) {
		p.Fail("reason", fmt.Sprintf("there is no reason %.40q; use one of %s", reason, strings.Join(known, ", ")))
	}
	if p.Err != nil {
		return p.Err
	}
	if app != "" {
		if err := c.CheckApps([]string{app}); err != nil {
			return err
		}
	}
	a := UnreadableAnswer{Groups: []UnreadableGroup{}, Requests: []UnreadableRequest{}}
	h.recent.each(func(of recentKey, r *recentGroup) {
		if app != "" && of.app != app || reason != "" && of.reason != reason {
			return
		}
		a.Groups = append(a.Groups, UnreadableGroup{httpapi.TextOrNull(of.app), of.reason, r.count, httpapi.FormatTime(r.first), httpapi.FormatTime(r.last)})
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
	return c.StreamJSON(a)
}
