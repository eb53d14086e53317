package main

import (
	"net/url"
	"strconv"
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

// newRejectionsCommand returns `eye rejections` and `eye rejections summary`.
func newRejectionsCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "rejections [ID]", Short: "List what was refused, newest first, or show one", Args: args(cobra.MaximumNArgs(1))}
	f := newClientFlags(cmd, s)
	filter := newFilterFlags(cmd, filterOf{order: true, limit: true, rejections: true})
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		if len(got) == 1 {
			return showOne(cmd.Context(), f, "/v1/rejections/"+url.PathEscape(got[0]), filter.query())
		}
		return pages(cmd.Context(), f, filter, listing{path: "/v1/rejections", show: f.showRejections})
	}
	cmd.AddCommand(newRejectionsSummaryCommand(f))
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
		} `json:"rejections"`
		NextCursor *string `json:"next_cursor"`
	}
	if err := decode("/v1/rejections", body, &page); err != nil || f.json {
		return page.NextCursor, err
	}
	t := newTable(f.out, "RECEIVED AT", "APP", "CATEGORY", "NAME", "REJECTION", "PROBLEMS")
	for _, r := range page.Rejections {
		t.row(r.ReceivedAt, r.App, r.Category, r.Name, r.ID, problemLines(r.Problems))
	}
	return page.NextCursor, t.flush()
}

func newRejectionsSummaryCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "summary", Short: "Count rejections by application, type, code and place", Args: args(cobra.NoArgs)}
	filter := newFilterFlags(cmd, filterOf{rejections: true})
	limit := cmd.Flags().Int("limit", 0, "`number` of lines; the server's default is 100, its largest 1000")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter.limit = *limit
		return pages(cmd.Context(), f, filter, listing{path: "/v1/rejections/summary", show: func(body []byte) (*string, error) {
			var answer struct {
				Groups []struct {
					App      string `json:"app"`
					Category string `json:"category"`
					Name     string `json:"name"`
					Code     string `json:"code"`
					Pointer  string `json:"pointer"`
					Count    int64  `json:"count"`
					LastSeen string `json:"last_seen"`
					Example  string `json:"example"`
				} `json:"groups"`
			}
			if err := decode("/v1/rejections/summary", body, &answer); err != nil || f.json {
				return nil, err
			}
			t := newTable(f.out, "COUNT", "APP", "CATEGORY", "NAME", "CODE", "POINTER", "LAST SEEN", "EXAMPLE")
			for _, g := range answer.Groups {
				t.row(strconv.FormatInt(g.Count, 10), g.App, g.Category, g.Name, g.Code, g.Pointer, g.LastSeen, g.Example)
			}
			return nil, t.flush()
		}})
	}
	return cmd
}
