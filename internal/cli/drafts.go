package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/schema"
)

// newVersionsCommand returns `eye types versions`.
func newVersionsCommand(f *clientFlags) *cobra.Command {
	versions := &cobra.Command{Use: "versions CATEGORY NAME", Short: "List all versions of an event type, oldest first", Args: args(cobra.ExactArgs(2))}
	version := versions.Flags().Uint32("version", 0, "print the schema of the version with this `number`")
	versions.RunE = func(cmd *cobra.Command, got []string) error {
		path := client.TypePath(got[0], got[1]) + "/versions"
		return f.show(cmd.Context(), client.Request{Method: http.MethodGet, Path: path}, func(body []byte) error {
			var answer struct {
				Versions []struct {
					Version   uint32         `json:"version"`
					Schema    jsontext.Value `json:"schema"`
					CreatedAt string         `json:"created_at"`
					Author    *string        `json:"author"`
					DeletedAt *string        `json:"deleted_at"`
				} `json:"versions"`
			}
			if err := client.Decode(path, body, &answer); err != nil {
				return err
			}
			t := newTable(f.out, "VERSION", "CREATED AT", "AUTHOR", "DELETED AT")
			for _, v := range answer.Versions {
				if versions.Flags().Changed("version") && *version == v.Version {
					_ = v.Schema.Indent() // it was read as JSON
					return printDocument(f, v.Schema)
				}
				t.row(strconv.FormatUint(uint64(v.Version), 10), v.CreatedAt, orDash(v.Author), orDash(v.DeletedAt))
			}
			if versions.Flags().Changed("version") {
				return fmt.Errorf("%s / %s has no version %d", got[0], got[1], *version)
			}
			return t.flush()
		})
	}
	return versions
}

func lastFlag(cmd *cobra.Command) func() url.Values {
	last := cmd.Flags().Int("last", 0, "`number` of the newest to check; 10,000 by default")
	return func() url.Values {
		if !cmd.Flags().Changed("last") {
			return nil
		}
		return url.Values{"last": {strconv.Itoa(*last)}}
	}
}

type placeCount struct {
	Pointer string `json:"pointer"`
	Count   int    `json:"count"`
}

// newTryCommand returns `eye types try`.
func newTryCommand(f *clientFlags) *cobra.Command {
	try := &cobra.Command{
		Use: "try CATEGORY NAME [FILE]", Short: "Try a draft of a schema against the newest events and rejections", Args: args(cobra.RangeArgs(2, 3)),
	}
	last := lastFlag(try)
	try.RunE = func(cmd *cobra.Command, got []string) error {
		draft, err := f.readSchema(cmd.Context(), got)
		if err != nil {
			return err
		}
		path := client.TypePath(got[0], got[1]) + "/try"
		return f.show(cmd.Context(), client.Request{Method: http.MethodPost, Path: path, Query: last(), Body: draft}, func(body []byte) error {
			var answer struct {
				Stored struct {
					Checked   int          `json:"checked"`
					WouldFail int          `json:"would_fail"`
					Pointers  []placeCount `json:"pointers"`
				} `json:"stored"`
				Rejected struct {
					Checked   int          `json:"checked"`
					WouldPass int          `json:"would_pass"`
					Pointers  []placeCount `json:"pointers"`
				} `json:"rejected"`
				Reasons  []client.Reason  `json:"reasons"`
				Warnings []schema.Warning `json:"warnings"`
			}
			if err := client.Decode(path, body, &answer); err != nil {
				return err
			}
			f.warn("", answer.Warnings)
			if err := f.printf("%d of %d stored events would fail", answer.Stored.WouldFail, answer.Stored.Checked); err != nil {
				return err
			}
			if err := f.places(answer.Stored.Pointers); err != nil {
				return err
			}
			if err := f.printf("%d of %d rejections would pass", answer.Rejected.WouldPass, answer.Rejected.Checked); err != nil {
				return err
			}
			if err := f.places(answer.Rejected.Pointers); err != nil {
				return err
			}
			if len(answer.Reasons) == 0 {
				return nil
			}
			if err := f.printf("not compatible with the version in force:"); err != nil {
				return err
			}
			for _, r := range answer.Reasons {
				if err := f.printf("  %s", r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return try
}

// places prints where events fail, most frequent first.
func (f *clientFlags) places(list []placeCount) error {
	t := newTable(f.out)
	for _, p := range list {
		pointer := p.Pointer
		if pointer == "" {
			pointer = "(the event itself)"
		}
		t.row("  fail", strconv.Itoa(p.Count), pointer)
	}
	return t.flush()
}

// newProposeCommand returns `eye types propose`.
func newProposeCommand(f *clientFlags) *cobra.Command {
	propose := &cobra.Command{
		Use: "propose CATEGORY NAME", Short: "Propose a schema from the newest events of a type", Args: args(cobra.ExactArgs(2)),
		Long: "Propose a schema from the newest events of a type. The schema goes to standard output; what it is based on goes to\nstandard error.",
	}
	last := lastFlag(propose)
	propose.RunE = func(cmd *cobra.Command, got []string) error {
		path := client.TypePath(got[0], got[1]) + "/propose"
		return f.show(cmd.Context(), client.Request{Method: http.MethodPost, Path: path, Query: last()}, func(body []byte) error {
			var answer struct {
				Events   int            `json:"events"`
				Source   string         `json:"source"`
				Schema   jsontext.Value `json:"schema"`
				Evidence []struct {
					Pointer    string `json:"pointer"`
					Statement  string `json:"statement"`
					Seen       int    `json:"seen"`
					Of         int    `json:"of"`
					Exceptions int    `json:"exceptions"`
				} `json:"evidence"`
			}
			if err := client.Decode(path, body, &answer); err != nil {
				return err
			}
			what := "stored events"
			if answer.Source == "rejected" {
				what = "rejections, because no event of the type is stored"
			}
			if _, err := fmt.Fprintf(f.err, "based on %d %s\n", answer.Events, what); err != nil {
				return err
			}
			t := newTable(f.err, "PLACE", "STATEMENT", "SEEN", "OF", "EXCEPTIONS")
			for _, e := range answer.Evidence {
				t.row(e.Pointer, e.Statement, strconv.Itoa(e.Seen), strconv.Itoa(e.Of), strconv.Itoa(e.Exceptions))
			}
			if err := t.flush(); err != nil {
				return err
			}
			_ = answer.Schema.Indent() // it was read as JSON
			return printDocument(f, answer.Schema)
		})
	}
	return propose
}
