package read

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/feed"
	"theeye/internal/httpapi"
	"theeye/internal/store"
	"theeye/internal/wait"
)

const (
	// heartbeat is how often a tail sends its position when it has nothing else to send.
	heartbeat = 15 * time.Second
	// tailRate and tailBurst bound what all tails send together, in bytes per second and at once,
	// so that readers of everything leave the processors to the intake.
	tailRate  = 16 << 20
	tailBurst = 1 << 20
	// tailPatience bounds how long a tail waits for a server that is too busy to read what came
	// before it, tailRetry how long between attempts.
	tailPatience = 30 * time.Second
	tailRetry    = 200 * time.Millisecond
	// tailPage is how many items of the past are read at a time.
	tailPage = 1000
)

// tail sends items as they become visible, until the caller, the key or the server ends it.
func (h *Handlers) tail(c *httpapi.Call) error {
	r, err := h.parseFeed(c)
	if err != nil {
		return err
	}
	t := &tailWriter{h: h, c: c, r: &r, keys: h.sessionKeys(&r)}
	if c.Method == http.MethodHead {
		return t.begin(r.after)
	}
	l, err := h.listen(c.Context())
	if err != nil {
		return err
	}
	defer l.Close()
	at := l.At()
	if r.after != (feed.Position{}) {
		at = r.after
	}
	if at, err = t.catchUp(l, at); err != nil {
		return t.end(err)
	}
	if err := t.begin(at); err != nil {
		return t.end(err)
	}
	for {
		if err := t.next(l); err != nil {
			return t.end(err)
		}
	}
}

// tailWriter writes the stream of one tail.
type tailWriter struct {
	h     *Handlers
	c     *httpapi.Call
	r     *feedRequest
	keys  []string // of the sessions that were asked for
	begun bool
	out   bytes.Buffer
}

// begin sends the header, and the position at which the stream begins.
func (t *tailWriter) begin(at feed.Position) error {
	if t.begun {
		return nil
	}
	t.begun = true
	header := t.c.Writer().Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	t.c.Writer().WriteHeader(http.StatusOK)
	t.id(at.String())
	return t.flush()
}

// end returns nil for an error that ends a stream that has begun: the caller connects again.
func (t *tailWriter) end(err error) error {
	if !t.begun {
		return feedProblem(err)
	}
	if t.c.Context().Err() == nil && !isBusy(err) && !errors.Is(err, feed.ErrEnded) && !errors.Is(err, feed.ErrMoved) && !errors.Is(err, errGone) {
		t.h.log.Warn("a tail was ended", "error", err)
	}
	return nil
}

// catchUp sends the items after a place until the listener can go on there, and returns its place.
// While the server is too busy to read them it waits, for at most tailPatience a page: an EventSource does
// not connect again after an answer other than 200.
func (t *tailWriter) catchUp(l *feed.Listener, at feed.Position) (feed.Position, error) {
	patience := time.Now().Add(tailPatience)
	for !l.Rewind(at) {
		next, err := t.past(at)
		if isBusy(err) && time.Now().Before(patience) && wait.For(t.c.Context(), tailRetry) == nil {
			continue
		}
		if err != nil {
			return at, err
		}
		at, patience = next, time.Now().Add(tailPatience)
	}
	return at, nil
}

// isBusy reports whether an error may be gone in a moment.
func isBusy(err error) bool {
	p, ok := errors.AsType[*httpapi.ProblemDetails](err)
	return ok && p.Status == http.StatusServiceUnavailable || errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// past sends a page of items that came before those of the listeners, and returns the position
// after it.
func (t *tailWriter) past(at feed.Position) (feed.Position, error) {
	memory, err := t.c.ReserveRead()
	if err != nil {
		return at, err
	}
	defer memory.Release()
	ctx, cancel := context.WithTimeout(t.c.Context(), readDeadline)
	defer cancel()
	page, err := t.h.opts.Reader.Feed(ctx, t.r.query(at, tailPage))
	if err != nil {
		return at, err
	}
	httpapi.KeepPage(memory, page.Items, (*store.FeedItem).Size)
	if err := t.begin(at); err != nil {
		return at, err
	}
	for n := range page.Items {
		i := &page.Items[n]
		text, err := t.h.encodeTailed(i)
		if err != nil {
			return at, err
		}
		if err := t.item(i, feed.PositionOf(i).String(), text); err != nil {
			return at, err
		}
	}
	at = feed.Position{Place: page.Next, Timeline: page.Timeline}
	t.id(at.String())
	return at, t.flush()
}

// next sends what comes next of a listener.
func (t *tailWriter) next(l *feed.Listener) error {
	ctx, cancel := context.WithTimeout(t.c.Context(), heartbeat)
	defer cancel()
	items, missed, err := l.Next(ctx)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && t.c.Context().Err() == nil:
		t.id(l.At().String())
		return t.flush()
	case err != nil:
		return err
	case missed != nil:
		text, err := json.Marshal(missedData{missed.Count, missed.From.String(), missed.To.String()})
		if err != nil {
			return err
		}
		t.message("missed", missed.To.String(), text)
		return t.flush()
	}
	for _, i := range items {
		if i.IsErased() || !t.r.selects(&i.FeedItem, t.keys) {
			continue
		}
		text, err := i.JSON()
		if err != nil {
			return err
		}
		if err := t.item(&i.FeedItem, i.Position, text); err != nil {
			return err
		}
	}
	return t.flush()
}

// missedData is the data of a message missed.
type missedData struct {
	Count int64  `json:"count"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// erasedData is the data of a message erased.
type erasedData struct {
	App        string `json:"app"`
	SessionKey string `json:"session_key,omitzero"`
	ErasedAt   string `json:"erased_at"`
}

// encodeTailed encodes the data of an item.
func (h *Handlers) encodeTailed(i *store.FeedItem) ([]byte, error) {
	var v any
	switch {
	case i.Event != nil:
		v = toEvent(i.Event)
	case i.Rejection != nil:
		v = h.toRejection(i.Rejection)
	default:
		v = erasedData{i.Erased.App, i.SessionKey, i.Erased.At.String()}
	}
	return json.Marshal(v, jsontext.PreserveRawStrings(true), jsontext.AllowDuplicateNames(true))
}

// item adds an item to what is sent next.
func (t *tailWriter) item(i *store.FeedItem, position string, text []byte) error {
	if own := ownErasure(i, t.c.Principal.App); own != i {
		var err error
		if text, err = t.h.encodeTailed(own); err != nil {
			return err
		}
	}
	t.message(kindOf(i), position, text)
	if t.out.Len() >= httpapi.AnswerBuffer {
		return t.flush()
	}
	return nil
}

// message adds a message. The text is JSON without line breaks.
func (t *tailWriter) message(kind, position string, text []byte) {
	for _, part := range [][]byte{[]byte("event: " + kind + "\nid: " + position + "\ndata: "), text, []byte("\n\n")} {
		t.out.Write(part)
	}
}

// id adds a message that has only a position.
func (t *tailWriter) id(position string) { t.out.WriteString("id: " + position + "\n\n") }

// flush sends what was added, as soon as all tails together have sent little enough.
func (t *tailWriter) flush() error {
	for t.out.Len() > 0 {
		piece := t.out.Next(tailBurst)
		if err := t.h.tailRate.WaitN(t.c.Context(), len(piece)); err != nil {
			return err
		}
		if _, err := t.c.Writer().Write(piece); err != nil {
			return errors.Join(errGone, err)
		}
	}
	t.out.Reset()
	if t.out.Cap() > 4*httpapi.AnswerBuffer {
		t.out = bytes.Buffer{}
	}
	return http.NewResponseController(t.c.Writer()).Flush()
}
