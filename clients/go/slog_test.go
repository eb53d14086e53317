package theeye

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

// logged returns the events that a function logs.
func logged(t *testing.T, o LogOptions, log func(slog.Handler)) []map[string]any {
	t.Helper()
	server := newFakeServer(accepts)
	client, recorded := newTestClient(t, server, Options{})
	log(NewLogHandler(client, o))
	return settledEvents(t, client, server, recorded)
}

// settledEvents closes a client and returns the events that its server has received.
func settledEvents(t *testing.T, client *Client, server *fakeServer, recorded *recorder) (events []map[string]any) {
	t.Helper()
	if err := client.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(recorded.all()) > 0 {
		t.Error(recorded.all())
	}
	for _, r := range server.received() {
		for _, e := range r.events {
			var event map[string]any
			if err := json.Unmarshal(e, &event); err != nil {
				t.Fatal(err)
			}
			events = append(events, event)
		}
	}
	return events
}

// TestLogHandlerContract runs the tests of the standard library. The time of a record is the event's
// timestamp; that of a record without one is the time of the call, which these tests do not know.
func TestLogHandlerContract(t *testing.T) {
	server := newFakeServer(accepts)
	client, recorded := newTestClient(t, server, Options{})
	called := time.Now()
	err := slogtest.TestHandler(timeless{NewLogHandler(client, LogOptions{}), called}, func() (results []map[string]any) {
		for _, e := range settledEvents(t, client, server, recorded) {
			data, _ := e["data"].(map[string]any)
			if e["timestamp"] != called.UTC().Format(timeFormat) {
				data[slog.TimeKey] = e["timestamp"]
			}
			results = append(results, data)
		}
		return results
	})
	if err != nil {
		t.Error(err)
	}
}

// timeless gives records without a time a known one.
type timeless struct {
	slog.Handler
	at time.Time
}

func (h timeless) Handle(ctx context.Context, r slog.Record) error {
	if r.Time.IsZero() {
		r.Time = h.at
	}
	return h.Handler.Handle(ctx, r)
}

func (h timeless) WithAttrs(a []slog.Attr) slog.Handler {
	return timeless{h.Handler.WithAttrs(a), h.at}
}
func (h timeless) WithGroup(name string) slog.Handler {
	return timeless{h.Handler.WithGroup(name), h.at}
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestLoggedValues(t *testing.T) {
	circular := map[string]any{}
	circular["c"] = circular
	events := logged(t, LogOptions{Level: slog.LevelDebug, Category: "server", AddSource: true}, func(h slog.Handler) {
		log := slog.New(h)
		ctx := WithSession(t.Context(), "visitor")
		log.With("a", 1).WithGroup("g").WithGroup("").With("b\xff", "text\xff").DebugContext(ctx, "hello\xff",
			"duration", 1500*time.Millisecond, "time", time.Unix(0, 0).UTC(), "err", errors.New("broken\xff"), "nil", (*nilError)(nil),
			"nan", math.NaN(), "float", 1.5, "circular", circular, "object", map[string]int{"x": 1}, "msg", "inner", slog.Group("empty"))
	})
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	e := events[0]
	data, _ := e["data"].(map[string]any)
	source, _ := data["source"].(string)
	if e["session_id"] != "visitor" || e["category"] != "server" || e["name"] != "debug" || !strings.HasPrefix(source, "slog_test.go:") {
		t.Errorf("%v", e)
	}
	group, _ := data["g"].(map[string]any)
	for name, prefix := range map[string]string{"nil": "!PANIC: ", "circular": "!ERROR: "} {
		if text, _ := group[name].(string); !strings.HasPrefix(text, prefix) {
			t.Errorf("%s is %v", name, group[name])
		}
		delete(group, name)
	}
	delete(data, "source")
	want := map[string]any{"level": "DEBUG", "msg": "hello\uFFFD", "a": 1.0, "g": map[string]any{
		"b\uFFFD": "text\uFFFD", "duration": "1.5s", "time": "1970-01-01T00:00:00Z", "err": "broken\uFFFD",
		"nan": "NaN", "float": 1.5, "object": map[string]any{"x": 1.0}, "msg": "inner",
	}}
	if !reflect.DeepEqual(data, want) {
		t.Errorf("got %v, want %v", data, want)
	}
}

func TestLogHandlersAreIndependent(t *testing.T) {
	events := logged(t, LogOptions{}, func(h slog.Handler) {
		parent := slog.New(h).WithGroup("g").With("p", 1)
		first, second := parent.With("a", 1), parent.With("b", 2)
		second.Info("second")
		first.Info("first")
		parent.Debug("not sent")
	})
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	for i, want := range []map[string]any{{"p": 1.0, "b": 2.0}, {"p": 1.0, "a": 1.0}} {
		data, _ := events[i]["data"].(map[string]any)
		if !reflect.DeepEqual(data["g"], want) {
			t.Errorf("%v, want %v", data["g"], want)
		}
	}
}
