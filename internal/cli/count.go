package cli

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/plural"
)

// newCountCommand returns `eye count`.
func newCountCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "count", Short: "Count events, also by time or by the values of a field", Args: args(cobra.NoArgs)}
	f := newClientFlags(cmd, s)
	filter := newFilterFlags(cmd, filterOf{})
	by := cmd.Flags().String("by", "", "count by minute, hour or day, or by the 100 most frequent values of a `field`, such as category, app or data.path")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch *by {
		case "":
			return countAll(cmd, f, filter)
		case "minute", "hour", "day":
			return countByTime(cmd, f, filter, *by)
		default:
			return countByValue(cmd, f, filter, *by)
		}
	}
	return cmd
}

// newTopCommand returns `eye top FIELD`.
func newTopCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "top FIELD", Short: "Show the most frequent values of a field, such as data.path", Args: args(cobra.ExactArgs(1))}
	f := newClientFlags(cmd, s)
	filter := newFilterFlags(cmd, filterOf{limit: true, onePage: true})
	cmd.RunE = func(cmd *cobra.Command, got []string) error { return countByValue(cmd, f, filter, got[0]) }
	return cmd
}

// show prints what the filter selects, as clientFlags.show does. The query of r is added to the
// filter's own.
func (f *filterFlags) show(ctx context.Context, c *clientFlags, r client.Request, table func(body []byte) error) error {
	q := f.query()
	maps.Copy(q, r.Query)
	f.hint(c)
	return c.show(ctx, client.Request{Method: http.MethodGet, Path: r.Path, Query: q}, table)
}

func countAll(cmd *cobra.Command, f *clientFlags, filter *filterFlags) error {
	return filter.show(cmd.Context(), f, client.Request{Path: client.CountPath}, func(body []byte) error {
		var answer struct {
			Count int64 `json:"count"`
		}
		if err := client.Decode(client.CountPath, body, &answer); err != nil {
			return err
		}
		return f.printf("%d", answer.Count)
	})
}

// countByTime prints a line for each step, also for those without events.
func countByTime(cmd *cobra.Command, f *clientFlags, filter *filterFlags, interval string) error {
	r := client.Request{Path: client.SeriesPath, Query: url.Values{"interval": {interval}}}
	return filter.show(cmd.Context(), f, r, func(body []byte) error {
		var answer struct {
			TimeZone string `json:"time_zone"`
			Series   []struct {
				Points []struct {
					At    time.Time `json:"at"`
					Count int64     `json:"count"`
				} `json:"points"`
			} `json:"series"`
		}
		if err := client.Decode(client.SeriesPath, body, &answer); err != nil {
			return err
		}
		if len(answer.Series) == 0 {
			f.notice("no events match")
			return nil
		}
		zone, err := time.LoadLocation(answer.TimeZone)
		if err != nil {
			return fmt.Errorf("the time zone of the answer: %w", err)
		}
		layout := time.DateOnly
		if interval != "day" {
			layout += " 15:04"
		}
		var lines []countLine
		for _, p := range answer.Series[0].Points {
			lines = append(lines, countLine{p.At.In(zone).Format(layout), p.Count})
		}
		return f.showCounts(strings.ToUpper(interval)+" ("+zone.String()+")", lines)
	})
}

// countByValue prints the most frequent values of a field, and how often it has others.
func countByValue(cmd *cobra.Command, f *clientFlags, filter *filterFlags, field string) error {
	r := client.Request{Path: client.ValuesPath, Query: url.Values{"field": {field}}}
	return filter.show(cmd.Context(), f, r, func(body []byte) error {
		var answer struct {
			Values []valueItem `json:"values"`
			Other  int64       `json:"other"`
		}
		if err := client.Decode(client.ValuesPath, body, &answer); err != nil {
			return err
		}
		if len(answer.Values) == 0 {
			f.notice("no events match that have " + field)
			return nil
		}
		mixed := slices.ContainsFunc(answer.Values, func(v valueItem) bool { return v.Type != "" })
		var lines []countLine
		for _, v := range answer.Values {
			text := v.Value
			if mixed && v.Type == "" {
				text = strconv.Quote(text)
			}
			lines = append(lines, countLine{text, v.Count})
		}
		if err := f.showCounts(strings.ToUpper(field), lines); err != nil || answer.Other == 0 {
			return err
		}
		more := "--limit shows up to 1000 values"
		if cmd.Flag("limit") == nil {
			more = "`eye top` with --limit shows up to 1000 values"
		}
		_, err := fmt.Fprintf(f.err, "The field has other values %s; %s.\n", plural.Count(answer.Other, "time"), more)
		return err
	})
}

// valueItem is a value of a field. Its type is empty for a string.
type valueItem struct {
	Value string `json:"value"`
	Type  string `json:"type"`
	Count int64  `json:"count"`
}

// countLine is a line of counts.
type countLine struct {
	of    string
	count int64
}

// barWidth is the length of the longest bar, in columns.
const barWidth = 30

// showCounts prints counts, with bars on a terminal.
func (f *clientFlags) showCounts(head string, lines []countLine) error {
	most := int64(0)
	for _, l := range lines {
		most = max(most, l.count)
	}
	t := newTable(f.out, head, "EVENTS")
	for _, l := range lines {
		cells := []string{l.of, strconv.FormatInt(l.count, 10)}
		if isTerminal(f.out) && most > 0 {
			cells = append(cells, barOf(float64(l.count)/float64(most)))
		}
		t.row(cells...)
	}
	return t.flush()
}

// barOf draws a share of barWidth columns, to an eighth of a column.
func barOf(share float64) string {
	eighths := int(math.Ceil(share * barWidth * 8))
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string(rune('█' + 8 - rest)) // U+2588 is the full block, U+258F an eighth of it
	}
	return text
}
