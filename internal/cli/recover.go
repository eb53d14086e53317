package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/httpapi/admin"
	"theeye/internal/node"
	"theeye/internal/plural"
	"theeye/internal/registry"
	"theeye/internal/store/duckdb"
)

// newRecoverCommand returns `eye store recover`.
func newRecoverCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "recover", Short: "Recover a store whose manifest is lost or damaged, or continue without lost metadata", Args: args(cobra.NoArgs),
		Long: "Show what can be recovered of a store whose manifest is missing or damaged, from the copy MANIFEST.json.1; with --yes,\n" +
			"recover it. The server must be stopped. Files that the recovered manifest does not name are quarantined; nothing is\n" +
			"deleted. Missing events count as lost from the next start on, unless the queue still holds them. If you have a backup,\n" +
			"restore it instead: see `eye restore`.\n" +
			"--forget-metadata continues without applications, keys and event types when the server reports at startup that they are\n" +
			"lost or damaged, even if the store is intact. What is left of them is quarantined; events and the audit log stay.",
	}
	var opts duckdb.RecoverOptions
	cmd.Flags().BoolVar(&opts.Empty, "empty", false, "start an empty store with what the queue still holds")
	cmd.Flags().BoolVar(&opts.ForgetTombstones, "forget-tombstones", false, "continue without a tombstones file that is missing or damaged; erased data may come back")
	cmd.Flags().BoolVar(&opts.KeepTombstones, "keep-tombstones", false, "continue with the intact lines of a tombstones file that is missing or damaged")
	cmd.Flags().Var(nonEmpty{&opts.TombstonesCopy}, "tombstones", "copy of the tombstones `file`, such as that of a backup, whose lines --keep-tombstones also keeps")
	forget := cmd.Flags().Bool("forget-metadata", false, "start without applications, keys and event types when neither the queue nor metadata.json can provide them")
	yes := cmd.Flags().Bool("yes", false, "do it")
	cmd.RunE = func(*cobra.Command, []string) error {
		if opts.KeepTombstones && opts.ForgetTombstones {
			return usagef("--keep-tombstones and --forget-tombstones exclude each other")
		}
		if opts.TombstonesCopy != "" && !opts.KeepTombstones {
			return usagef("--tombstones needs --keep-tombstones")
		}
		return recoverData(f, opts, *forget, *yes)
	}
	return cmd
}

func recoverData(f *clientFlags, opts duckdb.RecoverOptions, forget, yes bool) error {
	data := f.value("data", "EYE_DATA")
	if err := checkThere(data, fmt.Sprintf("the data directory %s does not exist; give the server's with --data", data)); err != nil {
		return err
	}
	unlock, err := node.Lock(data)
	if err != nil {
		return err
	}
	defer unlock()
	opts.Dir, opts.Tombstones = filepath.Join(data, "store"), filepath.Join(data, "tombstones")
	opts.Step = node.FaultStep()
	var metadata *registry.Forgetting
	if forget {
		if metadata, err = registry.PlanForgetting(data); err != nil {
			return err
		}
	}
	r, err := duckdb.PlanRecovery(opts)
	if err != nil && (metadata == nil || !errors.Is(err, duckdb.ErrNothingToRecover)) {
		return err
	}
	if !f.json && r != nil {
		f.showRecovery(r)
	}
	if !f.json && metadata != nil {
		f.showForgetting(metadata)
	}
	if yes && metadata != nil {
		if err := metadata.Apply(opts.Step); err != nil {
			return err
		}
	}
	if yes && r != nil {
		if err := r.Apply(); err != nil {
			return err
		}
	}
	switch {
	case f.json:
		b, err := json.Marshal(documentOf(r, metadata, yes))
		if err != nil {
			return err
		}
		return printDocument(f, b)
	case !yes:
		return f.printf("nothing was changed; add --yes to do it")
	case r == nil:
		return f.printf("done; start the server and create the applications again under the same names: their events are still there; the key in %s is valid", filepath.Join(data, "admin.key"))
	}
	return f.printNextSteps(r, data)
}

// recoveryDocument is what --json prints. It omits the members that describe an intact store.
type recoveryDocument struct {
	Done         bool        `json:"done"`
	Flushed      uint64      `json:"flushed,omitzero"` // the last frame that is in segments
	Segments     *segmentSum `json:"segments,omitzero"`
	Missing      *segmentSum `json:"missing,omitzero"`
	LeftOut      *segmentSum `json:"left_out,omitzero"`
	Erasures     int         `json:"erasures,omitzero"`
	MissingLines int         `json:"missing_lines_of_erasures,omitzero"`
	Forgotten    []string    `json:"forgotten,omitempty"` // erasures, metadata
	ToQuarantine []string    `json:"to_quarantine,omitempty"`
}

type segmentSum struct {
	Segments int   `json:"segments"`
	Events   int64 `json:"events"`
	Bytes    int64 `json:"bytes"`
}

func sumOf(list []duckdb.SegmentInfo) (s segmentSum) {
	for _, x := range list {
		s.Segments, s.Events, s.Bytes = s.Segments+1, s.Events+x.Rows.Events, s.Bytes+x.Data.Bytes
	}
	return s
}

func documentOf(r *duckdb.RecoveryPlan, metadata *registry.Forgetting, done bool) recoveryDocument {
	d := recoveryDocument{Done: done}
	if r != nil {
		segments, missing, leftOut := sumOf(r.Segments), sumOf(r.Missing), sumOf(r.LeftOut)
		d.Flushed, d.Segments, d.Missing, d.LeftOut = r.Flushed, &segments, &missing, &leftOut
		d.Erasures, d.MissingLines, d.ToQuarantine = r.Tombstones, r.Lines-r.KeptLines, r.Unnamed
		if r.Forgets {
			d.Forgotten = append(d.Forgotten, "erasures")
		}
	}
	if metadata != nil {
		d.Forgotten, d.ToQuarantine = append(d.Forgotten, "metadata"), append(d.ToQuarantine, metadata.Moves...)
	}
	return d
}

// showForgetting prints what happens to the metadata.
func (f *clientFlags) showForgetting(x *registry.Forgetting) {
	_, _ = fmt.Fprintf(f.out, "%-15s FORGOTTEN: applications with their settings, keys and event types; the server starts without applications and keys\n", "metadata")
	for _, name := range x.Moves {
		_, _ = fmt.Fprintf(f.out, "%-15s %s\n", "to quarantine", name)
	}
}

// printNextSteps prints what was done, and what to do next.
func (f *clientFlags) printNextSteps(r *duckdb.RecoveryPlan, data string) error {
	if r.Forgets {
		_, _ = fmt.Fprintln(f.err, "eye: WARNING: this data directory no longer knows what was erased. If erased data comes back, erase it again\n"+
			"eye: the next erasure creates a new key: take a new backup, because later erasures cannot be applied to existing backups (`eye restore --tombstones`)")
	}
	counted := "counts what is missing as lost"
	if _, err := os.Stat(filepath.Join(data, node.ConfirmedDir)); errors.Is(err, fs.ErrNotExist) {
		counted = "cannot count what is missing, because the confirmed record is also missing"
	}
	return f.printf("done; start the server: it reads the frames after %d from the queue and %s", r.Flushed, counted)
}

// showRecovery prints what a recovery would bring back and what it would not.
func (f *clientFlags) showRecovery(r *duckdb.RecoveryPlan) {
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(f.out, "%-15s "+format+"\n", append([]any{name}, args...)...)
	}
	sum := func(list []duckdb.SegmentInfo) (text string, bytes int64) {
		s := sumOf(list)
		return plural.Count(s.Segments, "segment") + ", " + plural.Count(s.Events, "event"), s.Bytes
	}
	back, bytes := sum(r.Segments)
	line("comes back", "%s, %s, up to frame %d", back, sizeText(bytes), r.Flushed)
	if len(r.LeftOut) > 0 {
		out, bytes := sum(r.LeftOut)
		line("left out", "%s, %s, named by %s: without --empty they are recovered", out, sizeText(bytes), r.LeftOutBy)
	}
	switch missing, _ := sum(r.Missing); {
	case !r.Empty:
		line("missing", "%s", missing)
	case len(r.LeftOut) > 0:
	case len(r.Unnamed) > 0:
		line("left out", "%s of segments; without a manifest, the number of events in them is unknown", plural.Count(len(r.Unnamed), "file"))
	default:
		line("left out", "whatever the store held and the queue does not; without a manifest, the amount is unknown")
	}
	line("erasures", "%s", erasuresText(r))
	line("to quarantine", "%s that the manifest does not name", plural.Count(len(r.Unnamed), "file"))
}

// erasuresText says what happens to the erasures.
func erasuresText(r *duckdb.RecoveryPlan) string {
	text := plural.Count(r.Tombstones, "erasure") + ", applied"
	switch {
	case r.Forgets:
		return "FORGOTTEN: erased data can come back, when it is sent again or from a backup"
	case r.Keeps && r.KeptLines < r.Lines:
		return text + fmt.Sprintf(" again; %d OF %s MISSING: each is an erasure, or the note that one was finished.\n%-15s Data erased by a missing one can come back, when it is sent again or from a backup",
			r.Lines-r.KeptLines, plural.Count(r.Lines, "line"), "")
	case r.Keeps:
		return text + " again; no line is missing"
	}
	return text
}

// acknowledge ends the messages of /readyz about losses.
func (f *clientFlags) acknowledge(ctx context.Context) error {
	r := client.Request{Method: http.MethodPost, Path: client.AcknowledgePath}
	return f.show(ctx, r, func(body []byte) error {
		var answer admin.AcknowledgedAnswer
		if err := client.Decode(r.Path, body, &answer); err != nil {
			return err
		}
		if len(answer.Acknowledged) == 0 {
			return f.printf("there was nothing to acknowledge")
		}
		return f.printf("acknowledged:\n%s", advise(strings.Join(answer.Acknowledged, "\n"), f.where()))
	})
}

// readmit takes back damaged segments whose files have been replaced by intact ones. The server
// does this, or this process if no server runs, under the lock of the data directory.
func (f *clientFlags) readmit(ctx context.Context) error {
	r := client.Request{Method: http.MethodPost, Path: client.ReadmitPath}
	unlock, err := f.lockWithoutServer()
	if err != nil {
		return err
	}
	if unlock == nil {
		c, err := f.client()
		if err != nil {
			return err
		}
		body, err := c.Do(ctx, r)
		if err != nil {
			return err
		}
		var answer admin.ReadmittedAnswer
		if err := client.Decode(r.Path, body, &answer); err != nil {
			return err
		}
		return f.showReadmitted(answer)
	}
	defer unlock()
	dir, _, err := f.manifest()
	if err != nil {
		return err
	}
	st, err := duckdb.Open(ctx, duckdb.Options{Dir: dir, Tombstones: filepath.Join(filepath.Dir(dir), "tombstones"), Logger: newLogger(f.err, slog.LevelWarn, f.where())})
	if err != nil {
		return err
	}
	answer, err := node.Readmitted(ctx, st)
	if err = errors.Join(err, st.Close()); err != nil {
		return err
	}
	if err := f.showReadmitted(answer); err != nil || f.json || len(answer.Readmitted) == 0 {
		return err
	}
	return f.printf("expired events are removed after the server starts")
}

// showReadmitted prints what was taken back. If a segment is still damaged, the command ends with
// exit code 1.
func (f *clientFlags) showReadmitted(answer admin.ReadmittedAnswer) error {
	var exit error
	if len(answer.Damaged) > 0 {
		exit = &exitError{exitFailed}
	}
	if f.json {
		body, err := json.Marshal(answer)
		if err == nil {
			err = printDocument(f, body)
		}
		return errors.Join(err, exit)
	}
	for _, x := range answer.Readmitted {
		_, _ = fmt.Fprintf(f.out, "readmitted      %s: %s, %s in its file; events erased or expired since then do not come back\n", x.Segment, plural.Count(x.Events, "event"), plural.Count(x.Rejections, "rejection"))
	}
	for _, text := range answer.Damaged {
		_, _ = fmt.Fprintf(f.out, "still damaged   %s\n", printable(text, maxMessage))
	}
	if len(answer.Readmitted)+len(answer.Damaged) == 0 {
		_, _ = fmt.Fprintln(f.out, "no segment is damaged")
	}
	if n := len(answer.Unnamed); n > 0 {
		_, _ = fmt.Fprintf(f.out, "not used        %s in store/quarantine that no damaged segment names: leftovers of a recovery, which cannot be checked\n", plural.Count(n, "file"))
	}
	return exit
}

// lockWithoutServer locks the data directory. If the flags name a server, or a server has the lock,
// release is nil.
func (f *clientFlags) lockWithoutServer() (release func(), err error) {
	if f.value("url", "EYE_URL") != "" {
		return nil, nil
	}
	data := f.value("data", "EYE_DATA")
	if _, err := f.storeDir(); err != nil {
		return nil, err
	}
	if release, err = node.Lock(data); err != nil {
		return nil, nil //nolint:nilerr // the holder is asked as a server; if it is not one, that request fails and says so
	}
	return release, nil
}
