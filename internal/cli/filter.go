package cli

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"theeye/internal/client"
	"theeye/internal/duration"
	"theeye/internal/event"
)

// pageSize is the limit of a page when all pages are fetched.
const pageSize = 1000

// filterFlags holds the parameters of the reading endpoints as flags. They are passed on unchanged;
// the server reports what is wrong with them.
type filterFlags struct {
	flags *pflag.FlagSet
	lists map[string]*[]string // by parameter
	texts map[string]*string   // by parameter, which is the flag's name with underscores
	limit int
	all   bool
}

const timeZoneUsage = "time `zone` of times that have none, such as Europe/Berlin; by default that of the key's application"

const endUsage = "end `time` (exclusive); a date alone is the beginning of its day, so that day is not included"

// emptyRange says what to do about a range of times that is empty because it begins and ends with the
// same time; nothing about another range.
func (f *filterFlags) emptyRange() string {
	from, to := f.texts["from"], f.texts["to"]
	if from == nil || to == nil || *from == "" || *from != *to {
		return ""
	}
	day, err := time.Parse(time.DateOnly, *to)
	if err != nil {
		return "--from and --to are the same time, and --to is exclusive: nothing lies between them"
	}
	return fmt.Sprintf("--to %s ends before that day, because it is exclusive; for the whole day, use --to %s", *to, day.AddDate(0, 0, 1).Format(time.DateOnly))
}

// hint prints what emptyRange says.
func (f *filterFlags) hint(c *clientFlags) {
	if text := f.emptyRange(); text != "" {
		c.notice(text)
	}
}

// filterOf says in which flags a command differs from others.
type filterOf struct {
	order, limit, rejections, replay, oneSession bool
	onePage                                      bool // there are no further pages
	feed                                         bool // items of the feed
	target                                       bool // --to is where they go
}

func newFilterFlags(cmd *cobra.Command, of filterOf) *filterFlags {
	fs := cmd.Flags()
	f := &filterFlags{flags: fs, lists: map[string]*[]string{}, texts: map[string]*string{}}
	list := func(flag, param, usage string) {
		f.lists[param] = fs.StringArray(flag, nil, usage+"; repeatable")
	}
	text := func(name, usage string) { f.texts[name] = fs.String(name, "", usage) }
	word := func(name, usage string, words ...string) {
		f.texts[name] = new(string)
		fs.Var(oneOf(f.texts[name], words...), name, usage)
	}

	list("app", "app", "`application`; for keys that are valid for all applications")
	if !of.oneSession { // which an argument names
		list("session", "session_id", "session `id`")
	}
	list("category", "category", "`category` of the event type")
	list("name", "name", "`name` of the event type")
	list("where", "where", "`condition`, such as data.path=/checkout or data.n>=10")
	text("from", "start `time` (inclusive); a date alone is the beginning of its day")
	fs.Func("last", "from this `duration` ago on, such as 24h or 7d, in place of --from", func(text string) error {
		d, err := duration.Parse(text)
		if err != nil {
			return err
		}
		return fs.Set("from", (event.Now() - event.Micros(d.Microseconds())).String())
	})
	if !of.target { // there, --to is where items go
		text("to", endUsage)
	}
	if !of.replay { // there, --time-zone applies to the rejected events
		f.texts["time_zone"] = fs.String("time-zone", "", timeZoneUsage)
	}
	if of.feed {
		list("kind", "kind", "`kind` of item: event, rejection or erased; all by default")
	}
	if of.rejections || of.feed {
		only := ""
		if of.feed {
			only = "; only with --kind rejection"
		}
		list("code", "code", "`code` of a problem"+only)
		list("pointer", "pointer", "JSON `Pointer` of a problem"+only)
		list("event-id", "event_id", "`id` of the rejected event, as a UUID or as its sender wrote it"+only)
	}
	if of.rejections {
		word("replayed", "`true` for rejections that a replay has resolved, false for those still open", "true", "false")
	}
	if of.order {
		word("order", "`asc` or desc", "asc", "desc")
	}
	if of.limit {
		f.addLimit()
	}
	if of.limit && !of.onePage {
		fs.BoolVar(&f.all, "all", false, "fetch all pages")
	}
	return f
}

func (f *filterFlags) addLimit() {
	f.flags.IntVar(&f.limit, "limit", 0, "maximum `number` of lines, up to 1000; 100 by default")
}

// query returns the parameters that were given, even if they are empty.
func (f *filterFlags) query() url.Values {
	q := url.Values{}
	for param, values := range f.lists {
		for _, v := range *values {
			q.Add(param, v)
		}
	}
	for param, value := range f.texts {
		if f.flags.Changed(strings.ReplaceAll(param, "_", "-")) {
			q.Set(param, *value)
		}
	}
	switch {
	case f.flags.Changed("limit"):
		q.Set("limit", strconv.Itoa(f.limit))
	case f.all:
		q.Set("limit", strconv.Itoa(pageSize))
	}
	return q
}

// pages fetches the first page of a list, or all of them. With --json, it prints each page as the
// server sent it; otherwise show prints it. show returns the next cursor.
func pages(ctx context.Context, f *clientFlags, filter *filterFlags, list listing) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	q := filter.query()
	filter.hint(f)
	for {
		body, err := c.Do(ctx, client.Request{Method: "GET", Path: list.path, Query: q})
		if err != nil {
			return err
		}
		next, err := list.show(body)
		if err != nil {
			return err
		}
		if f.json {
			if err := printDocument(f, body); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		if !filter.all {
			if !f.json {
				_, _ = fmt.Fprintln(f.err, "There are more; --all fetches them.")
			}
			return nil
		}
		q.Set("cursor", *next)
	}
}

// listing is a list endpoint, with a function that prints one of its pages.
type listing struct {
	path string
	show func(body []byte) (next *string, err error)
}

// printDocument writes a document of the server on a line of its own.
func printDocument(f *clientFlags, body []byte) error {
	if n := len(body); n == 0 || body[n-1] != '\n' {
		body = append(body, '\n')
	}
	_, err := f.out.Write(body)
	return err
}
