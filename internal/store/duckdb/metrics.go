package duckdb

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds    *prometheus.HistogramVec
	rows       prometheus.Collector
	registerer prometheus.Registerer
}

func newMetrics(r prometheus.Registerer, s *Store) metrics {
	m := metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "eye_store_query_seconds", Help: "Time of a query of the store, by kind.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 2.5, 10},
		}, []string{"kind"}),
		rows: &rowCollector{s}, registerer: r,
	}
	if r != nil {
		r.MustRegister(m.seconds, m.rows)
	}
	return m
}

func (m metrics) unregister() {
	if m.registerer != nil {
		m.registerer.Unregister(m.seconds)
		m.registerer.Unregister(m.rows)
	}
}

func (m metrics) queried(kind string, took time.Duration) {
	if m.seconds != nil {
		m.seconds.WithLabelValues(kind).Observe(took.Seconds())
	}
}

// rowCollector counts rows when metrics are read.
type rowCollector struct{ store *Store }

func (c *rowCollector) desc() *prometheus.Desc {
	return prometheus.NewDesc("eye_store_rows", "Rows in the store.", []string{"table"}, nil)
}

// Describe implements prometheus.Collector.
func (c *rowCollector) Describe(out chan<- *prometheus.Desc) { out <- c.desc() }

// Collect implements prometheus.Collector. A store that does not answer within
// a second has no values.
func (c *rowCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, table := range []string{"events", "rejections", "duplicates"} {
		n, err := queryAll(ctx, c.store, statement{kind: "rows", text: "SELECT count(*) FROM " + table}, func(scan scanner) (n int64, err error) {
			err = scan(&n)
			return n, err
		})
		if err == nil && len(n) == 1 {
			out <- prometheus.MustNewConstMetric(c.desc(), prometheus.GaugeValue, float64(n[0]), table)
		}
	}
}
