//go:build eyefault

package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// answerFirst breaks promise P1 when EYE_FAULT_ANSWER_FIRST is set.
var answerFirst = os.Getenv("EYE_FAULT_ANSWER_FIRST") != "" //nolint:gochecknoglobals // of a binary for tests

// storeStep kills the process, as SIGKILL does, at the nth time that a step of the
// store is reached: EYE_FAULT_KILL is "step:n".
func storeStep() func(string) error {
	name, times, ok := strings.Cut(os.Getenv("EYE_FAULT_KILL"), ":")
	if !ok {
		return nil
	}
	n, err := strconv.ParseInt(times, 10, 64)
	if err != nil {
		panic("EYE_FAULT_KILL is step:number")
	}
	var left atomic.Int64
	left.Store(n)
	return func(step string) error {
		if step == name && left.Add(-1) == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
}
