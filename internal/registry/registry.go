// Package registry keeps the metadata: applications, keys and event types. It
// lives in a JetStream key-value bucket, is watched, and is answered from an
// immutable snapshot in memory, so that asking takes no lock and never waits.
//
// It does not check events and serves no requests. It never holds or writes the
// secret of a key, but for DIR/admin.key.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/schema"
)

// Errors of a registry. Their text is meant for users.
var (
	ErrExists      = errors.New("this exists already")
	ErrNotFound    = errors.New("there is no such thing")
	ErrUnavailable = errors.New("metadata cannot be read or written at the moment")
)

// InvalidError tells which value is not taken, and what would be.
type InvalidError struct{ Field, Reason string }

// Error returns field and reason.
func (e *InvalidError) Error() string { return e.Field + " " + e.Reason }

const (
	bucketName     = "EYE_METADATA"
	bucketMaxBytes = 128 << 20 // well within the queue's reserve for metadata
	timeout        = 10 * time.Second
)

// Options of a registry.
type Options struct {
	Dir string // the data directory, of admin.key and metadata.json
	// AdminKey is a secret that is valid as an admin key besides those that are
	// kept; empty for none.
	AdminKey string
	Logger   *slog.Logger
}

// Registry holds the metadata. All methods may be called concurrently. A change
// is in force here before its method returns, and on other nodes when their
// watch tells them, within a second.
type Registry struct {
	opts  Options
	log   *slog.Logger
	kv    jetstream.KeyValue
	first FirstStart

	current atomic.Pointer[snapshot]
	done    chan struct{} // closed when the watch has ended
	stop    func()

	mu        sync.Mutex        // guards revisions and the making of snapshots
	revisions map[string]uint64 // of each record that was applied
	fileMu    sync.Mutex        // guards metadata.json
}

// FirstStart are the secrets that were made because there was no application
// yet. They are told this once and are kept nowhere.
type FirstStart struct {
	WriteKey, ReadKey string // of the application "default"; empty when it was no first start
	AdminKeyMade      bool   // DIR/admin.key is new
	AdminKey          string // its content, whether new or not
}

// DefaultApp is the application that a first start makes.
const DefaultApp = "default"

// Open reads the metadata and begins to watch it. When the bucket is empty and
// DIR/metadata.json is there, it is rebuilt from the file (Q7).
func Open(ctx context.Context, js jetstream.JetStream, opts Options) (*Registry, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Registry{opts: opts, log: opts.Logger, done: make(chan struct{}), revisions: map[string]uint64{}}
	r.current.Store(emptySnapshot())
	if err := r.readAdminKey(); err != nil {
		return nil, err
	}
	opening, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var err error
	r.kv, err = js.CreateOrUpdateKeyValue(opening, jetstream.KeyValueConfig{
		Bucket: bucketName, Storage: jetstream.FileStorage, History: 1, MaxBytes: bucketMaxBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	if err := r.rebuild(opening); err != nil {
		return nil, err
	}
	if err := r.watch(opening); err != nil {
		return nil, err
	}
	if len(r.Apps()) == 0 {
		if err := r.firstStart(opening); err != nil {
			r.Close()
			return nil, fmt.Errorf("make the first application: %w", err)
		}
	}
	return r, nil
}

// firstStart makes the keys before the application: when it is interrupted, the
// next start makes others, and those nobody knows stay unused.
func (r *Registry) firstStart(ctx context.Context) error {
	var err error
	if _, r.first.WriteKey, err = r.newKey(ctx, DefaultApp, Write); err != nil {
		return err
	}
	if _, r.first.ReadKey, err = r.newKey(ctx, DefaultApp, Read); err != nil {
		return err
	}
	_, err = r.CreateApp(ctx, DefaultApp, Settings{})
	return err
}

// FirstStart returns the secrets that Open made.
func (r *Registry) FirstStart() FirstStart { return r.first }

// Close ends the watch.
func (r *Registry) Close() {
	r.stop()
	<-r.done
}

// watch applies all records that are there, and goes on with those that come.
func (r *Registry) watch(ctx context.Context) error {
	watching, stop := context.WithCancel(context.Background())
	w, err := r.kv.WatchAll(watching)
	if err != nil {
		stop()
		return fmt.Errorf("watch metadata: %w", err)
	}
	ready := make(chan struct{})
	r.stop = func() { _ = w.Stop(); stop() }
	go func() {
		defer close(r.done)
		announced := false
		for {
			select {
			case <-watching.Done():
				return
			case entry, ok := <-w.Updates():
				switch {
				case !ok:
					return
				case entry == nil: // all that was there has been told
					if !announced {
						close(ready)
						announced = true
					}
				default:
					r.apply(entry.Key(), entry.Value(), entry.Revision(), entry.Operation() != jetstream.KeyValuePut)
				}
			}
		}
	}()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		r.Close()
		return fmt.Errorf("read metadata: %w", ctx.Err())
	}
}

// apply makes a new snapshot with one record changed, unless it is known already.
func (r *Registry) apply(key string, value []byte, revision uint64, deleted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if revision <= r.revisions[key] {
		return
	}
	r.revisions[key] = revision
	next, err := r.current.Load().with(key, value, deleted)
	if err != nil {
		r.log.Error("a record of metadata cannot be read and is passed over", "record", key, "error", err)
		return
	}
	r.current.Store(next)
}

// put writes one record, which must have the revision that is expected (0: not
// be there), and applies it.
func (r *Registry) put(ctx context.Context, key string, record any, expected uint64) error {
	value, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var revision uint64
	if expected == 0 {
		revision, err = r.kv.Create(ctx, key, value)
	} else {
		revision, err = r.kv.Update(ctx, key, value, expected)
	}
	if err != nil {
		return writeError(err)
	}
	r.apply(key, value, revision, false)
	return r.writeFile()
}

// remove deletes one record.
func (r *Registry) remove(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := r.kv.Delete(ctx, key, jetstream.LastRevision(r.revision(key))); err != nil {
		return writeError(err)
	}
	entry, err := r.kv.Get(ctx, key)
	if err == nil {
		return fmt.Errorf("%w: it was made again at revision %d", ErrExists, entry.Revision())
	}
	r.mu.Lock()
	if next, err := r.current.Load().with(key, nil, true); err == nil {
		r.current.Store(next)
	}
	r.mu.Unlock()
	return r.writeFile()
}

// writeError tells a lost race from a server that does not answer.
func writeError(err error) error {
	var api *jetstream.APIError
	if errors.Is(err, jetstream.ErrKeyExists) ||
		errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return fmt.Errorf("%w, or was changed at the same time", ErrExists)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (r *Registry) revision(key string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revisions[key]
}

// snapshot is the metadata at one moment. It is never changed.
type snapshot struct {
	records map[string][]byte // as they are kept, by the key of the bucket
	apps    map[string]App
	keys    map[digest]Key
	types   map[typeName]*typeRecord
}

func emptySnapshot() *snapshot {
	return &snapshot{
		records: map[string][]byte{}, apps: map[string]App{},
		keys: map[digest]Key{}, types: map[typeName]*typeRecord{},
	}
}

// with returns a snapshot in which one record is another.
func (s *snapshot) with(key string, value []byte, deleted bool) (*snapshot, error) {
	next := *s
	next.records = maps.Clone(s.records)
	if deleted {
		value = s.records[key]
		delete(next.records, key)
	} else {
		next.records[key] = value
	}
	if value == nil {
		return &next, nil
	}
	switch kind(key) {
	case appRecords:
		var a App
		if err := json.Unmarshal(value, &a); err != nil {
			return nil, err
		}
		next.apps = maps.Clone(s.apps)
		if deleted {
			delete(next.apps, a.Name)
		} else {
			next.apps[a.Name] = a.located()
		}
	case keyRecords:
		var k Key
		if err := json.Unmarshal(value, &k); err != nil {
			return nil, err
		}
		next.keys = maps.Clone(s.keys)
		if deleted {
			delete(next.keys, k.hash(key))
		} else {
			next.keys[k.hash(key)] = k
		}
	case typeRecords:
		var v TypeVersion
		if err := json.Unmarshal(value, &v); err != nil {
			return nil, err
		}
		next.types = maps.Clone(s.types)
		name := typeName{v.Category, v.Name}
		next.types[name] = next.types[name].with(v, deleted)
	default:
		return nil, fmt.Errorf("unknown kind of record %q", key)
	}
	return &next, nil
}

// compile turns a version into a type that checks. A schema that this server
// cannot use lets nothing pass unchecked.
func compile(v TypeVersion) *schema.Type {
	t, err := schema.Compile(v.Category, v.Name, v.Version, v.Schema)
	if err != nil {
		return schema.Unusable(v.Category, v.Name, v.Version, err)
	}
	return t
}
