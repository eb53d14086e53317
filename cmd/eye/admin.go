package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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
	create := &cobra.Command{Use: "create APP", Short: "Create an application", Args: args(cobra.ExactArgs(1))}
	create.RunE = func(cmd *cobra.Command, got []string) error {
		body, err := json.Marshal(map[string]string{"app": got[0]})
		if err != nil {
			return usagef("%q is no name of an application", got[0])
		}
		return f.show(cmd.Context(), request{method: http.MethodPost, path: "/v1/apps", body: body}, f.say("created application %s", got[0]))
	}
	group.AddCommand(list, create, newAppShowCommand(f), newAppUpdateCommand(f), newAppDeleteCommand(f))
	return group
}

// keysPath is where the keys of an application are, or those of all ("").
func keysPath(app string) string {
	if app == "" {
		return "/v1/keys"
	}
	return "/v1/apps/" + url.PathEscape(app) + "/keys"
}

type keyItem struct {
	KeyID     string  `json:"key_id"`
	App       *string `json:"app"`
	Kind      string  `json:"kind"`
	Key       string  `json:"key"` // only in the answer that makes it
	CreatedAt string  `json:"created_at"`
	RevokedAt *string `json:"revoked_at"`
}

// newKeysCommand returns `eye keys`.
func newKeysCommand(s streams) *cobra.Command {
	group := newGroup("keys", "List, create and revoke keys")
	f := newClientFlags(group, s)
	app := group.PersistentFlags().String("app", "", "`application` of the key; without it, keys of all applications")

	list := &cobra.Command{Use: "list", Short: "List keys, oldest first", Args: args(cobra.NoArgs)}
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.show(cmd.Context(), request{method: http.MethodGet, path: keysPath(*app)}, func(body []byte) error {
			var answer struct {
				Keys []keyItem `json:"keys"`
			}
			if err := decode(keysPath(*app), body, &answer); err != nil {
				return err
			}
			t := newTable(f.out, "KEY ID", "APP", "KIND", "CREATED AT", "REVOKED AT")
			for _, k := range answer.Keys {
				t.row(k.KeyID, orDash(k.App), k.Kind, k.CreatedAt, orDash(k.RevokedAt))
			}
			return t.flush()
		})
	}

	create := &cobra.Command{Use: "create", Short: "Create a key; its secret is shown this once", Args: args(cobra.NoArgs)}
	kind := create.Flags().String("kind", "", "write, read or admin (`kind`)")
	create.RunE = func(cmd *cobra.Command, _ []string) error {
		if *kind == "" {
			return usagef("--kind is missing: write, read or admin")
		}
		body, err := json.Marshal(map[string]string{"kind": *kind})
		if err != nil {
			return usagef("%q is no kind of a key: use write, read or admin", *kind)
		}
		return f.show(cmd.Context(), request{method: http.MethodPost, path: keysPath(*app), body: body}, func(body []byte) error {
			var k keyItem
			if err := decode(keysPath(*app), body, &k); err != nil {
				return err
			}
			t := newTable(f.out)
			t.row("key id", k.KeyID)
			t.row("app", orDash(k.App))
			t.row("kind", k.Kind)
			t.row("key", k.Key)
			return t.flush()
		})
	}

	revoke := &cobra.Command{Use: "revoke KEY_ID", Short: "Revoke a key", Args: args(cobra.ExactArgs(1))}
	revoke.RunE = func(cmd *cobra.Command, got []string) error {
		return f.show(cmd.Context(), request{method: http.MethodDelete, path: keysPath(*app) + "/" + url.PathEscape(got[0])}, f.say("revoked key %s", got[0]))
	}
	group.AddCommand(list, create, revoke)
	return group
}

func orDash(text *string) string {
	if text == nil || *text == "" {
		return "-"
	}
	return *text
}

func typePath(category, name string) string {
	return "/v1/types/" + url.PathEscape(category) + "/" + url.PathEscape(name)
}

// newTypesCommand returns `eye types`.
func newTypesCommand(s streams) *cobra.Command {
	group := newGroup("types", "List, show, put and delete event types")
	f := newClientFlags(group, s)

	list := &cobra.Command{Use: "list", Short: "List event types", Args: args(cobra.NoArgs)}
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.show(cmd.Context(), request{method: http.MethodGet, path: "/v1/types"}, func(body []byte) error {
			var answer struct {
				Types []typeItem `json:"types"`
			}
			if err := decode("/v1/types", body, &answer); err != nil {
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
		return f.show(cmd.Context(), request{method: http.MethodGet, path: typePath(got[0], got[1])}, func(body []byte) error {
			var i typeItem
			if err := decode("/v1/types", body, &i); err != nil {
				return err
			}
			_ = i.Schema.Indent() // it was read as JSON
			return printDocument(f, i.Schema)
		})
	}
	put := &cobra.Command{Use: "put CATEGORY NAME [FILE]", Short: "Put the schema of an event type, from a file or standard input", Args: args(cobra.RangeArgs(2, 3))}
	put.RunE = func(cmd *cobra.Command, got []string) error {
		schema, err := readInput(f.in, got[2:])
		if err != nil {
			return err
		}
		return f.show(cmd.Context(), request{method: http.MethodPut, path: typePath(got[0], got[1]), body: schema}, func(body []byte) error {
			var i typeItem
			if err := decode("/v1/types", body, &i); err != nil {
				return err
			}
			return f.say("%s / %s is in force as version %d", i.Category, i.Name, i.Version)(nil)
		})
	}
	remove := &cobra.Command{Use: "delete CATEGORY NAME", Short: "Check events of a type no longer", Args: args(cobra.ExactArgs(2))}
	remove.RunE = func(cmd *cobra.Command, got []string) error {
		return f.show(cmd.Context(), request{method: http.MethodDelete, path: typePath(got[0], got[1])}, f.say("deleted the schema of %s / %s", got[0], got[1]))
	}
	group.AddCommand(list, get, put, remove)
	return group
}

type typeItem struct {
	Category  string         `json:"category"`
	Name      string         `json:"name"`
	Version   uint32         `json:"version"`
	Schema    jsontext.Value `json:"schema"`
	CreatedAt string         `json:"created_at"`
}

// readInput reads the file that is named, or standard input when none is, or -.
func readInput(in io.Reader, names []string) ([]byte, error) {
	if len(names) == 0 || names[0] == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(names[0])
}
