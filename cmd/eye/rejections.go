package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// problemItem is one thing that is wrong with an event.
type problemItem struct {
	Code    string `json:"code"`
	Pointer string `json:"pointer"`
	Message string `json:"message"`
}

// line returns a problem as people read it.
func (p problemItem) line() string {
	parts := []string{p.Code}
	if p.Pointer != "" {
		parts = append(parts, p.Pointer)
	}
	return strings.Join(append(parts, p.Message), " ")
}

func problemLines(problems []problemItem) string {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.line()
	}
	return strings.Join(lines, "; ")
}

// newRejectionsCommand returns `eye rejections` with what can be done with them.
func newRejectionsCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "rejections [ID]", Short: "List what was refused, newest first, or show one", Args: args(cobra.MaximumNArgs(1))}
	f := newClientFlags(cmd, s)
	filter := newFilterFlags(cmd, filterOf{order: true, limit: true, rejections: true})
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		if len(got) == 1 {
			return showOne(cmd.Context(), f, "/v1/rejections/"+segment(got[0]), filter.query())
		}
		return pages(cmd.Context(), f, filter, listing{path: "/v1/rejections", show: f.showRejections})
	}
	cmd.AddCommand(newRejectionsSummaryCommand(f), newReplayCommand(f), newReplaysCommand(f))
	return cmd
}

func (f *clientFlags) showRejections(body []byte) (*string, error) {
	var page struct {
		Rejections []struct {
			ID         string        `json:"id"`
			App        string        `json:"app"`
			Category   string        `json:"category"`
			Name       string        `json:"name"`
			ReceivedAt string        `json:"received_at"`
			Problems   []problemItem `json:"problems"`
			Became     struct {
				Fate string `json:"fate"`
			} `json:"became"`
		} `json:"rejections"`
		NextCursor *string `json:"next_cursor"`
	}
	if err := decode("/v1/rejections", body, &page); err != nil || f.json {
		return page.NextCursor, err
	}
	t := newTable(f.out, "RECEIVED AT", "APP", "CATEGORY", "NAME", "REJECTION", "REPLAYED", "PROBLEMS")
	for _, r := range page.Rejections {
		t.row(r.ReceivedAt, r.App, r.Category, r.Name, r.ID, r.Became.Fate, problemLines(r.Problems))
	}
	return page.NextCursor, t.flush()
}

func newRejectionsSummaryCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "summary", Short: "Tell what is rejected, most frequent first", Args: args(cobra.NoArgs)}
	filter := newFilterFlags(cmd, filterOf{rejections: true})
	limit := cmd.Flags().Int("limit", 0, "`number` of lines; the server's default is 100, its largest 1000")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter.limit = *limit
		return pages(cmd.Context(), f, filter, listing{path: "/v1/rejections/summary", show: func(body []byte) (*string, error) {
			var answer struct {
				Groups []struct {
					Text     string `json:"text"`
					LastSeen string `json:"last_seen"`
					Example  string `json:"example"`
				} `json:"groups"`
			}
			if err := decode("/v1/rejections/summary", body, &answer); err != nil || f.json {
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
