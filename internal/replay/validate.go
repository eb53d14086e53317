package replay

import (
	"bytes"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
	"theeye/internal/ingest"
)

// Codes of problems that only replays have.
const (
	PatchFailed = "patch_failed"     // the patch does not fit the body
	AppGone     = "application_gone" // nothing says any more how to validate
	Truncated   = "truncated"        // only the beginning of the body is kept
)

// repairs says how bodies are repaired before they are validated.
type repairs struct {
	patch   *patch
	zone    *time.Location // nil for the application's
	session string         // of bodies that have none
}

// verdict is the result of validating one rejection again.
type verdict struct {
	rejection *event.Rejection
	body      []byte       // repaired
	event     *event.Event // nil when it does not pass
	problems  []event.Problem
}

// validate repairs a rejection and validates it by the current rules.
func (r *Runner) validate(rej *event.Rejection, how repairs) verdict {
	v := verdict{rejection: rej, body: rej.Raw}
	app, ok := r.opts.App(rej.App)
	if !ok {
		v.problems = []event.Problem{{Code: AppGone, Message: "the application no longer exists"}}
		return v
	}
	if rej.Truncated() {
		v.problems = []event.Problem{{Code: Truncated, Message: fmt.Sprintf(
			"only the first %d of the %d bytes of this event are kept, because it was too large: it cannot be replayed and must be sent again", len(rej.Raw), rej.Whole.Bytes)}}
		return v
	}
	body, err := how.repair(rej)
	if err != nil {
		v.problems = []event.Problem{{Code: PatchFailed, Message: err.Error()}}
		return v
	}
	v.body = body
	if how.zone != nil {
		app.Zone = how.zone
	}
	record := r.opts.Collector.Revalidate(rej, body, ingest.Revalidation{Zone: app.Zone, RefuseUnknownTypes: app.RefuseUnknownTypes})
	v.event = record.Event
	if record.Rejection != nil {
		v.problems = record.Rejection.Problems
	}
	return v
}

// repair returns the body of a rejection with the patch applied and the session added.
func (how repairs) repair(rej *event.Rejection) ([]byte, error) {
	body, err := how.patch.apply(rej.Raw)
	if err != nil || how.session == "" || rej.SessionID != "" {
		return body, err
	}
	return withSession(body, how.session), nil
}

// withSession adds a session to a body that has no session, or null. It returns any other body
// unchanged.
func withSession(body []byte, session string) []byte {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return body
	}
	begin := d.InputOffset()
	quoted, err := jsontext.AppendQuote(nil, session)
	if err != nil {
		return body
	}
	empty := d.PeekKind() == '}'
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return body
		}
		known := name.String() == "session_id"
		value, err := d.ReadValue()
		if err != nil {
			return body
		}
		if !known {
			continue
		}
		if value.Kind() != 'n' {
			return body
		}
		end := d.InputOffset()
		return bytes.Join([][]byte{body[:end-int64(len(value))], quoted, body[end:]}, nil)
	}
	member := append([]byte(`"session_id":`), quoted...)
	if !empty {
		member = append(member, ',')
	}
	return bytes.Join([][]byte{body[:begin], member, body[begin:]}, nil)
}
