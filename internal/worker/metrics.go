package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/event"
	"theeye/internal/store"
)

type metrics struct {
	fates    *prometheus.CounterVec
	seconds  prometheus.Histogram
	lag      prometheus.Gauge
	failures prometheus.Counter
	position prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		fates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eye_worker_records_total", Help: "Records that the store decided about, by fate.",
		}, []string{"fate"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eye_worker_write_seconds", Help: "Time to write a batch to the store.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eye_worker_lag_seconds", Help: "Time from the receipt of the newest stored record until it was stored.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_worker_failures_total", Help: "Batches that the store did not take at once.",
		}),
		position: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eye_worker_position", Help: "Sequence of the last stored frame.",
		}),
	}
	if r != nil {
		r.MustRegister(m.fates, m.seconds, m.lag, m.failures, m.position)
	}
	return m
}

func (m metrics) wrote(b store.Batch, outcomes []event.Outcome, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	counts := map[event.Fate]int{}
	for _, o := range outcomes {
		counts[o.Fate]++
	}
	for fate, n := range counts {
		m.fates.WithLabelValues(fate.String()).Add(float64(n))
	}
	if n := len(b.Records); n > 0 {
		var received event.Micros
		if last := b.Records[n-1]; last.Event != nil {
			received = last.Event.ReceivedAt
		} else {
			received = last.Rejection.ReceivedAt
		}
		m.lag.Set(event.Now().Sub(received).Seconds())
	}
}
