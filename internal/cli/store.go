package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/config"
	"theeye/internal/httpapi/admin"
	"theeye/internal/node"
	"theeye/internal/plural"
	"theeye/internal/store/duckdb"
)

// newStoreCommand returns `eye store`.
func newStoreCommand(s stdio) *cobra.Command {
	group := newGroup("store", "Inspect and maintain the embedded store of a data directory")
	f := newClientFlags(group, s)
	segments := &cobra.Command{Use: "segments", Short: "List the segments", Args: args(cobra.NoArgs)}
	segments.RunE = func(*cobra.Command, []string) error { return showSegments(f) }
	verify := &cobra.Command{
		Use: "verify", Short: "Check all segments: checksums, order, counts", Args: args(cobra.NoArgs),
		Long: "Check all segments: the checksums of their files, the order of each table, and rows, bounds and counts against the manifest.\n" +
			"Reads everything. Exit code 1 if something is wrong.",
	}
	memory := verify.Flags().String("store-memory", "512MiB", "maximum `size` of the memory to use")
	verify.RunE = func(cmd *cobra.Command, _ []string) error {
		var limit int64
		if err := config.SetSize(&limit, *memory, duckdb.MinMemory); err != nil {
			return usagef("--store-memory %s", err)
		}
		return verifyStore(cmd, f, limit)
	}
	compact := &cobra.Command{
		Use: "compact", Short: "Merge segments now, without a server", Args: args(cobra.NoArgs),
		Long: "Merge segments as a server does in the background, until nothing is left to merge.\n" +
			"The server of the data directory must be stopped. You can interrupt the command at any time.",
	}
	compact.RunE = func(cmd *cobra.Command, _ []string) error { return compactStore(cmd.Context(), f) }
	acceptClock := &cobra.Command{
		Use: "accept-clock", Short: "Accept the system clock for retention, after it has jumped", Args: args(cobra.NoArgs),
		Long: "Accept the system clock for retention from now on. While the system clock is more than a day ahead of the clock that the\n" +
			"server keeps, nothing expires until the server has run for another 24 hours. Check the time first: after this command,\n" +
			"events older than their application's retention expire within about ten seconds. Requires a running server: that of --data,\n" +
			"or one given with --url and an admin key.",
	}
	acceptClock.RunE = func(cmd *cobra.Command, _ []string) error { return f.acceptClock(cmd.Context()) }
	readmit := &cobra.Command{
		Use: "readmit", Short: "Readmit damaged segments whose files have been replaced", Args: args(cobra.NoArgs),
		Long: "Readmit damaged segments whose files have been replaced: first put an intact file into store/segments or store/quarantine.\n" +
			"All segments are read, and damaged ones are quarantined first. The server readmits segments by itself when it starts.\n" +
			"Exit code 1 if a segment is still damaged. Works with a running server, with --url and an admin key, and without a server;\n" +
			"in that case expired events are removed after the next start.",
	}
	readmit.RunE = func(cmd *cobra.Command, _ []string) error { return f.readmit(cmd.Context()) }
	acknowledge := &cobra.Command{
		Use: "acknowledge", Short: "Acknowledge losses, so that /readyz no longer reports them", Args: args(cobra.NoArgs),
		Long: "Acknowledge lost events, damaged segments and lost files, so that /readyz no longer reports them. The books and the metrics keep the counts.\n" +
			"Requires a running server: that of --data, or one given with --url and an admin key.",
	}
	acknowledge.RunE = func(cmd *cobra.Command, _ []string) error { return f.acknowledge(cmd.Context()) }
	group.AddCommand(segments, verify, compact, newRecoverCommand(f), readmit, acknowledge, acceptClock, newRescueCommand(f))
	return group
}

// storeDir returns the folder of the store.
func (f *clientFlags) storeDir() (string, error) {
	data := f.value("data", "EYE_DATA")
	dir := filepath.Join(data, "store")
	return dir, checkThere(dir, fmt.Sprintf("there is no store in %s; give the data directory of a server on this machine with --data", data))
}

// checkThere returns an error with the text missing if nothing exists at a path, and a different
// error if the path cannot be examined.
func checkThere(path, missing string) error {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New(missing)
	}
	return err
}

// checkFolder returns an error if the folder does not exist.
func checkFolder(path string) error {
	return checkThere(path, fmt.Sprintf("the folder %s does not exist", path))
}

// manifest returns the folder of the store and its manifest. It returns an error if the store is
// lost.
func (f *clientFlags) manifest() (dir string, m duckdb.Manifest, err error) {
	if dir, err = f.storeDir(); err == nil {
		m, err = duckdb.PresentManifest(dir)
	}
	return dir, m, err
}

func showSegments(f *clientFlags) error {
	_, m, err := f.manifest()
	if err != nil {
		return err
	}
	if f.json {
		b, err := json.Marshal(m, jsontext.WithIndent(" "), json.Deterministic(true))
		if err != nil {
			return fmt.Errorf("print manifest: %w", err)
		}
		return printDocument(f, b)
	}
	t := newTable(f.out, "ID", "LEVEL", "EVENTS", "REJECTIONS", "TRACES", "SESSIONS", "SIZE", "FROM", "TO", "APPS")
	var rows, bytes int64
	for _, x := range m.Segments {
		size := x.Data.Bytes + x.Filter.Bytes
		rows, bytes = rows+x.Rows.Events, bytes+size
		row := []string{strconv.FormatUint(x.ID, 10), strconv.Itoa(x.Level)}
		for _, n := range []int64{x.Rows.Events, x.Rows.Rejections, x.Rows.Traces, x.Rows.Sessions} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		t.row(append(row, sizeText(size), microsText(x.Occurred.Min), microsText(x.Occurred.Max),
			strings.Join(slices.Sorted(maps.Keys(x.Apps)), ", "))...)
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, d := range m.Damaged {
		_, _ = fmt.Fprintln(f.out, d.String())
	}
	_, err = fmt.Fprintf(f.out, "%s, %s, %s, up to frame %d\n", plural.Count(len(m.Segments), "segment"), plural.Count(rows, "event"), sizeText(bytes), m.Flushed)
	return err
}

// compactStore merges the segments of a data directory that no server uses.
func compactStore(ctx context.Context, f *clientFlags) error {
	dir, err := f.storeDir()
	if err != nil {
		return err
	}
	data := filepath.Dir(dir)
	unlock, err := node.Lock(data)
	if err != nil {
		return err
	}
	defer unlock()
	before, err := duckdb.PresentManifest(dir)
	if err != nil {
		return err
	}
	st, err := duckdb.Open(ctx, duckdb.Options{
		Dir: dir, Tombstones: filepath.Join(data, "tombstones"), Logger: newLogger(f.err, slog.LevelWarn, f.where()),
	})
	if err != nil {
		return err
	}
	if err := errors.Join(st.Compact(ctx), st.Close()); err != nil {
		return err
	}
	after, err := duckdb.ReadManifest(dir)
	if err != nil {
		return err
	}
	if f.json {
		b, err := json.Marshal(struct {
			Before int `json:"segments_before"`
			After  int `json:"segments_after"`
		}{len(before.Segments), len(after.Segments)})
		if err != nil {
			return fmt.Errorf("print the counts of segments: %w", err)
		}
		return printDocument(f, b)
	}
	if slices.EqualFunc(before.Segments, after.Segments, func(a, b duckdb.SegmentInfo) bool { return a.ID == b.ID }) {
		return f.printf("nothing to merge: %s", plural.Count(len(before.Segments), "segment"))
	}
	return f.printf("compacted %s into %d", plural.Count(len(before.Segments), "segment"), len(after.Segments))
}

func (f *clientFlags) acceptClock(ctx context.Context) error {
	r := client.Request{Method: http.MethodPost, Path: client.AcceptClockPath}
	return f.show(ctx, r, func(body []byte) error {
		var answer admin.ClockAnswer
		if err := client.Decode(r.Path, body, &answer); err != nil {
			return err
		}
		return f.printf("the retention clock is now %s; it was %s", answer.After, cmp.Or(answer.Before, "unknown"))
	})
}

func microsText(at *int64) string {
	if at == nil {
		return "-"
	}
	return time.UnixMicro(*at).UTC().Format(time.RFC3339)
}

func verifyStore(cmd *cobra.Command, f *clientFlags, memory int64) error {
	dir, m, err := f.manifest()
	if err != nil {
		return err
	}
	var rows, bytes int64
	for _, x := range m.Segments {
		rows, bytes = rows+x.Rows.Events, bytes+x.Data.Bytes+x.Filter.Bytes
	}
	bar := newBar(f.err, bytes)
	faults, err := duckdb.Verify(cmd.Context(), duckdb.VerifyOptions{Dir: dir, Tombstones: filepath.Join(filepath.Dir(dir), "tombstones"), MemoryLimit: memory, Progress: bar.add})
	bar.close()
	if err != nil {
		return err
	}
	found := make([]fault, len(faults))
	for i, one := range faults {
		found[i] = fault(one)
	}
	return f.verdict(found, fmt.Sprintf("%s, %s, %s: no errors found", plural.Count(len(m.Segments), "segment"), plural.Count(rows, "event"), sizeText(bytes)))
}
