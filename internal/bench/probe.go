package bench

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"theeye/internal/client"
	"theeye/internal/wait"
)

const (
	probeEvery    = 100 * time.Millisecond
	probePoll     = 5 * time.Millisecond
	probeLimit    = 30 * time.Second // an event that is not visible by then is counted as lost
	probesAtATime = 100
)

// probe measures how long it takes until an event can be read.
type probe struct {
	writer, reader *client.Client

	mu     sync.Mutex // guards the fields below
	times  []time.Duration
	unseen int // sent and not visible in time
	failed int // not sent
}

// run sends an event every 100 ms until the context is done, and returns when the last of them is
// visible or has been given up.
func (p *probe) run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	slots := make(chan struct{}, probesAtATime)
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	events := newGenerator(1)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			select {
			case slots <- struct{}{}:
			default: // too many are already under way
				continue
			}
			group.Go(func() {
				defer func() { <-slots }()
				p.one(context.WithoutCancel(ctx), events.body(now))
			})
		}
	}
}

// one sends an event and waits until it can be read.
func (p *probe) one(ctx context.Context, body []byte) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	begin := time.Now()
	answer, err := p.writer.Do(ctx, client.Request{Method: http.MethodPost, Path: client.EventsPath, Body: body})
	var a client.IntakeAnswer
	if err != nil || client.Decode(client.EventsPath, answer, &a) != nil || len(a.Events) != 1 || a.Accepted != 1 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.failed++
		return
	}
	path := client.EventPath(a.Events[0].ID)
	for {
		_, err := p.reader.Do(ctx, client.Request{Method: http.MethodGet, Path: path})
		if err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.times = append(p.times, time.Since(begin))
			return
		}
		var problem *client.Problem
		notYet := errors.As(err, &problem) && (problem.Status == http.StatusNotFound || problem.Status == http.StatusServiceUnavailable)
		if !notYet || wait.For(ctx, probePoll) != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.unseen++
			return
		}
	}
}

// visible is the result of a probe.
type visible struct {
	Probes int     `json:"probes"`
	Unseen int     `json:"unseen"`
	Failed int     `json:"failed"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

// result returns what was measured. It must be called after run has returned.
func (p *probe) result() *visible {
	slices.Sort(p.times)
	at := func(q float64) float64 {
		if len(p.times) == 0 {
			return 0
		}
		return milliseconds(p.times[min(len(p.times)-1, int(q*float64(len(p.times))))])
	}
	return &visible{Probes: len(p.times) + p.unseen + p.failed, Unseen: p.unseen, Failed: p.failed, P50: at(0.5), P99: at(0.99), Max: at(1)}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
