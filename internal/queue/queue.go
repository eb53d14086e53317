// Package queue keeps frames on disk between intake and store, and returns them in order. It embeds
// a JetStream server, without a port, which acknowledges a frame after an fsync. The same server
// keeps the metadata of package registry.
//
// The queue does not know what a frame contains, and never drops one by itself.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/durable"
	"theeye/internal/wait"
)

// Errors of a queue.
var (
	// ErrFull: the queue has reached its quota, or the disk its reserve. Nothing was written; try
	// again when the store has caught up.
	ErrFull = errors.New("queue full")
	// ErrUnknown: the outcome is not known; the frame may have been written or not. Publishing its
	// events again is safe, because they have ids.
	ErrUnknown = errors.New("queue did not confirm")
	// ErrTooLarge: the frame exceeds MaxPayload or MaxBody. Nothing was written.
	ErrTooLarge = errors.New("frame too large")
	// ErrBroken: a write or an fsync failed for a reason other than a full disk. The process must
	// end: after a failed fsync, a retry may succeed although data was lost.
	ErrBroken = errors.New("queue cannot write")
)

const (
	// Stream is the name of the stream of frames.
	Stream  = "EYE_FRAMES"
	subject = "eye.frames"
	// MetadataReserve is how many bytes metadata may take in addition to the frames, so that a key
	// can be revoked while the queue is full.
	MetadataReserve = 256 << 20
	startTimeout    = 60 * time.Second
	startPoll       = 100 * time.Millisecond // between looks for a reason why it does not start
	publishTimeout  = 10 * time.Second
	requestTimeout  = 10 * time.Second
)

// Options of a queue.
type Options struct {
	Dir      string // of its files; created if missing
	MaxBytes int64  // quota of frames; 4 GiB when 0, less on a small disk
	// FirstSequence is the least sequence of the next frame: one more than the last frame that the
	// store has flushed. A queue that ends before that frame is replaced by one that begins with
	// FirstSequence: it is older than the store, and would assign sequences a second time.
	FirstSequence uint64
	// Unclean: the previous shutdown was not clean, so every file of the queue's streams is read
	// and checked before it is opened. Otherwise, the files of frames are skipped.
	Unclean bool
	// ConfirmedDir is the folder of the confirmed record, outside Dir; created if missing. If it is
	// empty, there is no record, and lost frames are not noticed.
	ConfirmedDir string
	// ConfirmedID is the id that the confirmed record should have; empty if that is not known.
	ConfirmedID string
	// OnDamage is called with the name of a stream, before NATS opens it, if one of its files has
	// damage other than an incomplete last write. If it returns an error, Open fails. It may be
	// nil.
	OnDamage func(stream string) error
	// Streams are the configurations of the other streams of this server, from which their damaged
	// descriptions are rewritten.
	Streams []jetstream.StreamConfig
	// OnNewStream is called before the stream of frames is created. It may be called again if that
	// fails. If it returns an error, Open fails. It may be nil.
	OnNewStream func() error
	// Fresh: the folder is meant to be empty, so no warning about that is logged.
	Fresh      bool
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Reserve is the free space, in bytes, below which nothing is published; 0 means the larger of
	// 256 MiB and 2 % of the disk, at most a quarter of it.
	Reserve int64
}

// Queue is a durable queue of frames. All methods may be called concurrently.
type Queue struct {
	opts    Options
	log     *slog.Logger
	metrics metrics
	disk    disk
	names   *nameSyncer // of the blocks

	instance         atomic.Pointer[serverInstance]
	conn             *nats.Conn
	connection       atomic.Pointer[connection]
	js               jetstream.JetStream
	lastAcknowledged atomic.Uint64 // greatest sequence that NATS acknowledged

	confirmed *confirmedRecord // nil without a folder for it
	missing   Loss             // found by Reconcile

	failed chan struct{} // closed when broken is set
	once   sync.Once     // guards the closing of failed
	broken atomic.Pointer[error]
}

// connection is one connection of the client. Its context ends when the next connection begins.
type connection struct {
	ctx context.Context //nolint:containedctx // the life of the connection, not of a call
	end context.CancelFunc
}

// Open starts the queue and checks that it syncs before it acknowledges. It fails if the server did
// not adopt a setting.
func Open(ctx context.Context, opts Options) (*Queue, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if err := durable.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make queue folder: %w", err)
	}
	q := &Queue{opts: opts, log: opts.Logger, failed: make(chan struct{})}
	q.disk = disk{dir: opts.Dir, reserve: opts.Reserve}
	q.names = newNameSyncer(opts.Dir)
	q.opts.MaxBytes = q.disk.quota(opts.MaxBytes)
	if opts.ConfirmedDir != "" {
		var err error
		if q.confirmed, err = openConfirmed(opts.ConfirmedDir, opts.ConfirmedID, max(opts.FirstSequence, 1)-1); err != nil {
			return nil, err
		}
	}
	w := &walker{dir: opts.Dir, frames: opts.Unclean, quarantine: q.QuarantineDir(), confirmed: q.LastConfirmed(), streams: append(slices.Clone(opts.Streams), q.config()), damaged: opts.OnDamage, log: q.log}
	if err := w.walk(ctx); err != nil {
		return nil, err
	}
	q.metrics = newMetrics(opts.Registerer, q)
	g, err := q.startServer()
	if err != nil {
		q.metrics.unregister(opts.Registerer)
		return nil, err
	}
	q.instance.Store(g)
	if err := q.connect(ctx); err != nil {
		q.Close()
		return nil, err
	}
	g.ready.Store(true)
	return q, nil
}

func (q *Queue) connect(ctx context.Context) error {
	q.newConnection()
	conn, err := nats.Connect("", nats.InProcessServer(currentServer{q}),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.Timeout(requestTimeout), nats.ErrorHandler(q.asyncError),
		nats.ReconnectHandler(func(*nats.Conn) { q.newConnection() }))
	if err != nil {
		return fmt.Errorf("connect to queue: %w", err)
	}
	q.conn = conn
	if q.js, err = jetstream.New(conn, jetstream.WithDefaultTimeout(requestTimeout)); err != nil {
		return fmt.Errorf("connect to queue: %w", err)
	}
	return q.openStream(ctx)
}

// newConnection begins a connection and ends the context of the previous one.
func (q *Queue) newConnection() {
	ctx, end := context.WithCancel(context.Background())
	if before := q.connection.Swap(&connection{ctx, end}); before != nil {
		before.end()
	}
}

// asyncError logs errors that the client cannot return to a caller. Without it, the client would
// write them to standard error.
func (q *Queue) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) && sub != nil {
		dropped, _ := sub.Dropped()
		q.log.Warn("a reader of the queue was too slow; the messages that were dropped are read again", "subscription", sub.Subject, "dropped", dropped)
		return
	}
	q.log.Warn("the queue's client reported an error", "error", err)
}

// config returns the configuration of the stream of frames.
func (q *Queue) config() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Stream,
		Subjects:    []string{subject},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    q.opts.MaxBytes,
		MaxMsgs:     -1,
		MaxMsgSize:  maxMessage,
		AllowDirect: true,
		Duplicates:  time.Second, // frames carry no message id; the smallest window is the cheapest
		Replicas:    1,
	}
}

func (q *Queue) openStream(ctx context.Context) error {
	want := q.config()
	info, err := q.info(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		if q.opts.FirstSequence > 1 && !q.opts.Fresh {
			q.log.Warn("the queue's stream of frames is missing or cannot be read; a new one begins after the last flushed frame",
				"first_sequence", q.opts.FirstSequence)
		}
		if err = q.quarantineBlocks(); err == nil {
			err = os.RemoveAll(filepath.Dir(q.names.path)) // NATS did not open it
		}
		if err == nil {
			err = q.create(ctx, want)
		}
	case err == nil && info.State.LastSeq+1 < q.opts.FirstSequence:
		q.log.Error("the queue is older than the store; a new one begins after the last flushed frame",
			"last_sequence", info.State.LastSeq, "first_sequence", q.opts.FirstSequence)
		if err = q.quarantineBlocks(); err == nil {
			err = q.js.DeleteStream(ctx, Stream)
		}
		if err == nil {
			err = q.create(ctx, want)
		}
	case err == nil && !configMatches(info.Config, want): // an unneeded update would fail on a full disk
		want.FirstSeq = info.Config.FirstSeq
		_, err = q.js.UpdateStream(ctx, want)
	}
	if err != nil {
		return fmt.Errorf("open stream of frames: %w", err)
	}
	if info, err = q.info(ctx); err != nil {
		return fmt.Errorf("check stream of frames: %w", err)
	}
	if !configMatches(info.Config, want) {
		return fmt.Errorf("NATS did not adopt the configuration of the stream of frames: %+v", info.Config)
	}
	if q.confirmed != nil { // every trimmed frame must be in it, because frames are recorded before they are flushed
		q.confirmed.checkReaches(max(info.State.FirstSeq, 1)-1, "the queue was trimmed up to")
	}
	q.markAcknowledged(info.State.LastSeq)
	return nil
}

// create creates the stream of frames, which begins with Options.FirstSequence.
func (q *Queue) create(ctx context.Context, want jetstream.StreamConfig) error {
	if q.opts.OnNewStream != nil {
		if err := q.opts.OnNewStream(); err != nil {
			return err
		}
	}
	want.FirstSeq = max(q.opts.FirstSequence, 1)
	// NATS removes the folder of a deleted stream in the background, and the folder of all streams
	// if it was the only one: creating a stream at the same time fails.
	for tries := 1; ; tries++ {
		_, err := q.js.CreateStream(ctx, want)
		if api, ok := errors.AsType[*jetstream.APIError](err); !ok || api.ErrorCode != createFailed || tries == createTries {
			return err
		}
		if wait.For(ctx, createPause) != nil {
			return err
		}
	}
}

const (
	createFailed jetstream.ErrorCode = 10049 // JSStreamCreateErrF of the server
	createTries                      = 5
	createPause                      = 50 * time.Millisecond
)

// configMatches compares the settings that the durability of frames depends on.
func configMatches(got, want jetstream.StreamConfig) bool {
	return slices.Equal(got.Subjects, want.Subjects) && got.Storage == want.Storage && got.Retention == want.Retention &&
		got.Discard == want.Discard && got.MaxBytes == want.MaxBytes && got.MaxMsgs == want.MaxMsgs &&
		got.MaxMsgSize == want.MaxMsgSize && got.MaxAge == 0 && got.PersistMode == jetstream.DefaultPersistMode
}

func (q *Queue) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := q.js.Stream(ctx, Stream)
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}

// JetStream returns the handle to the server, for metadata.
func (q *Queue) JetStream() jetstream.JetStream { return q.js }

// Quota returns how many bytes the frames may take.
func (q *Queue) Quota() int64 { return q.opts.MaxBytes }

// State is what the queue holds.
type State struct {
	First, Last uint64 // sequences; First is Last+1 if the queue is empty
	Frames      uint64
	Bytes       uint64
	Quota       int64     // bytes
	Oldest      time.Time // of First; zero if the queue is empty
	Newest      time.Time // when the last frame was published; zero if there was none
}

// State returns what the queue holds now.
func (q *Queue) State(ctx context.Context) (State, error) {
	info, err := q.info(ctx)
	if err != nil {
		return State{}, fmt.Errorf("ask queue for its state: %w", err)
	}
	s := State{
		First: info.State.FirstSeq, Last: info.State.LastSeq,
		Frames: info.State.Msgs, Bytes: info.State.Bytes, Quota: q.opts.MaxBytes, Newest: info.State.LastTime,
	}
	if s.Frames == 0 {
		s.First = s.Last + 1 // the server reports 0 for a stream whose blocks are empty
	} else {
		s.Oldest = info.State.FirstTime
	}
	return s, nil
}

// Trim removes all frames up to and including the sequence upTo.
func (q *Queue) Trim(ctx context.Context, upTo uint64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := q.js.Stream(ctx, Stream)
	if err != nil {
		return fmt.Errorf("trim queue: %w", err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(upTo+1)); err != nil {
		return fmt.Errorf("trim queue: %w", err)
	}
	return nil
}

// Err returns why the queue does not accept frames at the moment: ErrFull, ErrBroken, or nil if it
// does. It queries the file system at most ten times a second.
func (q *Queue) Err() error {
	if err := q.broken.Load(); err != nil {
		return *err
	}
	if low, floor := q.disk.low(); low {
		return fmt.Errorf("%w: less than %d MiB of disk space left", ErrFull, floor>>20)
	}
	if g := q.instance.Load(); g.writeFailed.Err() != nil || !g.ready.Load() {
		return fmt.Errorf("%w: the disk was full, the queue is being reopened", ErrFull)
	}
	return nil
}

// Failed returns a channel that is closed when the queue is broken for good; Err returns the
// reason.
func (q *Queue) Failed() <-chan struct{} { return q.failed }

// fail breaks the queue permanently. Only the first cause counts.
func (q *Queue) fail(cause error) {
	q.once.Do(func() {
		err := fmt.Errorf("%w: %w", ErrBroken, cause)
		q.broken.Store(&err)
		close(q.failed)
	})
}

// Close stops the queue, after Run has ended. Acknowledged frames are already on disk.
func (q *Queue) Close() {
	if q.conn != nil {
		q.conn.Close()
	}
	if c := q.connection.Load(); c != nil {
		c.end()
	}
	q.instance.Load().close()
	if q.confirmed != nil {
		if err := q.confirmed.close(); err != nil {
			q.log.Warn("the confirmed record could not be closed", "error", err)
		}
	}
	q.metrics.unregister(q.opts.Registerer)
}

// QuarantineDir returns the folder for blocks, frames and records that could not be read or stored.
func (q *Queue) QuarantineDir() string { return filepath.Join(q.opts.Dir, "quarantine") }
