package cli

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// signalWindow is how long after the first signal another one counts as the same signal, because a
// terminal and a supervisor may each send one.
const signalWindow = time.Second

// lastWordsKey is the context key of the last words, an *atomic.Pointer[func()].
type lastWordsKey struct{}

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP cancels; a SIGHUP that
// the process was started to ignore, as by nohup, stays ignored. A later signal ends the process
// with the exit code 128 + signal.
func interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	var lastWords atomic.Pointer[func()]
	ctx, cancel := context.WithCancel(context.WithValue(parent, lastWordsKey{}, &lastWords))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	done := make(chan struct{})
	go handleSignals(signals, done, cancel, func(s os.Signal) {
		if say := lastWords.Load(); say != nil {
			(*say)()
		}
		code := 128
		if number, ok := s.(syscall.Signal); ok {
			code += int(number)
		}
		os.Exit(code)
	})
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// handleSignals calls interrupt at the first signal and end at a later one, until done is closed.
func handleSignals(signals <-chan os.Signal, done <-chan struct{}, interrupt func(), end func(os.Signal)) {
	select {
	case <-signals:
		interrupt()
	case <-done:
		return
	}
	first := time.Now()
	for {
		select {
		case s := <-signals:
			if time.Since(first) >= signalWindow {
				end(s)
				return
			}
		case <-done:
			return
		}
	}
}

// setLastWords registers say in the context of run, to be called when a later signal ends the
// process.
func setLastWords(ctx context.Context, say func()) {
	if lastWords, ok := ctx.Value(lastWordsKey{}).(*atomic.Pointer[func()]); ok {
		lastWords.Store(&say)
	}
}
