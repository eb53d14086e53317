package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/schema"
)

// newTypesCommand returns `eye types`.
func newTypesCommand(s stdio) *cobra.Command {
	group := newGroup("types", "List, show, put, try and delete event types; keep them in files")
	f := newClientFlags(group, s)

	list := &cobra.Command{Use: "list", Short: "List event types", Args: args(cobra.NoArgs)}
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.show(cmd.Context(), client.Request{Method: http.MethodGet, Path: client.TypesPath}, func(body []byte) error {
			var answer struct {
				Types []typeItem `json:"types"`
			}
			if err := client.Decode(client.TypesPath, body, &answer); err != nil {
				return err
			}
			t := newTable(f.out, "CATEGORY", "NAME", "VERSION", "CREATED AT")
			for _, i := range answer.Types {
				t.row(i.Category, i.Name, strconv.FormatUint(uint64(i.Version), 10), i.CreatedAt)
			}
			return t.flush()
		})
	}
	get := &cobra.Command{Use: "get CATEGORY NAME", Short: "Print the schema of an event type", Args: args(cobra.ExactArgs(2))}
	get.RunE = func(cmd *cobra.Command, got []string) error {
		return f.show(cmd.Context(), client.Request{Method: http.MethodGet, Path: client.TypePath(got[0], got[1])}, func(body []byte) error {
			var i typeItem
			if err := client.Decode(client.TypesPath, body, &i); err != nil {
				return err
			}
			_ = i.Schema.Indent() // it was read as JSON
			return printDocument(f, i.Schema)
		})
	}
	put := &cobra.Command{
		Use: "put CATEGORY NAME [FILE]", Short: "Set the schema of an event type, from a file or standard input", Args: args(cobra.RangeArgs(2, 3)),
		Long: "Set the schema of an event type, from a file or standard input. Exit code 3, with the reasons, if the schema is not\ncompatible with the version in force.",
	}
	force := put.Flags().Bool("force", false, "put the schema even if it is not compatible with the version in force")
	dryRun := put.Flags().Bool("dry-run", false, "only show what would be in force")
	put.RunE = func(cmd *cobra.Command, got []string) error {
		document, err := f.readSchema(cmd.Context(), got)
		if err != nil {
			return err
		}
		return f.explainIncompatible(f.show(cmd.Context(), putRequest(got[0], got[1], document, putOptions{force: *force, dryRun: *dryRun}), func(body []byte) error {
			var i typeItem
			if err := client.Decode(client.TypesPath, body, &i); err != nil {
				return err
			}
			f.warn("", i.Warnings)
			if *dryRun {
				return f.printf("%s / %s would be in force as version %d; nothing was changed", i.Category, i.Name, i.Version)
			}
			return f.printf("%s / %s is in force as version %d", i.Category, i.Name, i.Version)
		}))
	}
	remove := &cobra.Command{Use: "delete CATEGORY NAME", Short: "Delete the schema of an event type; its events are no longer validated", Args: args(cobra.ExactArgs(2))}
	remove.RunE = func(cmd *cobra.Command, got []string) error {
		return f.show(cmd.Context(), client.Request{Method: http.MethodDelete, Path: client.TypePath(got[0], got[1])}, f.saying("deleted the schema of %s / %s", got[0], got[1]))
	}
	group.AddCommand(list, get, put, remove, newVersionsCommand(f), newTryCommand(f), newProposeCommand(f))
	group.AddCommand(newTypeFilesCommands(f)...)
	return group
}

// readSchema reads the schema for the arguments CATEGORY NAME [FILE].
func (f *clientFlags) readSchema(ctx context.Context, got []string) ([]byte, error) {
	document, err := readInput(ctx, f.in, got[2:])
	if err != nil || len(bytes.TrimSpace(document)) > 0 || len(got) == 3 && got[2] != "-" {
		return document, err
	}
	text := "the schema is read from standard input, but that is empty"
	if len(got) == 2 && strings.HasSuffix(got[1], schemaExtension) {
		text += fmt.Sprintf("; NAME is %q: is CATEGORY missing?", got[1])
	}
	return nil, usagef("%s", text)
}

type typeItem struct {
	Category  string           `json:"category"`
	Name      string           `json:"name"`
	Version   uint32           `json:"version"`
	Schema    jsontext.Value   `json:"schema"`
	CreatedAt string           `json:"created_at"`
	Warnings  []schema.Warning `json:"warnings"`
}

// warn prints the warnings of a schema, with the file that holds it.
func (f *clientFlags) warn(path string, warnings []schema.Warning) {
	for _, w := range warnings {
		_, _ = fmt.Fprintln(f.err, printable("eye: warning: "+path+placePrefix(w.Pointer)+w.Message, 10*maxCell))
	}
}

// putOptions are the parameters of a PUT of a type.
type putOptions struct{ force, dryRun bool }

func putRequest(category, name string, document []byte, o putOptions) client.Request {
	q := url.Values{}
	if o.force {
		q.Set("force", "1")
	}
	if o.dryRun {
		q.Set("dry_run", "1")
	}
	return client.Request{Method: http.MethodPut, Path: client.TypePath(category, name), Query: q, Body: document}
}

// explainIncompatible prints the reasons why a schema is not compatible and returns the exit code for that.
// It returns other errors unchanged.
func (f *clientFlags) explainIncompatible(err error) error {
	var p *client.Problem
	if !errors.As(err, &p) || len(p.Reasons) == 0 {
		return err
	}
	_, _ = fmt.Fprintln(f.err, "eye: not compatible with the version in force; --force puts it anyway")
	for _, r := range p.Reasons {
		_, _ = fmt.Fprintln(f.err, "  "+reasonLine(r))
	}
	return &exitError{exitBreaking}
}

// reasonLine returns a reason as a line.
func reasonLine(r client.Reason) string {
	return printable(placePrefix(r.Pointer)+r.Reason, 10*maxCell)
}

// placePrefix returns the prefix of a message that names a place in a schema; it is empty for the schema as
// a whole.
func placePrefix(pointer string) string {
	if pointer == "" {
		return ""
	}
	return fmt.Sprintf("at %q: ", pointer)
}

// listTypes returns the event types of a server.
func listTypes(ctx context.Context, c *client.Client) ([]typeItem, error) {
	body, err := c.Do(ctx, client.Request{Method: http.MethodGet, Path: client.TypesPath})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Types []typeItem `json:"types"`
	}
	return answer.Types, client.Decode(client.TypesPath, body, &answer)
}
