package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"theeye/internal/bench"
)

// benchFlags are the flags of `eye bench`.
type benchFlags struct {
	*clientFlags
	rate, batch, connections int
	duration                 time.Duration
}

// newBenchCommand returns `eye bench`.
func newBenchCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Send load and measure what is acknowledged and when it can be read", Args: args(cobra.NoArgs),
		Long: "Send load and measure what is acknowledged and when it can be read.\n" +
			"With --rate, requests are sent on a schedule, whether or not earlier ones were answered. Latency is measured from the\n" +
			"scheduled time, so it includes the delay of a request that was sent late. With --rate 0, each connection sends its next request\n" +
			"when the last one was answered; latency is measured from sending and does not include what a user would have waited.\nLatency ends with the last byte of the answer; p99 and p99.9 are t-digest estimates.\n" +
			"With an admin key, an application \"bench\" is created with event types of its own, and removed at the end. \n" +
			"With a write key, the events stay in its application, no event types are created, and the time until events can be read is\n" +
			"not measured.",
	}
	f := &benchFlags{clientFlags: newClientFlags(cmd, s)}
	fs := cmd.Flags()
	fs.IntVar(&f.rate, "rate", 0, "`number` of events per second; 0 for as many as --connections can send")
	fs.IntVar(&f.batch, "batch", 200, "`number` of events per request")
	fs.IntVar(&f.connections, "connections", 64, "`number` of connections")
	fs.DurationVar(&f.duration, "duration", 10*time.Second, "`duration` of sending")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case f.rate < 0 || f.rate > bench.MaxRate:
			return usagef("--rate must be from 0 to %d", bench.MaxRate)
		case f.batch < 1 || f.batch > 10_000:
			return usagef("--batch must be from 1 to 10000")
		case f.connections < 1 || f.connections > bench.MaxConnections:
			return usagef("--connections must be from 1 to %d", bench.MaxConnections)
		case f.duration <= 0:
			return usagef("--duration must be positive")
		}
		return f.run(cmd.Context())
	}
	return cmd
}

func (f *benchFlags) run(ctx context.Context) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	r, err := bench.Run(ctx, c, bench.Options{
		Rate: f.rate, Batch: f.batch, Connections: f.connections, Duration: f.duration,
		NotRemoved: func(err error) {
			_, _ = fmt.Fprintf(f.err, "eye: the benchmark could not remove everything it created: %s\n", printable(advise(err.Error(), f.where()), maxMessage))
		},
	})
	if err != nil {
		return err
	}
	return f.print(r)
}

func (f *benchFlags) print(r *bench.Report) error {
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
		t.row("sent", fmt.Sprintf("%.0f events/s", r.Sent), fmt.Sprintf("%d requested, at most %.1f ms late", r.Asked, r.LateMax))
		if r.Sent < float64(r.Asked)*bench.MinRateRatio {
			t.row("problem", "the rate was not reached: the sender or the server is too slow")
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
	l, since := r.Latency, "from sending"
	if r.Asked > 0 {
		since = "from the scheduled time"
	}
	t.row("latency", fmt.Sprintf("p50 %.1f ms", l.P50), fmt.Sprintf("p99 %.1f ms, p99.9 %.1f ms, max %.1f ms, %s", l.P99, l.P999, l.Max, since))
	if v := r.Visible; v != nil {
		t.row("visible after", fmt.Sprintf("p50 %.1f ms", v.P50), fmt.Sprintf("p99 %.1f ms, max %.1f ms; %d probes, %d unseen, %d not sent", v.P99, v.Max, v.Probes, v.Unseen, v.Failed))
	}
	return t.flush()
}
