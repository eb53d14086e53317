package httpapi

import (
	"context"
	"time"
)

// Reads share a budget of bytes, like bodies. Each holds the size of the largest page while it
// reads, and the size of its answer while it sends.
const (
	DefaultReadMemory = 256 << 20
	pageMemory        = 16 << 20
	readPatience      = 2 * time.Second // how long a read waits for bytes that others hold
)

// ReadReservation is the part of the read budget that a request holds. It belongs to one goroutine.
type ReadReservation struct {
	server *Server
	who    string
	held   int64
}

// ReserveRead reserves the memory for a page, or fails with 503 if others do not release enough in
// time. Keys share the budget fairly. The caller must call Release.
func (c *Call) ReserveRead() (*ReadReservation, error) {
	s := c.server
	ctx, cancel := context.WithTimeout(c.Context(), readPatience)
	defer cancel()
	a := &ReadReservation{s, c.Principal.KeyID, pageMemory}
	if !s.readBudget.Acquire(ctx, a.who, a.held) {
		s.metrics.noMemory.Inc()
		return nil, Unavailable("too many long answers are being sent at once; try again")
	}
	return a, nil
}

// Keep releases everything except the given number of bytes.
func (a *ReadReservation) Keep(bytes int) {
	if rest := a.held - max(int64(bytes), AnswerBuffer); rest > 0 {
		a.server.readBudget.Release(a.who, rest)
		a.held -= rest
	}
}

// Release releases everything.
func (a *ReadReservation) Release() {
	a.server.readBudget.Release(a.who, a.held)
	a.held = 0
}

// KeepPage releases everything except the size of a page's items.
func KeepPage[T any](a *ReadReservation, items []T, size func(*T) int) {
	bytes := 0
	for i := range items {
		bytes += size(&items[i])
	}
	a.Keep(bytes)
}
