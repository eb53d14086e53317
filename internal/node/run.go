package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"theeye/internal/client"
	"theeye/internal/demo"
	"theeye/internal/discovery"
	"theeye/internal/httpapi"
)

// Deadlines of an ordered shutdown.
const (
	finishRequests = 10 * time.Second
	endRequests    = 30 * time.Second // of those that were cut off
	drainWorker    = 10 * time.Second
	lastFlush      = 60 * time.Second
)

// Run serves until ctx ends, and then shuts down in the order of an event's
// way: stop listening, finish requests, drain the worker. close comes next.
func (n *Node) Run(ctx context.Context, ready func(address string) error) error {
	web := newHTTPServer(n.api, n.log)
	// Each stage ends after the one before it.
	stages, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	intake, stopIntake := context.WithCancel(context.Background())
	defer stopIntake()
	drain, stopDrain := context.WithCancel(context.Background())
	defer stopDrain()

	var g errgroup.Group
	part := func(name string, run func() error) {
		g.Go(func() error {
			err := run()
			if err != nil && !errors.Is(err, http.ErrServerClosed) {
				stop(fmt.Errorf("%s: %w", name, err))
				return err
			}
			return nil
		})
	}
	part("store", func() error { return n.store.Run(drain) })
	part("worker", func() error { return n.worker.Run(drain) })
	part("backups", func() error { return n.backups.Run(stages) })
	part("clock", func() error { return n.clock.Run(drain) })
	part("erasure", func() error { return n.eraser.run(stages) })
	part("replays", func() error { return n.replays.Run(stages) })
	part("intake", func() error { return n.collector.Run(intake) })
	part("queue", func() error { return n.queue.Run(drain) })
	part("api", func() error { return n.api.Run(drain) })
	part("http", func() error { return web.Serve(n.listener) })
	if n.cfg.Demo {
		n.inside = newInsideListener()
		part("inside", func() error { return web.Serve(n.inside) })
	}
	// A full disk, or one that has no sockets, must not keep anyone from reading.
	if socket, err := discovery.Listen(ctx, n.cfg.Data); err != nil {
		n.log.Warn("there is no socket for commands run beside this server; they need --url and --key", "error", err)
	} else {
		socket = httpapi.NewConnections(httpapi.ConnectionOptions{Max: socketConnections(n.connections)}).Listener(socket)
		part("socket", func() error { return web.Serve(socket) })
	}
	metricsMux := http.NewServeMux()
	metricsMux.Handle("GET /metrics", n.api.Metrics())
	metricsWeb := newHTTPServer(metricsMux, n.log)
	if n.metricsListener != nil {
		n.log.Info("metrics", "address", n.metricsListener.Addr().String())
		part("metrics", func() error { return metricsWeb.Serve(n.metricsListener) })
	}
	address := n.listener.Addr().String()
	if err := discovery.Announce(n.cfg.Data, address); err != nil {
		n.log.Warn("the address of this server is not in its data directory", "error", err)
	}
	if err := ready(address); err != nil {
		stop(err)
	}
	endDemo := n.startDemo(ctx)

	<-stages.Done()
	n.log.Info("shutting down")
	endDemo() // while its requests are still answered
	finish, cancel := context.WithTimeout(context.Background(), finishRequests)
	defer cancel()
	if err := errors.Join(web.Shutdown(finish), metricsWeb.Shutdown(finish)); err != nil {
		n.log.Warn("some requests did not finish in time", "error", err)
		_ = web.Close()
	}
	last, cancelLast := context.WithTimeout(context.Background(), endRequests)
	defer cancelLast()
	if err := n.api.Close(last); err != nil { // they use what is closed next
		n.log.Error("some requests do not end", "error", err)
	}
	stopIntake()
	n.drain()
	stopDrain()
	runErr := g.Wait()
	n.flush()
	discovery.Retract(n.cfg.Data)
	n.ordered = runErr == nil
	if cause := context.Cause(stages); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return runErr
}

// flush makes the next start short: what is flushed is not rebuilt.
func (n *Node) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), lastFlush)
	defer cancel()
	if err := n.store.Flush(ctx); err != nil {
		n.log.Warn("the store was not flushed; it is rebuilt from the queue at the next start", "error", err)
	}
}

// drain waits, for a while, until the store holds everything.
func (n *Node) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainWorker)
	defer cancel()
	state, err := n.queue.State(ctx)
	if err == nil {
		err = n.progress.WaitFor(ctx, state.Last)
	}
	if err != nil {
		n.log.Warn("the store did not take everything in time; the rest waits in the queue", "error", err)
	}
}

// Close closes what is open, behind an event's way.
func (n *Node) Close() {
	if n.listener != nil {
		_ = n.listener.Close()
	}
	if n.metricsListener != nil {
		_ = n.metricsListener.Close()
	}
	if n.registry != nil {
		n.registry.Close()
	}
	if n.queue != nil {
		n.queue.Close()
	}
	if n.store != nil {
		if err := n.store.Close(); err != nil {
			n.log.Error("the store did not close", "error", err)
		}
	}
	if n.ordered { // when all is closed: a kill before that is no ordered end
		if err := n.running.end(); err != nil {
			n.log.Warn("the next start takes this end for an unordered one", "error", err)
		}
	}
	if n.unlock != nil {
		n.unlock()
	}
}

// startDemo sends the sample traffic of --demo, if that is given. The returned function ends it.
func (n *Node) startDemo(ctx context.Context) (end func()) {
	if !n.cfg.Demo {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var traffic errgroup.Group
	traffic.Go(func() error {
		return demo.Run(ctx, demo.Options{Client: client.NewDialed(n.inside.dial, n.registry.FirstStart().AdminKey), Logger: n.log})
	})
	return func() {
		cancel()
		if err := traffic.Wait(); err != nil {
			n.log.Warn("the demo ended", "error", err)
		}
	}
}
