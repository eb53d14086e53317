package httpapi

import (
	"context"
	"time"
)

// Reads share a budget of bytes, as bodies do. Each takes what a page takes at most
// while it is read, and what it turned out to be while it is sent.
const (
	DefaultReadMemory = 256 << 20
	pageMemory        = 16 << 20
	readPatience      = 2 * time.Second // for what others give back
)

// ReadReservation is what a request holds of the budget for reads. It belongs to one
// goroutine.
type ReadReservation struct {
	server *Server
	who    string
	held   int64
}

// ReserveRead takes the memory of a page for a request, or fails with 503 when others do not give
// enough back in time. It is shared fairly between keys. Release must be called.
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

// Keep gives back all but so many bytes.
func (a *ReadReservation) Keep(bytes int) {
	if rest := a.held - max(int64(bytes), AnswerBuffer); rest > 0 {
		a.server.readBudget.Release(a.who, rest)
		a.held -= rest
	}
}

// Release gives everything back.
func (a *ReadReservation) Release() {
	a.server.readBudget.Release(a.who, a.held)
	a.held = 0
}

// KeepPage gives back all but what the items of a page take.
func KeepPage[T any](a *ReadReservation, items []T, size func(*T) int) {
	bytes := 0
	for i := range items {
		bytes += size(&items[i])
	}
	a.Keep(bytes)
}
