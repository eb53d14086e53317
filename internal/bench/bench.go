// Package bench sends load to a server and measures what is acknowledged, how long that takes, and
// when an acknowledged event can be read.
package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"theeye/internal/client"
	"theeye/internal/demo"
)

// Bounds of Options.
const (
	MaxConnections = 4096       // also bounds the concurrent requests if there is a rate
	MaxRate        = 10_000_000 // events in a second
)

const (
	app            = "bench"
	requestTimeout = 30 * time.Second
	maxAnswer      = 16 << 10
	maxProblems    = 3
)

// Options describes the load. All fields except Rate are required.
type Options struct {
	Rate        int // events per second, up to MaxRate; 0 for as many as the connections can send
	Batch       int // events of one request
	Connections int // up to MaxConnections
	Duration    time.Duration
	NotRemoved  func(error) // called if something that the bench created could not be removed
}

// Run sends load to a server for a while and measures what is acknowledged. With an admin key it
// uses an application of its own, which it removes at the end, and measures when events become
// visible.
func Run(ctx context.Context, writer *client.Client, o Options) (*Report, error) {
	var p *probe
	if !writer.KeyHasPrefix("eye_w_") {
		reader := *writer
		remove, err := prepare(ctx, writer, o.NotRemoved)
		if err != nil {
			return nil, err
		}
		defer remove()
		p = &probe{writer: writer, reader: &reader}
	}

	probing, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if p != nil {
			p.run(probing)
		}
	}()
	r, err := attack(ctx, writer, o)
	stop()
	<-done
	if err != nil {
		return nil, err
	}
	if p != nil {
		r.Visible = p.result()
	}
	return r, nil
}

// prepare creates what a bench needs and makes the client use a write key of its application. The
// returned function removes everything that was created.
func prepare(ctx context.Context, c *client.Client, notRemoved func(error)) (remove func(), err error) {
	err = c.CreateApp(ctx, app)
	if client.IsConflict(err) {
		return nil, fmt.Errorf("the application %q already exists, from a benchmark that is running or was killed; `eye apps delete %[1]s --erase` removes it", app)
	}
	if err != nil {
		return nil, err
	}
	admin := *c
	remove = func() {
		if err := removeBench(context.WithoutCancel(ctx), &admin); err != nil {
			notRemoved(err)
		}
	}
	if err = demo.PutTypes(ctx, c, app); err == nil {
		_, err = c.UseTemporaryWriteKey(ctx, app) // the key is deleted with its application
	}
	if err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

// removeBench removes the application of a bench with everything it sent, and its event types.
func removeBench(ctx context.Context, c *client.Client) error {
	_, failed := c.Do(ctx, client.Request{Method: http.MethodDelete, Path: client.AppPath(app), Query: url.Values{"erase": {"1"}}, Patient: true})
	if failed != nil {
		failed = fmt.Errorf("%w; `eye apps delete %s --erase` removes the application", failed, app)
	}
	for _, t := range demo.Types(app) {
		_, err := c.Do(ctx, client.Request{Method: http.MethodDelete, Path: client.TypePath(t.Category, t.Name)})
		if err != nil && failed == nil {
			failed = fmt.Errorf("delete event type %s / %s: %w", t.Category, t.Name, err)
		}
	}
	return failed
}

// Report is the result of a bench.
type Report struct {
	Seconds      float64        `json:"seconds"`
	Requests     uint64         `json:"requests"`
	Asked        int            `json:"asked_events_per_second"` // 0: as many as possible
	Sent         float64        `json:"sent_events_per_second"`
	LateMax      float64        `json:"sent_late_max_ms"` // after the scheduled time of a request; 0 without a schedule
	Acknowledged int            `json:"acknowledged_events"`
	PerSecond    float64        `json:"acknowledged_events_per_second"`
	Rejected     int            `json:"rejected_events"`
	Codes        map[string]int `json:"answers_by_code"` // 0: no answer
	Problems     []string       `json:"problems"`
	Latency      struct {
		P50  float64 `json:"p50_ms"`
		P99  float64 `json:"p99_ms"`
		P999 float64 `json:"p99_9_ms"`
		Max  float64 `json:"max_ms"`
	} `json:"latency"`
	Visible *visible `json:"visible"`
}

// attack sends the load and collects the answers.
func attack(ctx context.Context, c *client.Client, o Options) (*Report, error) {
	events := newGenerator(o.Batch)
	target := func(t *vegeta.Target) error {
		key, err := c.Secret(ctx)
		if err != nil {
			return err
		}
		t.Method, t.URL = http.MethodPost, c.URL(client.EventsPath+"?quiet=1")
		t.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + key}}
		t.Body = events.body(time.Now())
		return nil
	}
	options := []func(*vegeta.Attacker){
		vegeta.Connections(o.Connections), vegeta.Timeout(requestTimeout), vegeta.MaxBody(maxAnswer),
	}
	if transport := c.SocketTransport(); transport != nil {
		options = append([]func(*vegeta.Attacker){vegeta.Client(&http.Client{Transport: transport})}, options...)
	}
	pace := vegeta.Rate{Freq: o.Rate, Per: time.Second * time.Duration(o.Batch)}
	var plan schedule
	if o.Rate == 0 {
		workers := uint64(o.Connections)
		options = append(options, vegeta.Workers(workers), vegeta.MaxWorkers(workers), vegeta.MaxConnections(o.Connections))
	} else {
		options = append(options, vegeta.MaxWorkers(MaxConnections))
		plan.interval = pace.Per / time.Duration(pace.Freq)
	}
	attacker := vegeta.NewAttacker(options...)
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()

	var (
		m        vegeta.Metrics
		r        = Report{Asked: o.Rate}
		lastSent time.Duration // after the beginning
	)
	plan.began = time.Now()
	for result := range attacker.Attack(target, pace, o.Duration, app) {
		var a client.IntakeAnswer
		if result.Code/100 == 2 && json.Unmarshal(result.Body, &a) == nil {
			r.Acknowledged += a.Accepted
			r.Rejected += a.Rejected
		}
		lastSent = max(lastSent, result.Timestamp.Sub(plan.began))
		r.LateMax = max(r.LateMax, milliseconds(plan.shift(result)))
		m.Add(result)
	}
	m.Close()
	if m.Requests == 0 {
		return nil, fmt.Errorf("nothing was sent: %w", ctx.Err())
	}
	r.Requests, r.Codes, r.Problems = m.Requests, m.StatusCodes, m.Errors[:min(len(m.Errors), maxProblems)]
	r.Seconds = (m.Duration + m.Wait).Seconds()
	r.PerSecond = float64(r.Acknowledged) / max(r.Seconds, 1e-9)
	r.Sent = float64(r.Requests) * float64(o.Batch) / max(lastSent.Seconds(), 1e-9)
	r.Latency.P50, r.Latency.P99 = milliseconds(m.Latencies.P50), milliseconds(m.Latencies.P99)
	r.Latency.P999, r.Latency.Max = milliseconds(m.Latencies.Quantile(0.999)), milliseconds(m.Latencies.Max)
	return &r, nil
}
