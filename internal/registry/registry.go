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
	// defaultMaxBytes is well within the queue's reserve for metadata, so a full queue does not
	// keep a key from being revoked.
	defaultMaxBytes = 128 << 20

	operationTimeout = 10 * time.Second // of one write or read
	openTimeout      = time.Minute      // of reading everything at start
	closeTimeout     = 2 * time.Second  // of the last write of a Close
)

// Options of a registry.
type Options struct {
	Dir string // the data directory, of admin.key and metadata.json; must exist
	// AdminKey is a secret of 20 to 512 bytes, in any form, that is valid as an admin key in
	// addition to the stored ones; empty for none. It is never written.
	AdminKey string
	// WithoutKeys: a first start creates the application "default" without keys, because they
	// cannot be shown to anyone.
	WithoutKeys bool
	// Begun: a server has used the directory before. So if the metadata is neither in the bucket
	// nor in metadata.json, it is lost, and this is not a first start.
	Begun  bool
	Logger *slog.Logger // if nil, nothing is logged
	// Note is called during Open with reports of damage for operators, possibly with the same
	// report again after a later start. It may be nil.
	Note func(text string)
	// KeepInterval is how often the last use of keys is written, and a failed write of
	// metadata.json is retried; 1 minute if 0.
	KeepInterval time.Duration
	// MaxBytes bounds the bucket, and is reserved when the bucket is created; 128 MiB if 0. Three
	// quarters are for new records, the rest for changes of existing ones, so that a key can always
	// be revoked.
	MaxBytes int64
	// AuditBytes bounds the audit log; the constant of that name if 0.
	AuditBytes int64
	Logins     LoginLimits
	// Now returns the time that is recorded for changes of applications, keys and event types, and in
	// the audit log; time.Now if nil. Keys and logins expire by the system's clock.
	Now func() time.Time
	// Replicas of a bucket that Open creates, in a cluster; 1 if 0.
	Replicas int
}

// Registry holds the metadata. All methods may be called concurrently. A change is in force here
// before its method returns. The bucket may be shared: if another node has changed it, the watch
// delivers that within a second. The server runs only one node so far.
type Registry struct {
	opts          Options
	log           *slog.Logger
	js            jetstream.JetStream
	kv            jetstream.KeyValue
	auditLog      *AuditLog
	bootstrapKeys []bootstrapKey // valid whatever the bucket says; fixed when Open returns
	first         FirstStart
	directory     string // its id

	current  atomic.Pointer[snapshot]
	mu       sync.Mutex          // guards the creation of snapshots, and unsaved
	unsaved  map[string]struct{} // records whose current state is not in metadata.json
	validity validityWatch

	compiling chan struct{} // one slot for each schema that is being compiled

	stop    context.CancelFunc
	running sync.WaitGroup
	dirty   chan struct{} // a signal that metadata.json is older than the snapshot

	fileMu  sync.Mutex // guards metadata.json and what follows; locked before mu
	usable  bool       // the bucket is complete: metadata.json may be written
	changes *changeLog // of metadata.json; nil if that must be replaced first
	// copyErr is the error of the last write of metadata.json, nil if it succeeded.
	copyErr atomic.Pointer[error]
}

// FirstStart holds the secrets that were created because the metadata was new. They are returned
// only once, and only the one in DIR/admin.key is stored.
//
// The caller shows the write key and the read key to the user, and then calls FirstKeysShown. If it
// does not, for example because of a crash, the next start revokes them and creates others.
type FirstStart struct {
	Made              bool   // the application "default" or its keys were created
	WriteKey, ReadKey string // of that application; empty if none were created
	AdminKeyMade      bool   // DIR/admin.key is new
	AdminKey          string // the content of DIR/admin.key, or Options.AdminKey
}

// DefaultApp is the application that a first start creates.
const DefaultApp = "default"

// Open reads the metadata and begins to watch it.
//
// A missing or empty bucket is filled from DIR/metadata.json. If that file does not exist either,
// it is a first start. If the process ends halfway, the next start resumes. If the file is damaged,
// or is missing although Options.Begun is set, Open returns an error that says what to do.
// DIR/admin.key is created if it does not exist and Options.AdminKey is empty.
//
// The registry must be closed before the server of js.
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
	o.Logins = o.Logins.withDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
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
	bucket := jetstream.StreamConfig{ // the configuration that CreateKeyValue uses
		Name: Stream, Subjects: []string{"$KV." + bucketName + ".>"}, Storage: jetstream.FileStorage,
		Discard: jetstream.DiscardNew, MaxBytes: opts.MaxBytes, MaxMsgs: -1, MaxMsgSize: -1, MaxMsgsPerSubject: 1, MaxConsumers: -1,
		AllowRollup: true, DenyDelete: true, AllowDirect: true, Replicas: max(opts.Replicas, 1), Duplicates: 2 * time.Minute,
	}
	return []jetstream.StreamConfig{bucket, auditConfig(opts)}
}

// begin completes the bucket and its copy after both were read. It changes nothing if a newer
// version wrote them, or if all metadata is lost.
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
		r.log.Warn("the last line of the metadata's log is incomplete, as after a power failure, and is ignored: that change was not answered", "file", filepath.Join(r.opts.Dir, c.Log))
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
	if errors.Is(err, jetstream.ErrBucketExists) { // another node created it
		return js.KeyValue(ctx, bucketName)
	}
	return kv, err
}

// stateRecord is written last, when a new bucket is complete.
type stateRecord struct {
	CompleteSince time.Time `json:"complete_since"`
	// AuditLog says that an audit log exists: if the log is then missing or empty, it was lost.
	// Data of versions without this member may or may not have an audit log.
	AuditLog bool `json:"trail,omitzero"`
}

// hadAuditLog reports whether there was an audit log, according to the state record, which may be
// nil.
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
		state := stateRecord{r.now(), true}
		if from == fromCopy { // the copy becomes that of this bucket
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
	r.identify(ctx)
	r.fileMu.Lock()
	defer r.fileMu.Unlock()
	r.usable = true
	r.takeUnsaved()
	if !made && r.current.Load().equals(c.metadataFile) {
		removeLogs(r.opts.Dir, "")
		return nil
	}
	_ = r.noteWrite(r.replaceLocked(nil, "")) // a full disk must not prevent reads
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
	_ = r.noteWrite(r.replaceLocked(map[string]fileRecord{stateKey: {1, value}}, "")) // it is logged and retried
	return nil
}

// noteAuditLog notes in the bucket of an earlier version that there is an audit log. A full disk
// must not prevent reads.
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
		r.log.Warn("the metadata could not note that there is an audit log; the loss of the log would not be noticed", "error", err)
	}
}

// firstStart creates the application "default" and, unless Options.WithoutKeys is set, its keys.
// Some may already exist after an interrupted first start.
func (r *Registry) firstStart(ctx context.Context) error {
	if _, err := r.CreateApp(ctx, DefaultApp, Settings{}); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	_, err := r.makeFirstKeys(ctx)
	return err
}

// AuditLog returns the audit log.
func (r *Registry) AuditLog() *AuditLog { return r.auditLog }

// FirstStart returns the secrets that Open created.
func (r *Registry) FirstStart() FirstStart { return r.first }

// Close writes the last use of keys and logins and, if it is out of date, metadata.json. It ends the
// background work. It takes a few seconds if the server does not answer. The snapshot in memory can
// still be read afterwards.
func (r *Registry) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := errors.Join(r.writeLastUses(ctx), r.writeLogins(ctx, 0)); err != nil {
		r.log.Warn("the last use of keys and logins could not be written", "error", err)
	}
	r.end()
	r.fileMu.Lock()
	defer r.fileMu.Unlock()
	if unsaved := r.takeUnsaved(); r.usable && (len(unsaved) > 0 || r.changes != nil || r.CopyError() != nil) {
		_ = r.noteWrite(r.replaceLocked(nil, "")) // if it fails, the next start writes it
	}
}

func (r *Registry) end() {
	r.stop()
	r.running.Wait()
}

// now returns the time of Options.Now as it is stored.
func (r *Registry) now() time.Time { return stored(r.opts.Now()) }

// now returns the system's time as it is stored.
func now() time.Time { return stored(time.Now()) }

func stored(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }
