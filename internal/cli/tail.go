package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/plural"
	"theeye/internal/wait"
)

// The kinds of items of the feed, and the message of a tail that was too slow.
const (
	kindEvent     = "event"
	kindRejection = "rejection"
	kindErased    = "erased"
	kindMissed    = "missed"
)

// steadyAfter is how long a connection must have lasted for its loss to be a new one, which is
// reported again and followed by a short delay.
const steadyAfter = 5 * time.Second

// tailFlags are the flags of `eye tail`.
type tailFlags struct {
	*clientFlags
	filter *filterFlags
	after  string
}

// newTailCommand returns `eye tail`.
func newTailCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "tail", Short: "Show events, rejections and erasures as they become visible", Args: args(cobra.NoArgs),
		Long: "Show events, rejections and erasures as they become visible, one per line, until it is interrupted. It waits for a server that\n" +
			"is not running, and says so. When the connection is lost, it connects again and continues where it was. With --json, each line\n" +
			"is an item as in GET /v1/feed, without session_key of events and rejections. It is for watching; `eye feed` is for copies, which must not miss anything.",
	}
	f := &tailFlags{clientFlags: newClientFlags(cmd, s)}
	f.filter = newFilterFlags(cmd, filterOf{feed: true})
	cmd.Flags().Var(nonEmpty{&f.after}, "after", "`position` after which to begin; now by default")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) }
	return cmd
}

// run follows the tail until ctx ends, which is not an error.
func (f *tailFlags) run(ctx context.Context) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	w := &tailWriter{f: f, widths: map[int]int{}}
	q := f.filter.query()
	if f.after != "" {
		q.Set("after", f.after)
	}
	var ended error = &client.UnreachableError{Server: c.Server(), Err: errors.New("the server has ended the connection")}
	l := losses{outage: outage{notice: f.notice}}
	for {
		var began time.Time
		err := c.Messages(ctx, client.Request{Method: http.MethodGet, Path: client.TailPath, Query: q, LastEventID: w.last}, func(m client.Message) error {
			if began.IsZero() {
				began = time.Now()
				l.outage.resumed(answersAgain)
			}
			return w.message(m)
		})
		if !began.IsZero() && time.Since(began) >= steadyAfter {
			l.tries = 0
			l.outage.over(answersAgain)
		}
		switch err := l.pause(ctx, cmp.Or(err, ended)); {
		case errors.Is(err, context.Canceled):
			return nil
		case err != nil:
			return goneError(err)
		}
	}
}

// notice prints a line beside the output.
func (f *clientFlags) notice(text string) { _, _ = fmt.Fprintln(f.err, "eye: "+text) }

// goneError adds to an error that a position is gone which position there is instead.
func goneError(err error) error {
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Code == client.PositionGone && p.Common != "" {
		return fmt.Errorf("%w; common is %s", err, p.Common)
	}
	return err
}

// losses decides what happens after a request has failed: what a server that is not yet started, is
// restarted or busy causes is waited for.
type losses struct {
	outage   outage
	retryFor time.Duration // since the first failure; 0 for as long as it takes

	tries int       // that failed; the caller sets it to 0 when all is well again
	first time.Time // of them
}

// pause waits after a failure until the next try. It returns the error if another try is useless.
func (l *losses) pause(ctx context.Context, err error) error {
	_, unreachable := errors.AsType[*client.UnreachableError](err)
	if errors.Is(err, fs.ErrPermission) || !unreachable && !isTransient(err) {
		return err
	}
	delay := backoff(l.tries, err)
	if l.tries == 0 {
		l.first = time.Now()
	}
	if l.retryFor > 0 && time.Since(l.first)+delay > l.retryFor {
		return fmt.Errorf("given up after %s: %w", attempts(l.tries+1), err)
	}
	l.outage.failed(err)
	l.tries++
	_ = wait.For(ctx, delay)
	return nil
}

// isTransient reports whether an error answer may differ later without anybody's doing.
func isTransient(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && (p.Status >= http.StatusInternalServerError || p.Status == http.StatusTooManyRequests || p.Status == http.StatusRequestTimeout)
}

// tailWriter prints what a tail sends.
type tailWriter struct {
	f      *tailFlags
	last   string      // the position that was reached
	widths map[int]int // of the columns so far
}

// feedItem holds the members of an item that are shown.
type feedItem struct {
	Position   string         `json:"position"`
	App        string         `json:"app"`
	SessionKey string         `json:"session_key,omitzero"`
	Kind       string         `json:"kind"`
	Event      jsontext.Value `json:"event,omitzero"`
	Rejection  jsontext.Value `json:"rejection,omitzero"`
	ErasedAt   string         `json:"erased_at,omitzero"`
}

// message prints one message, if it has something to show.
func (w *tailWriter) message(m client.Message) error {
	defer func() {
		if m.ID != "" {
			w.last = m.ID
		}
	}()
	switch m.Event {
	case kindEvent, kindRejection, kindErased:
	case kindMissed:
		return w.missed(m.Data)
	default:
		return nil
	}
	var common struct {
		App        string `json:"app"`
		SessionKey string `json:"session_key"` // of an erasure
		ErasedAt   string `json:"erased_at"`
	}
	if err := client.Decode(client.TailPath, m.Data, &common); err != nil {
		return err
	}
	i := feedItem{Position: m.ID, App: common.App, SessionKey: common.SessionKey, Kind: m.Event, ErasedAt: common.ErasedAt}
	switch m.Event {
	case kindEvent:
		i.Event = m.Data
	case kindRejection:
		i.Rejection = m.Data
	}
	if !w.f.json {
		return w.show(&i)
	}
	line, err := json.Marshal(&i, jsontext.PreserveRawStrings(true))
	if err != nil {
		return fmt.Errorf("write item: %w", err)
	}
	_, err = w.f.out.Write(append(line, '\n'))
	return err
}

// missed warns that there are items which the tail has left out.
func (w *tailWriter) missed(data []byte) error {
	var m struct {
		Count int64  `json:"count"`
		From  string `json:"from"`
	}
	if err := client.Decode(client.TailPath, data, &m); err != nil {
		return err
	}
	text := fmt.Sprintf("missed %s, because they came faster than they were read; `eye tail --after %s` shows them", plural.Count(m.Count, "item"), m.From)
	return writeLine(w.f.err, w.f.getenv, painted{yellow, "eye: " + text})
}

// show prints an item as a line.
func (w *tailWriter) show(i *feedItem) error {
	switch i.Kind {
	case kindEvent:
		var e eventItem
		if err := client.Decode(client.TailPath, i.Event, &e); err != nil {
			return err
		}
		return w.row(cell(faint, e.OccurredAt), cell(plain, e.App), cell(plain, e.SessionID), cell(cyan, shownType(e.Category, e.Name)), cell(plain, string(e.Data)))
	case kindRejection:
		var r struct {
			App        string                `json:"app"`
			SessionID  string                `json:"session_id"`
			Category   string                `json:"category"`
			Name       string                `json:"name"`
			ReceivedAt string                `json:"received_at"`
			Problems   []client.EventProblem `json:"problems"`
		}
		if err := client.Decode(client.TailPath, i.Rejection, &r); err != nil {
			return err
		}
		codes := make([]string, len(r.Problems))
		for n, p := range r.Problems {
			codes[n] = strings.TrimSpace(p.Code + " " + p.Pointer)
		}
		return w.row(cell(faint, r.ReceivedAt), cell(plain, r.App), cell(plain, r.SessionID), cell(cyan, shownType(r.Category, r.Name)), cell(red, "rejected: "+strings.Join(codes, ", ")))
	}
	what := "everything of the application"
	if i.SessionKey != "" {
		what = "the session with the key " + i.SessionKey
	}
	return w.row(cell(faint, i.ErasedAt), cell(plain, i.App), cell(plain, "-"), cell(yellow, kindErased), cell(yellow, what))
}

// shownType returns the name of an event type, or nothing if a rejected event has none.
func shownType(category, name string) string {
	if category == "" && name == "" {
		return ""
	}
	return category + "/" + name
}

// cell returns a cell whose text may come from outside.
func cell(p paint, text string) painted { return painted{p, printable(orDash(&text), maxCell)} }

// row prints cells in columns that are as wide as the widest cell so far.
func (w *tailWriter) row(cells ...painted) error {
	pieces := make([]painted, 0, 2*len(cells))
	for n, c := range cells {
		width := utf8.RuneCountInString(c.text)
		w.widths[n] = max(w.widths[n], width)
		pieces = append(pieces, c)
		if n < len(cells)-1 {
			pieces = append(pieces, painted{plain, strings.Repeat(" ", w.widths[n]-width+2)})
		}
	}
	return writeLine(w.f.out, w.f.getenv, pieces...)
}
