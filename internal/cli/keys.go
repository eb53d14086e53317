package cli

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/duration"
	"theeye/internal/plural"
)

// keyUse says from where and how a key may be used.
func keyUse(k *client.Key) string {
	if len(k.Unknown) > 0 {
		return "refused: restrictions of a newer version (" + strings.Join(k.Unknown, ", ") + ")"
	}
	if k.Signing {
		return "signed"
	}
	if len(k.Origins) > 0 {
		return "from " + strings.Join(k.Origins, " ")
	}
	return "-"
}

// keyEnded reports whether a key is revoked or has expired. A key whose time of expiry cannot be
// read has not expired.
func keyEnded(k *client.Key, now time.Time) bool {
	if k.RevokedAt != nil {
		return true
	}
	if k.ExpiresAt == nil {
		return false
	}
	at, err := time.Parse(time.RFC3339, *k.ExpiresAt)
	return err == nil && !now.Before(at)
}

// newKeysCommand returns `eye keys`.
func newKeysCommand(s stdio) *cobra.Command {
	group := newGroup("keys", "List, create and revoke keys")
	f := newClientFlags(group, s)
	app := new(string)
	group.PersistentFlags().Var(nonEmpty{app}, "app", "`application` of the key; omit it for keys that are valid for all applications")

	list := &cobra.Command{Use: "list", Short: "List valid keys, oldest first", Args: args(cobra.NoArgs)}
	all := list.Flags().Bool("all", false, "also list revoked and expired keys; --json always prints them")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.show(cmd.Context(), client.Request{Method: http.MethodGet, Path: client.KeysPath(*app)}, func(body []byte) error {
			var answer struct {
				Keys []client.Key `json:"keys"`
			}
			if err := client.Decode(client.KeysPath(*app), body, &answer); err != nil {
				return err
			}
			t := newTable(f.out, "KEY ID", "APP", "KIND", "CREATED AT", "LAST USED AT", "EXPIRES AT", "REVOKED AT", "USE")
			over, now := 0, time.Now()
			for _, k := range answer.Keys {
				if !*all && keyEnded(&k, now) {
					over++
					continue
				}
				t.row(k.KeyID, orDash(k.App), k.Kind, k.CreatedAt, orDash(k.LastUsedAt), orDash(k.ExpiresAt), orDash(k.RevokedAt), keyUse(&k))
			}
			if err := t.flush(); err != nil || over == 0 {
				return err
			}
			verb := "are"
			if over == 1 {
				verb = "is"
			}
			_, err := fmt.Fprintf(f.err, "%s %s not shown; --all shows them\n", plural.Count(over, "revoked or expired key"), verb)
			return err
		})
	}
	revoke := &cobra.Command{Use: "revoke KEY_ID", Short: "Revoke a key", Args: args(cobra.ExactArgs(1))}
	revoke.RunE = func(cmd *cobra.Command, got []string) error {
		return f.show(cmd.Context(), client.Request{Method: http.MethodDelete, Path: client.KeyPath(*app, got[0])}, f.saying("revoked key %s", got[0]))
	}
	group.AddCommand(list, newKeysCreateCommand(f, app), revoke)
	return group
}

// keyFlags describes the key to create.
type keyFlags struct {
	Kind      string   `json:"kind"`
	ExpiresAt string   `json:"expires_at,omitzero"`
	Origins   []string `json:"origins,omitempty"`
	Signing   bool     `json:"signing,omitzero"`
	expiresIn string
}

// body returns the body of the request, or an error that says what is wrong with the flags.
func (k *keyFlags) body(now time.Time) ([]byte, error) {
	if k.Kind == "" {
		return nil, usagef("--kind is required: write, read or admin")
	}
	if k.expiresIn != "" {
		if k.ExpiresAt != "" {
			return nil, usagef("give --expires-at or --expires-in, not both")
		}
		d, err := duration.Parse(strings.TrimPrefix(k.expiresIn, "-"))
		switch {
		case err != nil:
			return nil, usagef("--expires-in %s", err)
		case d == 0 || strings.HasPrefix(k.expiresIn, "-"):
			return nil, usagef("--expires-in %q must be later than now", k.expiresIn)
		}
		k.ExpiresAt = now.Add(d).UTC().Format(time.RFC3339)
	}
	b, err := json.Marshal(k)
	if err != nil {
		return nil, usagef("the flags cannot be written as JSON: %s", err)
	}
	return b, nil
}

func newKeysCreateCommand(f *clientFlags, app *string) *cobra.Command {
	create := &cobra.Command{Use: "create", Short: "Create a key; the secret is shown only once", Args: args(cobra.NoArgs)}
	var k keyFlags
	flags := create.Flags()
	flags.Var(oneOf(&k.Kind, "write", "read", "admin"), "kind", "`kind` of key: write, read or admin")
	flags.Var(nonEmpty{&k.ExpiresAt}, "expires-at", "`time` at which the key expires, such as 2027-01-31T00:00:00Z")
	flags.Var(nonEmpty{&k.expiresIn}, "expires-in", "the same as a `duration` from now, such as 720h or 90d")
	flags.StringArrayVar(&k.Origins, "origin", nil, "restrict a write key to web pages of this `origin`, such as https://shop.example.com (repeatable)")
	flags.BoolVar(&k.Signing, "signing", false, "require signed requests (write keys only)")
	create.RunE = func(cmd *cobra.Command, _ []string) error {
		body, err := k.body(time.Now())
		if err != nil {
			return err
		}
		return f.show(cmd.Context(), client.Request{Method: http.MethodPost, Path: client.KeysPath(*app), Body: body}, func(body []byte) error {
			var made client.Key
			if err := client.Decode(client.KeysPath(*app), body, &made); err != nil {
				return err
			}
			t := newTable(f.out)
			t.row("key id", made.KeyID)
			t.row("app", orDash(made.App))
			t.row("kind", made.Kind)
			if made.ExpiresAt != nil {
				t.row("expires at", *made.ExpiresAt)
			}
			if use := keyUse(&made); use != "-" {
				t.row("use", use)
			}
			t.row("key", made.Key)
			if made.SigningSecret != "" {
				t.row("signing secret", made.SigningSecret)
			}
			return t.flush()
		})
	}
	return create
}
