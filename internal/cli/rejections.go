package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"theeye/internal/client"
)

// problemLine returns a problem as text for people.
func problemLine(p client.EventProblem) string {
	parts := []string{p.Code}
	if p.Pointer != "" {
		parts = append(parts, p.Pointer)
	}
	return strings.Join(append(parts, p.Message), " ")
}

func problemLines(problems []client.EventProblem) string {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = problemLine(p)
	}
	return strings.Join(lines, "; ")
}

// newRejectionsCommand returns `eye rejections` and its subcommands.
func newRejectionsCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "rejections [ID]", Short: "List rejections, newest first, or show one by its id or its event's id", Args: args(cobra.MaximumNArgs(1))}
	f := newClientFlags(cmd, s)
	filter := newFilterFlags(cmd, filterOf{order: true, limit: true, rejections: true})
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		if len(got) == 1 {
			return showRejection(cmd.Context(), f, got[0], filter.query())
		}
		return pages(cmd.Context(), f, filter, listing{path: client.RejectionsPath, show: f.showRejections})
	}
	cmd.AddCommand(newRejectionsSummaryCommand(f), newReplayCommand(f), newReplaysCommand(f))
	return cmd
}

// showRejection shows a rejection by its own id, or the newest one by that of its event.
func showRejection(ctx context.Context, f *clientFlags, id string, q url.Values) error {
	own := showOne(ctx, f, client.RejectionPath(id), q)
	p, ok := errors.AsType[*client.Problem](own)
	if !ok || p.Status != http.StatusNotFound && p.Status != http.StatusBadRequest {
		return own
	}
	c, err := f.client()
	if err != nil {
		return err
	}
	of := maps.Clone(q)
	of.Set("event_id", id)
	body, err := c.Do(ctx, client.Request{Method: http.MethodGet, Path: client.RejectionsPath, Query: of})
	if err != nil {
		return own
	}
	var page struct {
		Rejections []struct {
			ID string `json:"id"`
		} `json:"rejections"`
		NextCursor *string `json:"next_cursor"`
	}
	if err := client.Decode(client.RejectionsPath, body, &page); err != nil {
		return err
	}
	switch n := len(page.Rejections); {
	case n == 0:
		return fmt.Errorf("there is no rejection with the id %q, and no rejected event with it", printable(id, maxCell))
	case n > 1:
		_, _ = fmt.Fprintf(f.err, "eye: the event was refused more than once; this is the newest, `eye rejections --event-id %s` lists all\n", shellWord(id))
	}
	return showOne(ctx, f, client.RejectionPath(page.Rejections[0].ID), q)
}

func (f *clientFlags) showRejections(body []byte) (*string, error) {
	var page struct {
		Rejections []struct {
			ID         string                `json:"id"`
			App        string                `json:"app"`
			Category   string                `json:"category"`
			Name       string                `json:"name"`
			ReceivedAt string                `json:"received_at"`
			Problems   []client.EventProblem `json:"problems"`
			Became     struct {
				Fate string `json:"fate"`
			} `json:"became"`
		} `json:"rejections"`
		NextCursor *string `json:"next_cursor"`
	}
	if err := client.Decode(client.RejectionsPath, body, &page); err != nil || f.json {
		return page.NextCursor, err
	}
	t := newTable(f.out, "RECEIVED AT", "APP", "CATEGORY", "NAME", "REJECTION", "REPLAYED", "PROBLEMS")
	for _, r := range page.Rejections {
		t.row(r.ReceivedAt, r.App, r.Category, r.Name, r.ID, r.Became.Fate, problemLines(r.Problems))
	}
	return page.NextCursor, t.flush()
}

func newRejectionsSummaryCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "summary", Short: "Summarize rejections, most frequent first", Args: args(cobra.NoArgs)}
	filter := newFilterFlags(cmd, filterOf{rejections: true})
	filter.addLimit()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return pages(cmd.Context(), f, filter, listing{path: client.RejectionsSummaryPath, show: func(body []byte) (*string, error) {
			var answer struct {
				Groups []struct {
					Text     string `json:"text"`
					LastSeen string `json:"last_seen"`
					Example  string `json:"example"`
				} `json:"groups"`
			}
			if err := client.Decode(client.RejectionsSummaryPath, body, &answer); err != nil || f.json {
				return nil, err
			}
			var b strings.Builder
			for _, g := range answer.Groups {
				fmt.Fprintf(&b, "%s\n    last seen %s, as in %s\n", printable(g.Text, maxMessage), g.LastSeen, g.Example)
			}
			_, err := fmt.Fprint(f.out, b.String())
			return nil, err
		}})
	}
	return cmd
}
