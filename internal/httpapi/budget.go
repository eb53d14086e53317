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

// allowance is what a request holds of the budget for reads. It belongs to one
// goroutine.
type allowance struct {
	server *Server
	who    string
	held   int64
}

// allow takes the memory of a page for a request, or fails with 503 when others do
// not give enough back in time. It is shared fairly between keys. end must be called.
func (s *Server) allow(c *call) (*allowance, error) {
	ctx, cancel := context.WithTimeout(c.ctx(), readPatience)
	defer cancel()
	a := &allowance{s, c.who.KeyID, pageMemory}
	if !s.reads.takeSoon(ctx, a.who, a.held) {
		s.metrics.noMemory.Inc()
		return nil, unavailable("too many long answers are being sent at once; try again")
	}
	return a, nil
}

// keep gives back all but so many bytes.
func (a *allowance) keep(bytes int) {
	if rest := a.held - max(int64(bytes), answerBuffer); rest > 0 {
		a.server.reads.give(a.who, rest)
		a.held -= rest
	}
}

func (a *allowance) end() {
	a.server.reads.give(a.who, a.held)
	a.held = 0
}

// keepPage gives back all but what the items of a page take.
func keepPage[T any](a *allowance, items []T, size func(*T) int) {
	bytes := 0
	for i := range items {
		bytes += size(&items[i])
	}
	a.keep(bytes)
}
