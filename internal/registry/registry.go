// Package registry keeps the metadata: applications, keys and event types. It lives in a JetStream
// key-value bucket, which is watched. Reads are answered from an immutable snapshot in memory, so
// they take no lock and never wait.
//
// It does not check events and serves no requests. It never holds or writes the secret of a key,
// except that in DIR/admin.key.
package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/envelope"
)

// Errors of a registry. Their text is meant for users.
var (
	ErrExists   = errors.New("exists already")
	ErrNotFound = errors.New("does not exist")
	// ErrUnavailable: the JetStream server did not answer, or gave an unexpected answer. It is not
	// known whether the change was made; repeating it is safe.
	ErrUnavailable = errors.New("metadata cannot be read or written right now")
	// ErrNotCopied, which is an ErrUnavailable too: metadata.json could not be written, so nothing
	// was changed.
	ErrNotCopied = errors.New("the copy of the metadata cannot be written: nothing was changed")
)

// InvalidError reports which value is not valid, and what would be.
type InvalidError struct{ Field, Reason string }

// Error returns field and reason.
func (e *InvalidError) Error() string { return e.Field + " " + e.Reason }

// Stream is the name of the stream that keeps the metadata.
const Stream = "KV_" + bucketName

const (
	bucketName = "EYE_METADATA"
	// defaultMaxBytes is well within the queue's reserve for metadata, so a full
	// queue does not keep a key from being revoked.
	defaultMaxBytes = 128 << 20

	operationTimeout = 10 * time.Second // of one write or read
	openTimeout      = time.Minute      // of reading everything at start
	closeTimeout     = 2 * time.Second  // of the last write of a Close
)

// Options of a registry.
type Options struct {
	Dir string // the data directory, of admin.key and metadata.json; must be there
	// AdminKey is a secret that is valid as an admin key besides those that are
	// kept: 20 to 512 bytes of any form; empty for none. It is never written.
	AdminKey string
	// WithoutKeys makes the application "default" of a first start without keys,
	// where nobody could be shown them.
	WithoutKeys bool
	// Begun says that a server has used the directory before, so that metadata which
	// is neither in the bucket nor in metadata.json is lost, and this is no first start.
	Begun  bool
	Logger *slog.Logger // nothing is logged when nil
	// Note is called, while Open runs, with what operators should know of damage;
	// the same may be told again. It may be nil.
	Note func(text string)
	// KeepInterval is how often the last use of keys is written, and a
	// metadata.json that could not be written is tried again; 1 minute when 0.
	KeepInterval time.Duration
	// MaxBytes bounds the bucket, which is reserved when it is made; 128 MiB when 0. Three quarters
	// are for new records, the rest for changes of existing ones, so that a key can always be
	// revoked.
	MaxBytes int64
	// AuditBytes bounds the audit log; the constant of that
	// name when 0.
	AuditBytes int64
	// Replicas of a bucket that is made, in a cluster; 1 when 0.
	Replicas int
}

// Registry holds the metadata. All methods may be called concurrently. A change is in force here
// before its method returns, and on other nodes when their watch delivers it, within a second.
type Registry struct {
	opts          Options
	log           *slog.Logger
	js            jetstream.JetStream
	kv            jetstream.KeyValue
	auditLog      *AuditLog
	bootstrapKeys []bootstrapKey // valid whatever the bucket says; fixed when Open returns
	first         FirstStart

	current  atomic.Pointer[snapshot]
	mu       sync.Mutex          // guards the making of snapshots, and unsaved
	unsaved  map[string]struct{} // records that metadata.json does not have as they are
	validity validityWatch

	compiling chan struct{} // a place for each schema of a user that is being compiled

	stop    context.CancelFunc
	running sync.WaitGroup
	dirty   chan struct{} // a signal: metadata.json is behind the snapshot

	fileMu  sync.Mutex // guards metadata.json and what follows; is taken before mu
	usable  bool       // the bucket is complete: metadata.json may be written
	changes *changeLog // of metadata.json; nil when that is to be replaced first
	// copyErr is why metadata.json could not be written, nil when it was.
	copyErr atomic.Pointer[error]
}

// FirstStart holds the secrets that were created because the metadata was new. They are returned
// only this once, and are kept nowhere except in DIR/admin.key.
//
// The write key and the read key are to be shown to somebody; FirstKeysShown confirms that this was
// done. After a crash before that, the next start revokes them and creates others.
type FirstStart struct {
	Made              bool   // the application "default" was made, or its keys anew
	WriteKey, ReadKey string // of that application; empty when none were made
	AdminKeyMade      bool   // DIR/admin.key is new
	AdminKey          string // the content of DIR/admin.key; else Options.AdminKey
}

// DefaultApp is the application that a first start makes.
const DefaultApp = "default"

// Open reads the metadata and begins to watch it.
//
// A bucket that is missing or empty is filled from DIR/metadata.json when that is there (Q7);
// without the file it is a first start. If the process ends halfway, the next start resumes either
// of them. With Options.Begun, or a file that is damaged, an error says what to do instead.
// DIR/admin.key is made when there is none and Options.AdminKey is empty.
//
// The registry must be closed before the server behind js is.
func Open(ctx context.Context, js jetstream.JetStream, opts Options) (*Registry, error) {
	opts = opts.withDefaults()
	r := &Registry{opts: opts, log: opts.Logger, js: js, unsaved: map[string]struct{}{}, dirty: make(chan struct{}, 1), compiling: make(chan struct{}, maxCompiling)}
	r.current.Store(newSnapshot())
	if err := r.readAdminKey(); err != nil {
		return nil, err
	}
	var err error
	if r.kv, err = openBucket(ctx, js, opts); err != nil {
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	reading, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := r.startWatch(reading); errors.Is(err, context.DeadlineExceeded) {
		return nil, unanswered(opts.Dir, err)
	} else if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	if err := r.begin(ctx); err != nil {
		r.end()
		return nil, err
	}
	return r, nil
}

func (o Options) withDefaults() Options {
	o.MaxBytes = cmp.Or(max(o.MaxBytes, 0), defaultMaxBytes)
	o.AuditBytes = cmp.Or(max(o.AuditBytes, 0), AuditBytes)
	o.KeepInterval = cmp.Or(max(o.KeepInterval, 0), time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	return o
}

// Streams returns the configurations of the streams that Open creates with the options.
func Streams(opts Options) []jetstream.StreamConfig {
	opts = opts.withDefaults()
	bucket := jetstream.StreamConfig{ // as CreateKeyValue makes it
		Name: Stream, Subjects: []string{"$KV." + bucketName + ".>"}, Storage: jetstream.FileStorage,
		Discard: jetstream.DiscardNew, MaxBytes: opts.MaxBytes, MaxMsgs: -1, MaxMsgSize: -1, MaxMsgsPerSubject: 1, MaxConsumers: -1,
		AllowRollup: true, DenyDelete: true, AllowDirect: true, Replicas: max(opts.Replicas, 1), Duplicates: 2 * time.Minute,
	}
	return []jetstream.StreamConfig{bucket, auditConfig(opts)}
}

// begin makes a registry of what was read. It changes nothing when a newer version wrote it, or
// when all of it is lost.
func (r *Registry) begin(ctx context.Context) error {
	s := r.current.Load()
	if err := s.checkVersion(); err != nil {
		return fmt.Errorf("read metadata: %w", err)
	}
	var c savedCopy
	c.metadataFile, c.found, c.err = readCopy(r.opts.Dir)
	switch {
	case errors.Is(c.err, envelope.ErrNewer):
		return fmt.Errorf("the copy of the metadata %s cannot be used: %w", r.fileName(), c.err)
	case s.record(stateKey).value == nil && !c.found && r.opts.Begun:
		return lostError(r.fileName())
	}
	if c.torn {
		r.log.Warn("the last line of the metadata's log is incomplete, as after a power cut, and is ignored: that change was not confirmed", "file", filepath.Join(r.opts.Dir, c.Log))
	}
	var err error
	if r.auditLog, err = openAuditLog(ctx, r.js, r.opts); err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	if r.auditLog.empty {
		if err := r.beginAuditLog(ctx, hadAuditLog(s.record(stateKey).value) || hadAuditLog(c.Records[stateKey].Value) || c.forgotten()); err != nil {
			return err
		}
	}
	return r.complete(ctx, c)
}

func openBucket(ctx context.Context, js jetstream.JetStream, opts Options) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	kv, err := js.KeyValue(ctx, bucketName)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucketName, Storage: jetstream.FileStorage, History: 1, MaxBytes: opts.MaxBytes, Replicas: opts.Replicas,
	})
	if errors.Is(err, jetstream.ErrBucketExists) { // another node made it
		return js.KeyValue(ctx, bucketName)
	}
	return kv, err
}

// stateRecord is written last, when everything else of a new bucket is there.
type stateRecord struct {
	CompleteSince time.Time `json:"complete_since"`
	// AuditLog says that an audit log exists: if the log is then missing or empty, it was lost.
	// Data of versions without this member may or may not have an audit log.
	AuditLog bool `json:"trail,omitzero"`
}

// hadAuditLog reports whether there was an audit log, by the record of the state; nil for none.
func hadAuditLog(state []byte) bool {
	var s stateRecord
	return json.Unmarshal(state, &s) == nil && s.AuditLog
}

// complete turns a new or incomplete bucket into one that can be used.
func (r *Registry) complete(ctx context.Context, c savedCopy) error {
	made := r.current.Load().record(stateKey).value == nil
	if made {
		from, err := r.restore(ctx, c)
		if err != nil {
			return err
		}
		note := Entry{Act: "rebuildMetadata"}
		if from != fromCopy {
			note = Entry{Act: "firstStart", App: DefaultApp}
			if from == forgotten {
				note.Note("metadata", "forgotten")
			}
			if err := r.firstStart(ctx); err != nil {
				return fmt.Errorf("make the first application: %w", err)
			}
			ids := []string{}
			for _, k := range r.Keys(DefaultApp) {
				ids = append(ids, k.ID)
			}
			note.Note("key_ids", ids)
		}
		if err := r.auditLog.Record(ctx, note); err != nil {
			return err
		}
		state := stateRecord{now(), true}
		if from == fromCopy { // which becomes that of this bucket
			if err := r.beginCopy(state); err != nil {
				return err
			}
		}
		err = r.update(ctx, stateKey, func(old []byte) (any, error) {
			if old != nil {
				return nil, nil
			}
			return state, nil
		})
		if err != nil {
			return err
		}
	} else {
		if err := r.catchUp(ctx, c); err != nil {
			return err
		}
		r.noteAuditLog(ctx)
		r.replaceUnshown(ctx)
	}
	if err := r.recordAdminKey(ctx); err != nil {
		return err
	}
	r.fileMu.Lock()
	defer r.fileMu.Unlock()
	r.usable = true
	r.takeUnsaved()
	if !made && r.current.Load().equals(c.metadataFile) {
		removeLogs(r.opts.Dir, "")
		return nil
	}
	_ = r.noteWrite(r.replaceLocked(nil, "")) // a full disk must not keep anyone from reading
	return nil
}

// beginCopy writes metadata.json with the state that the bucket is about to have, which identifies
// the bucket that the copy belongs to. A full disk must not prevent reads.
func (r *Registry) beginCopy(state stateRecord) error {
	value, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	r.fileMu.Lock()
	defer r.fileMu.Unlock()
	r.usable = true
	_ = r.noteWrite(r.replaceLocked(map[string]fileRecord{stateKey: {1, value}}, "")) // it is logged, and tried again
	return nil
}

// noteAuditLog keeps in a bucket of an earlier version that there is an audit log. A full disk must
// not keep anyone from reading.
func (r *Registry) noteAuditLog(ctx context.Context) {
	err := r.update(ctx, stateKey, func(old []byte) (any, error) {
		var s stateRecord
		if err := json.Unmarshal(old, &s); err != nil || s.AuditLog {
			return nil, err
		}
		s.AuditLog = true
		return s, nil
	})
	if err != nil {
		r.log.Warn("the queue could not note that there is an audit log: if the log went missing, it would not be noticed", "error", err)
	}
}

// firstStart makes the application "default" and, unless they are not wanted, its
// keys. Some may be there, of a first start that was interrupted.
func (r *Registry) firstStart(ctx context.Context) error {
	if _, err := r.CreateApp(ctx, DefaultApp, Settings{}); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	_, err := r.makeFirstKeys(ctx)
	return err
}

// AuditLog returns the audit log.
func (r *Registry) AuditLog() *AuditLog { return r.auditLog }

// FirstStart returns the secrets that Open made.
func (r *Registry) FirstStart() FirstStart { return r.first }

// Close writes the last use of keys, and metadata.json when it is behind, and
// ends what runs in the background. It takes a few seconds when the server does
// not answer. What is in memory can be read afterwards.
func (r *Registry) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := r.writeLastUses(ctx); err != nil {
		r.log.Warn("the last use of keys could not be written", "error", err)
	}
	r.end()
	r.fileMu.Lock()
	defer r.fileMu.Unlock()
	if unsaved := r.takeUnsaved(); r.usable && (len(unsaved) > 0 || r.changes != nil || r.CopyError() != nil) {
		_ = r.noteWrite(r.replaceLocked(nil, "")) // when it fails, the next start writes it
	}
}

func (r *Registry) end() {
	r.stop()
	r.running.Wait()
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
