package read

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"theeye/internal/duration"
	"theeye/internal/erasure"
	"theeye/internal/feed"
	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Limits of the feed.
const (
	defaultFeedItems = 1000
	maxFeedItems     = 10_000
	maxFeedWait      = 50 * time.Second
)

// The parameters of the feed besides filters.
const (
	afterParam = "after"
	kindParam  = "kind"
	waitParam  = "wait"
	// afterNow is the value of after for the end of the feed.
	afterNow = "now"
)

// The kinds of an item.
const (
	kindEvent     = "event"
	kindRejection = "rejection"
	kindErased    = "erased"
)

func kindOf(i *store.FeedItem) string {
	switch {
	case i.Event != nil:
		return kindEvent
	case i.Rejection != nil:
		return kindRejection
	}
	return kindErased
}

func feedKinds() []string { return []string{kindEvent, kindRejection, kindErased} }

func (h *Handlers) feedRoutes() []httpapi.Route {
	filters := slices.DeleteFunc(filterParams(query.Rejections), func(p httpapi.Param) bool { return p.Name == "replayed" })
	for i := range filters {
		switch filters[i].Name {
		case "from":
			filters[i].Text = "start (inclusive) of occurred_at of events and received_at of rejections; a time as in the intake; a date alone means its first moment"
		case "to":
			filters[i].Text = "end (exclusive) of the same"
		case "code", "pointer", "event_id":
			filters[i].Text += "; only with kind=rejection"
		}
	}
	filters = append(filters,
		httpapi.Param{Name: kindParam, Text: "any of these kinds; all by default", Enum: feedKinds(), Repeatable: true},
		httpapi.Param{Name: afterParam, Text: "the position after which to begin: next, or a position, of an earlier answer, or `now` for the end"})
	return []httpapi.Route{
		{Method: "GET", Path: "/v1/feed", Access: httpapi.ForRead, Handle: h.feed, Doc: httpapi.Doc{
			ID: "readFeed", Tag: "feed", Summary: "Read what was stored, in the order in which it was stored",
			Text: "Begins at the beginning of what is stored, or after a position. Whoever keeps next together with the items has every event exactly once, also across restarts. " +
				"A replayed event comes when it was replayed. An item of kind erased says that everything at earlier positions of its session, or without session_key of its application (`*` for all), has been erased: delete what you hold of it. What has expired is absent. " +
				"A page ends at limit, at about 8 MiB, or after two seconds; next also moves past what the filter leaves out, so a page may be empty. Positions of one data directory sort as text. " +
				"After a restore, a position may be one that the feed no longer has: 410 with code position_gone, and the last position in common.",
			Params: slices.Concat(filters, []httpapi.Param{
				{Name: query.LimitParam, Text: fmt.Sprintf("1 to %d, default %d", maxFeedItems, defaultFeedItems), Number: true},
				{Name: waitParam, Text: "how long to wait for the first item, such as 20s; at most " + duration.Format(maxFeedWait)}}),
			Answers: []httpapi.Answer{httpapi.JSON[FeedAnswer](200, "a page")}, Errors: []int{400, 410, 503}}},
		{Method: "GET", Path: "/v1/tail", Access: httpapi.ForRead, Polled: true, Handle: h.tail, Doc: httpapi.Doc{
			ID: "tail", Tag: "feed", Summary: "Watch what is stored as it becomes visible",
			Text: "A stream of server-sent events, without an end. event is event or rejection, with the JSON of lists as data; erased, with {app, session_key, erased_at}; or missed, with {count, from, to}, when the reader was too slow: GET /v1/feed?after=from has what it missed. " +
				"id is the position, and a message with nothing but an id comes every 15 seconds. Begins now, or after a position, which may be in the header Last-Event-ID.",
			Params:  filters,
			Answers: []httpapi.Answer{httpapi.Plain(200, "the stream")}, MediaTypes: []string{"text/event-stream"}, Errors: []int{400, 410, 503}}},
	}
}

// FeedAnswer is a page of the feed.
type FeedAnswer struct {
	Items []FeedItem `json:"items"`
	Next  string     `json:"next" doc:"the position after which the next page begins"`
}

// FeedItem is an item of the feed.
type FeedItem struct {
	Position   string     `json:"position"`
	App        string     `json:"app" doc:"of an erasure of all applications: *"`
	SessionKey string     `json:"session_key,omitzero" doc:"a keyed hash of the session id: equal for equal sessions of this data directory. Absent if there is no session, and for the erasure of a whole application"`
	Kind       string     `json:"kind" enum:"event,rejection,erased"`
	Event      *Event     `json:"event,omitempty"`
	Rejection  *Rejection `json:"rejection,omitempty"`
	ErasedAt   string     `json:"erased_at,omitzero" format:"date-time"`
}

func (h *Handlers) toFeedItem(i *store.FeedItem) FeedItem {
	v := FeedItem{Position: feed.PositionOf(i).String(), SessionKey: i.SessionKey, Kind: kindOf(i)}
	switch {
	case i.Event != nil:
		e := toEvent(i.Event)
		v.App, v.Event = e.App, &e
	case i.Rejection != nil:
		r := h.toRejection(i.Rejection)
		v.App, v.Rejection = r.App, &r
	default:
		v.App, v.ErasedAt = i.Erased.App, i.Erased.At.String()
	}
	return v
}

// feedRequest is a valid request for the feed or the tail.
type feedRequest struct {
	events, rejections, erasures *query.Query // nil for kinds that were not asked for
	after                        feed.Position
	fromNow                      bool
	limit                        int
	wait                         time.Duration
}

// parseFeed parses the parameters of a request, and limits them to what the key may see.
func (h *Handlers) parseFeed(c *httpapi.Call) (r feedRequest, err error) {
	values := c.URL.Query()
	kinds := values[kindParam]
	for _, kind := range kinds {
		if !slices.Contains(feedKinds(), kind) {
			return r, &query.ParamError{Parameter: kindParam, Message: "must be event, rejection or erased"}
		}
	}
	has := func(kind string) bool { return len(kinds) == 0 || slices.Contains(kinds, kind) }
	if err := r.readPlace(values, c.Header.Get("Last-Event-ID")); err != nil {
		return r, err
	}
	for _, name := range []string{"code", "pointer", query.EventID} {
		if values.Has(name) && (has(kindEvent) || !has(kindRejection)) {
			return r, &query.ParamError{Parameter: name, Message: "applies to rejections only; add kind=rejection"}
		}
	}
	for _, name := range []string{kindParam, afterParam, waitParam, query.LimitParam} {
		values.Del(name)
	}
	parse := func(kind query.Kind) (*query.Query, error) {
		q, err := h.parseQuery(c, values, kind)
		return &q, err
	}
	if has(kindEvent) {
		if r.events, err = parse(query.Events); err != nil {
			return r, err
		}
	}
	if has(kindRejection) {
		if r.rejections, err = parse(query.Rejections); err != nil {
			return r, err
		}
	}
	if has(kindErased) {
		switch {
		case r.events != nil:
			r.erasures = r.events
		case r.rejections != nil:
			r.erasures = r.rejections
		default:
			r.erasures, err = parse(query.Events)
		}
	}
	return r, err
}

// readPlace reads where the answer begins, and its bounds. An id of the header Last-Event-ID counts
// more than after: it is what the reader of a stream has reached since.
func (r *feedRequest) readPlace(values url.Values, lastEventID string) (err error) {
	text, from := values.Get(afterParam), afterParam
	if lastEventID != "" {
		text, from = lastEventID, "Last-Event-ID"
	}
	switch text {
	case "":
	case afterNow:
		r.fromNow = true
	default:
		if r.after, err = feed.ParsePosition(text); err != nil {
			return &query.ParamError{Parameter: from, Message: err.Error()}
		}
	}
	r.limit = defaultFeedItems
	if text := values.Get(query.LimitParam); text != "" {
		if r.limit, err = strconv.Atoi(text); err != nil || r.limit < 1 || r.limit > maxFeedItems {
			return &query.ParamError{Parameter: query.LimitParam, Message: fmt.Sprintf("must be an integer from 1 to %d", maxFeedItems)}
		}
	}
	if text := values.Get(waitParam); text != "" {
		if r.wait, err = duration.Parse(text); err != nil || r.wait < 0 || r.wait > maxFeedWait {
			return &query.ParamError{Parameter: waitParam, Message: "must be a duration of at most " + duration.Format(maxFeedWait) + ", such as 20s"}
		}
	}
	return nil
}

// selects reports whether an item was asked for.
func (r *feedRequest) selects(i *store.FeedItem, sessionKeys []string) bool {
	switch {
	case i.Event != nil:
		return r.events != nil && r.events.SelectsEvent(i.Event)
	case i.Rejection != nil:
		return r.rejections != nil && r.rejections.SelectsRejection(i.Rejection)
	}
	return r.erasures != nil && i.Erased.IsSelected(r.erasures, i.SessionKey, sessionKeys)
}

// query returns the query of a page after a position.
func (r *feedRequest) query(after feed.Position, limit int) store.FeedQuery {
	return store.FeedQuery{
		Events: r.events, Rejections: r.rejections, Erasures: r.erasures,
		After: after.Place, Timeline: after.Timeline, Limit: limit, MaxBytes: query.PageBytes,
	}
}

// feed answers with a page of the feed, and waits for one that has an item.
func (h *Handlers) feed(c *httpapi.Call) error {
	r, err := h.parseFeed(c)
	if err != nil {
		return err
	}
	ends := time.Now().Add(r.wait)
	if r.fromNow {
		if r.after, err = feed.End(c.Context(), h.opts.Reader, h.opts.Progress); err != nil {
			return err
		}
	}
	done, err := h.feedPage(c, &r, r.wait == 0)
	if done || err != nil {
		return err
	}
	l, err := h.listen(c.Context())
	if err != nil {
		return err
	}
	defer l.Close()
	for !l.Rewind(r.after) { // it is not searched yet, or has come since
		if !time.Now().Before(ends) { // the caller goes on from here, rather than wait longer than asked
			return c.StreamJSON(FeedAnswer{Items: httpapi.MapSlice(nil, func(*store.FeedItem) FeedItem { return FeedItem{} }), Next: r.after.String()})
		}
		if done, err := h.feedPage(c, &r, false); done || err != nil {
			return err
		}
	}
	ctx, cancel := context.WithDeadline(c.Context(), ends)
	defer cancel()
	if err := h.awaitItem(ctx, l, &r); err != nil && c.Context().Err() != nil {
		return err
	}
	_, err = h.feedPage(c, &r, true)
	return err
}

// feedPage answers with a page. Unless it is final, a page without items is not sent: r.after moves
// past what it has searched.
func (h *Handlers) feedPage(c *httpapi.Call, r *feedRequest, final bool) (done bool, err error) {
	memory, err := c.ReserveRead()
	if err != nil {
		return false, err
	}
	defer memory.Release()
	ctx, cancel := context.WithTimeout(c.Context(), readDeadline)
	defer cancel()
	page, err := h.opts.Reader.Feed(ctx, r.query(r.after, r.limit))
	if err != nil {
		return false, feedProblem(err)
	}
	next := feed.Position{Place: page.Next, Timeline: page.Timeline}
	if !final && len(page.Items) == 0 {
		r.after = next
		return false, nil
	}
	httpapi.KeepPage(memory, page.Items, (*store.FeedItem).Size)
	return true, c.StreamJSON(FeedAnswer{
		Items: httpapi.MapSlice(page.Items, func(i *store.FeedItem) FeedItem { return h.toFeedItem(ownErasure(i, c.Principal.App)) }),
		Next:  next.String(),
	})
}

// ownErasure returns an item as a key of one application sees it: an erasure of all applications is
// one of its own.
func ownErasure(i *store.FeedItem, app string) *store.FeedItem {
	if i.Erased == nil || app == "" || i.Erased.App != erasure.AllApps {
		return i
	}
	own := *i
	own.Erased = &store.FeedErasure{App: app, At: i.Erased.At}
	return &own
}

// feedProblem returns the answer to an error of reading the feed.
func feedProblem(err error) error {
	gone, ok := errors.AsType[*store.PlaceGoneError](err)
	if !ok {
		return err
	}
	p := httpapi.NewProblem(http.StatusGone, "the feed no longer has this position: its data directory was restored from a backup, has lost its queue, or is another one. "+
		"Delete what came after common, and go on with after=common; without common, start again without after")
	p.Code = "position_gone"
	if gone.Timeline != "" {
		p.Common = feed.Position{Place: gone.Common, Timeline: gone.Timeline}.String()
	}
	return p
}

// awaitItem waits until a listener has an item that was asked for, or must read the store for one.
// r.after moves past what does not match. The error is that of ctx, or why the hub has ended.
func (h *Handlers) awaitItem(ctx context.Context, l *feed.Listener, r *feedRequest) error {
	keys := h.sessionKeys(r)
	for {
		items, missed, err := l.Next(ctx)
		if err != nil || missed != nil || slices.ContainsFunc(items, func(i *feed.Item) bool { return !i.IsErased() && r.selects(&i.FeedItem, keys) }) {
			return err
		}
		r.after = l.At()
	}
}

// sessionKeys returns the keys of the sessions whose erasures were asked for, nil for all sessions.
func (h *Handlers) sessionKeys(r *feedRequest) (keys []string) {
	if r.erasures == nil || r.erasures.SessionIDs == nil {
		return nil
	}
	for _, session := range r.erasures.SessionIDs {
		keys = append(keys, h.opts.Erasures().SessionKey(session))
	}
	return keys
}

// listen returns a listener, which the caller must close.
func (h *Handlers) listen(ctx context.Context) (*feed.Listener, error) {
	l, err := h.hub.Listen(ctx)
	switch {
	case errors.Is(err, feed.ErrFull), errors.Is(err, feed.ErrEnded):
		return nil, httpapi.Unavailable(err.Error() + "; try again")
	case ctx.Err() != nil:
		return nil, httpapi.Unavailable("the store did not answer in time; try again")
	}
	return l, err
}
