//go:build eyefault

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"theeye/internal/ingest"
	"theeye/internal/queue"
	"theeye/internal/store/duckdb"
)

// publisher wraps the function that writes frames. When EYE_FAULT_ANSWER_FIRST is set, it breaks
// promise P1: it returns before the frame is durable, which the crash test must notice.
func publisher(publish ingest.Publisher) ingest.Publisher {
	if os.Getenv("EYE_FAULT_ANSWER_FIRST") == "" {
		return publish
	}
	return func(ctx context.Context, f queue.Frame) (uint64, error) {
		go func() { _, _ = publish(context.WithoutCancel(ctx), f) }()
		return 1, nil
	}
}

// FaultStep returns a function for Options.Step that injects the faults that the environment names.
// EYE_FAULT_KILL="step:n" kills the process when the step is reached for the nth time, and
// EYE_FAULT_FATAL="step:n" is a fatal error of DuckDB then. "first>step:n" counts only after the
// step first has been reached. EYE_FAULT_PAUSE="step:n" creates the file that EYE_FAULT_PAUSED
// names, and continues when that is removed. EYE_FAULT_FAIL="step:n" fails the first n times.
func FaultStep() func(string) error {
	kill := nth("EYE_FAULT_KILL", func() error {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	})
	fatal := nth("EYE_FAULT_FATAL", func() error { return fmt.Errorf("%w: for a test", duckdb.ErrFatal) })
	hold := nth("EYE_FAULT_PAUSE", func() error {
		file := os.Getenv("EYE_FAULT_PAUSED")
		err := os.WriteFile(file, nil, 0o600)
		for err == nil {
			time.Sleep(10 * time.Millisecond)
			_, err = os.Stat(file)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	fail := func(string) error { return nil }
	if name, times, ok := strings.Cut(os.Getenv("EYE_FAULT_FAIL"), ":"); ok {
		var left atomic.Int64
		n, _ := strconv.Atoi(times)
		left.Store(int64(n))
		fail = func(step string) error {
			if step == name && left.Add(-1) >= 0 {
				return errors.New("it failed for a test")
			}
			return nil
		}
	}
	return func(step string) error { return errors.Join(hold(step), kill(step), fatal(step), fail(step)) }
}

// nth returns a function that runs a fault when the step that a variable names is reached for the
// nth time.
func nth(variable string, fault func() error) func(string) error {
	name, times, ok := strings.Cut(os.Getenv(variable), ":")
	if !ok {
		return func(string) error { return nil }
	}
	n, err := strconv.ParseInt(times, 10, 64)
	if err != nil {
		panic(variable + " must be step:number")
	}
	first, then, ordered := strings.Cut(name, ">")
	if !ordered {
		then = name
	}
	var begun atomic.Bool
	begun.Store(!ordered)
	var left atomic.Int64
	left.Store(n)
	return func(step string) error {
		if step == first {
			begun.Store(true)
		}
		if step == then && begun.Load() && left.Add(-1) == 0 {
			return fault()
		}
		return nil
	}
}
