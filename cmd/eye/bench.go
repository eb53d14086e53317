package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

const (
	benchApp         = "bench"
	benchTimeout     = 30 * time.Second // of one request
	maxBenchWorkers  = 4096             // requests at a time in the open model
	maxBenchRate     = 10_000_000       // events in a second
	maxBenchAnswer   = 16 << 10
	maxBenchProblems = 3
)

// benchFlags are the flags of `eye bench`.
type benchFlags struct {
	*clientFlags
	rate, batch, connections int
	duration                 time.Duration
}

// newBenchCommand returns `eye bench`.
func newBenchCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Send load and measure what is acknowledged and when it can be read", Args: args(cobra.NoArgs),
		Long: "Send load and measure what is acknowledged and when it can be read.\n" +
			"With --rate each request has its time, whether or not earlier ones were answered. Latency is counted from that time,\n" +
			"so that it holds the waiting of a request that was sent late. With --rate 0 each connection sends when its last\n" +
			"request was answered, and latency is counted from the sending: it does not tell what a user would wait.\n" +
			"Latency ends with the last byte of the answer; p99 and p99.9 are estimated by a t-digest.\n" +
			"With an admin key an application \"bench\" is made, with the event types of the examples in categories of its own, and all of it\n" +
			"is removed at the end. With a write key its application is used, where the events stay, no event type is put, and when events\n" +
			"become visible is not measured.",
	}
	f := &benchFlags{clientFlags: newClientFlags(cmd, s)}
	fs := cmd.Flags()
	fs.IntVar(&f.rate, "rate", 0, "events in a second (`number`); 0: as many as --connections can send")
	fs.IntVar(&f.batch, "batch", 200, "events of one request (`number`)")
	fs.IntVar(&f.connections, "connections", 64, "connections (`number`)")
	fs.DurationVar(&f.duration, "duration", 10*time.Second, "how long to send (`duration`)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case f.rate < 0 || f.rate > maxBenchRate:
			return usagef("--rate must be from 0 to %d", maxBenchRate)
		case f.batch < 1 || f.batch > 10_000:
			return usagef("--batch must be from 1 to 10000")
		case f.connections < 1 || f.connections > maxBenchWorkers:
			return usagef("--connections must be from 1 to %d", maxBenchWorkers)
		case f.duration <= 0:
			return usagef("--duration must be positive")
		}
		return f.run(cmd.Context())
	}
	return cmd
}

func (f *benchFlags) run(ctx context.Context) error {
	writer, err := f.client()
	if err != nil {
		return err
	}
	var p *probe
	if !strings.HasPrefix(writer.key, "eye_w_") {
		reader := *writer
		remove, err := f.prepare(ctx, writer)
		if err != nil {
			return err
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
	r, err := f.attack(ctx, writer)
	stop()
	<-done
	if err != nil {
		return err
	}
	if p != nil {
		r.Visible = p.result()
	}
	return f.print(r)
}

// prepare makes what a bench needs and makes the client use a write key of its application. The
// returned function removes all that was made.
func (f *benchFlags) prepare(ctx context.Context, c *client) (remove func(), err error) {
	err = c.createApp(ctx, benchApp)
	if isConflict(err) {
		return nil, fmt.Errorf("there is an application %q already, of another bench that runs, or was killed; `eye apps delete %[1]s --erase` removes it", benchApp)
	}
	if err != nil {
		return nil, err
	}
	admin := *c
	remove = func() {
		if err := admin.removeBench(context.WithoutCancel(ctx)); err != nil {
			_, _ = fmt.Fprintf(f.err, "eye: the bench could not remove all that it made: %s\n", printable(advise(err.Error(), f.where()), maxMessage))
		}
	}
	if err = c.putSampleTypes(ctx, benchApp); err == nil {
		_, err = c.borrowWriteKey(ctx, benchApp) // it ends with its application
	}
	if err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

// removeBench removes the application of a bench with all that it sent, and its event types.
func (c *client) removeBench(ctx context.Context) error {
	_, failed := c.do(ctx, request{method: http.MethodDelete, path: appPath(benchApp), query: url.Values{"erase": {"1"}}, patient: true})
	if failed != nil {
		failed = fmt.Errorf("%w; `eye apps delete %s --erase` does it", failed, benchApp)
	}
	for _, t := range sampleTypes(benchApp) {
		_, err := c.do(ctx, request{method: http.MethodDelete, path: typePath(t.Category, t.Name)})
		if err != nil && failed == nil {
			failed = fmt.Errorf("delete event type %s / %s: %w", t.Category, t.Name, err)
		}
	}
	return failed
}

// benchReport is the result of a bench.
type benchReport struct {
	Seconds      float64        `json:"seconds"`
	Requests     uint64         `json:"requests"`
	Asked        int            `json:"asked_events_per_second"` // 0: as many as possible
	Sent         float64        `json:"sent_events_per_second"`
	LateMax      float64        `json:"sent_late_max_ms"` // behind the time of a request; 0 when it has none
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

// attack sends the load and gathers the answers.
func (f *benchFlags) attack(ctx context.Context, c *client) (*benchReport, error) {
	events := newLoad(f.batch)
	target := func(t *vegeta.Target) error {
		key, err := c.secret(ctx)
		if err != nil {
			return err
		}
		t.Method, t.URL = http.MethodPost, c.base+"/v1/events?quiet=1"
		t.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + key}}
		t.Body = events.body(time.Now())
		return nil
	}
	options := []func(*vegeta.Attacker){
		vegeta.Connections(f.connections), vegeta.Timeout(benchTimeout), vegeta.MaxBody(maxBenchAnswer),
	}
	if transport, ok := c.http.Transport.(*http.Transport); ok && c.socket != "" {
		options = append([]func(*vegeta.Attacker){vegeta.Client(&http.Client{Transport: transport.Clone()})}, options...)
	}
	pace := vegeta.Rate{Freq: f.rate, Per: time.Second * time.Duration(f.batch)}
	var plan schedule
	if f.rate == 0 {
		workers := uint64(f.connections)
		options = append(options, vegeta.Workers(workers), vegeta.MaxWorkers(workers), vegeta.MaxConnections(f.connections))
	} else {
		options = append(options, vegeta.MaxWorkers(maxBenchWorkers))
		plan.interval = pace.Per / time.Duration(pace.Freq)
	}
	attacker := vegeta.NewAttacker(options...)
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()

	var (
		m        vegeta.Metrics
		r        = benchReport{Asked: f.rate}
		lastSent time.Duration // after the beginning
	)
	plan.began = time.Now()
	for result := range attacker.Attack(target, pace, f.duration, benchApp) {
		var a intakeAnswer
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
	r.Requests, r.Codes, r.Problems = m.Requests, m.StatusCodes, m.Errors[:min(len(m.Errors), maxBenchProblems)]
	r.Seconds = (m.Duration + m.Wait).Seconds()
	r.PerSecond = float64(r.Acknowledged) / max(r.Seconds, 1e-9)
	r.Sent = float64(r.Requests) * float64(f.batch) / max(lastSent.Seconds(), 1e-9)
	r.Latency.P50, r.Latency.P99 = milliseconds(m.Latencies.P50), milliseconds(m.Latencies.P99)
	r.Latency.P999, r.Latency.Max = milliseconds(m.Latencies.Quantile(0.999)), milliseconds(m.Latencies.Max)
	return &r, nil
}

func (f *benchFlags) print(r *benchReport) error {
	if f.json {
		b, err := json.Marshal(r, json.Deterministic(true))
		if err != nil {
			return fmt.Errorf("print report: %w", err)
		}
		return printDocument(f.clientFlags, b)
	}
	t := newTable(f.out)
	t.row("acknowledged", fmt.Sprintf("%.0f events/s", r.PerSecond), fmt.Sprintf("%d events in %.1f s, %d requests", r.Acknowledged, r.Seconds, r.Requests))
	if r.Asked > 0 {
		t.row("sent", fmt.Sprintf("%.0f events/s", r.Sent), fmt.Sprintf("%d asked for, at most %.1f ms late", r.Asked, r.LateMax))
		if r.Sent < float64(r.Asked)*keptUp {
			t.row("problem", "the rate was not kept: the sender or the server is too slow for it")
		}
	}
	if r.Rejected > 0 {
		t.row("rejected", strconv.Itoa(r.Rejected))
	}
	for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
		name := "answers " + code
		if code == "0" {
			name = "no answer"
		}
		t.row(name, strconv.Itoa(r.Codes[code]))
	}
	for _, problem := range r.Problems {
		t.row("problem", problem)
	}
	l, since := r.Latency, "since sending"
	if r.Asked > 0 {
		since = "since their time"
	}
	t.row("latency", fmt.Sprintf("p50 %.1f ms", l.P50), fmt.Sprintf("p99 %.1f ms, p99.9 %.1f ms, max %.1f ms, %s", l.P99, l.P999, l.Max, since))
	if v := r.Visible; v != nil {
		t.row("visible after", fmt.Sprintf("p50 %.1f ms", v.P50), fmt.Sprintf("p99 %.1f ms, max %.1f ms; %d probes, %d unseen, %d not sent", v.P99, v.Max, v.Probes, v.Unseen, v.Failed))
	}
	return t.flush()
}
