package theeye

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// LogOptions describe the events of a [LogHandler].
type LogOptions struct {
	Level     slog.Leveler // the least level; slog.LevelInfo if nil
	Category  string       // of the events; "log" if empty
	AddSource bool         // adds the file and the line of the call, as "source"
}

// LogHandler is a slog.Handler that tracks each record as an event.
//
// The name of the event is the level in lower case, such as "error". Its data has the members "level"
// and "msg", and the attributes; a group is an object. Its session is that of the context, as
// [WithSession] and [Sessions] set it. A value that cannot be encoded becomes the text "!ERROR: " and why, so
// that no record is lost by it.
type LogHandler struct {
	client *Client
	opts   LogOptions
	groups []string       // the open ones
	data   map[string]any // what WithAttrs added; shared, so never changed
}

// NewLogHandler returns a handler that sends records with a client. Closing the client is left to the
// caller.
func NewLogHandler(c *Client, o LogOptions) *LogHandler {
	o.Category = cmp.Or(o.Category, "log")
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	return &LogHandler{client: c, opts: o, data: map[string]any{}}
}

// Enabled reports whether records of a level are sent.
func (h *LogHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.opts.Level.Level()
}

// Handle tracks a record. Its errors are those of [Client.Track].
func (h *LogHandler) Handle(ctx context.Context, r slog.Record) error {
	data := h.with(func(add func(slog.Attr)) {
		r.Attrs(func(a slog.Attr) bool {
			add(a)
			return true
		})
	})
	data["level"], data["msg"] = r.Level.String(), strings.ToValidUTF8(r.Message, "\uFFFD")
	if h.opts.AddSource && r.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		data["source"] = fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
	}
	return h.client.Track(Event{
		SessionID: SessionID(ctx), Category: h.opts.Category, Name: strings.ToLower(r.Level.String()),
		Data: data, Timestamp: r.Time,
	})
}

// WithAttrs returns a handler that adds attributes to each record.
func (h *LogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	made := *h
	made.data = h.with(func(add func(slog.Attr)) {
		for _, a := range attrs {
			add(a)
		}
	})
	return &made
}

// WithGroup returns a handler that puts later attributes into a group.
func (h *LogHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	made := *h
	made.groups = append(slices.Clone(h.groups), strings.ToValidUTF8(name, "\uFFFD"))
	return &made
}

// with returns a copy of the handler's data with attributes in the open groups. A group without any
// is left out.
func (h *LogHandler) with(attrs func(add func(slog.Attr))) map[string]any {
	added := map[string]any{}
	attrs(func(a slog.Attr) { addAttr(added, a) })
	data := maps.Clone(h.data)
	if len(added) == 0 {
		return data
	}
	inner := data
	for _, group := range h.groups {
		old, _ := inner[group].(map[string]any)
		next := maps.Clone(old)
		if next == nil {
			next = map[string]any{}
		}
		inner[group] = next
		inner = next
	}
	maps.Copy(inner, added)
	return data
}

// addAttr adds an attribute to an object by the rules of slog.Handler.
func addAttr(object map[string]any, a slog.Attr) {
	value := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return
	}
	name := strings.ToValidUTF8(a.Key, "\uFFFD")
	if value.Kind() != slog.KindGroup {
		object[name] = attrValue(value)
		return
	}
	group := object
	if name != "" {
		group = map[string]any{}
	}
	for _, member := range value.Group() {
		addAttr(group, member)
	}
	if name != "" && len(group) > 0 {
		object[name] = group
	}
}

// attrValue returns a value that can be encoded.
func attrValue(v slog.Value) any {
	switch v.Kind() {
	case slog.KindString:
		return strings.ToValidUTF8(v.String(), "\uFFFD")
	case slog.KindDuration:
		return v.Duration().String()
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case slog.KindFloat64:
		if f := v.Float64(); math.IsNaN(f) || math.IsInf(f, 0) {
			return v.String()
		}
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return strings.ToValidUTF8(errorText(err), "\uFFFD")
		}
		if _, err := appendValue(nil, v.Any(), 1); err != nil {
			return "!ERROR: " + err.Error()
		}
	}
	return v.Any()
}

func errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil { // as of a nil pointer
			text = fmt.Sprintf("!PANIC: %v", p)
		}
	}()
	return err.Error()
}
