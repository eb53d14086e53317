package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/durable"
	"theeye/internal/query"
)

// endedByErasure is the reason in the status of a replay that an erasure has ended.
const endedByErasure = "an erasure ended it, because its filter or patch may name erased data; start it again without that"

// EraseSession removes a session from the statuses of replays. It ends running replays that name
// the session, or that select by ids or values, which may be of its events. No such replay can be
// started until release is called. When EraseSession returns without an error, no readable file of
// a replay contains the session.
func (r *Runner) EraseSession(ctx context.Context, session string) (release func(), err error) {
	return r.erase(ctx, func(req Request) bool { return req.selectsByContent() || req.names(session) })
}

// EraseApp does the same for an application. Replays that name only other applications continue,
// and so do replays of all applications that contain no text of events.
func (r *Runner) EraseApp(ctx context.Context, app string) (release func(), err error) {
	return r.erase(ctx, func(req Request) bool {
		if apps := req.Filter[query.App]; len(apps) > 0 {
			return slices.Contains(apps, app)
		}
		return req.hasContent()
	})
}

// erasureBlock keeps replays that an erasure concerns from being started.
type erasureBlock struct{ concerns func(Request) bool }

func (r *Runner) erase(ctx context.Context, concerns func(Request) bool) (release func(), err error) {
	bar := &erasureBlock{concerns}
	r.mu.Lock()
	r.blocks = append(r.blocks, bar)
	r.mu.Unlock()
	release = func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.blocks = slices.DeleteFunc(r.blocks, func(other *erasureBlock) bool { return other == bar })
	}
	if err := r.endAll(ctx, concerns); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// blockedLocked reports whether an erasure concerns a request.
func (r *Runner) blockedLocked(req Request) bool {
	return slices.ContainsFunc(r.blocks, func(b *erasureBlock) bool { return b.concerns(req) })
}

func (r *Runner) endAll(ctx context.Context, concerns func(Request) bool) error {
	for _, j := range r.list() {
		r.mu.Lock()
		concerned := concerns(j.status.Request)
		r.mu.Unlock()
		if !concerned {
			continue
		}
		if err := j.end(ctx, endedByErasure); err != nil {
			return fmt.Errorf("end the replay %s, which may name what is erased: %w", j.status.ID, err)
		}
		j.update(func(s *Status) { s.Request, s.After, s.Examples = Request{DryRun: s.DryRun}, nil, nil })
		if err := j.runner.discard(j); err != nil {
			return fmt.Errorf("remove from the replay %s what is erased: %w", j.status.ID, err)
		}
	}
	return nil
}

// end cancels a job, which may have ended already, and waits until it has ended.
func (j *job) end(ctx context.Context, why string) error {
	r := j.runner
	r.mu.Lock()
	waits := !j.begun && !j.endedLocked()
	if waits { // nothing runs it yet
		j.begun = true
		j.status.State, j.status.Error, j.status.FinishedAt = Cancelled, why, r.opts.Now()
		close(j.done)
	} else if !j.endedLocked() {
		j.cancelReason = why
	}
	r.mu.Unlock()
	if waits {
		return nil
	}
	j.requestCancel()
	select {
	case <-j.done:
		return nil
	case <-r.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// discard writes the status of a job that has ended, which no longer has its request, or removes
// the file.
func (r *Runner) discard(j *job) error {
	s := j.snapshot()
	if s.DryRun || j.unusable {
		return nil
	}
	if r.journal.write(s) == nil {
		return nil
	}
	if err := r.journal.remove(s.ID); err != nil {
		return err
	}
	return durable.SyncDir(r.journal.dir)
}

// Unusable returns the files of replays that cannot be used, because they are damaged or a newer
// version wrote them. An erasure does not look into them.
func (r *Runner) Unusable() (files []string) {
	for _, j := range r.list() {
		if j.unusable {
			files = append(files, r.journal.path(j.status.ID))
		}
	}
	return files
}

// RemoveUnusable forgets the replays of the unusable files and deletes the files, durably.
func (r *Runner) RemoveUnusable() error {
	removed := false
	for _, j := range r.list() {
		if !j.unusable {
			continue
		}
		if err := r.journal.remove(j.status.ID); err != nil {
			return err
		}
		removed = true
		r.mu.Lock()
		r.jobs = slices.DeleteFunc(slices.Clone(r.jobs), func(other *job) bool { return other == j })
		r.mu.Unlock()
	}
	if !removed {
		return nil
	}
	return durable.SyncDir(r.journal.dir)
}

// selectsByContent reports whether the filter has ids or values of events.
func (req Request) selectsByContent() bool {
	return req.Filter.Has(query.EventID) || req.Filter.Has("where")
}

// hasContent reports whether the request may contain text of events.
func (req Request) hasContent() bool {
	for name := range req.Filter {
		if !slices.Contains([]string{"code", "from", "to", "replayed", query.TimeZoneParam}, name) {
			return true
		}
	}
	return req.SessionID != "" || len(req.Patch) > 0
}

// names reports whether a text is part of the request.
func (req Request) names(text string) bool {
	if strings.Contains(req.SessionID, text) {
		return true
	}
	for _, values := range req.Filter {
		if slices.ContainsFunc(values, func(value string) bool { return strings.Contains(value, text) }) {
			return true
		}
	}
	return patchNames(req.Patch, text)
}

// patchNames reports whether a text is part of a string in a patch. It returns true for a patch
// that is not valid JSON.
func patchNames(patch jsontext.Value, text string) bool {
	if len(patch) == 0 {
		return false
	}
	d := jsontext.NewDecoder(strings.NewReader(string(patch)), jsontext.AllowDuplicateNames(true))
	for {
		token, err := d.ReadToken()
		if err != nil {
			return d.StackDepth() > 0 || d.InputOffset() < int64(len(patch))
		}
		if token.Kind() == '"' && strings.Contains(token.String(), text) {
			return true
		}
	}
}
