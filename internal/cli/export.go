package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/durable"
)

// exportFlags are the flags of `eye export`.
type exportFlags struct {
	*clientFlags
	filter         *filterFlags
	format, output string
}

// newExportCommand returns `eye export`.
func newExportCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "export", Short: "Export all events that match a filter", Args: args(cobra.NoArgs),
		Long: "Export all events that match a filter to standard output or to a file. The file appears under its name only when it is\n" +
			"complete. Exit code 0: all events were written; 1: the export was cut off or could not start.",
	}
	f := &exportFlags{clientFlags: newClientFlags(cmd, s)}
	f.filter = newFilterFlags(cmd, filterOf{order: true})
	cmd.Flags().Var(oneOf(&f.format, "ndjson", "csv", "parquet"), "format", "`ndjson`, csv or parquet; by default from the name of the file, or ndjson")
	f.output = "-"
	cmd.Flags().VarP(nonEmpty{&f.output}, "output", "o", "`file` to write")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) }
	return cmd
}

func (f *exportFlags) run(ctx context.Context) error {
	if f.format == "" {
		var ok bool
		if f.format, ok = formatOf(f.output); !ok {
			return usagef("%s: %s is not an export format; use .ndjson, .jsonl, .json, .csv or .parquet, or give --format", f.output, filepath.Ext(f.output))
		}
	}
	if f.format == "parquet" && f.output == "-" && isTerminal(f.out) {
		return usagef("Parquet cannot be written to a terminal; give --output")
	}
	c, err := f.client()
	if err != nil {
		return err
	}
	if f.output == "-" {
		_, err := f.fetch(ctx, c, f.out)
		return err
	}
	n, err := writeWhole(f.output, func(to io.Writer) (int64, error) { return f.fetch(ctx, c, to) })
	if err == nil {
		_, _ = fmt.Fprintf(f.err, "%s: %d bytes\n", f.output, n)
	}
	return err
}

// formatOf guesses a format from the name of a file. ok is false if the extension is that of
// another format.
func formatOf(name string) (format string, ok bool) {
	switch extension := strings.ToLower(strings.TrimPrefix(filepath.Ext(name), ".")); extension {
	case "csv", "parquet":
		return extension, true
	case "", "ndjson", "jsonl", "json":
		return "ndjson", true
	}
	return "", false
}

// fetch writes the server's answer. An answer that was cut off is an error.
func (f *exportFlags) fetch(ctx context.Context, c *client.Client, to io.Writer) (int64, error) {
	q := f.filter.query()
	f.filter.hint(f.clientFlags)
	q.Set("format", f.format)
	bar, count := f.bar(ctx, c)
	defer bar.close()
	answer, err := c.Patient().Open(ctx, client.Request{Method: http.MethodGet, Path: client.ExportPath, Query: q})
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	if bar.shown != nil && answer.ContentLength > 0 {
		bar.shown.ChangeMax64(answer.ContentLength)
	}
	n, err := io.Copy(io.MultiWriter(to, count), answer.Body)
	switch {
	case ctx.Err() != nil:
		return n, c.ConnectionError(ctx, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return n, fmt.Errorf("the export was cut off after %d bytes, because of an erasure, a key that is no longer valid, or a reader that was too slow; see the server's log, and start it again", n)
	case err != nil:
		return n, fmt.Errorf("export: %w", err)
	}
	return n, nil
}

// bar returns a progress bar of events, or of bytes for Parquet, and the writer that advances it.
// It is shown only if nothing else is written to the terminal.
func (f *exportFlags) bar(ctx context.Context, c *client.Client) (*bar, io.Writer) {
	if !isTerminal(f.err) || f.output == "-" && isTerminal(f.out) {
		return &bar{to: f.err}, io.Discard
	}
	if f.format == "parquet" {
		b := newBar(f.err, -1)
		return b, b
	}
	total := int64(-1)
	q := maps.Clone(f.filter.query())
	q.Del("order")
	if body, err := c.Do(ctx, client.Request{Method: http.MethodGet, Path: client.CountPath, Query: q}); err == nil {
		var answer struct {
			Count int64 `json:"count"`
		}
		if client.Decode(client.CountPath, body, &answer) == nil {
			total = answer.Count
		}
	}
	b := newBar(f.err, total, progressbar.OptionShowBytes(false), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"))
	return b, lineCounter{b}
}

// lineCounter advances a bar by the lines that are written.
type lineCounter struct{ bar *bar }

// Write counts lines.
func (l lineCounter) Write(p []byte) (int, error) {
	_ = l.bar.shown.Add(bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}

// writeWhole writes a file under a temporary name until it is complete. It writes to a device or a
// pipe directly.
func writeWhole(name string, write func(io.Writer) (int64, error)) (n int64, err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return 0, fmt.Errorf("write export: %w", err)
		}
		n, err := write(file)
		return n, errors.Join(err, file.Close())
	}
	dir := filepath.Dir(name)
	if err := checkFolder(dir); err != nil {
		return 0, err
	}
	file, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*.part")
	if err != nil {
		return 0, fmt.Errorf("write export: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	n, err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return n, err
	}
	if err := durable.Rename(file.Name(), name); err != nil {
		return n, fmt.Errorf("write export: %w", err)
	}
	return n, nil
}
