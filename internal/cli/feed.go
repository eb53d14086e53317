package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/durable"
	"theeye/internal/feed"
)

const (
	// feedWait is how long a request waits for the first item. It is shorter than the server's
	// limit, so that the answer arrives before the client gives up.
	feedWait = 30 * time.Second
	// onceRetryFor is how long --once waits for a server that does not answer or is not running yet.
	onceRetryFor = time.Minute
	// fromNow is the value of --from for the end of the feed.
	fromNow = "now"
)

// feedFlags are the flags of `eye feed`.
type feedFlags struct {
	*clientFlags
	filter         *filterFlags
	after          string // a file
	exec           string
	until          string
	to, secretFile string
	limit          int
	once           bool
}

// newFeedCommand returns `eye feed`.
func newFeedCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "feed --after FILE", Short: "Pass on everything that is stored, in the order in which it was stored", Args: args(cobra.NoArgs),
		Long: "Pass on everything that is stored, in the order in which it was stored, and wait for more until it is interrupted. FILE holds\n" +
			"the position that was reached: after a restart, even after a crash, the feed continues there. If FILE does not exist, it\n" +
			"begins at the beginning, or with --from now at the end. Items go to\n" +
			"  standard output as NDJSON; the position is saved after each page;\n" +
			"  --exec: a shell command that runs once for each page, with NDJSON on standard input; exit code 0 saves the position;\n" +
			"  --to: a URL that gets {\"items\":[…]} of at most 100 items by POST, signed as in Standard Webhooks with the secret in\n" +
			"        EYE_WEBHOOK_SECRET or --secret-file; a 2xx saves the position, other answers except 410 are retried.\n" +
			"After a crash, the items since the saved position are passed on again: ignore those whose position is known.\n" +
			"A server that is not running is waited for, with --once for a minute.\n" +
			"An item of kind erased says what to delete. Use one FILE for each copy, and do not change its filters.",
	}
	f := &feedFlags{clientFlags: newClientFlags(cmd, s)}
	f.filter = newFilterFlags(cmd, filterOf{feed: true, target: true})
	fs := cmd.Flags()
	fs.Lookup("from").Usage = "start `time` (inclusive), or now: begin at the end of the feed if FILE does not exist"
	fs.StringVar(&f.until, "until", "", endUsage)
	fs.Var(nonEmpty{&f.after}, "after", "`file` of the position that was reached; required")
	fs.Var(nonEmpty{&f.exec}, "exec", "shell `command` to run for each page")
	fs.Var(nonEmpty{&f.to}, "to", "`URL` to which items are posted")
	fs.Var(nonEmpty{&f.secretFile}, "secret-file", "`file` with the secret (whsec_…) that signs what is posted; by default the secret in EYE_WEBHOOK_SECRET")
	fs.IntVar(&f.limit, "limit", 0, "maximum `number` of items of a page, up to 10000; 1000 by default")
	fs.BoolVar(&f.once, "once", false, "end at the end of the feed instead of waiting for more")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) }
	return cmd
}

func (f *feedFlags) run(ctx context.Context) error {
	switch {
	case f.after == "":
		return usagef("--after is missing: give the file that holds the position, such as --after position; it is created")
	case isPosition(f.after):
		return usagef("--after takes a file: write the position to a file and give that")
	case f.exec != "" && f.to != "":
		return usagef("--exec and --to exclude each other: run two commands, each with a FILE of its own")
	case f.secretFile != "" && f.to == "":
		return usagef("--secret-file applies to --to only")
	}
	c, err := f.client()
	if err != nil {
		return err
	}
	lock, err := lockFile(f.after, f.after+" is in use by another `eye feed`, or by a command that one has started and that is still running; give each copy a file of its own")
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	target, err := f.target(lock)
	if err != nil {
		return err
	}
	r := &feedReader{f: f, client: c, target: target, query: f.filter.query(), losses: losses{outage: outage{notice: f.notice}}}
	if f.once {
		r.losses.retryFor = onceRetryFor
	}
	err = r.run(ctx)
	switch {
	case errors.Is(err, errInterrupted):
		f.notice(err.Error())
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil
	}
	return err
}

// isPosition reports whether a text is a position of the feed.
func isPosition(text string) bool {
	_, err := feed.ParsePosition(text)
	return err == nil
}

// lockFile locks a file that keeps a position, so that no other process uses it; inUse is the error
// if one does. The file that it returns must remain open: the lock ends with the last process that
// has it, which may be a command that runs after this process was killed.
func lockFile(name, inUse string) (*os.File, error) {
	if err := checkFolder(filepath.Dir(name)); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(name+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = errors.New(inUse)
	case err != nil:
		err = fmt.Errorf("lock %s: %w", lock.Name(), err)
	default:
		return lock, nil
	}
	return nil, errors.Join(err, lock.Close())
}

// readPosition reads the file of a position. The position is empty if the file does not exist.
func readPosition(name string) (string, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the position: %w", err)
	}
	position := strings.TrimSpace(string(b))
	if !isPosition(position) {
		return "", fmt.Errorf("%s does not hold a position of the feed; give another file, or remove it to start at the beginning", name)
	}
	return position, nil
}

// feedTarget takes the items of a feed.
type feedTarget struct {
	most int // items at a time; 0 for a whole page
	take func(ctx context.Context, items []jsontext.Value) error
}

// target returns where the items go.
func (f *feedFlags) target(lock *os.File) (feedTarget, error) {
	switch {
	case f.exec != "":
		return feedTarget{take: func(ctx context.Context, items []jsontext.Value) error { return f.execute(ctx, lock, items) }}, nil
	case f.to != "":
		w, err := f.webhook()
		return feedTarget{most: maxWebhookItems, take: w.post}, err
	}
	return feedTarget{take: func(_ context.Context, items []jsontext.Value) error {
		_, err := f.out.Write(ndjson(items))
		return err
	}}, nil
}

// ndjson returns items as lines.
func ndjson(items []jsontext.Value) []byte {
	var b bytes.Buffer
	for _, i := range items {
		b.Write(i)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// execute runs the command of --exec with items. It inherits the lock, so that it does not run
// beside another that works for the same position. A signal to this process alone does not end it.
func (f *feedFlags) execute(ctx context.Context, lock *os.File, items []jsontext.Value) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", f.exec) //nolint:gosec // the user's own command
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(ndjson(items)), f.out, f.err
	for _, out := range []*io.Writer{&cmd.Stdout, &cmd.Stderr} {
		if t, ok := (*out).(*terminal); ok {
			*out = t.to // it is the user's own command
		}
	}
	cmd.ExtraFiles = []*os.File{lock}
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: the command of --exec ended with %w, so its page will be passed on again", errInterrupted, err)
	}
	return fmt.Errorf("the command of --exec ended with %w; the position of its page was not saved: mend what it reports, and start `eye feed` again, which repeats the page", err)
}

// feedReader reads the pages of a feed and passes them on.
type feedReader struct {
	f      *feedFlags
	client *client.Client
	target feedTarget
	query  url.Values
	saved  string // the position in the file
	losses losses
}

// run passes on pages until the end of the feed with --once, or else until ctx ends.
func (r *feedReader) run(ctx context.Context) (err error) {
	if r.saved, err = readPosition(r.f.after); err != nil {
		return err
	}
	if r.query.Get("from") == fromNow {
		r.query.Del("from")
		if r.saved == "" {
			now, err := r.end(ctx)
			if err != nil {
				return err
			}
			if err := r.save(now); err != nil {
				return err
			}
		}
	}
	if r.f.cmd.Flags().Changed("until") {
		r.query.Set("to", r.f.until)
	}
	if r.f.cmd.Flags().Changed("limit") {
		r.query.Set("limit", strconv.Itoa(r.f.limit))
	}
	end := ""
	if r.f.once { // what comes meanwhile is left for the next time
		if end, err = r.end(ctx); err != nil {
			return err
		}
	} else {
		r.query.Set("wait", feedWait.String())
	}
	for ctx.Err() == nil {
		if r.saved != "" {
			r.query.Set("after", r.saved)
		}
		before := r.saved
		page, err := r.page(ctx, r.query)
		if err != nil {
			return err
		}
		if err := r.pass(ctx, page); err != nil {
			return err
		}
		atEnd := page.Next >= end || len(page.Items) == 0 && page.Next == before // positions sort as text
		if r.f.once && atEnd {
			break
		}
	}
	return nil
}

// feedPage is a page of the feed.
type feedPage struct {
	Items []jsontext.Value `json:"items"`
	Next  string           `json:"next"`
}

// end returns the position at the end of the feed.
func (r *feedReader) end(ctx context.Context) (string, error) {
	page, err := r.page(ctx, url.Values{"after": {fromNow}, "limit": {"1"}})
	return page.Next, err
}

// page requests a page until it is answered.
func (r *feedReader) page(ctx context.Context, q url.Values) (p feedPage, err error) {
	for {
		body, err := r.client.Do(ctx, client.Request{Method: http.MethodGet, Path: client.FeedPath, Query: q})
		if err == nil {
			r.losses.tries = 0
			r.losses.outage.over(answersAgain)
			err = client.Decode(client.FeedPath, body, &p)
			if err == nil && !isPosition(p.Next) {
				err = fmt.Errorf("the answer of %s has no position; is this The Eye?", client.FeedPath)
			}
			return p, err
		}
		if ctx.Err() != nil {
			return p, err
		}
		if err := r.losses.pause(ctx, err); err != nil {
			return p, r.f.gone(err)
		}
	}
}

// gone says what to do about a position that is gone, and returns other errors as they are.
func (f *feedFlags) gone(err error) error {
	p, ok := errors.AsType[*client.Problem](err)
	if !ok || p.Code != client.PositionGone {
		return err
	}
	const why = "the feed no longer has the position in %s: the server's data directory was restored from a backup, has lost its queue, or is another one"
	if p.Common == "" {
		return fmt.Errorf(why+". It has nothing in common with what you hold: delete all of it, remove %s, and start again", f.after, shellWord(f.after))
	}
	return fmt.Errorf(why+". common is %s. Delete the items that you hold whose position is greater, write common to the file with `echo %s > %s`, and start again",
		f.after, p.Common, p.Common, shellWord(f.after))
}

// pass passes on a page and saves its position. The target may take it in parts.
func (r *feedReader) pass(ctx context.Context, page feedPage) error {
	most := max(len(page.Items), 1)
	if r.target.most > 0 {
		most = r.target.most
	}
	rest := len(page.Items)
	for items := range slices.Chunk(page.Items, most) {
		if err := r.target.take(ctx, items); err != nil {
			return err
		}
		if rest -= len(items); rest == 0 {
			break
		}
		var last feedItem
		if err := client.Decode(client.FeedPath, items[len(items)-1], &last); err != nil {
			return err
		}
		if err := r.save(last.Position); err != nil {
			return err
		}
	}
	return r.save(page.Next)
}

// save saves a position.
func (r *feedReader) save(position string) error {
	if position == r.saved {
		return nil
	}
	if err := durable.Replace(r.f.after, strings.NewReader(position+"\n")); err != nil {
		return fmt.Errorf("save the position: %w; what was passed on last will be passed on again", err)
	}
	r.saved = position
	return nil
}
