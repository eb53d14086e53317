// Command benchcheck compares two programs: the same work is given to both in turn,
// and the times of each pair are set against each other, so that what else the
// machine does meanwhile meets both alike. script/bench-check builds them and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tolerance is how much longer this program may take for what is judged.
const tolerance = 1.03

// leastEvents fill enough sessions to be asked for.
const leastEvents = 10_000

var errSlower = errors.New("slower than BASE by more than 3 %")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-check:", err)
		os.Exit(1)
	}
}

// check is one comparison.
type check struct {
	out        io.Writer
	dir        string
	base, this string // binaries
	pairs      int
	events     int // of the store that is read
	tombstones int
	slower     []string
}

func run(ctx context.Context, out io.Writer) error {
	c := check{out: out}
	flag.StringVar(&c.base, "base", "", "binary to compare with")
	flag.StringVar(&c.this, "this", "", "binary to be compared")
	flag.StringVar(&c.dir, "dir", "", "folder for data; nothing of it is deleted")
	flag.IntVar(&c.pairs, "pairs", 9, "how often each work is done by both")
	flag.IntVar(&c.events, "events", 1_000_000, "events of the store that is read")
	flag.IntVar(&c.tombstones, "tombstones", 10_000, "erased sessions")
	only := flag.String("only", "", "the one part to run: intake, reads or tombstones; all when left out")
	flag.Parse()
	if c.base == "" || c.this == "" || c.dir == "" || c.pairs < 1 || c.events < leastEvents {
		return fmt.Errorf("-base, -this and -dir are needed, -pairs of 1 or more and -events of %d or more", leastEvents)
	}
	parts, names := map[string]func(context.Context) error{"intake": c.intake, "reads": c.reads, "tombstones": c.withTombstones}, []string{"intake", "reads", "tombstones"}
	if *only != "" {
		names = []string{*only}
	}
	for _, name := range names {
		part, ok := parts[name]
		if !ok {
			return fmt.Errorf("there is no part %q; -only may be intake, reads or tombstones", name)
		}
		if err := part(ctx); err != nil {
			return err
		}
	}
	if len(c.slower) > 0 {
		return fmt.Errorf("%w: %s", errSlower, strings.Join(c.slower, ", "))
	}
	return nil
}

// intake gives each program a new data directory and a fixed number of events.
func (c *check) intake(ctx context.Context) error {
	times := newTimes(intakeWork()...)
	for pair := range c.pairs {
		if err := c.both(pair, func(side int, program string) error {
			s, err := open(ctx, program, filepath.Join(c.dir, fmt.Sprint("intake-", pair, "-", side)))
			if err != nil {
				return err
			}
			return s.intake(ctx, times, side)
		}); err != nil {
			return err
		}
	}
	c.report("intake", times, intakeWork()[:3])
	return nil
}

// reads asks both programs the same questions about the same files, which base wrote:
// the same program answers up to a fifth slower from another store of the same events,
// and from process to process by 6 %. So each pair has processes of its own, and the two
// answer in turn. Each then erases a session.
func (c *check) reads(ctx context.Context) error {
	dirs := [2]string{filepath.Join(c.dir, "store-0"), filepath.Join(c.dir, "store-1")}
	if err := fill(ctx, c.base, dirs[0], c.events); err != nil {
		return err
	}
	if err := os.CopyFS(dirs[1], os.DirFS(dirs[0])); err != nil {
		return fmt.Errorf("copy the data directory: %w", err)
	}
	reads, erasures := newTimes(questions()...), newTimes("erasure of a session")
	for pair := range c.pairs {
		if err := c.withBoth(ctx, [2]string{c.base, c.this}, dirs, func(servers [2]*server) error {
			// The first time reads what the system does not hold in memory.
			if err := ask(ctx, servers, newTimes(questions()...), 2*pair); err != nil {
				return err
			}
			if err := ask(ctx, servers, reads, 2*pair+1); err != nil {
				return err
			}
			return c.both(pair, func(side int, _ string) error {
				return erasures.take("erasure of a session", side, func() error { return servers[side].erase(ctx, fmt.Sprint("session-", pair)) })
			})
		}); err != nil {
			return err
		}
	}
	c.report(fmt.Sprintf("reads of %d events", c.events), reads, questions())
	c.report(fmt.Sprintf("a store of %d events; not judged", c.events), erasures, nil)
	return nil
}

// withTombstones sets this program with many erased sessions against itself without.
func (c *check) withTombstones(ctx context.Context) error {
	erased := filepath.Join(c.dir, "erased")
	s, err := open(ctx, c.this, erased)
	if err != nil {
		return err
	}
	began := time.Now()
	n, err := s.eraseMany(ctx, c.tombstones)
	s.close()
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%d sessions were erased in %v\n", n, time.Since(began).Round(time.Second))

	intake := newTimes(intakeWork()...)
	for pair := range c.pairs {
		if err := c.both(pair, func(side int, _ string) error {
			dir := filepath.Join(c.dir, fmt.Sprint("erased-intake-", pair, "-", side))
			if side == 1 {
				if err := os.CopyFS(dir, os.DirFS(erased)); err != nil {
					return fmt.Errorf("copy the data directory: %w", err)
				}
			}
			s, err := open(ctx, c.this, dir)
			if err != nil {
				return err
			}
			return s.intake(ctx, intake, side)
		}); err != nil {
			return err
		}
	}
	c.report(fmt.Sprintf("intake, with %d tombstones against none; not judged", n), intake, nil)

	dirs := [2]string{filepath.Join(c.dir, "store-1"), erased}
	for _, dir := range dirs {
		if err := fill(ctx, c.this, dir, c.events); err != nil {
			return err
		}
	}
	reads := newTimes(questions()...)
	for pair := range c.pairs {
		if err := c.withBoth(ctx, [2]string{c.this, c.this}, dirs, func(servers [2]*server) error { return ask(ctx, servers, reads, pair) }); err != nil {
			return err
		}
	}
	c.report(fmt.Sprintf("reads of %d events, with %d tombstones against none; not judged", c.events, n), reads, nil)
	return nil
}

// withBoth opens two servers, calls a function with them, and ends them.
func (c *check) withBoth(ctx context.Context, programs, dirs [2]string, f func([2]*server) error) error {
	var servers [2]*server
	for side := range servers {
		s, err := open(ctx, programs[side], dirs[side])
		if err != nil {
			return err
		}
		defer s.close()
		s.sessions = c.events / sessionEvents
		servers[side] = s
	}
	return f(servers)
}

// both calls a function for each side, of every other pair in the other order.
func (c *check) both(pair int, f func(side int, program string) error) error {
	sides := []int{0, 1}
	if pair%2 == 1 {
		slices.Reverse(sides)
	}
	for _, side := range sides {
		if err := f(side, []string{c.base, c.this}[side]); err != nil {
			return fmt.Errorf("%s: %w", []string{"base", "this"}[side], err)
		}
	}
	return nil
}

// times are those of the two sides, by what was done.
type times struct {
	names []string
	taken map[string]*[2][]time.Duration
}

func newTimes(names ...string) *times {
	t := &times{names, map[string]*[2][]time.Duration{}}
	for _, name := range names {
		t.taken[name] = &[2][]time.Duration{}
	}
	return t
}

func (t *times) add(name string, side int, d time.Duration) {
	t.taken[name][side] = append(t.taken[name][side], d)
}

func (t *times) take(name string, side int, work func() error) error {
	began := time.Now()
	if err := work(); err != nil {
		return err
	}
	t.add(name, side, time.Since(began))
	return nil
}

// report prints the ratio of each pair and the one that is judged: above 1, this took
// longer.
func (c *check) report(title string, t *times, judged []string) {
	fmt.Fprintf(c.out, "\n%s\n", title)
	for _, name := range t.names {
		taken := t.taken[name]
		ratios := make([]float64, len(taken[0]))
		for i := range ratios {
			ratios[i] = taken[1][i].Seconds() / taken[0][i].Seconds()
		}
		ratio, verdict := balanced(ratios), ""
		if slices.Contains(judged, name) && ratio > tolerance {
			verdict = "  SLOWER"
			c.slower = append(c.slower, name)
		}
		fmt.Fprintf(c.out, "  %-42s ratio %.3f%s  (%v against %v)  pairs", name, ratio, verdict, median(taken[1]).Round(10*time.Microsecond), median(taken[0]).Round(10*time.Microsecond))
		for _, r := range ratios {
			fmt.Fprintf(c.out, " %.2f", r)
		}
		fmt.Fprintln(c.out)
	}
}

// balanced returns the ratio of all pairs: the geometric mean of the medians of the
// pairs that base began and of those that this began. The second of a pair is often
// slower than the first, and one median of both kinds would lean to whichever kind has
// one pair more.
func balanced(ratios []float64) float64 {
	var began [2][]float64
	for pair, ratio := range ratios {
		began[pair%2] = append(began[pair%2], ratio)
	}
	if len(began[1]) == 0 {
		return median(began[0])
	}
	return math.Sqrt(median(began[0]) * median(began[1]))
}

// median returns the middle of a list, of an even number the mean of the two middles.
func median[T float64 | time.Duration](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
