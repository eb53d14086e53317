package cli

import (
	"context"
	"fmt"
	"math"
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

// answer reads a document that a filter selects. The answer is decoded into v, unless it is printed as
// it is, because of --json: then done is true.
func (f *clientFlags) answer(ctx context.Context, filter *filterFlags, q client.Request, v any) (done bool, err error) {
	c, err := f.client()
	if err != nil {
		return true, err
	}
	filter.hint(f)
	q.Method = "GET"
	given := filter.query()
	for name := range q.Query {
		given[name] = q.Query[name]
	}
	q.Query = given
	body, err := c.Do(ctx, q)
	if err != nil {
		return true, err
	}
	if f.json {
		return true, printDocument(f, body)
	}
	return false, client.Decode(q.Path, body, v)
}

func countAll(cmd *cobra.Command, f *clientFlags, filter *filterFlags) error {
	var answer struct {
		Count int64 `json:"count"`
	}
	done, err := f.answer(cmd.Context(), filter, client.Request{Path: client.CountPath}, &answer)
	if done || err != nil {
		return err
	}
	_, err = fmt.Fprintln(f.out, answer.Count)
	return err
}

// countByTime prints a line for each step, also for those without events.
func countByTime(cmd *cobra.Command, f *clientFlags, filter *filterFlags, interval string) error {
	var answer struct {
		TimeZone string `json:"time_zone"`
		Series   []struct {
			Points []struct {
				At    time.Time `json:"at"`
				Count int64     `json:"count"`
			} `json:"points"`
		} `json:"series"`
	}
	done, err := f.answer(cmd.Context(), filter, client.Request{Path: client.SeriesPath, Query: map[string][]string{"interval": {interval}}}, &answer)
	if done || err != nil {
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
	layout := map[string]string{"minute": "2006-01-02 15:04", "hour": "2006-01-02 15:04", "day": time.DateOnly}[interval]
	var lines []countLine
	for _, p := range answer.Series[0].Points {
		lines = append(lines, countLine{p.At.In(zone).Format(layout), p.Count})
	}
	return f.showCounts(strings.ToUpper(interval)+" ("+zone.String()+")", lines)
}

// countByValue prints the most frequent values of a field, and how many events have another one.
func countByValue(cmd *cobra.Command, f *clientFlags, filter *filterFlags, field string) error {
	var answer struct {
		Values []valueItem `json:"values"`
		Other  int64       `json:"other"`
	}
	done, err := f.answer(cmd.Context(), filter, client.Request{Path: client.ValuesPath, Query: map[string][]string{"field": {field}}}, &answer)
	if done || err != nil {
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
	if err := f.showCounts(strings.ToUpper(field), lines); err != nil {
		return err
	}
	if answer.Other > 0 {
		_, err = fmt.Fprintf(f.err, "The field has other values %s; --limit shows up to 1000 values.\n", plural.Count(answer.Other, "time"))
	}
	return err
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
