package replay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"theeye/internal/envelope"
	"theeye/internal/event"
	"theeye/internal/ingest"
	"theeye/internal/progress"
	"theeye/internal/query"
	"theeye/internal/queue"
	"theeye/internal/replay"
	"theeye/internal/schema"
	"theeye/internal/store"
	"theeye/internal/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a runner over the store in memory. Its queue writes frames into the store at once.
type bench struct {
	*testing.T
	store     *memory.Store
	collector *ingest.Collector
	app       string // that sends
	dir       string
	ready     error
	waits     func(context.Context) error // before outcomes are told; may be nil
	step      func(string) error

	mu       sync.Mutex // guards all below
	last     uint64
	outcomes map[uint64][]event.Outcome
	refusal  error // of the queue
	types    map[string]*schema.Type
	counts   []queue.Count // of the last frame

	log *bytes.Buffer
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, app: "shop", log: new(bytes.Buffer), store: memory.New(), dir: t.TempDir(), outcomes: map[uint64][]event.Outcome{}, types: map[string]*schema.Type{}}
	b.collector = ingest.New(ingest.Options{Publish: b.publish, Types: func(_, name string) *schema.Type {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.types[name]
	}})
	return b
}

func (b *bench) publish(ctx context.Context, f queue.Frame) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusal != nil {
		return 0, b.refusal
	}
	b.last++
	records, err := event.DecodeRecords(f.Body, b.last)
	if err != nil {
		b.Error(err)
	}
	batch := store.Batch{First: b.last, Last: b.last, Records: records, Arrivals: map[string]store.Arrivals{}}
	for _, c := range f.Counts {
		batch.Arrivals[c.App] = store.Arrivals{Received: int64(c.Received)}
	}
	b.counts = f.Counts
	b.outcomes[b.last], err = b.store.Write(ctx, batch)
	return b.last, err
}

func (b *bench) schema(text string) {
	b.Helper()
	t, err := schema.Compile("c", "n", uint32(len(b.types)+1), []byte(text))
	if err != nil {
		b.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.types["n"] = t
}

// send has intake take events.
func (b *bench) send(bodies ...string) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- b.collector.Run(ctx) }()
	_, err := b.collector.Collect(b.Context(), ingest.Request{App: b.app, Body: []byte("[" + strings.Join(bodies, ",") + "]"), ReceivedAt: event.Now()})
	stop()
	if err := errors.Join(err, <-done); err != nil {
		b.Fatal(err)
	}
}

func body(n int, data string) string {
	return fmt.Sprintf(`{"id":"e%d","session_id":"s","category":"c","name":"n","data":%s,"timestamp":"2021-01-01T00:00:00Z"}`, n, data)
}

// runner runs a runner; stop ends it.
func (b *bench) runner() (r *replay.Runner, stop func()) {
	b.Helper()
	r, err := replay.New(replay.Options{
		Reader: b.store, Collector: b.collector, Dir: b.dir, Step: b.step, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		App:   func(name string) (replay.App, bool) { return replay.App{Zone: time.UTC}, name == "shop" },
		Ready: func() error { return b.ready },
		Outcomes: func(ctx context.Context, frame uint64) (progress.Outcomes, error) {
			if b.waits != nil {
				if err := b.waits(ctx); err != nil {
					return progress.Outcomes{}, err
				}
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			return progress.Pack(b.outcomes[frame]), nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	ended := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(ended)
	return r, ended
}

// start starts a replay, as soon as that is possible.
func (b *bench) start(r *replay.Runner, req replay.Request) replay.Status {
	b.Helper()
	for range 1000 {
		s, err := r.Start(b.Context(), req)
		if !errors.Is(err, replay.ErrClosed) {
			if err != nil {
				b.Fatal(err)
			}
			return s
		}
		time.Sleep(time.Millisecond)
	}
	b.Fatal("the runner does not run")
	return replay.Status{}
}

func (b *bench) account() store.Account {
	b.Helper()
	books, err := b.store.Books(b.Context(), nil)
	if err != nil || len(books.Accounts) != 1 {
		b.Fatal(books, err)
	}
	return books.Accounts[0]
}

func counts(s replay.Status) [5]int64 {
	return [5]int64{s.Matched, s.WouldPass, s.WouldFail, s.Stored, s.Conflicts}
}

const needsPath = `{"required":["path"]}`

func TestPatches(t *testing.T) {
	for name, c := range map[string]struct{ body, patch, want string }{
		"what is not touched stays as it was written": {
			`{ "b": 1.50, "a":1e2,"data":{"z":"\u00e9<","n":12345678901234567890.0 , "k":[1, 2]} }`, `[{"op":"add","path":"/data/k/0","value":{"x": 1.0}}]`,
			`{"b":1.50,"a":1e2,"data":{"z":"\u00e9<","n":12345678901234567890.0,"k":[{"x":1.0},1,2]}}`,
		},
		"all operations": {
			`{"data":{"a":1,"b":2,"c":3,"d":4}}`,
			`[{"op":"test","path":"/data/a","value":1},{"op":"remove","path":"/data/a"},{"op":"replace","path":"/data/b","value":null},{"op":"move","from":"/data/c","path":"/data/e"},{"op":"copy","from":"/data/d","path":"/data/f"}]`,
			`{"data":{"b":null,"d":4,"e":3,"f":4}}`,
		},
		"the id may be copied and tested": {`{"id":"x","data":{}}`, `[{"op":"test","path":"/id","value":"x"},{"op":"copy","from":"/id","path":"/data/id"}]`, `{"id":"x","data":{"id":"x"}}`},
		"no patch":                        {`{"data": 1}`, ``, `{"data": 1}`},
		"a test that fails":               {`{"data":1}`, `[{"op":"test","path":"/data","value":2}]`, ""},
		"nothing there":                   {`{"data":1}`, `[{"op":"remove","path":"/x"}]`, ""},
		"a key twice":                     {`{"data":{"a":1,"a":2}}`, `[{"op":"remove","path":"/data/a"}]`, ""},
		"no object":                       {`[{"data":1}]`, `[{"op":"remove","path":"/0"}]`, ""},
		"no JSON":                         {`{"data":`, `[{"op":"remove","path":"/data"}]`, ""},
		"too much is copied": {
			`{"data":{"a":"` + strings.Repeat("x", 300<<10) + `"}}`,
			`[{"op":"copy","from":"/data/a","path":"/data/b"},{"op":"copy","from":"/data","path":"/data/c"},{"op":"copy","from":"/data","path":"/data/d"}]`, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := replay.Apply(jsontext.Value(c.patch), []byte(c.body))
			if c.want == "" {
				if err == nil {
					t.Fatalf("it became %.300s", got)
				}
				return
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte(`[{"op":"move","from":"/data/a","path":"/data/b/0"}]`), []byte(`{"id":"x","data":{"a":1,"b":[]}}`))
	f.Add([]byte(`[{"op":"copy","from":"","path":"/data/-"}]`), []byte(`{"id":7,"data":[1]}`))
	f.Fuzz(func(t *testing.T, patch, body []byte) {
		got, err := replay.Apply(patch, body)
		if err != nil || len(patch) == 0 {
			return
		}
		if v := jsontext.Value(got); !v.IsValid() {
			t.Fatalf("%s applied to %s gives no JSON: %s", patch, body, got)
		}
		if before, after := member(body, "id"), member(got, "id"); before != after {
			t.Fatalf("%s changed the id from %s to %s", patch, before, after)
		}
	})
}

// member returns the text of a member of an object, without white space.
func member(body []byte, name string) string {
	d := jsontext.NewDecoder(strings.NewReader(string(body)))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return ""
	}
	for d.PeekKind() == '"' {
		key, err := d.ReadToken()
		if err != nil {
			return ""
		}
		is := key.String() == name
		value, err := d.ReadValue()
		if err != nil {
			return ""
		}
		if is {
			_ = value.Compact()
			return string(value)
		}
	}
	return ""
}

func TestReplayInMemory(t *testing.T) {
	b := newBench(t)
	b.schema(needsPath)
	b.send(body(1, `{}`), body(2, `{"path":1}`), body(3, `{}`), `{"category":"c"}`, `7`)
	r, _ := b.runner()
	if s := b.start(r, replay.Request{}); counts(s) != [5]int64{4, 0, 4, 0, 0} || s.State != replay.Done {
		t.Errorf("nothing has changed: %+v", s)
	}
	b.schema(`{}`)
	dry := b.start(r, replay.Request{DryRun: true})
	if counts(dry) != [5]int64{4, 2, 2, 0, 0} || len(dry.Examples) != 4 || len(dry.Remaining) == 0 {
		t.Errorf("dry run: %+v", dry)
	}
	s := b.start(r, replay.Request{Filter: url.Values{"code": {event.SchemaViolation}}})
	if counts(s) != [5]int64{2, 2, 0, 2, 0} {
		t.Errorf("replay: %+v", s)
	}
	if len(b.counts) > 0 { // what it carries was received before
		t.Errorf("a frame of a replay counts %+v", b.counts)
	}
	if a := b.account(); a.Received != 5 || a.Stored != 3 || a.Rejected != 2 {
		t.Errorf("books: %+v", a)
	}
	if id, _, ok := r.ByFrame(s.FirstFrame); !ok || id != s.ID {
		t.Error("the frame does not tell its replay")
	}
	events, err := b.store.Events(t.Context(), query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"e1", "e2", "e3"} { // as they arrived, all at one time
		e := events.Items[i]
		if e.ClientID != want || e.Position.Frame != 1 || e.SchemaVersion == 0 && want != "e2" {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if s := b.start(r, replay.Request{}); counts(s) != [5]int64{2, 0, 2, 0, 0} {
		t.Errorf("once more: %+v", s)
	}
}

// A replay that ends at any step goes on where it was, and counts nothing twice.
func TestCutOff(t *testing.T) {
	const events = 1500
	for _, at := range []string{"replay page read", "replay published", "replay counted"} {
		for n := 1; n <= 2; n++ { // there are two pages
			t.Run(fmt.Sprint(at, " ", n), func(t *testing.T) {
				b := newBench(t)
				b.schema(needsPath)
				var bodies []string
				for i := range events {
					bodies = append(bodies, body(i, `{}`))
				}
				b.send(bodies...)
				b.schema(`{}`)
				times, reached := 0, make(chan struct{})
				b.step = func(step string) error {
					if step == at {
						if times++; times == n {
							close(reached)
							runtime.Goexit() // nothing more is done, as when the process ends
						}
					}
					return nil
				}
				b.cutOff(reached)
				b.step = nil
				r, _ := b.runner()
				var s replay.Status
				for range 2000 {
					if s = r.List()[0]; s.State != replay.Running {
						break
					}
					time.Sleep(time.Millisecond)
				}
				if counts(s) != [5]int64{events, events, 0, events, 0} || s.State != replay.Done || s.Duplicates != 0 {
					t.Errorf("after it was cut off: %+v", s)
				}
				if a := b.account(); a.Stored != events || a.Rejected != 0 || a.Received != events {
					t.Errorf("books: %+v", a)
				}
				if again := b.start(r, replay.Request{}); again.Matched != 0 {
					t.Errorf("a second one: %+v", again)
				}
			})
		}
	}
}

// cutOff starts a replay and gives it up where its step ends it.
func (b *bench) cutOff(reached chan struct{}) {
	b.Helper()
	r, stop := b.runner()
	ctx, cancel := context.WithCancel(b.Context())
	started := make(chan struct{})
	go func() {
		defer close(started)
		for ctx.Err() == nil {
			if _, err := r.Start(ctx, replay.Request{}); !errors.Is(err, replay.ErrClosed) {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	<-reached
	cancel()
	<-started
	stop()
}

// While the queue is full a replay waits, says why, and goes on.
func TestHeldUp(t *testing.T) {
	b := newBench(t)
	b.schema(needsPath)
	b.send(body(1, `{}`))
	b.schema(`{}`)
	b.refusal = queue.ErrFull
	r, stop := b.runner()
	s := b.start(r, replay.Request{}) // waits for its patience
	if s.State != replay.Running || !strings.Contains(s.Error, queue.ErrFull.Error()) {
		t.Errorf("held up: %+v", s)
	}
	if _, err := r.Start(t.Context(), replay.Request{}); !errors.Is(err, replay.ErrBusy) {
		t.Errorf("a second one: %v", err)
	}
	if s := b.start(r, replay.Request{DryRun: true}); s.WouldPass != 1 || s.State != replay.Done {
		t.Errorf("a dry run meanwhile: %+v", s)
	}
	stop()
	if r, err := replay.New(replay.Options{Dir: b.dir}); err != nil || r.List()[0].State != replay.Running {
		t.Error("what was not finished at the end is not kept", err)
	}
	b.mu.Lock()
	b.refusal = nil
	b.mu.Unlock()
	r, _ = b.runner()
	for range 5000 {
		if s, _ = r.Status(s.ID); s.State != replay.Running {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if counts(s) != [5]int64{1, 1, 0, 1, 0} || s.Error != "" {
		t.Errorf("afterwards: %+v", s)
	}
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	b.schema(needsPath)
	b.send(body(1, `{}`))
	b.schema(`{}`)
	b.refusal = queue.ErrFull
	r, stop := b.runner()
	s := b.start(r, replay.Request{Filter: url.Values{"session_id": {"s"}}})
	if s, err := r.Cancel(t.Context(), s.ID); err != nil || s.State != replay.Cancelled || s.Stored != 0 {
		t.Errorf("cancelled: %+v, %v", s, err)
	}
	if _, err := r.Cancel(t.Context(), s.ID); !errors.Is(err, replay.ErrEnded) {
		t.Errorf("once more: %v", err)
	}
	if _, err := r.Cancel(t.Context(), uuid.New()); !errors.Is(err, replay.ErrNotFound) {
		t.Errorf("another one: %v", err)
	}
	stop()
	if _, err := r.Start(t.Context(), replay.Request{}); !errors.Is(err, replay.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	kept, err := os.ReadFile(filepath.Join(b.dir, s.ID.String()+".json"))
	if err != nil || strings.Contains(string(kept), "session") || !strings.Contains(string(kept), `"cancelled"`) {
		t.Errorf("kept of it: %s, %v", kept, err)
	}
}

// A cancel, or a failure, that comes while the store decides loses no count.
func TestInterruptedWhileTheStoreDecides(t *testing.T) {
	for _, name := range []string{"a cancel", "a failure"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.schema(needsPath)
			b.send(body(1, `{}`))
			b.schema(`{}`)
			waiting := make(chan struct{})
			first := sync.OnceValue(func() bool { close(waiting); return true })
			asked := 0
			b.waits = func(ctx context.Context) error {
				first()
				if asked++; asked > 1 {
					return nil
				}
				if name == "a failure" {
					return errors.New("not now")
				}
				<-ctx.Done()
				return ctx.Err()
			}
			r, stop := b.runner()
			want := replay.Done
			if name == "a cancel" {
				want = replay.Cancelled
				go func() {
					<-waiting
					_, _ = r.Cancel(context.Background(), r.List()[0].ID)
				}()
			}
			s := b.start(r, replay.Request{})
			stop()
			if counts(s) != [5]int64{1, 1, 0, 1, 0} || s.State != want || s.Duplicates != 0 {
				t.Errorf("%+v", s)
			}
			if id, _, ok := r.ByFrame(s.LastFrame); s.LastFrame == 0 || !ok || id != s.ID {
				t.Error("the frame does not tell its replay")
			}
		})
	}
}

func TestAnApplicationThatIsGone(t *testing.T) {
	b := newBench(t)
	b.schema(needsPath)
	b.app = "blog"
	b.send(body(1, `{}`))
	r, _ := b.runner()
	s := b.start(r, replay.Request{DryRun: true})
	if len(s.Remaining) != 1 || s.Remaining[0].Code != replay.AppGone {
		t.Errorf("%+v", s.Remaining)
	}
}

// Pages do not grow at once when bodies are small: larger ones may follow.
func TestPagesGrowSlowly(t *testing.T) {
	b := newBench(t)
	b.schema(needsPath)
	var bodies []string
	for i := range 1500 {
		bodies = append(bodies, body(i, `{}`))
	}
	b.send(bodies...)
	pages := 0
	b.step = func(string) error { pages++; return nil }
	r, _ := b.runner()
	if s := b.start(r, replay.Request{DryRun: true}); s.Matched != 1500 || pages != 4 {
		t.Errorf("%d pages, %+v", pages, s)
	}
}

// While replays are held nothing is read, and examples are dropped.
func TestPause(t *testing.T) {
	b := newBench(t)
	b.schema(needsPath)
	b.send(body(1, `{}`))
	r, _ := b.runner()
	dry := b.start(r, replay.Request{DryRun: true})
	release, err := r.Pause(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := r.Status(dry.ID); len(s.Examples) != 0 {
		t.Error("examples are kept")
	}
	if s := b.start(r, replay.Request{DryRun: true}); s.State != replay.Running || s.Matched != 0 {
		t.Errorf("while it is held: %+v", s)
	}
	release()
}

func TestStatesOnDisk(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id := uuid.NewString()
	write(id+".json.tmp", `{"state":"running"`)
	write("notes.txt", "somebody's")
	write("notes.json.tmp", "somebody's")
	write(id+".json", `{"replay_id":"`+id+`","state":"running","filter":{"color":["red"]},"started_at":1}`)
	r, err := replay.New(replay.Options{Dir: dir})
	if err != nil || len(r.List()) != 1 || r.List()[0].State != replay.Failed || !strings.Contains(r.List()[0].Error, "color") {
		t.Errorf("a filter of another version: %+v, %v", r.List(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, id+".json.tmp")); err == nil {
		t.Error("what was being written stays")
	}
	for _, name := range []string{"notes.txt", "notes.json.tmp"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("a file that is not known was deleted: %v", err)
		}
	}
}

// A file that is damaged, or that a newer version wrote, is left as it is and told, and its replay
// does not go on; the others do.
func TestFilesOfReplaysThatCannotBeUsed(t *testing.T) {
	const id, other = "0198a000-0000-7000-8000-000000000001", "0198a000-0000-7000-8000-000000000002"
	sealed := func(version int, text string) string {
		return string(envelope.Seal(version, "replay", []byte(text)))
	}
	whole := `{"replay_id":"` + id + `","state":"running","filter":{},"dry_run":false,"until":7}`
	for name, test := range map[string]struct {
		content string
		reason  string // "" when it can be used
	}{
		"whole":               {sealed(1, whole), ""},
		"without an envelope": {whole, ""},
		"cut":                 {sealed(1, whole)[:60], "it is damaged"},
		"empty":               {"", "it is damaged"},
		"a digit changed":     {strings.Replace(sealed(1, whole), `"until":7`, `"until":8`, 1), "it is damaged"},
		"of another replay":   {strings.Replace(whole, id, other, 1), "it is damaged"},
		"a newer version":     {sealed(2, whole), "newer version"},
		"a newer member":      {sealed(1, strings.Replace(whole, `"until"`, `"shard":1,"until"`, 1)), "newer version"},
		"a newer state":       {sealed(1, strings.Replace(whole, "running", "paused", 1)), "newer version"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			file := filepath.Join(b.dir, id+".json")
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			b.log.Reset()
			r, _ := b.runner()
			s, err := r.Status(uuid.MustParse(id))
			if err != nil {
				t.Fatal(err)
			}
			if test.reason == "" {
				if s.State == replay.Failed || len(r.Unusable()) != 0 {
					t.Errorf("%+v", s)
				}
				return
			}
			if s.State != replay.Failed || !strings.Contains(s.Error, test.reason) || !strings.Contains(b.log.String(), "level=ERROR") || len(r.Unusable()) != 1 {
				t.Errorf("%+v, told: %s", s, b.log)
			}
			for range replay.Remembered + 1 { // as many as are remembered push it out of memory
				if name != "cut" {
					break
				}
				b.start(r, replay.Request{})
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != test.content || len(r.Unusable()) != 1 {
				t.Errorf("it was changed: %s, %v", got, err)
			}
		})
	}
}

// What names an erased session is ended and forgotten, in memory and on disk, and not begun as long
// as the erasure goes on. Other replays go on.
func TestErase(t *testing.T) {
	const session, app = "s-7f3a\u00e9", "shop"
	filter := func(name, value string) url.Values { return url.Values{name: {value}} }
	for name, test := range map[string]struct {
		req   replay.Request
		app   bool // the application is erased, not the session
		ended bool
	}{
		"a filter":          {replay.Request{Filter: filter("session_id", session)}, false, true},
		"a session put in":  {replay.Request{SessionID: session}, false, true},
		"a patch":           {replay.Request{Patch: jsontext.Value(`[{"op":"add","path":"/data/x","value":{"of":"` + strings.Replace(session, "7", `\u0037`, 1) + `"}}]`)}, false, true},
		"an event's id":     {replay.Request{Filter: filter("event_id", uuid.NewString())}, false, true},
		"a value":           {replay.Request{Filter: filter("where", `data.mail="x"`)}, false, true},
		"another session":   {replay.Request{Filter: filter("session_id", "other")}, false, false},
		"all":               {replay.Request{}, false, false},
		"the application":   {replay.Request{Filter: filter("app", app)}, true, true},
		"another one":       {replay.Request{Filter: filter("app", "blog")}, true, false},
		"all, for its sake": {replay.Request{}, true, false},

		"of all, a session":         {replay.Request{Filter: filter("session_id", session)}, true, true},
		"of all, a session put in":  {replay.Request{SessionID: session}, true, true},
		"of all, a patch":           {replay.Request{Patch: jsontext.Value(`[{"op":"add","path":"/data/x","value":1}]`)}, true, true},
		"of all, an event's id":     {replay.Request{Filter: filter("event_id", uuid.NewString())}, true, true},
		"of all, a value":           {replay.Request{Filter: filter("where", `data.mail="x"`)}, true, true},
		"of all, a place":           {replay.Request{Filter: filter("pointer", "/data/x")}, true, true},
		"of all, by code":           {replay.Request{Filter: filter("code", "schema_violation")}, true, false},
		"of another one, a session": {replay.Request{Filter: url.Values{"app": {"blog"}, "session_id": {session}}}, true, false},
	} {
		for _, at := range []string{"at work", "before it goes on"} {
			t.Run(name+", "+at, func(t *testing.T) {
				b := newBench(t)
				b.schema(needsPath)
				b.send(body(1, `{}`))
				b.schema(`{}`)
				r, stop := b.runner()
				release, err := r.Pause(t.Context()) // it waits at its first page
				if err != nil {
					t.Fatal(err)
				}
				short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				begun, err := r.Start(short, test.req)
				for errors.Is(err, replay.ErrClosed) {
					begun, err = r.Start(short, test.req)
				}
				if err != nil {
					t.Fatal(err)
				}
				id := begun.ID
				if at != "at work" {
					stop()
					b.ready = errors.New("not yet")
					r, _ = b.runner()
				}
				erase := func() (func(), error) {
					if test.app {
						return r.EraseApp(t.Context(), app)
					}
					return r.EraseSession(t.Context(), session)
				}
				finish, err := erase()
				if err != nil {
					t.Fatal(err)
				}
				s, err := r.Status(id)
				if err != nil {
					t.Fatal(err)
				}
				file, err := os.ReadFile(filepath.Join(b.dir, id.String()+".json"))
				if err != nil {
					t.Fatal(err)
				}
				if !test.ended {
					if s.State != replay.Running {
						t.Errorf("another replay: %+v", s)
					}
				} else if s.State != replay.Cancelled || !strings.Contains(s.Error, "an erasure ended it") || len(s.Filter) != 0 || s.SessionID != "" || s.Patch != nil {
					t.Errorf("it is %+v", s)
				} else if !strings.Contains(string(file), `"state":"cancelled"`) || strings.Contains(string(file), "s-7") || strings.Contains(string(file), `"patch"`) {
					t.Errorf("its file has %s", file)
				}
				if at == "at work" && test.ended {
					if _, err := r.Start(t.Context(), test.req); !errors.Is(err, replay.ErrErasing) {
						t.Errorf("begun meanwhile: %v", err)
					}
					finish()
					release()
					if _, err := r.Start(t.Context(), test.req); err != nil {
						t.Errorf("begun afterwards: %v", err)
					}
					return
				}
				release()
			})
		}
	}
}
