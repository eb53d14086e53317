package worker

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/event"
	"theeye/internal/store"
)

type metrics struct {
	fates    *prometheus.CounterVec
	seconds  prometheus.Histogram
	failures prometheus.Counter
	lost     prometheus.Counter
	refused  prometheus.Counter
	position prometheus.Gauge

	started event.Micros
	waiting atomic.Int64 // since when the oldest record that is being written has waited; 0 for none
	lag     atomic.Int64 // how long the oldest record of the last batch waited, in microseconds
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		started: event.Now(),
		fates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eye_worker_records_total", Help: "Records that the store decided about, by fate.",
		}, []string{"fate"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eye_worker_write_seconds", Help: "Time to write a batch to the store.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_worker_failures_total", Help: "Batches that the store did not take at once.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_worker_lost_events_total", Help: "Acknowledged events that could not be read any more and were counted as lost, by the books at the start and since.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_worker_refused_records_total", Help: "Records that the store did not take and that became rejections with the code " + event.NotStorable + ".",
		}),
		position: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eye_worker_position", Help: "Sequence of the last stored frame.",
		}),
	}
	lag := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "eye_worker_lag_seconds",
		Help: "How long the oldest record has waited that is being stored, since its receipt or the start; between two batches, that of the last.",
	}, m.lagSeconds)
	if r != nil {
		r.MustRegister(m.fates, m.seconds, lag, m.failures, m.lost, m.refused, m.position)
	}
	return m
}

// lagSeconds grows while the store accepts no batch.
func (m *metrics) lagSeconds() float64 {
	lag := m.lag.Load()
	if since := m.waiting.Load(); since != 0 {
		lag = int64(event.Now()) - since
	}
	return (time.Duration(lag) * time.Microsecond).Seconds()
}

// writeBegun is called when the write of a batch begins. Records that are read again to rebuild the
// store have not waited since their receipt.
func (m *metrics) writeBegun(b store.Batch) {
	if len(b.Records) == 0 {
		return
	}
	m.waiting.Store(int64(max(m.started, b.Records[0].ReceivedAt())))
}

func (m *metrics) writeDone(outcomes []event.Outcome, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	counts := map[event.Fate]int{}
	for _, o := range outcomes {
		counts[o.Fate]++
	}
	for fate, n := range counts {
		m.fates.WithLabelValues(fate.String()).Add(float64(n))
	}
	if since := m.waiting.Swap(0); since != 0 {
		m.lag.Store(int64(event.Now()) - since)
	}
}
