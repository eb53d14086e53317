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

// reads asks two servers with the same events the same questions, then erases a
// session of each.
func (c *check) reads(ctx context.Context) error {
	var servers [2]*server
	for side, program := range []string{c.base, c.this} {
		s, err := filled(ctx, program, filepath.Join(c.dir, fmt.Sprint("store-", side)), c.events)
		if err != nil {
			return err
		}
		defer s.close()
		servers[side] = s
	}
	reads, erasures := newTimes(questions()...), newTimes("erasure of a session")
	for pair := range c.pairs + 1 {
		measured := reads
		if pair == 0 { // both have read everything once
			measured = newTimes(questions()...)
		}
		if err := c.both(pair, func(side int, _ string) error { return servers[side].reads(ctx, measured, side, pair) }); err != nil {
			return err
		}
	}
	for pair := range c.pairs {
		if err := c.both(pair, func(side int, _ string) error {
			return erasures.take("erasure of a session", side, func() error { return servers[side].erase(ctx, fmt.Sprint("session-", pair)) })
		}); err != nil {
			return err
		}
	}
	c.report(fmt.Sprintf("reads of %d events", c.events), reads, questions())
	c.report(fmt.Sprintf("an idle store of %d events; not judged", c.events), erasures, nil)
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

	var servers [2]*server
	for side, dir := range []string{filepath.Join(c.dir, "store-1"), erased} {
		if servers[side], err = filled(ctx, c.this, dir, c.events); err != nil {
			return err
		}
		defer servers[side].close()
	}
	reads := newTimes(questions()...)
	for pair := range c.pairs {
		if err := c.both(pair, func(side int, _ string) error { return servers[side].reads(ctx, reads, side, pair) }); err != nil {
			return err
		}
	}
	c.report(fmt.Sprintf("reads of %d events, with %d tombstones against none; not judged", c.events, n), reads, nil)
	return nil
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

// report prints the ratios of all pairs and their median: above 1, this took longer.
func (c *check) report(title string, t *times, judged []string) {
	fmt.Fprintf(c.out, "\n%s\n", title)
	for _, name := range t.names {
		taken := t.taken[name]
		ratios := make([]float64, len(taken[0]))
		for i := range ratios {
			ratios[i] = taken[1][i].Seconds() / taken[0][i].Seconds()
		}
		verdict := ""
		if m := median(ratios); slices.Contains(judged, name) && m > tolerance {
			verdict = "  SLOWER"
			c.slower = append(c.slower, name)
		}
		fmt.Fprintf(c.out, "  %-42s median %.3f%s  (%v against %v)  pairs", name, median(ratios), verdict, median(taken[1]).Round(10*time.Microsecond), median(taken[0]).Round(10*time.Microsecond))
		for _, r := range ratios {
			fmt.Fprintf(c.out, " %.2f", r)
		}
		fmt.Fprintln(c.out)
	}
}

// median returns the middle of a list, of an even number the higher of the two.
func median[T float64 | time.Duration](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
