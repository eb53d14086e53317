package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"theeye/internal/discovery"
	"theeye/internal/httpapi"
)

// Timeouts of a clean shutdown.
const (
	finishRequests = 10 * time.Second
	endRequests    = 30 * time.Second // for requests that did not finish and were cancelled
	drainWorker    = 10 * time.Second
	lastFlush      = 60 * time.Second
)

// Run calls ready with the server's address and serves until ctx is done. Then it shuts down in the
// order in which an event passes through the parts: it stops listening, finishes requests and
// drains the worker. Close does the rest.
func (n *Node) Run(ctx context.Context, ready func(address string) error) error {
	web := newHTTPServer(n.api, n.log)
	// These contexts end one after the other.
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
	if n.cfg.Demo {
		n.inProcess = newPipeListener()
		part("inside", func() error { return web.Serve(n.inProcess) })
	}
	metricsWeb := newHTTPServer(n.metricsRoutes(), n.log)
	endDemo := func() {}
	serve := func() error {
		part("http", func() error { return web.Serve(n.listener) })
		// A full disk, or a file system without sockets, must not prevent reads.
		if socket, err := discovery.Listen(ctx, n.cfg.Data); err != nil {
			n.log.Warn("there is no socket for commands on this machine; they need --url and --key", "error", err)
		} else {
			socket = httpapi.NewConnections(httpapi.ConnectionOptions{Max: socketConnections(n.connections)}).Listener(socket)
			part("socket", func() error { return web.Serve(socket) })
		}
		if n.metricsListener != nil {
			n.log.Info("metrics", "address", n.metricsListener.Addr().String())
			part("metrics", func() error { return metricsWeb.Serve(n.metricsListener) })
		}
		address := n.listener.Addr().String()
		if err := discovery.Announce(n.cfg.Data, address); err != nil {
			n.log.Warn("the address of this server could not be written to its data directory", "error", err)
		}
		if err := ready(address); err != nil {
			return err
		}
		endDemo = n.startDemo(ctx)
		return nil
	}
	err := n.makeHistory(stages)
	if err == nil {
		err = serve()
	}
	if err != nil {
		stop(err)
	}

	<-stages.Done()
	n.log.Info("shutting down")
	endDemo() // while the server still answers its requests
	n.endTails()
	finish, cancel := context.WithTimeout(context.Background(), finishRequests)
	defer cancel()
	if err := errors.Join(web.Shutdown(finish), metricsWeb.Shutdown(finish)); err != nil {
		n.log.Warn("some requests did not finish in time", "error", err)
		_ = web.Close()
	}
	last, cancelLast := context.WithTimeout(context.Background(), endRequests)
	defer cancelLast()
	if err := n.api.Close(last); err != nil { // requests use the parts that are closed next
		n.log.Error("some requests are still running", "error", err)
	}
	stopIntake()
	n.drain()
	stopDrain()
	runErr := g.Wait()
	n.flush()
	discovery.Retract(n.cfg.Data)
	n.cleanShutdown = runErr == nil
	if cause := context.Cause(stages); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return runErr
}

func (n *Node) metricsRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", n.api.Metrics())
	return mux
}

// flush flushes the store, so that the next start has nothing to rebuild.
func (n *Node) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), lastFlush)
	defer cancel()
	if err := n.store.Flush(ctx); err != nil {
		n.log.Warn("the store could not be flushed; the next start rebuilds it from the queue", "error", err)
	}
}

// drain waits until the store holds everything, for at most drainWorker.
func (n *Node) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainWorker)
	defer cancel()
	state, err := n.queue.State(ctx)
	if err == nil {
		err = n.progress.WaitFor(ctx, state.Last)
	}
	if err != nil {
		n.log.Warn("the store did not finish in time; the remaining events wait in the queue", "error", err)
	}
}

// Close closes what is open, in the order in which an event passes through the parts.
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
			n.log.Error("the store could not be closed", "error", err)
		}
	}
	if n.cleanShutdown { // after everything else is closed: until then, a kill makes the shutdown unclean
		if err := n.running.end(); err != nil {
			n.log.Warn("the next start will consider this shutdown unclean", "error", err)
		}
	}
	if n.unlock != nil {
		n.unlock()
	}
}
