package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"theeye/internal/client"
	"theeye/internal/demo"
	"theeye/internal/durable"
	"theeye/internal/envelope"
	"theeye/internal/event"
	"theeye/internal/ingest"
	"theeye/internal/registry"
)

// The file that says that the applications of a data directory are those of the demo, and which
// history they have.
const (
	demoName    = "demo"
	demoVersion = 1
	demoMember  = "demo" // in the envelope
)

// demoMark is the content of the file.
type demoMark struct {
	Seed     uint64    `json:"seed"`
	Until    time.Time `json:"until"` // of the history, in the zone of its days and nights
	Complete bool      `json:"complete"`
}

// demoPlan is what a start does about the demo.
type demoPlan struct {
	found   bool      // the data directory has the demo
	history *demoMark // to be made, or completed; nil for none
	resumed bool      // the history was interrupted
	guest   bool      // the data directory has applications of others
	rest    demo.Rest
	// incomplete says that the history was interrupted, and that nothing completes it at this start.
	incomplete bool
	// overtaken says that nothing can complete it, because events were received after it.
	overtaken bool
}

// notice returns what an operator should know, or "".
func (p *demoPlan) notice() string {
	switch {
	case p.overtaken:
		return "demo: its week of history stays incomplete, because it was interrupted and events were received since; `eye serve --demo` makes a whole one in another --data"
	case !p.incomplete:
		return ""
	}
	return "demo: its week of history is incomplete, because it was interrupted; `eye serve --demo` completes it"
}

// findDemo looks for the demo in the data directory. It begins the clock of a history that is sure
// to be made, before the metadata are.
func (n *Node) findDemo() error {
	mark, err := readDemoMark(n.cfg.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if n.cfg.Demo && isNew(n.cfg.Data) {
			n.planHistory(newDemoMark())
		}
		return nil
	case err != nil && n.cfg.Demo:
		return fmt.Errorf("%s, which says how complete the demo is, cannot be read: %w; the demo continues without --demo, or begins again with another --data",
			filepath.Join(n.cfg.Data, demoName), err)
	case err != nil:
		n.log.Warn("the file that says how complete the demo is cannot be read", "error", err)
		return nil
	}
	n.demo.found = true
	switch {
	case mark.Complete:
	case n.cfg.Demo:
		n.demo.resumed = true
		n.planHistory(mark)
	default:
		n.demo.incomplete = true
		n.log.Warn(n.demo.notice())
	}
	return nil
}

// isNew reports whether no server has used a data directory.
func isNew(dir string) bool {
	for _, name := range []string{"queue", "store", "metadata.json"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

func (n *Node) planHistory(mark demoMark) {
	n.demo.history = &mark
	n.travel.begin(demo.History{Seed: mark.Seed, Until: mark.Until}.From())
}

// planDemo decides what --demo does: a data directory without events and applications of its own
// gets a history; one that is in use is refused, unless it has the application of a guest.
func (n *Node) planDemo(ctx context.Context) error {
	if n.demo.found {
		return nil
	}
	unused, err := n.unused(ctx)
	if err != nil {
		return err
	}
	if !unused {
		n.demo.guest = true
		return demo.Check(n.registry.Apps())
	}
	if n.demo.history == nil {
		n.planHistory(newDemoMark())
	}
	return n.demo.history.write(n.cfg.Data)
}

// unused reports whether the data directory has nothing but what a first start creates.
func (n *Node) unused(ctx context.Context) (bool, error) {
	for _, app := range n.registry.Apps() {
		if app.Name != registry.DefaultApp {
			return false, nil
		}
	}
	state, err := n.queue.State(ctx)
	if err != nil {
		return false, err
	}
	flushed, err := n.store.Flushed(ctx)
	return flushed == 0 && state.Last == 0 && n.queue.LastConfirmed() == 0 && len(n.registry.Types()) == 0 && n.store.Erasures().Len() == 0, err
}

// newDemoMark returns the mark of a history that ends now.
func newDemoMark() demoMark {
	return demoMark{Seed: 1, Until: fixedZone(event.Now().Time().Local())}
}

// fixedZone returns a time in a zone that has its offset all year.
func fixedZone(at time.Time) time.Time {
	_, offset := at.Zone()
	return at.In(time.FixedZone("", offset))
}

func readDemoMark(dir string) (m demoMark, err error) {
	b, err := durable.ReadFile(filepath.Join(dir, demoName))
	if err != nil {
		return m, err
	}
	_, text, err := envelope.Open(b, demoMember, 0, demoVersion)
	if err == nil {
		err = envelope.Decode(text, &m) // a version without a checksum never existed: no text is damage
	}
	m.Until = fixedZone(m.Until)
	return m, err
}

func (m demoMark) write(dir string) error {
	b, err := json.Marshal(m)
	if err == nil {
		err = durable.Replace(filepath.Join(dir, demoName), bytes.NewReader(envelope.Seal(demoVersion, demoMember, b)))
	}
	if err != nil {
		return fmt.Errorf("note how complete the demo is: %w", err)
	}
	return nil
}

// makeHistory makes the history that the plan has, and ends the walk of the clock. If ctx is done
// first, the next start with --demo completes it.
func (n *Node) makeHistory(ctx context.Context) (err error) {
	defer n.travel.end()
	mark := n.demo.history
	if mark == nil {
		return nil
	}
	began := time.Now()
	n.log.Info("the demo's week of history is being made", "until", mark.Until)
	admin := client.NewDialed(n.inProcess.dial, n.registry.FirstStart().AdminKey)
	n.demo.rest, err = demo.History{Seed: mark.Seed, Until: mark.Until}.Make(ctx, admin, &historyTarget{n, FaultStep()})
	if errors.Is(err, demo.ErrOvertaken) {
		n.demo.overtaken = true
		n.log.Warn(n.demo.notice())
		return nil
	}
	if err != nil {
		if ctx.Err() != nil {
			n.log.Warn("the demo's history was interrupted; the next start with --demo completes it")
			return ctx.Err()
		}
		return fmt.Errorf("make the demo's history: %w; the next start with --demo completes it", err)
	}
	n.travel.end()
	if err := n.clock.Save(); err != nil {
		return fmt.Errorf("save the clock after the demo's history: %w", err)
	}
	mark.Complete = true
	if err := mark.write(n.cfg.Data); err != nil {
		return err
	}
	n.log.Info("the demo's week of history is complete", "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// historyTarget passes a history to the parts that an event passes through.
type historyTarget struct {
	node *Node
	step func(string) error // of faults; nil for none
}

// Walk implements demo.Target.
func (t *historyTarget) Walk(at time.Time) { t.node.travel.walk(at) }

// Accept implements demo.Target.
func (t *historyTarget) Accept(ctx context.Context, arrivals []demo.Arrival) error {
	requests := make([]ingest.Request, 0, len(arrivals))
	for _, a := range arrivals {
		requests = append(requests, ingest.Request{App: a.App, Body: a.Body, ReceivedAt: event.Micros(a.ReceivedAt.UnixMicro())})
	}
	if t.step != nil {
		if err := t.step("history frame"); err != nil {
			return err
		}
	}
	if _, err := t.node.collector.CollectTogether(requests); err != nil {
		return err
	}
	return ctx.Err()
}

// Settle implements demo.Target.
func (t *historyTarget) Settle(ctx context.Context) error {
	return t.node.storeAll(ctx, func(string) {})
}

// Newest implements demo.Target.
func (t *historyTarget) Newest(ctx context.Context) (time.Time, error) {
	if !t.node.demo.resumed {
		return time.Time{}, nil
	}
	if err := t.node.flushAll(ctx, func(string) {}); err != nil {
		return time.Time{}, err
	}
	return t.node.store.NewestReceived(), nil
}

// startDemo starts the live traffic of --demo, if that is set. end stops it.
func (n *Node) startDemo(ctx context.Context) (end func()) {
	if !n.cfg.Demo {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var traffic errgroup.Group
	traffic.Go(func() error {
		return demo.Run(ctx, demo.Options{
			Connect:  func(key string) *client.Client { return client.NewDialed(n.inProcess.dial, key) },
			AdminKey: n.registry.FirstStart().AdminKey,
			Guest:    n.demo.guest,
			Rest:     n.demo.rest,
			Logger:   n.log,
			Seed:     uint64(time.Now().UnixNano()),
		})
	})
	return func() {
		cancel()
		if err := traffic.Wait(); err != nil {
			n.log.Warn("the demo ended", "error", err)
		}
	}
}
