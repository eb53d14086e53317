package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
)

// show sends a request and prints its answer: as it is with --json, else by table.
func (f *clientFlags) show(ctx context.Context, r request, table func(body []byte) error) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	body, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	if f.json {
		if len(body) == 0 {
			return nil
		}
		return printDocument(f, body)
	}
	return table(body)
}

// say returns a table function that prints one line.
func (f *clientFlags) say(format string, args ...any) func([]byte) error {
	return func([]byte) error {
		_, err := fmt.Fprintf(f.out, format+"\n", args...)
		return err
	}
}

// decodeAnyCase decodes into fields without tags.
func decodeAnyCase(path string, body []byte, into any) error {
	if err := json.Unmarshal(body, into, json.MatchCaseInsensitiveNames(true)); err != nil {
		return fmt.Errorf("the answer of %s cannot be read; is this The Eye? %w", path, err)
	}
	return nil
}

// newAppsCommand returns `eye apps`.
func newAppsCommand(s streams) *cobra.Command {
	group := newGroup("apps", "List, create and delete applications")
	f := newClientFlags(group, s)
	list := &cobra.Command{Use: "list", Short: "List applications", Args: args(cobra.NoArgs)}
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.show(cmd.Context(), request{method: http.MethodGet, path: "/v1/apps"}, func(body []byte) error {
			var answer struct {
				Apps []struct {
					App          string `json:"app"`
					TimeZone     string `json:"time_zone"`
					UnknownTypes string `json:"unknown_types"`
					CreatedAt    string `json:"created_at"`
				} `json:"apps"`
			}
			if err := decode("/v1/apps", body, &answer); err != nil {
				return err
			}
			t := newTable(f.out, "APP", "TIME ZONE", "UNKNOWN TYPES", "CREATED AT")
			for _, a := range answer.Apps {
				t.row(a.App, a.TimeZone, a.UnknownTypes, a.CreatedAt)
			}
			return t.flush()
		})
	}
	group.AddCommand(list, newAppCreateCommand(f), newAppShowCommand(f), newAppUpdateCommand(f), newAppDeleteCommand(f))
	return group
}

func orDash(text *string) string {
	if text == nil || *text == "" {
		return "-"
	}
	return *text
}

// readInput reads the file that is named, or standard input when none is, or -.
// It ends with an error when ctx does, and for a document that is not in UTF-8.
func readInput(ctx context.Context, in io.Reader, names []string) ([]byte, error) {
	var (
		name     = "standard input"
		document []byte
		err      error
	)
	if len(names) == 0 || names[0] == "-" {
		reader := newInterruptibleReader(ctx, in)
		defer reader.Close()
		document, err = io.ReadAll(reader)
	} else {
		name = names[0]
		document, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	return document, checkText(name, document)
}
