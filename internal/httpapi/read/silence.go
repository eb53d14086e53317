package read

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/registry"
)

// silenceTimeout bounds the time in which /metrics looks for the last events of applications.
const silenceTimeout = 2 * time.Second

// lastEvents remembers when something of each application last came before the start, according to
// the store. It is safe for concurrent use.
type lastEvents struct {
	mu    sync.Mutex           // guards byApp
	byApp map[string]time.Time // the zero value if nothing is kept
}

// LastEvent returns when an event of an application, stored or rejected, was last received. It
// returns nil if none is kept, or if the store cannot say now.
func (h *Handlers) LastEvent(ctx context.Context, app *registry.App) *time.Time {
	if at := h.opts.Progress.LastArrival(app.Name); at.After(app.CreatedAt) {
		return &at
	}
	h.last.mu.Lock()
	at, known := h.last.byApp[app.Name]
	h.last.mu.Unlock()
	if !known {
		var err error
		if at, err = h.lastKept(ctx, app.Name); err != nil {
			return nil
		}
		h.last.mu.Lock()
		h.last.byApp[app.Name] = at
		h.last.mu.Unlock()
	}
	if !at.After(app.CreatedAt) { // of another application that had this name
		return nil
	}
	return &at
}

// lastKept returns when the last event or rejection that the store keeps of an application was
// received.
func (h *Handlers) lastKept(ctx context.Context, app string) (time.Time, error) {
	if err := h.opts.CaughtUp(); err != nil {
		return time.Time{}, err
	}
	q := query.Query{Apps: []string{app}, Descending: true, Limit: 1}
	events, err := h.opts.Reader.Events(ctx, q)
	if err != nil {
		return time.Time{}, err
	}
	rejections, err := h.opts.Reader.Rejections(ctx, q)
	if err != nil {
		return time.Time{}, err
	}
	var last time.Time
	for i := range events.Items {
		last = events.Items[i].ReceivedAt.Time()
	}
	for i := range rejections.Items {
		if at := rejections.Items[i].ReceivedAt.Time(); at.After(last) {
			last = at
		}
	}
	return last, nil
}

// silence returns how long nothing of an application has come; of one that never sent anything,
// since it was created.
func (h *Handlers) silence(ctx context.Context, app *registry.App) time.Duration {
	if at := h.LastEvent(ctx, app); at != nil {
		return time.Since(*at)
	}
	return time.Since(app.CreatedAt)
}

// SilentApp is an application of which nothing has come for longer than its setting allows.
type SilentApp struct {
	App         string  `json:"app"`
	SilentAfter string  `json:"silent_after"`
	LastEventAt *string `json:"last_event_at" format:"date-time"`
}

// silent returns the silent applications among those that a key may see, nil for all.
func (h *Handlers) silent(ctx context.Context, visible func(app string) bool) []SilentApp {
	list := []SilentApp{}
	for _, app := range h.opts.Registry.Apps() {
		limit := app.SilentFor()
		if limit > 0 && visible(app.Name) && h.silence(ctx, &app) >= limit {
			list = append(list, SilentApp{app.Name, app.SilentAfter, httpapi.TimeOrNull(h.LastEvent(ctx, &app))})
		}
	}
	return list
}

// silenceMetric shows how long nothing has come of the applications that have the setting.
type silenceMetric struct {
	h    *Handlers
	desc *prometheus.Desc
}

func newSilenceMetric(h *Handlers) silenceMetric {
	return silenceMetric{h, prometheus.NewDesc("eye_app_silent_seconds",
		"How long nothing of an application has come, in seconds, for applications with the setting silent_after.", []string{"app"}, nil)}
}

// Describe implements prometheus.Collector.
func (m silenceMetric) Describe(to chan<- *prometheus.Desc) { to <- m.desc }

// Collect implements prometheus.Collector.
func (m silenceMetric) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), silenceTimeout)
	defer cancel()
	for _, app := range m.h.opts.Registry.Apps() {
		if app.SilentFor() > 0 {
			to <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.h.silence(ctx, &app).Seconds(), app.Name)
		}
	}
}
