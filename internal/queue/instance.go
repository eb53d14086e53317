package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// serverInstance is one run of the embedded server. After the disk was full, another one replaces
// it.
type serverInstance struct {
	server *server.Server
	// writeFailed ends at the first write error. That error persists in the server: it acknowledges
	// nothing from then on.
	writeFailed context.Context //nolint:containedctx // the life of the server, not of a call
	failWrites  context.CancelFunc
	ready       atomic.Bool           // the stream was checked
	fatal       atomic.Pointer[error] // why the server did not start, if it said so
}

func newServerInstance(ns *server.Server) *serverInstance {
	g := &serverInstance{server: ns}
	g.writeFailed, g.failWrites = context.WithCancel(context.Background())
	return g
}

// startServer starts a server and checks that it syncs before it acknowledges.
func (q *Queue) startServer() (*serverInstance, error) {
	ns, err := server.NewServer(&server.Options{
		ServerName:         "eye",
		DontListen:         true,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           q.opts.Dir,
		SyncAlways:         true,
		JetStreamMaxStore:  q.opts.MaxBytes + MetadataReserve,
		JetStreamMaxMemory: 64 << 20,
		MaxPayload:         maxMessage,
	})
	if err != nil {
		return nil, fmt.Errorf("configure queue: %w", err)
	}
	g := newServerInstance(ns)
	ns.SetLoggerV2(&serverLog{queue: q, instance: g}, false, false, false)
	ns.Start()
	err = g.check(q.opts.Dir)
	if err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *serverInstance) check(dir string) error {
	for end := time.Now().Add(startTimeout); ; {
		ready := g.server.ReadyForConnections(startPoll)
		if fatal := g.fatal.Load(); fatal != nil {
			return fmt.Errorf("the queue could not open its folder %s: %w", dir, *fatal)
		}
		if ready {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("the queue did not open its folder %s within a minute", dir)
		}
	}
	if !g.server.JetStreamEnabled() {
		return fmt.Errorf("the queue could not open its folder %s; see the log for the reason", dir)
	}
	if cfg := g.server.JetStreamConfig(); cfg == nil || !cfg.SyncAlways {
		return errors.New("the queue would acknowledge frames before they are synced; refusing to start")
	}
	return nil
}

func (g *serverInstance) close() {
	g.server.Shutdown()
	g.server.WaitForShutdown()
	g.failWrites()
}

// currentServer connects to the current server, so that a client reconnects to the one that
// replaced a closed one.
type currentServer struct{ q *Queue }

func (c currentServer) InProcessConn() (net.Conn, error) {
	return c.q.instance.Load().server.InProcessConn()
}

// serverLog forwards the embedded server's log. It also detects failed writes, which NATS reports
// nowhere else.
type serverLog struct {
	queue    *Queue
	instance *serverInstance
}

func (l *serverLog) Noticef(format string, v ...any) { l.queue.log.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}

func (l *serverLog) Warnf(format string, v ...any) {
	text, level := fmt.Sprintf(format, v...), slog.LevelWarn
	if l.queue.opts.Unclean && isOldIndex(text) {
		level = slog.LevelDebug
	}
	l.queue.log.Log(context.Background(), level, "queue: "+text)
	l.inspect(format, v)
}

// isOldIndex reports whether a warning says that the index of a stream is older than its files, as
// after a kill. NATS then reads the files, which the walker has checked.
func isOldIndex(warning string) bool {
	return strings.Contains(warning, "Stream state outdated") || strings.Contains(warning, "prior state")
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.queue.log.Error("queue: " + fmt.Sprintf(format, v...))
	l.inspect(format, v)
}

// Fatalf is called when the server cannot start, which startServer reports, or cannot continue.
func (l *serverLog) Fatalf(format string, v ...any) {
	err := fmt.Errorf(format, v...)
	if l.instance.ready.Load() {
		l.queue.fail(err)
		return
	}
	l.instance.fatal.Store(&err)
}

// inspect looks for a file system's error among the arguments of a log line. A write error other
// than a full disk breaks the queue.
func (l *serverLog) inspect(format string, args []any) {
	for _, arg := range args {
		err, ok := arg.(error)
		switch {
		case !ok:
		case isFull(err):
			l.instance.failWrites()
		case isFatal(err), strings.Contains(format, "ritical write error"):
			l.queue.fail(err)
			l.instance.failWrites()
		}
	}
}

// isFull reports whether a write failed because the disk is full. A failed fsync does not count:
// the data that it did not write may be gone, even if a later fsync succeeds.
func isFull(err error) bool {
	if path, ok := errors.AsType[*fs.PathError](err); ok && path.Op == "sync" {
		return false
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isFatal(err error) bool { return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS) }
