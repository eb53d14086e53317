package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	theeye "theeye/clients/go"
	"theeye/internal/client"
	"theeye/internal/plural"
	"theeye/internal/registry"
)

const (
	maxBatchBytes  = 3 << 20 // below what a server accepts by default
	shownProblems  = 20      // rejected events that are printed
	adminKeyPrefix = "eye_a_"
	// linger is how long an event from a pipe waits for others to share its request.
	linger = 250 * time.Millisecond
	// maxCounted is the size in bytes of the largest file in which the events that were not sent are
	// counted, which takes about a second.
	maxCounted = 256 << 20
)

// sendFlags are the flags of `eye send`.
type sendFlags struct {
	*clientFlags
	app        string
	batch      int
	wait       bool
	contentIDs bool
	sign       bool
	resume     string // a file
	retryFor   time.Duration
	shown      int                             // rejected events printed so far
	unsent     func(done int) (n int, ok bool) // counts the events that were not sent, if that is possible
}

// newSendCommand returns `eye send`.
func newSendCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "send [FILE]", Short: "Send events from a file or standard input", Args: args(cobra.MaximumNArgs(1)),
		Long: "Send events from a file or standard input: one event, an array, {\"events\":[…]} or NDJSON, optionally compressed with gzip.\n" +
			"Events without an id get one. For a file, the id is derived from the application given with --app, the event's text and the\n" +
			"number of earlier events with that text in the file, so sending the file again stores nothing twice. Equal events in two\n" +
			"files are one event, unless they have ids. Events from standard input or a pipe get new ids, unless --ids-from-content is\n" +
			"given.\n" +
			"An event read from a pipe is sent within half a second. The first Ctrl-C sends what was read and reports how far that was;\n" +
			"a second one, at least a second later, ends at once. With --resume FILE, FILE records what was answered, and the same command\n" +
			"continues after it: after an interruption, or when the input has grown at its end.\n" +
			"Sending requires a write key. With an admin key, one is created for --app; it expires by itself and is revoked at the end.\n" +
			"Exit code 0: all events were accepted; 3: delivered, but some were rejected; 1: not all could be delivered.",
	}
	f := &sendFlags{clientFlags: newClientFlags(cmd, s)}
	fs := cmd.Flags()
	f.app = registry.DefaultApp
	fs.Var(nonEmpty{&f.app}, "app", "`application` to send to (with an admin key)")
	fs.IntVar(&f.batch, "batch", 500, "`number` of events per request")
	fs.BoolVar(&f.contentIDs, "ids-from-content", false, "derive the ids of events that have none from their content; the default for files and with --resume")
	fs.BoolVar(&f.wait, "wait", false, "wait until the events can be queried")
	fs.BoolVar(&f.sign, "sign", false, "sign requests with the write key, for keys that require it")
	fs.Var(nonEmpty{&f.resume}, "resume", "`file` that records how far the input was sent, to continue there; it is created")
	fs.DurationVar(&f.retryFor, "retry-for", 5*time.Minute, "`duration` to retry a batch while the server is down or busy")
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		if f.batch < 1 || f.batch > 10_000 {
			return usagef("--batch must be from 1 to 10000")
		}
		if f.retryFor < 0 {
			return usagef("--retry-for must not be negative")
		}
		return f.run(cmd.Context(), got)
	}
	return cmd
}

func (f *sendFlags) run(ctx context.Context, names []string) (err error) {
	c, err := f.client()
	if err != nil {
		return err
	}
	admin := c.KeyHasPrefix(adminKeyPrefix)
	if !admin && f.cmd.Flag("app").Changed {
		return usagef("--app needs an admin key (eye_a_…); a write key sends to its own application: omit --app")
	}
	if admin && f.sign {
		return usagef("--sign needs a write key (eye_w_…) that requires signatures, with --key or EYE_KEY")
	}
	in, size, err := f.open(names)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	var app string
	if admin {
		app = f.app
	}
	var place *sendPlace
	if f.resume != "" {
		if place, err = openSendPlace(f.resume, serverName(c), app); err != nil {
			return err
		}
		defer func() { _ = place.Close() }()
	}
	if admin {
		revoke, err := c.UseTemporaryWriteKey(ctx, app)
		if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusNotFound {
			return fmt.Errorf("%w; `eye apps list` lists the applications, and `eye apps create %s` creates this one", err, shellWord(app))
		}
		if err != nil {
			return err
		}
		defer revoke()
	}
	to, err := c.Sender(ctx, theeye.Options{Sign: f.sign})
	if err != nil {
		return err
	}
	defer func() { _ = to.Close(ctx) }() // it has nothing queued
	bar := newBar(f.err, size)
	defer bar.close()
	s := &sender{
		to: to, explain: c.SendError, wait: f.wait, retryFor: f.retryFor, place: place,
		newID: randomID, requestID: randomRequest,
		notice: func(text string) { bar.print("eye: " + text) },
	}
	options := sendOptions{name: "standard input", limit: f.batch}
	if len(names) > 0 && names[0] != "-" {
		extension := filepath.Ext(strings.TrimSuffix(names[0], ".gz"))
		options.name, options.asLines = names[0], extension == ".ndjson" || extension == ".jsonl"
	}
	isFile := size >= 0
	f.unsent = func(int) (int, bool) { return 0, false }
	if isFile && size <= maxCounted {
		earlier := 0
		if place != nil {
			earlier = place.sent.Events
		}
		f.unsent = func(done int) (int, bool) {
			n, ok := countElements(names[0], options.asLines)
			n -= earlier + done
			return n, ok && n >= 0 // less when it is not the file of before
		}
	}
	if !isFile {
		s.linger = linger
	}
	if f.contentIDs || (isFile || place != nil) && !f.cmd.Flag("ids-from-content").Changed {
		ids := newContentIDs(app)
		s.newID, s.requestID = ids.id, ids.request
	}
	s.reject = func(e element, id string, problems []client.EventProblem) {
		f.showRejected(bar, e.place(), id, problems)
	}
	stopNotice := context.AfterFunc(ctx, func() { s.notice("interrupted: sending what was read so far; press Ctrl-C again to stop at once") })
	defer stopNotice()
	return f.finish(bar, s, s.sendAll(ctx, io.TeeReader(in, bar), options))
}

// countElements counts the elements of a file. It reports whether the file can be read to its end.
func countElements(name string, asLines bool) (n int, ok bool) {
	file, err := os.Open(name)
	if err != nil {
		return 0, false
	}
	defer func() { _ = file.Close() }()
	input, err := newEventReader(file, asLines)
	for err == nil {
		if _, err = input.next(); err == nil {
			n++
		}
	}
	return n, errors.Is(err, io.EOF)
}

// serverName returns the address of a server, or the absolute path of its socket.
func serverName(c *client.Client) string {
	name := c.Server()
	if path, err := filepath.Abs(name); err == nil && !strings.Contains(name, "://") {
		return path
	}
	return name
}

// open returns the input and its size in bytes, -1 when it is not a regular file.
func (f *sendFlags) open(names []string) (io.ReadCloser, int64, error) {
	if len(names) == 0 || names[0] == "-" {
		return io.NopCloser(f.in), -1, nil
	}
	file, err := os.Open(names[0])
	if err != nil {
		return nil, 0, err
	}
	size := int64(-1)
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return file, size, nil
}

// showRejected prints a rejected event, up to shownProblems of them.
func (f *sendFlags) showRejected(bar *bar, where, id string, problems []client.EventProblem) {
	if f.shown++; f.shown > shownProblems {
		return
	}
	if id != "" {
		where += " (" + id + ")"
	}
	bar.print("rejected " + where + ": " + printable(problemLines(problems), maxMessage))
}

// finish prints the totals, whatever happened, and returns the error that determines the exit code.
func (f *sendFlags) finish(bar *bar, s *sender, failed error) error {
	bar.close()
	if more := s.sums.Rejected - shownProblems; more > 0 {
		_, _ = fmt.Fprintf(f.err, "… and %d more; `eye rejections` lists them\n", more)
	}
	totals := sendTotals{Totals: s.sums}
	if failed != nil {
		if n, ok := f.unsent(s.done); ok {
			totals.NotSent = &n
		}
	}
	if err := f.printTotals(totals); err != nil && failed == nil {
		failed = err
	}
	if failed == nil && s.sums.Rejected > 0 {
		return &exitError{exitRejected}
	}
	return failed
}

// sendTotals is what became of an input.
type sendTotals struct {
	client.Totals `json:",inline"`

	// NotSent counts the events of a file that were not sent, or whose answer is not known, because the
	// command ended early; nil if it did not, or if they cannot be counted.
	NotSent *int `json:"not_sent,omitzero"`
}

func (f *sendFlags) printTotals(t sendTotals) error {
	if f.json {
		b, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("print totals: %w", err)
		}
		return printDocument(f.clientFlags, b)
	}
	unsent := ""
	if t.NotSent != nil {
		unsent = fmt.Sprintf(", %d not sent", *t.NotSent)
	}
	_, err := fmt.Fprintf(f.out, "%d accepted, %d rejected, %s%s\n", t.Accepted, t.Rejected, plural.Count(t.Duplicates, "duplicate"), unsent)
	return err
}

// bar shows progress on a terminal, and nothing elsewhere. It writes to the terminal unescaped,
// because its output moves the cursor and contains no text from outside.
//
// It is safe for concurrent use.
type bar struct {
	to    io.Writer
	mu    sync.Mutex               // guards shown
	shown *progressbar.ProgressBar // nil when the output is not a terminal
}

// newBar returns a bar for size bytes; -1 means unknown.
func newBar(to io.Writer, size int64, options ...progressbar.Option) *bar {
	b := &bar{to: to}
	if t, ok := to.(*terminal); ok {
		b.shown = progressbar.NewOptions64(size, append([]progressbar.Option{
			progressbar.OptionSetWriter(t.to), progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish(),
		}, options...)...)
	}
	return b
}

// Write counts the bytes that were read.
func (b *bar) Write(p []byte) (int, error) {
	b.add(len(p))
	return len(p), nil
}

func (b *bar) add(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		_ = b.shown.Add(bytes)
	}
}

// print writes a line above the bar.
func (b *bar) print(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		_ = b.shown.Clear()
	}
	_, _ = fmt.Fprintln(b.to, line)
}

func (b *bar) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		_ = b.shown.Finish()
		b.shown = nil
	}
}
