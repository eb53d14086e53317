package read

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"theeye/internal/event"
	"theeye/internal/fair"
	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Limits of exports: each takes memory and a processor while it runs.
const (
	exportsRunning = 2 // of different applications
	exportsWaiting = 4 // of one application
	exportRetry    = 30 * time.Second
	exportBuffer   = 64 << 10 // the minimum number of bytes to send at a time
)

func (h *Handlers) exportRoutes() []httpapi.Route {
	return []httpapi.Route{{Method: "GET", Path: "/v1/export", Access: httpapi.ForRead, Handle: h.export, Audited: true, Doc: httpapi.Doc{
		ID: "exportEvents", Tag: "reading", Summary: "Export all events that match the filter",
		Text: "Streams the events that are stored when the export begins. ndjson has one event per line, as in GET /v1/events; " +
			"csv has a header line and a line for each event, with data as JSON text and all values as they were sent, unless safe=1; " +
			"parquet has the same fields, with times as instants, in no particular order. One export for each application runs at a time, two in total, and a few may wait. An export that is cut off lacks its last chunk, or has fewer bytes than its Content-Length says. An erasure cuts it off, and so does the end of its key: start again.",
		Params: slices.Concat(filterParams(query.Events), []httpapi.Param{
			{Name: "order", Text: "by time; not for parquet", Enum: []string{"asc", "desc"}},
			{Name: safeParam, Text: "`1`, only for csv: writes ' before text that begins with = + - @, a tab or a carriage return, so that no spreadsheet takes it for a formula", Enum: []string{"1"}},
			{Name: formatParam, Text: "ndjson by default", Enum: []string{"ndjson", "csv", "parquet"}}}),
		Answers: []httpapi.Answer{httpapi.Plain(200, "the events")}, MediaTypes: []string{"application/x-ndjson", "text/csv", "application/vnd.apache.parquet"},
		Errors: []int{400, 503}}}}
}

// Parameters of an export.
const (
	formatParam = "format"
	safeParam   = "safe"
)

// export streams events. It has no deadline: it ends with the last event, or when the caller is
// gone or reads nothing.
func (h *Handlers) export(c *httpapi.Call) error {
	r, err := h.parse(c, query.Events, query.OrderParam, formatParam, safeParam)
	if err != nil {
		return err
	}
	f, err := h.exportFormat(&r)
	if err != nil {
		return err
	}
	out := newDownload(c, f)
	if c.Method == http.MethodHead {
		out.begin()
		return nil
	}
	leave, err := h.exportTurn(c)
	if err != nil {
		return err
	}
	defer leave()
	defer h.endWithErasure(c)()
	if f.encode == nil {
		err = h.exportParquet(c.Context(), r.Query, out)
	} else {
		err = h.exportText(c.Context(), r.Query, out)
	}
	if err == nil {
		if !out.begun {
			out.begin()
		}
		return nil
	}
	if c.Context().Err() == nil && !errors.Is(err, errGone) {
		if !out.begun {
			return err
		}
		h.log.Error("an export was cut off", "error", err)
	}
	// Only a broken connection shows the caller that the answer is incomplete.
	panic(http.ErrAbortHandler)
}

// endWithErasure ends an answer when something is erased, until stop is called.
func (h *Handlers) endWithErasure(c *httpapi.Call) (stop func()) {
	if h.opts.ExportsEnded == nil {
		return func() {}
	}
	ended, over := h.opts.ExportsEnded(), make(chan struct{})
	look := func() {
		select {
		case <-ended:
			c.End(store.ErrExportEnded)
		default:
		}
	}
	go func() {
		select {
		case <-ended:
			look()
		case <-over:
		}
	}()
	return func() {
		look()
		close(over)
	}
}

func newExporting() *fair.Semaphore {
	return fair.New(fair.Options{Places: exportsRunning, PerKey: 1, PerApp: 1, Waiting: exportsWaiting})
}

// exportTurn waits until another export may run. One runs for each application at a time; keys of
// all applications count as one application.
func (h *Handlers) exportTurn(c *httpapi.Call) (leave func(), err error) {
	leave, err = h.exporting.Acquire(c.Context(), fair.Caller{App: c.Principal.App, Key: c.Principal.App + "/"})
	if errors.Is(err, fair.ErrFull) {
		return nil, httpapi.Unavailable("several exports of this application are already waiting; try again later").WithRetryAfter(exportRetry)
	}
	return leave, err
}

func (h *Handlers) exportText(ctx context.Context, q query.Query, out *download) error {
	packed, finish, err := out.packed()
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(packed, exportBuffer)
	write := out.format.encode(w)
	if err := h.opts.Reader.Export(ctx, q, write); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return finish()
}

func (h *Handlers) exportParquet(ctx context.Context, q query.Query, out *download) error {
	file, err := h.opts.Parquet(ctx, q)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	out.size = info.Size()
	_, err = io.CopyBuffer(out, struct{ io.Reader }{file}, make([]byte, exportBuffer))
	return err
}

// format is a format of exports.
type format struct {
	name, mediaType string
	// encode begins a text and returns a function that appends an event. It is nil for Parquet,
	// which the store writes.
	encode func(*bufio.Writer) func(*event.Event) error
}

func (h *Handlers) exportFormat(r *readRequest) (format, error) {
	name, safe := r.values.Get(formatParam), r.values.Get(safeParam)
	switch {
	case safe != "" && safe != "1":
		return format{}, &query.ParamError{Parameter: safeParam, Message: "must be 1, or be omitted"}
	case safe != "" && name != "csv":
		return format{}, &query.ParamError{Parameter: safeParam, Message: "is only for format=csv"}
	}
	switch name {
	case "", "ndjson":
		return format{"ndjson", "application/x-ndjson", encodeNDJSON}, nil
	case "csv":
		return format{"csv", "text/csv; charset=utf-8", csvEncoder(safe != "")}, nil
	case "parquet":
		switch {
		case h.opts.Parquet == nil:
			return format{}, &query.ParamError{Parameter: formatParam, Message: "this store cannot write Parquet; use ndjson or csv"}
		case r.values.Has(query.OrderParam):
			return format{}, &query.ParamError{Parameter: query.OrderParam, Message: "a Parquet file has no order; omit the parameter"}
		}
		return format{"parquet", "application/vnd.apache.parquet", nil}, nil
	}
	return format{}, &query.ParamError{Parameter: formatParam, Message: "must be ndjson, csv or parquet"}
}

// fileName returns the name under which a browser saves an export.
func (f format) fileName(at time.Time) string {
	return "events-" + at.UTC().Format("20060102T150405Z") + "." + f.name
}
