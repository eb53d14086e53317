package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/httpapi/admin"
	"theeye/internal/plural"
	"theeye/internal/registry"
)

// newAppShowCommand returns `eye apps show`.
func newAppShowCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "show APP", Short: "Show an application's settings and the clock skew of its senders", Args: args(cobra.ExactArgs(1))}
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		return f.show(cmd.Context(), client.Request{Method: http.MethodGet, Path: client.AppPath(got[0])}, func(body []byte) error {
			var a admin.AppAnswer
			if err := client.Decode(client.AppPath(got[0]), body, &a); err != nil {
				return err
			}
			t := newTable(f.out)
			t.row("app", a.App.App)
			t.row("time zone", a.TimeZone)
			t.row("unknown types", string(a.UnknownTypes))
			t.row("rate", rateText(a.Rate))
			t.row("retain", orDash(&a.Retain))
			t.row("silent after", orDash(&a.SilentAfter))
			t.row("created at", a.CreatedAt)
			t.row("last event at", orDash(a.LastEventAt))
			if a.ErasingSince != nil {
				t.row("erasing since", *a.ErasingSince)
			}
			t.row("clocks", strconv.FormatInt(a.Skew.Events, 10)+" events gave a send time, "+strconv.FormatInt(a.Skew.Corrected, 10)+" were corrected")
			t.row("clock skew", msText(a.Skew.P50MS)+" p50, "+msText(a.Skew.P99MS)+" p99, "+msText(a.Skew.MaxMS)+" at most")
			return t.flush()
		})
	}
	return cmd
}

func rateText(perSec int64) string {
	if perSec == 0 {
		return "unlimited"
	}
	return strconv.FormatInt(perSec, 10) + " events per second"
}

func msText(ms float64) string { return strconv.FormatFloat(ms, 'f', -1, 64) + " ms" }

// newAppSettings adds the flags of an application's settings to a command. The function returns
// those that were given.
func newAppSettings(cmd *cobra.Command) func() admin.AppChange {
	zone := cmd.Flags().String("time-zone", "", "IANA `name` of the time zone of timestamps that have none")
	var unknown string
	cmd.Flags().Var(oneOf(&unknown, string(registry.AcceptUnknown), string(registry.RejectUnknown)), "unknown-types", "`accept` or reject events of types without a schema")
	rate := cmd.Flags().Int64("rate", 0, "accept at most this many `events` per second; 0 for no limit")
	retain := cmd.Flags().String("retain", "", "`duration` to keep events, such as 720h or 30d; 0 keeps them forever")
	silent := cmd.Flags().String("silent-after", "", "`duration` without events after which the application counts as silent, such as 30m; empty for never")
	return func() (change admin.AppChange) {
		flags := cmd.Flags()
		if flags.Changed("time-zone") {
			change.TimeZone = zone
		}
		if flags.Changed("unknown-types") {
			change.UnknownTypes = (*registry.UnknownTypes)(&unknown)
		}
		if flags.Changed("rate") {
			change.Rate = rate
		}
		if flags.Changed("retain") {
			change.Retain = retain
		}
		if flags.Changed("silent-after") {
			change.SilentAfter = silent
		}
		return change
	}
}

// newAppCreateCommand returns `eye apps create`.
func newAppCreateCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "create APP", Short: "Create an application", Args: args(cobra.ExactArgs(1))}
	settings := newAppSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		body, err := json.Marshal(admin.AppRequest{App: got[0], AppChange: settings()})
		if err != nil {
			return usagef("%q is not the name of an application", got[0])
		}
		return f.show(cmd.Context(), client.Request{Method: http.MethodPost, Path: client.AppsPath, Body: body}, f.saying("created application %s", got[0]))
	}
	return cmd
}

// newAppUpdateCommand returns `eye apps update`.
func newAppUpdateCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "update APP", Short: "Change settings of an application; settings you omit stay as they are", Args: args(cobra.ExactArgs(1))}
	settings := newAppSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		change := settings()
		if change == (admin.AppChange{}) {
			return usagef("nothing to change; give --time-zone, --unknown-types, --rate, --retain or --silent-after")
		}
		body, err := json.Marshal(change)
		if err != nil {
			return usagef("the settings cannot be sent: %s", err)
		}
		return f.show(cmd.Context(), client.Request{Method: http.MethodPatch, Path: client.AppPath(got[0]), Body: body}, f.saying("changed application %s", got[0]))
	}
	return cmd
}

// newAppDeleteCommand returns `eye apps delete`.
func newAppDeleteCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete APP", Short: "Delete an application", Args: args(cobra.ExactArgs(1)),
		Long: "Delete an application. If it has events or rejections, --erase is required; it shows how many there are and asks first.\n" +
			"--yes skips the question and is required when standard input is not a terminal.",
	}
	erase := cmd.Flags().Bool("erase", false, "erase everything the application sent; this cannot be undone")
	confirm := newConfirmFlags(cmd, f)
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		r := client.Request{Method: http.MethodDelete, Path: client.AppPath(got[0]), Patient: true}
		if *erase {
			r.Query = url.Values{"erase": {"1"}}
		}
		if confirm.dryRun || *erase && !confirm.yes {
			has, err := f.appErasable(cmd.Context(), got[0])
			if err != nil {
				return err
			}
			question := fmt.Sprintf("Delete application %s and erase everything it sent?", shellWord(got[0]))
			if ok, err := confirm.confirm(cmd.Context(), question, []erasable{has}); !ok {
				return err
			}
		}
		err := f.show(cmd.Context(), r, func(body []byte) error {
			if len(body) == 0 {
				return f.printf("deleted application %s", got[0])
			}
			var done admin.AppErasure
			if err := client.Decode(r.Path, body, &done); err != nil {
				return err
			}
			return f.printf("deleted application %s and erased %s and %s", done.App, plural.Count(done.Events, "event"), plural.Count(done.Rejections, "rejection"))
		})
		if *erase {
			return erasureError(err)
		}
		return err
	}
	return cmd
}

// appErasable counts the events and rejections of an application.
func (f *clientFlags) appErasable(ctx context.Context, app string) (erasable, error) {
	c, err := f.client()
	if err != nil {
		return erasable{}, err
	}
	if _, err := c.Do(ctx, client.Request{Method: http.MethodGet, Path: client.AppPath(app)}); err != nil { // the books also have deleted applications
		return erasable{}, err
	}
	const path = client.BooksPath
	body, err := c.Do(ctx, client.Request{Method: http.MethodGet, Path: path, Query: url.Values{"app": {app}}})
	if err != nil {
		return erasable{}, err
	}
	var answer struct {
		Apps []struct {
			App                       string
			Stored, Rejected, Pending int64
		}
	}
	if err := decodeAnyCase(path, body, &answer); err != nil {
		return erasable{}, err
	}
	has := erasable{App: app}
	for _, a := range answer.Apps {
		if a.App == app {
			has.Events, has.Rejections = a.Stored+a.Pending, a.Rejected
		}
	}
	return has, nil
}

// newAppsCommand returns `eye apps`.
func newAppsCommand(s stdio) *cobra.Command {
	group := newGroup("apps", "List, create and delete applications")
	f := newClientFlags(group, s)
	list := &cobra.Command{Use: "list", Short: "List applications", Args: args(cobra.NoArgs)}
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.show(cmd.Context(), client.Request{Method: http.MethodGet, Path: client.AppsPath}, func(body []byte) error {
			var answer struct {
				Apps []struct {
					App          string `json:"app"`
					TimeZone     string `json:"time_zone"`
					UnknownTypes string `json:"unknown_types"`
					CreatedAt    string `json:"created_at"`
				} `json:"apps"`
			}
			if err := client.Decode(client.AppsPath, body, &answer); err != nil {
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
