package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/httpapi/admin"
	"theeye/internal/plural"
)

// eraseFlags are the flags of `eye erase`.
type eraseFlags struct {
	*confirmFlags
	session    string
	apps       []string
	quarantine bool
}

// newEraseCommand returns `eye erase`.
func newEraseCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "erase --session ID", Short: "Erase a session", Args: args(cobra.NoArgs),
		Long: "Erase a session from the store and the queue. Neither a retry nor a rebuild brings it back.\n" +
			"First shows how many events there are in which applications, and asks. --yes skips the question and is required when standard input is not a terminal.\n" +
			"Backups taken before still hold the session: when you restore one, give `eye restore` the file `tombstones` of this data\ndirectory with --tombstones.\nThis cannot be undone.",
	}
	f := &eraseFlags{confirmFlags: newConfirmFlags(cmd, newClientFlags(cmd, s))}
	fs := cmd.Flags()
	fs.Var(nonEmpty{&f.session}, "session", "`id` of the session")
	fs.StringArrayVar(&f.apps, "app", nil, "`application` to erase it from (repeatable); all applications by default")
	fs.BoolVar(&f.quarantine, "quarantine", false, "also delete all quarantined files; nothing can be recovered from them afterwards")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.session == "" {
			return usagef("--session is required: give the id of the session to erase")
		}
		return f.run(cmd.Context())
	}
	return cmd
}

func (f *eraseFlags) run(ctx context.Context) error {
	if !f.yes || f.dryRun {
		all, err := f.sessionErasable(ctx, f.session, f.apps)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			f.note(fmt.Sprintf("session %s has no stored events; erasing it still keeps out events that arrive late", printable(f.session, maxCell)))
		}
		question := fmt.Sprintf("Erase session %s?", shellWord(f.session))
		if f.quarantine {
			question = fmt.Sprintf("Erase session %s, and delete all quarantined files, whichever session they belong to?", shellWord(f.session))
		}
		if ok, err := f.confirm(ctx, question, all); !ok {
			return err
		}
	}
	r := client.Request{Method: http.MethodDelete, Path: client.SessionPath(f.session), Query: url.Values{"app": f.apps}, Patient: true}
	if f.quarantine {
		r.Query.Set("quarantine", "1")
	}
	return erasureError(f.show(ctx, r, f.showErasure))
}

// showErasure prints what an erasure did.
func (f *eraseFlags) showErasure(body []byte) error {
	var answer admin.ErasureAnswer
	if err := client.Decode(client.SessionsPath, body, &answer); err != nil {
		return err
	}
	if len(answer.Apps) > 0 {
		t := newTable(f.out, "APP", "EVENTS", "REJECTIONS")
		for _, a := range answer.Apps {
			t.row(a.App, strconv.FormatInt(a.Events, 10), strconv.FormatInt(a.Rejections, 10))
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	for _, d := range answer.Deleted {
		if err := f.printf("deleted from %s: %s, %s", d.Where, plural.Count(d.Files, "file"), sizeText(d.Bytes)); err != nil {
			return err
		}
	}
	if err := f.warnUnsearched(answer, f.session, f.apps); err != nil {
		return err
	}
	if len(answer.Apps) == 0 {
		return f.printf("session %s has no stored events. Its events from before %s will not be stored; later ones will", answer.SessionID, answer.ErasedAt)
	}
	return f.printf("erased session %s at %s", answer.SessionID, answer.ErasedAt)
}

// countedRejections is the maximum number of rejections that are counted before a session is
// erased.
const countedRejections = 100

// sessionErasable counts what each application has of a session; no names means all applications.
func (f *clientFlags) sessionErasable(ctx context.Context, session string, apps []string) ([]erasable, error) {
	c, err := f.client()
	if err != nil {
		return nil, err
	}
	query := url.Values{"session_id": {session}, "app": apps, "field": {"app"}, "limit": {strconv.Itoa(1000)}}
	get := func(path string, into any) error {
		body, err := c.Do(ctx, client.Request{Method: http.MethodGet, Path: path, Query: query})
		if err != nil {
			return err
		}
		return client.Decode(path, body, into)
	}
	var events struct {
		Values []struct {
			Value string `json:"value"`
			Count int64  `json:"count"`
		} `json:"values"`
	}
	if err := get(client.ValuesPath, &events); err != nil {
		return nil, err
	}
	var rejections struct {
		Rejections []struct {
			App string `json:"app"`
		} `json:"rejections"`
	}
	query.Del("field")
	query.Set("limit", strconv.Itoa(countedRejections))
	if err := get(client.RejectionsPath, &rejections); err != nil {
		return nil, err
	}
	found := map[string]*erasable{}
	of := func(app string) *erasable {
		if found[app] == nil {
			found[app] = &erasable{App: app, MoreRejections: len(rejections.Rejections) == countedRejections}
		}
		return found[app]
	}
	for _, v := range events.Values {
		of(v.Value).Events += v.Count
	}
	for _, r := range rejections.Rejections {
		of(r.App).Rejections++
	}
	var all []erasable
	for _, app := range slices.Sorted(maps.Keys(found)) {
		all = append(all, *found[app])
	}
	return all, nil
}

// warnUnsearched says what an erasure in some applications did not look into.
func (f *clientFlags) warnUnsearched(answer admin.ErasureAnswer, session string, apps []string) error {
	again := []string{"eye erase", f.where(), "--session", shellWord(session)}
	for _, app := range apps {
		again = append(again, "--app", shellWord(app))
	}
	again = append(again, "--quarantine")
	for _, u := range answer.Unsearched {
		found := fmt.Sprintf("eye: %s was not searched: %s, %s", u.Where, plural.Count(u.Files, "file"), sizeText(u.Bytes))
		if _, err := fmt.Fprintf(f.err, "%s; `%s` deletes everything there, whichever session it belongs to\n", printable(found, maxMessage), strings.Join(again, " ")); err != nil {
			return err
		}
	}
	if answer.Sessionless == nil {
		if _, err := fmt.Fprintln(f.err, "eye: rejections without a session were not searched and could not be counted"); err != nil {
			return err
		}
	} else if n := *answer.Sessionless; n > 0 {
		text := "1 rejection has no session, so it was not searched; check it with `eye rejections`"
		if n > 1 {
			text = plural.Count(n, "rejection") + " have no session, so they were not searched; check them with `eye rejections`"
		}
		if _, err := fmt.Fprintln(f.err, "eye: "+advise(text, f.where())); err != nil {
			return err
		}
	}
	return nil
}

// erasureError adds to the error of an erasure that it continues, if the server ended during it.
func erasureError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%w; the server stopped during the erasure, which continues when the server starts again", err)
	}
	return err
}
