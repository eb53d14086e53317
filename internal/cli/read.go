package cli

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"theeye/internal/client"
)

// eventItem holds the members of an event that are shown.
type eventItem struct {
	App        string         `json:"app"`
	ID         string         `json:"id"`
	SessionID  string         `json:"session_id"`
	Category   string         `json:"category"`
	Name       string         `json:"name"`
	Data       jsontext.Value `json:"data"`
	OccurredAt string         `json:"occurred_at"`
}

// sessionItem holds the members of a session that are shown.
type sessionItem struct {
	SessionID string   `json:"session_id"`
	Apps      []string `json:"apps"`
	StartedAt string   `json:"started_at"`
	EndedAt   string   `json:"ended_at"`
	Events    int64    `json:"events"`
	Late      *int64   `json:"late"`
	Missing   *int64   `json:"missing"`
}

// gapItem is a range of missing sequence numbers of a sender.
type gapItem struct {
	Sender  string `json:"sender"`
	FromSeq int64  `json:"from_seq"`
	ToSeq   int64  `json:"to_seq"`
	Count   int64  `json:"count"`
	After   string `json:"after"`
	Before  string `json:"before"`
}

// showGaps prints what is missing between the events of a page.
func (f *clientFlags) showGaps(gaps []gapItem) error {
	if len(gaps) == 0 {
		return nil
	}
	t := newTable(f.out)
	t.row()
	t.row("MISSING", "SENDER", "FROM SEQ", "TO SEQ", "AFTER", "BEFORE")
	for _, g := range gaps {
		t.row(strconv.FormatInt(g.Count, 10), g.Sender, strconv.FormatInt(g.FromSeq, 10), strconv.FormatInt(g.ToSeq, 10), g.After, g.Before)
	}
	return t.flush()
}

type eventPage struct {
	Session    *sessionItem `json:"session"` // of GET /v1/sessions/{id}
	Events     []eventItem  `json:"events"`
	Missing    []gapItem    `json:"missing"` // of the same
	NextCursor *string      `json:"next_cursor"`
}

// newEventsCommand returns `eye events`.
func newEventsCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "events [ID]", Short: "List events in the order they occurred, or show one", Args: args(cobra.MaximumNArgs(1))}
	f := newClientFlags(cmd, s)
	filter := newFilterFlags(cmd, filterOf{order: true, limit: true})
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		if len(got) == 1 {
			return showOne(cmd.Context(), f, client.EventPath(got[0]), filter.query())
		}
		return pages(cmd.Context(), f, filter, listing{path: client.EventsPath, show: f.showEvents})
	}
	return cmd
}

func (f *clientFlags) showEvents(body []byte) (*string, error) {
	var page eventPage
	if err := client.Decode(client.EventsPath, body, &page); err != nil || f.json {
		return page.NextCursor, err
	}
	t := newTable(f.out, "OCCURRED AT", "APP", "SESSION", "CATEGORY", "NAME", "DATA")
	for _, e := range page.Events {
		t.row(e.OccurredAt, e.App, e.SessionID, e.Category, e.Name, string(e.Data))
	}
	return page.NextCursor, t.flush()
}

// showOne prints one document, indented for people.
func showOne(ctx context.Context, f *clientFlags, path string, query url.Values) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	body, err := c.Do(ctx, client.Request{Method: "GET", Path: path, Query: query})
	if err != nil {
		return err
	}
	if !f.json {
		v := jsontext.Value(body)
		if v.Indent() == nil {
			body = v
		}
	}
	return printDocument(f, body)
}

// newSessionsCommand returns `eye sessions`.
func newSessionsCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "sessions", Short: "List sessions, most recently started first", Args: args(cobra.NoArgs)}
	f := newClientFlags(cmd, s)
	filter := newFilterFlags(cmd, filterOf{limit: true})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return pages(cmd.Context(), f, filter, listing{path: client.SessionsPath, show: func(body []byte) (*string, error) {
			var page struct {
				Sessions   []sessionItem `json:"sessions"`
				NextCursor *string       `json:"next_cursor"`
			}
			if err := client.Decode(client.SessionsPath, body, &page); err != nil || f.json {
				return page.NextCursor, err
			}
			t := newTable(f.out, "STARTED AT", "ENDED AT", "EVENTS", "APPS", "SESSION")
			for _, i := range page.Sessions {
				t.row(i.StartedAt, i.EndedAt, strconv.FormatInt(i.Events, 10), strings.Join(i.Apps, ", "), i.SessionID)
			}
			return page.NextCursor, t.flush()
		}})
	}
	return cmd
}

// newSessionCommand returns `eye session ID`.
func newSessionCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "session ID", Short: "Show a session and its events in order", Args: args(cobra.ExactArgs(1))}
	f := newClientFlags(cmd, s)
	filter := newFilterFlags(cmd, filterOf{order: true, limit: true, oneSession: true})
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		first := true
		return pages(cmd.Context(), f, filter, listing{path: client.SessionPath(got[0]), show: func(body []byte) (*string, error) {
			var page eventPage
			if err := client.Decode(client.SessionsPath, body, &page); err != nil || f.json {
				return page.NextCursor, err
			}
			if i := page.Session; i != nil && first {
				first = false
				t := newTable(f.out)
				t.row("session", i.SessionID)
				t.row("apps", strings.Join(i.Apps, ", "))
				t.row("started", i.StartedAt)
				t.row("ended", i.EndedAt)
				t.row("events", strconv.FormatInt(i.Events, 10))
				if i.Late != nil && i.Missing != nil {
					t.row("late", strconv.FormatInt(*i.Late, 10))
					t.row("missing", strconv.FormatInt(*i.Missing, 10))
				}
				t.row()
				if err := t.flush(); err != nil {
					return nil, err
				}
			}
			next, err := f.showEvents(body)
			if err == nil && !f.json {
				err = f.showGaps(page.Missing)
			}
			return next, err
		}})
	}
	return cmd
}
