package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"theeye/internal/httpapi"
	"theeye/internal/store/duckdb"
)

// newRecoverCommand returns `eye store recover`.
func newRecoverCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "recover", Short: "Bring back a store whose manifest is missing or damaged, without a server", Args: args(cobra.NoArgs),
		Long: "Show what can be brought back of a store whose manifest is missing or damaged, from the manifest before it; with --yes, do it.\n" +
			"What the recovered manifest does not name goes into quarantine, nothing is deleted. What is missing is counted as lost at\n" +
			"the next start, unless the queue still holds it. A backup is the better way when there is one: see `eye restore`.",
	}
	var opts duckdb.RecoverOptions
	cmd.Flags().BoolVar(&opts.Empty, "empty", false, "begin an empty store with what the queue still holds")
	cmd.Flags().BoolVar(&opts.ForgetTombstones, "forget-tombstones", false, "go on without a file of tombstones that is missing or damaged; what was erased may come back")
	yes := cmd.Flags().Bool("yes", false, "do it")
	cmd.RunE = func(*cobra.Command, []string) error { return recoverStore(f, opts, *yes) }
	return cmd
}

func recoverStore(f *clientFlags, opts duckdb.RecoverOptions, yes bool) error {
	data := f.value("data", "EYE_DATA")
	unlock, err := lockDir(data)
	if err != nil {
		return err
	}
	defer unlock()
	opts.Dir, opts.Tombstones = filepath.Join(data, "store"), filepath.Join(data, "tombstones")
	r, err := duckdb.PlanRecovery(opts)
	if err != nil {
		return err
	}
	var events, bytes int64
	for _, x := range r.Segments {
		events, bytes = events+x.Rows.Events, bytes+x.Data.Bytes
	}
	fmt.Fprintf(f.out, "comes back      %d segments, %d events, %s, up to frame %d\n", len(r.Segments), events, sizeText(bytes), r.Flushed)
	fmt.Fprintf(f.out, "erasures        %d are applied\n", r.Tombstones)
	events = 0
	for _, x := range r.Missing {
		events += x.Rows.Events
	}
	fmt.Fprintf(f.out, "missing         %d segments, %d events\n", len(r.Missing), events)
	fmt.Fprintf(f.out, "to quarantine   %d files that the manifest does not name\n", len(r.Unnamed))
	if !yes {
		return f.say("nothing was changed; do it with --yes")(nil)
	}
	if err := r.Do(); err != nil {
		return err
	}
	return f.say("done; start the server: it takes what is behind frame %d from the queue, and counts what is missing as lost", r.Flushed)(nil)
}

// acknowledge drops what readyz tells of losses.
func (f *clientFlags) acknowledge(ctx context.Context) error {
	r := request{method: http.MethodPost, path: "/v1/store/acknowledge"}
	return f.show(ctx, r, func(body []byte) error {
		var answer httpapi.AcknowledgedAnswer
		if err := decode(r.path, body, &answer); err != nil {
			return err
		}
		if len(answer.Acknowledged) == 0 {
			return f.say("there was nothing to acknowledge")(nil)
		}
		return f.say("acknowledged:\n%s", strings.Join(answer.Acknowledged, "\n"))(nil)
	})
}

// readmit takes damaged segments back whose files are whole again, by the server or, without
// one, under the lock of the data directory.
func (f *clientFlags) readmit(ctx context.Context) error {
	r := request{method: http.MethodPost, path: "/v1/store/readmit"}
	show := func(answer httpapi.ReadmittedAnswer) error {
		for _, x := range answer.Readmitted {
			fmt.Fprintf(f.out, "taken back      %s: %d events, %d rejections\n", x.Segment, x.Events, x.Rejections)
		}
		for _, text := range answer.Damaged {
			fmt.Fprintf(f.out, "still damaged   %s\n", text)
		}
		if len(answer.Readmitted)+len(answer.Damaged) == 0 {
			return f.say("no segment is damaged")(nil)
		}
		return nil
	}
	unlock, err := f.lockWithoutServer()
	if err != nil {
		return err
	}
	if unlock == nil {
		return f.show(ctx, r, func(body []byte) error {
			var answer httpapi.ReadmittedAnswer
			if err := decode(r.path, body, &answer); err != nil {
				return err
			}
			return show(answer)
		})
	}
	defer unlock()
	dir, err := f.storeDir()
	if err != nil {
		return err
	}
	st, err := duckdb.Open(ctx, duckdb.Options{Dir: dir, Tombstones: filepath.Join(filepath.Dir(dir), "tombstones"), Logger: newLogger(f.err, slog.LevelWarn)})
	if err != nil {
		return err
	}
	answer, err := readmitted(ctx, st)
	if err = errors.Join(err, st.Close()); err != nil {
		return err
	}
	return show(answer)
}

// lockWithoutServer takes the data directory, unless a server is asked for or has it: then release
// is nil.
func (f *clientFlags) lockWithoutServer() (release func(), err error) {
	if f.value("url", "EYE_URL") != "" {
		return nil, nil
	}
	data := f.value("data", "EYE_DATA")
	if _, err := f.storeDir(); err != nil {
		return nil, err
	}
	if release, err = lockDir(data); err != nil {
		return nil, nil //nolint:nilerr // a server has it, and is asked; when it is another process, that is told
	}
	return release, nil
}

func readmitted(ctx context.Context, st *duckdb.Store) (httpapi.ReadmittedAnswer, error) {
	answer := httpapi.ReadmittedAnswer{Readmitted: []httpapi.ReadmittedSegment{}, Damaged: []string{}}
	back, left, err := st.Readmit(ctx)
	for _, x := range back {
		answer.Readmitted = append(answer.Readmitted, httpapi.ReadmittedSegment{Segment: x.Segment, Events: x.Rows.Events, Rejections: x.Rows.Rejections})
	}
	for _, d := range left {
		answer.Damaged = append(answer.Damaged, d.String())
	}
	return answer, err
}
