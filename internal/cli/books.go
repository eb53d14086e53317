package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/discovery"
)

// healthTimeout bounds a health check, which a container repeats.
const healthTimeout = 4 * time.Second

// newBooksCommand returns `eye books`.
func newBooksCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "books", Short: "Show what became of every event received", Args: args(cobra.NoArgs)}
	f := newClientFlags(cmd, s)
	apps := cmd.Flags().StringArray("app", nil, "`application`; repeatable")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.show(cmd.Context(), client.Request{Method: "GET", Path: client.BooksPath, Query: url.Values{"app": *apps}}, func(body []byte) error {
			var answer struct {
				Apps []struct {
					App                                                                   string
					Received, Stored, Rejected, Duplicate, Erased, Expired, Lost, Pending int64
					Balanced                                                              bool
				} `json:"apps"`
			}
			if err := decodeAnyCase(client.BooksPath, body, &answer); err != nil {
				return err
			}
			t := newTable(f.out, "APP", "RECEIVED", "STORED", "REJECTED", "DUPLICATE", "ERASED", "EXPIRED", "LOST", "PENDING", "BALANCED")
			for _, a := range answer.Apps {
				row := []string{a.App}
				for _, n := range []int64{a.Received, a.Stored, a.Rejected, a.Duplicate, a.Erased, a.Expired, a.Lost, a.Pending} {
					row = append(row, strconv.FormatInt(n, 10))
				}
				t.row(append(row, yesNo(a.Balanced))...)
			}
			return t.flush()
		})
	}
	return cmd
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// newReceiptCommand returns `eye receipt ID`.
func newReceiptCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "receipt ID", Short: "Show the full history of an event id", Args: args(cobra.ExactArgs(1))}
	f := newClientFlags(cmd, s)
	app := cmd.Flags().String("app", "", "`application`; for keys that are valid for all applications")
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		q := url.Values{}
		if cmd.Flags().Changed("app") {
			q.Set("app", *app)
		}
		return f.show(cmd.Context(), client.Request{Method: "GET", Path: client.ReceiptPath(got[0]), Query: q}, func(body []byte) error {
			var r struct {
				ID       string   `json:"id"`
				App      string   `json:"app"`
				AlsoID   string   `json:"also_id"`
				AlsoIn   []string `json:"also_in"`
				Status   string   `json:"status"`
				Arrivals []struct {
					Position struct {
						Frame uint64 `json:"frame"`
						Index uint32 `json:"index"`
					} `json:"position"`
					ReceivedAt string                `json:"received_at"`
					Fate       string                `json:"fate"`
					Problems   []client.EventProblem `json:"problems"`
					Replay     *struct {
						Frame uint64 `json:"frame"`
					} `json:"replay"`
				} `json:"arrivals"`
			}
			if err := client.Decode(client.ReceiptsPath, body, &r); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(f.out, "%s of %s: %s\n\n", printable(r.ID, maxCell), printable(r.App, maxCell), printable(r.Status, maxCell)); err != nil {
				return err
			}
			if r.AlsoID != "" {
				if _, err := fmt.Fprintf(f.out, "A web page of this application sent another event with the same id; `eye receipt %s` shows it.\n\n", printable(r.AlsoID, maxCell)); err != nil {
					return err
				}
			}
			if len(r.AlsoIn) > 0 {
				if _, err := fmt.Fprintf(f.out, "Other applications have used this id too; --app NAME shows theirs: %s.\n\n", printable(strings.Join(r.AlsoIn, ", "), maxCell)); err != nil {
					return err
				}
			}
			t := newTable(f.out, "RECEIVED AT", "FRAME", "INDEX", "FATE", "PROBLEMS")
			for _, a := range r.Arrivals {
				if a.Replay != nil {
					a.Fate += " by a replay"
				}
				t.row(a.ReceivedAt, strconv.FormatUint(a.Position.Frame, 10), strconv.FormatUint(uint64(a.Position.Index), 10), a.Fate, problemLines(a.Problems))
			}
			return t.flush()
		})
	}
	return cmd
}

// newHealthCommand returns `eye health`.
func newHealthCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "health", Short: "Check that the server takes in events and answers queries", Args: args(cobra.NoArgs),
		Long: "Check whether the server takes in events and answers queries. Exit code 0 if it does both, 1 if not.\n" +
			"Without --url, and if the data directory holds no socket, the server at EYE_LISTEN on this machine is asked, or else\n" +
			"127.0.0.1:8080.",
	}
	f := newClientFlags(cmd, s)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
		defer cancel()
		c, err := f.healthClient()
		if err != nil {
			return err
		}
		body, err := c.Do(ctx, client.Request{Method: http.MethodGet, Path: client.ReadinessPath}, http.StatusServiceUnavailable)
		if err != nil {
			return err
		}
		var r struct {
			Ready   bool     `json:"ready"`
			Reasons []string `json:"reasons"`
		}
		if err := client.Decode(client.ReadinessPath, body, &r); err != nil {
			return err
		}
		switch {
		case f.json:
			err = printDocument(f, body)
		case r.Ready:
			_, err = fmt.Fprintln(f.out, "ready")
			for _, reason := range r.Reasons { // reported even when the server is ready
				_, _ = fmt.Fprintln(f.out, "  "+printable(advise(reason, f.where()), maxMessage))
			}
		default:
			for _, reason := range r.Reasons {
				_, _ = fmt.Fprintln(f.err, "not ready: "+printable(advise(reason, f.where()), maxMessage))
			}
		}
		if err == nil && !r.Ready {
			return &exitError{exitFailed}
		}
		return err
	}
	return cmd
}

// maxMessage bounds a message of the server, in code points.
const maxMessage = 1000

// healthClient returns a client for a server whose socket this process may be unable to use. It
// sends a key only to a server that was named.
func (f *clientFlags) healthClient() (*client.Client, error) {
	listen := f.getenv("EYE_LISTEN")
	if base, _ := f.named(); base != "" {
		return f.client()
	}
	dir := f.value("data", "EYE_DATA")
	named := f.cmd.PersistentFlags().Changed("data") && listen == ""
	if named || discovery.IsSocket(filepath.Join(dir, discovery.SocketFile)) {
		return client.NewLocal(dir, "", ""), nil
	}
	if listen == "" {
		listen = "127.0.0.1:8080"
	}
	scheme := "http://"
	if f.getenv("EYE_TLS_CERT") != "" {
		scheme = "https://"
	}
	c, err := client.New(scheme+client.Reachable(listen), "")
	if err != nil {
		return nil, usagef("%s", err)
	}
	c.WithoutVerification()
	return c, nil
}
