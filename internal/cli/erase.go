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
		Use: "erase --session ID", Short: "Erase a session everywhere", Args: args(cobra.NoArgs),
		Long: "Erase a session everywhere: from the store and from the queue. It does not come back by a retry or a rebuild.\n" +
			"Shows how many events there are in which applications, and asks. With --yes, which is needed without a terminal, it does not ask.\n" +
			"A backup that was taken before still holds it: give `eye restore` the file `tombstones` of this data directory with --tombstones.\nThis cannot be undone.",
	}
	f := &eraseFlags{confirmFlags: newConfirmFlags(cmd, newClientFlags(cmd, s))}
	fs := cmd.Flags()
	fs.Var(filled{&f.session}, "session", "`id` of the session")
	fs.StringArrayVar(&f.apps, "app", nil, "`application` to erase it from; repeatable; all when left out")
	fs.BoolVar(&f.quarantine, "quarantine", false, "also delete all files that were put aside as damaged; nothing can be brought back from them then")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.session == "" {
			return usagef("--session is missing; give the id of the session to erase")
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
			f.note(fmt.Sprintf("no events of session %s are stored; an erasure still keeps out those that come late", printable(f.session, maxCell)))
		}
		question := fmt.Sprintf("Erase session %s?", shellWord(f.session))
		if f.quarantine {
			question = fmt.Sprintf("Erase session %s, and delete all files in quarantine, of every session?", shellWord(f.session))
		}
		if ok, err := f.confirm(ctx, question, all); !ok {
			return err
		}
	}
	r := client.Request{Method: http.MethodDelete, Path: client.SessionPath(f.session), Query: url.Values{"app": f.apps}, Patient: true}
	if f.quarantine {
		r.Query.Set("quarantine", "1")
	}
	return goesOn(f.show(ctx, r, f.showErasure))
}

// showErasure tells what an erasure did.
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
	if err := f.tellUnsearched(answer, f.session, f.apps); err != nil {
		return err
	}
	if len(answer.Apps) == 0 {
		return f.printf("no events of session %s are stored. Events of it from before %s will not be stored; later ones will", answer.SessionID, answer.ErasedAt)
	}
	return f.printf("erased session %s at %s", answer.SessionID, answer.ErasedAt)
}

// countedRejections is how many rejections of a session are counted at most before it is erased.
const countedRejections = 100

// sessionErasable returns what the applications, all when none are named, have of a session.
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

// tellUnsearched says what an erasure in some applications did not look into.
func (f *clientFlags) tellUnsearched(answer admin.ErasureAnswer, session string, apps []string) error {
	again := []string{"eye erase", f.where(), "--session", shellWord(session)}
	for _, app := range apps {
		again = append(again, "--app", shellWord(app))
	}
	again = append(again, "--quarantine")
	for _, u := range answer.Unsearched {
		found := fmt.Sprintf("eye: %s was not searched: %s, %s", u.Where, plural.Count(u.Files, "file"), sizeText(u.Bytes))
		if _, err := fmt.Fprintf(f.err, "%s; `%s` deletes all that is there, of every session\n", printable(found, maxMessage), strings.Join(again, " ")); err != nil {
			return err
		}
	}
	if answer.Sessionless == nil {
		if _, err := fmt.Fprintln(f.err, "eye: rejections without a session are not searched, and could not be counted"); err != nil {
			return err
		}
	} else if n := *answer.Sessionless; n > 0 {
		text := "1 rejection names no session, so it could not be searched for it; look through such with `eye rejections`"
		if n > 1 {
			text = plural.Count(n, "rejection") + " name no session, so they could not be searched for it; look through them with `eye rejections`"
		}
		if _, err := fmt.Fprintln(f.err, "eye: "+advise(text, f.where())); err != nil {
			return err
		}
	}
	return nil
}

// goesOn adds to the error of an erasure what becomes of that when the server ends during it.
func goesOn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%w; the server ended during the erasure, which goes on when it is started again", err)
	}
	return err
}
