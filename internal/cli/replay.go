package cli

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/httpapi/admin"
	"theeye/internal/plural"
	"theeye/internal/replay"
	"theeye/internal/wait"
)

// replayPoll is the interval between requests for the progress of a replay.
const replayPoll = 300 * time.Millisecond

// replayFlags are the flags of `eye rejections replay`.
type replayFlags struct {
	*clientFlags
	filter                   *filterFlags
	patch, timeZone, session string
	dryRun, yes              bool
}

// newReplayCommand returns `eye rejections replay`.
func newReplayCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "replay [ID]", Short: "Validate rejected events again, as they are or patched", Args: args(cobra.MaximumNArgs(1)),
		Long: "Validate rejected events again against the event types now in force, as they are or after a JSON Patch.\n" +
			"Events that pass are stored with their own ids, times and places in the order. Replaying them again does nothing.\n" +
			"Without --yes, it first shows what would happen, and asks.",
		Example: "  eye rejections replay --code schema_violation --name submit --dry-run\n" +
			"  eye rejections replay --pointer /data/path --patch repair.json --yes",
	}
	r := &replayFlags{clientFlags: f, filter: newFilterFlags(cmd, filterOf{rejections: true, replay: true})}
	fs := cmd.Flags()
	fs.Var(nonEmpty{&r.patch}, "patch", "`file` with a JSON Patch (RFC 6902) to apply to each body; - for standard input")
	fs.Var(nonEmpty{&r.timeZone}, "time-zone", "IANA `name` of the time zone of timestamps that have none, instead of the application's")
	fs.Var(nonEmpty{&r.session}, "set-session", "session `id` for bodies that have none")
	fs.BoolVar(&r.dryRun, "dry-run", false, "only show counts and examples")
	fs.BoolVar(&r.yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		body, err := r.body(cmd.Context(), got)
		if err != nil {
			return err
		}
		c, err := f.client()
		if err != nil {
			return err
		}
		return r.run(cmd.Context(), c, body)
	}
	return cmd
}

// body returns the request that the flags describe.
func (f *replayFlags) body(ctx context.Context, got []string) (admin.ReplayRequest, error) {
	req := admin.ReplayRequest{Filter: map[string]jsontext.Value{}, TimeZone: f.timeZone, SessionID: f.session}
	q := f.filter.query()
	if len(got) == 1 {
		q.Add("where", "id="+got[0])
	}
	for name, values := range q {
		b, err := json.Marshal(values)
		if name == "from" || name == "to" {
			b, err = json.Marshal(values[0])
		}
		if err != nil {
			return req, fmt.Errorf("make request: %w", err)
		}
		req.Filter[name] = b
	}
	if f.patch == "" {
		return req, nil
	}
	if f.patch == "-" && !f.yes && !f.dryRun {
		return req, usagef("--patch - reads standard input, so nobody can be asked; add --yes or --dry-run")
	}
	text, err := readInput(ctx, f.in, []string{f.patch})
	if err != nil {
		return req, err
	}
	if req.Patch = jsontext.Value(text); !req.Patch.IsValid() {
		return req, usagef("%s is not JSON", f.patch)
	}
	return req, nil
}

// run shows what would happen, asks, and replays.
func (f *replayFlags) run(ctx context.Context, c *client.Client, req admin.ReplayRequest) error {
	if f.dryRun || !f.yes {
		req.DryRun = true
		dry, err := f.replay(ctx, c, req)
		if err != nil || f.dryRun {
			return err
		}
		if dry.WouldPass == 0 {
			return nil
		}
		if !f.ask(ctx, fmt.Sprintf("Replay %s? [y/N] ", plural.Count(dry.WouldPass, "event"))) {
			return usagef("nothing was changed; answer y, or add --yes")
		}
		req.DryRun = false
	}
	_, err := f.replay(ctx, c, req)
	return err
}

// replay starts a replay, waits for its end and shows it.
func (f *replayFlags) replay(ctx context.Context, c *client.Client, req admin.ReplayRequest) (admin.Replay, error) {
	const path = client.StartReplayPath
	var now admin.Replay
	b, err := json.Marshal(req)
	if err != nil {
		return now, fmt.Errorf("make request: %w", err)
	}
	body, err := c.Do(ctx, client.Request{Method: http.MethodPost, Path: path, Body: b})
	if err == nil {
		err = client.Decode(path, body, &now)
	}
	if err != nil {
		return now, err
	}
	bar := newBar(f.err, -1, progressbar.OptionShowBytes(false), progressbar.OptionShowCount(), progressbar.OptionSetDescription("looked at"))
	defer bar.close()
	for now.State == replay.Running {
		if bar.shown != nil {
			_ = bar.shown.Set64(now.Matched)
		}
		if err := wait.For(ctx, replayPoll); err != nil {
			return now, fmt.Errorf("interrupted; the replay continues on the server: see eye rejections replays %s: %w", now.ReplayID, err)
		}
		one := client.ReplayPath(now.ReplayID.String())
		if body, err = c.Do(ctx, client.Request{Method: http.MethodGet, Path: one}); err != nil {
			return now, err
		}
		now = admin.Replay{}
		if err := client.Decode(one, body, &now); err != nil {
			return now, err
		}
	}
	bar.close()
	if f.json {
		err = printDocument(f.clientFlags, body)
	} else {
		err = f.showReplay(now)
	}
	if err == nil && now.State != replay.Done {
		err = &exitError{exitFailed}
	}
	return now, err
}

// showReplay prints what a replay did, or would do.
func (f *clientFlags) showReplay(r admin.Replay) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	switch {
	case r.DryRun:
		line("%s: %d would pass, %d would fail.", plural.Count(r.Matched, "rejection"), r.WouldPass, r.WouldFail)
	default:
		line("%s: %d stored, %s, %d still rejected, %d erased, %d expired.", plural.Count(r.Matched, "rejection"), r.Stored, plural.Count(r.Duplicates, "duplicate"), r.StillRejected, r.Erased, r.Expired)
	}
	if r.State != replay.Done {
		line("The replay %s is %s. %s", r.ReplayID, r.State, printable(r.Error, maxMessage))
	}
	for i, l := range r.Left {
		if i == 0 {
			line("Remaining problems:")
		}
		line("%8d  %s %s", l.Count, printable(l.Code, maxCell), printable(l.Pointer, maxMessage))
	}
	for _, x := range r.Examples {
		verdict := "would pass"
		if !x.Passes {
			verdict = "would fail"
		}
		line("\nRejection %s %s.", x.RejectionID, verdict)
		for _, p := range x.Problems {
			line("  %s", printable(problemLine(client.EventProblem(p)), maxMessage))
		}
		for text := range strings.Lines(x.Diff) {
			line("  %s", printable(strings.TrimSuffix(text, "\n"), maxMessage))
		}
	}
	_, err := fmt.Fprint(f.out, b.String())
	return err
}

// newReplaysCommand returns `eye rejections replays`.
func newReplaysCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "replays [ID]", Short: "List replays, newest first, or show the progress of one", Args: args(cobra.MaximumNArgs(1))}
	end := cmd.Flags().Bool("cancel", false, "end this replay; events it has stored stay")
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		if len(got) == 0 {
			return f.show(cmd.Context(), client.Request{Method: http.MethodGet, Path: client.ReplaysPath}, f.showReplays)
		}
		r := client.Request{Method: http.MethodGet, Path: client.ReplayPath(got[0])}
		if *end {
			r.Method = http.MethodDelete
		}
		return f.show(cmd.Context(), r, func(body []byte) error {
			var one admin.Replay
			if err := client.Decode(r.Path, body, &one); err != nil {
				return err
			}
			return f.showReplay(one)
		})
	}
	return cmd
}

func (f *clientFlags) showReplays(body []byte) error {
	var answer admin.ReplaysAnswer
	if err := client.Decode(client.ReplaysPath, body, &answer); err != nil {
		return err
	}
	t := newTable(f.out, "STARTED AT", "REPLAY", "STATE", "DRY RUN", "MATCHED", "STORED", "DUPLICATES", "STILL REJECTED")
	for _, r := range answer.Replays {
		dry := ""
		if r.DryRun {
			dry = "yes"
		}
		cells := []string{r.StartedAt, r.ReplayID.String(), string(r.State), dry}
		for _, n := range []int64{r.Matched, r.Stored, r.Duplicates, r.StillRejected} {
			cells = append(cells, strconv.FormatInt(n, 10))
		}
		t.row(cells...)
	}
	return t.flush()
}
