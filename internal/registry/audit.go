package registry

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// The audit log is a stream in the same JetStream as the bucket. Each entry has a subject of its
// own, of which only the newest message is kept. An entry is written before its act begins and
// replaced when the act ends, so that every act is recorded.
const (
	// AuditStream is the name of that stream.
	AuditStream  = "EYE_AUDIT"
	auditSubject = "eye.audit."
	// AuditBytes bounds the audit log, which shares the queue's reserve for metadata with the
	// bucket. When it is full, the oldest entries are dropped.
	AuditBytes = 32 << 20
	// maxDetail bounds an entry, in bytes.
	maxDetail        = 8 << 10
	maxRefusedDetail = 4 << 10         // the bound for a refused act
	searchTimeout    = 2 * time.Second // of one page
)

// SystemActor is the actor recorded for actions performed without a key.
const SystemActor = "server"

// Outcome says how an administrative act ended.
type Outcome string

// The outcomes of an act. An act that has only begun may have been done or not: it is still
// running, or the server ended during it.
const (
	Begun   Outcome = "begun"
	Done    Outcome = "done"
	Refused Outcome = "refused" // a 4xx: nothing was changed
	Failed  Outcome = "failed"  // a 5xx
)

// Entry is one administrative act. It never holds a secret.
type Entry struct {
	ID      uuid.UUID                 `json:"id"`
	At      time.Time                 `json:"at"`     // beginning
	KeyID   string                    `json:"key_id"` // of the actor; SystemActor for none
	Act     string                    `json:"act"`    // the operationId in the OpenAPI document
	App     string                    `json:"app"`    // the application concerned; empty for none
	Subject map[string]string         `json:"subject,omitempty"`
	Detail  map[string]jsontext.Value `json:"detail,omitempty"` // what was changed
	Outcome Outcome                   `json:"outcome"`
	Status  int                       `json:"status,omitzero"` // of the answer; 0 for none
	Remote  string                    `json:"remote,omitzero"` // the caller's address, or local
	// First marks the entry with which an audit log begins. If the log does not contain it, older
	// entries were dropped.
	First bool `json:"first,omitzero"`
}

// Note adds to the detail of an entry.
func (e *Entry) Note(name string, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		return
	}
	if e.Detail == nil {
		e.Detail = map[string]jsontext.Value{}
	}
	e.Detail[name] = b
}

// AuditLog records administrative acts. All methods may be called concurrently.
type AuditLog struct {
	js     jetstream.JetStream
	now    func() time.Time // as it is stored
	stream jetstream.Stream
	empty  bool // it was just created, or has lost all entries
	// imported reports whether entries were just read from AuditFile: the directory was restored,
	// and its only metadata is the copy.
	imported bool
}

func openAuditLog(ctx context.Context, js jetstream.JetStream, opts Options) (*AuditLog, error) {
	asking, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	stream, err := js.Stream(asking, AuditStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(asking, auditConfig(opts))
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node created it
		stream, err = js.Stream(asking, AuditStream)
	}
	if err != nil {
		return nil, err
	}
	t := &AuditLog{js: js, stream: stream, now: func() time.Time { return stored(opts.Now()) }}
	if t.imported, err = t.importFile(ctx, filepath.Join(opts.Dir, AuditFile)); err != nil {
		return nil, err
	}
	t.empty = stream.CachedInfo().State.LastSeq == 0 && !t.imported
	return t, nil
}

func auditConfig(opts Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: AuditStream, Subjects: []string{auditSubject + "*"}, Storage: jetstream.FileStorage,
		Discard: jetstream.DiscardOld, MaxBytes: opts.AuditBytes, MaxMsgsPerSubject: 1,
		AllowDirect: true, Replicas: max(opts.Replicas, 1), Duplicates: time.Second,
	}
}

// beginAuditLog writes the first entry. lost says that earlier entries are missing. This is
// reported before the entry is written: after a crash in between, the audit log is still empty.
func (r *Registry) beginAuditLog(ctx context.Context, lost bool) error {
	first := Entry{Act: "beginTrail", First: true}
	if lost {
		r.log.Error("the audit log was missing from the queue; a new one was started")
		r.opts.Note("the audit log was missing from the queue at startup: the new one does not have the earlier entries. A backup has the log of its time")
		first.Note("earlier_entries", "lost")
	}
	return r.auditLog.Record(ctx, first)
}

// Begin records that an act is about to begin. It sets the id and the time of the entry. If it
// fails, the act must not be performed.
func (t *AuditLog) Begin(ctx context.Context, e *Entry) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	e.ID, e.At, e.Outcome = id, t.now(), Begun
	return t.write(ctx, *e)
}

// End records how an act ended.
func (t *AuditLog) End(ctx context.Context, e Entry, status int) error {
	e.Status, e.Outcome = status, Done
	switch {
	case status >= 500:
		e.Outcome = Failed
	case status >= 400:
		e.Outcome = Refused
	}
	return t.write(ctx, e)
}

// Withdraw removes the entry of an act that changed nothing and is counted in a summary instead:
// see Summarize.
func (t *AuditLog) Withdraw(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	if err := t.stream.Purge(ctx, jetstream.WithPurgeSubject(auditSubject+e.ID.String())); err != nil {
		return fmt.Errorf("withdraw %s: %w: %w", e.Act, ErrUnavailable, err)
	}
	return nil
}

// Summarize writes a summary of several acts, and replaces its previous version. It sets the id and
// the time of a new entry.
func (t *AuditLog) Summarize(ctx context.Context, e *Entry) error {
	if e.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		e.ID, e.At = id, t.now()
	}
	return t.write(ctx, *e)
}

// Record records an act of the server itself.
func (t *AuditLog) Record(ctx context.Context, e Entry) error {
	e, err := serverEntry(e, t.now())
	if err != nil {
		return err
	}
	return t.write(ctx, e)
}

// serverEntry returns the entry of an act of the server itself at a time.
func serverEntry(e Entry, at time.Time) (Entry, error) {
	id, err := uuid.NewV7()
	e.ID, e.At, e.KeyID, e.Outcome = id, at, SystemActor, Done
	return e, err
}

// write stores an entry, and replaces an earlier one with its id. The entry is durable when write
// returns nil.
func (t *AuditLog) write(ctx context.Context, e Entry) error {
	limit := maxDetail
	if e.Outcome == Refused {
		limit = maxRefusedDetail
	}
	b, err := json.Marshal(e, json.Deterministic(true))
	if err == nil && len(b) > limit {
		e.Detail = nil
		e.Note("left_out", len(b))
		b, err = json.Marshal(e, json.Deterministic(true))
	}
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Act, err)
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	if _, err := t.js.Publish(ctx, auditSubject+e.ID.String(), b, jetstream.WithExpectStream(AuditStream)); err != nil {
		return fmt.Errorf("record %s: %w: %w", e.Act, ErrUnavailable, err)
	}
	return nil
}
